"""How long a container that has ended waits for its restart: the kubelet's rule.

The first restart is immediate. Each further one waits twice as long as the one before, from 10
seconds to 5 minutes. After 10 minutes since its last restart, a container starts from scratch.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST = timedelta(seconds=10)
LONGEST = timedelta(minutes=5)
FORGOTTEN_AFTER = 2 * LONGEST


@dataclass(frozen=True)
class Backoff:
    """The state of one container: the wait before the next restart, and the last restart."""

    delay: timedelta = timedelta(0)
    restarted: datetime | None = None

    def until(self, finished: datetime) -> datetime:
        """Return when a container that ended at `finished` may start again."""
        return finished if self._forgotten(finished) else finished + self.delay

    def after_restart(self, *, finished: datetime, now: datetime) -> "Backoff":
        """Return the state after a restart at `now` of a container that ended at `finished`."""
        if self._forgotten(finished):
            return Backoff(FIRST, now)
        return Backoff(min(2 * self.delay, LONGEST), now)

    def _forgotten(self, finished: datetime) -> bool:
        return self.restarted is None or finished - self.restarted > FORGOTTEN_AFTER
