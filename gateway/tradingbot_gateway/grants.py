"""Whether the operator lets this gateway pass entries: see `tradingbot_api.entry_grant`.

`permission` decides, and is pure. `GrantFile` reads the file that the kubelet writes, and
`node_moment` the clocks of the node.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tradingbot_api.contract import BotConfig
from tradingbot_api.entry_grant import LONGEST_GRANT, MARGIN_SECONDS, EntryGrant, Moment
from tradingbot_api.tradingbot import Mode

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Permission:
    """Why entries may not pass, if they may not."""

    not_granted: str | None = None
    """Entry orders that are open are cancelled as well."""
    outdated: str | None = None
    """The limits that are to be judged by have not arrived."""
    stands_by: bool = False
    """Whether another pod may have the right, and do what this one would do otherwise."""


GRANTED = Permission()
"""Also that of a gateway that nobody grants anything, since it runs without an operator."""


def permission(
    grant: EntryGrant | None, *, pod: str, now: Moment, config_hash: str, live: bool
) -> Permission:
    """Return whether entries may pass `now` in the pod with the UID `pod`.

    In Paper the account is in the gateway, so that two of them have nothing in common: entries need
    no grant, and only a withdrawal and other limits stop them.
    """
    if grant is None or grant.pod != pod:
        waits = Permission("the operator has not granted any to this pod yet", stands_by=True)
        return waits if live else GRANTED
    if grant.withdrawn is not None:
        return Permission(f"the operator has withdrawn the grant: {grant.withdrawn}")
    if live and (ended := _ended(grant, now)) is not None:
        return ended
    if grant.config_hash != config_hash:
        return Permission(outdated="the limits have changed, and bot.json with them is on its way")
    return GRANTED


def _ended(grant: EntryGrant, now: Moment) -> Permission | None:
    """Return the answer to a grant that has come to its end, None to one that has not.

    The operator grants entries to another pod `MARGIN_SECONDS` later at the earliest.
    """
    begun = Moment.read(grant.moment or "")
    since = None if begun is None else now.seconds_since(begun)
    if since is None or grant.seconds is None:
        return Permission(
            "the grant of the operator is not for this run of the node", stands_by=True
        )
    if since < grant.seconds:
        return None
    return Permission(
        f"the operator has not renewed the grant for {grant.seconds} s",
        stands_by=since >= grant.seconds + MARGIN_SECONDS,
    )


def node_moment() -> Moment:
    """Return the moment on this node."""
    elapsed = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return Moment(_boot(), elapsed, time.time_ns() // 1_000_000)


@cache
def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip()


class GrantFile:
    """The file with the annotation of the pod. It is empty until the operator has written one."""

    def __init__(self, path: Path, pod: str, *, clock: Callable[[], Moment] = node_moment) -> None:
        """`pod` is the UID of the pod of this gateway."""
        self._path = path
        self._pod = pod
        self._clock = clock
        self._text = ""
        self._grant: EntryGrant | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the file again. One that can't be read grants nothing."""
        try:
            with self._path.open("rb") as file:
                text = file.read(LONGEST_GRANT + 1).decode()
        except (OSError, UnicodeDecodeError):
            text = ""
        if text != self._text:
            self._text, self._grant = text, EntryGrant.read(text)

    def permission(self, config: BotConfig) -> Permission:
        """Return whether entries may pass now, by what was read last and the limits of `config`."""
        return permission(
            self._grant,
            pod=self._pod,
            now=self._clock(),
            config_hash=config.config_hash,
            live=config.mode is Mode.LIVE,
        )
