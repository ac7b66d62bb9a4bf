"""Whether the watches work, for the operator's readiness and liveness."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tradingbot_operator.cluster.watching.session import WatchSession

BROKEN_SECONDS = 60.0
"""How long watches may be broken, or one refused by the API server, before readiness fails."""

STUCK_SECONDS = 90.0
"""How long a thread of watches may stand still before liveness fails."""


@dataclass
class WatchHealth:
    """Records the state of the watches. Its methods may be called in any thread."""

    clock: Callable[[], float] = time.monotonic
    _sessions: list[WatchSession] = field(default_factory=list)
    """The current session, and abandoned ones whose thread still runs."""
    _broken_since: float | None = None
    _failing: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Since when, and why, the API server refuses to list or watch a kind, by path."""

    def begins(self, session: WatchSession) -> None:
        """Record that another session watches from now on."""
        self._sessions = [*(known for known in self._sessions if known.alive), session]

    def broken(self) -> None:
        """Record that a watch has ended, so that all have to start again."""
        if self._broken_since is None:
            self._broken_since = self.clock()

    def whole(self) -> None:
        """Record that all watches have started."""
        self._broken_since = None

    def answered(self, path: str, failure: str) -> None:
        """Record that a list or watch was answered, or has failed."""
        if failure:
            since, _ = self._failing.get(path, (self.clock(), ""))
            self._failing[path] = since, failure
        else:
            self._failing.pop(path, None)

    def unready(self) -> str:
        """Return why changes in the cluster are not noticed; empty if they are."""
        now = self.clock()
        if self._broken_since is not None and now > self._broken_since + BROKEN_SECONDS:
            return f"the watches have been broken for {now - self._broken_since:.0f} s"
        for path, (since, failure) in list(self._failing.items()):
            if now > since + BROKEN_SECONDS:
                return f"{path} can't be watched for {now - since:.0f} s: {failure}"
        return ""

    def stuck(self) -> str:
        """Return why only a restart can help; empty if none is needed."""
        for session in self._sessions:
            if session.alive and session.silent_seconds > STUCK_SECONDS:
                return f"a thread of watches stands still for {session.silent_seconds:.0f} s"
        return ""
