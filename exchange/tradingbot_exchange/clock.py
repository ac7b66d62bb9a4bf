"""The clock of a simulated exchange: real time, accelerated, and wrong on purpose."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

Wall = Callable[[], int]
"""Returns milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A moment in both times: when the real clock showed `wall`, the exchange's showed `market`."""

    wall: int
    market: int
    speed: Decimal


class MarketClock:
    """The time of the market. It never goes back, even if the real clock does.

    `latest` is a time that the market has reached already.
    """

    def __init__(self, wall: Wall, anchor: Anchor, *, latest: int = 0) -> None:
        self.wall = wall
        self.anchor = anchor
        self._latest = max(anchor.market, latest)

    def now(self) -> int:
        """Return milliseconds since the epoch, with speed and without skew."""
        elapsed = self.wall() - self.anchor.wall
        self._latest = max(self._latest, self.anchor.market + int(elapsed * self.anchor.speed))
        return self._latest


def first_anchor(wall: int, speed: Decimal) -> Anchor:
    """Return the anchor of an exchange that starts for the first time."""
    return Anchor(wall, wall, speed)


def next_anchor(old: Anchor, *, wall: int, speed: Decimal, latest: int) -> Anchor:
    """Return the anchor of an exchange that starts again and was last seen at `latest`.

    At the same speed the market has gone on meanwhile. At another one it goes on from `latest`, or
    from now if that is later.
    """
    if speed == old.speed and wall >= old.wall:
        return old
    return Anchor(wall, max(latest, wall), speed)
