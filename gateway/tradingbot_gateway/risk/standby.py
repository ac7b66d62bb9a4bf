"""A gateway without the right to enter, while another one of the bot may live and have it.

Both see the same account. If both acted on it, each would undo what the other does: protection
placed twice, orders cancelled that the other has just placed. So this one gives the other time for
each step. One that is at work changes the situation all the time; one that is gone does not.
"""

from tradingbot_gateway.risk.actions import Cancel
from tradingbot_gateway.risk.protection import Note, Step

OTHERS = 10_000
"""Milliseconds in which another gateway of the bot, if it lives, has protected a position."""


class Standby:
    """Whether this gateway stands by, and since when what is amiss."""

    def __init__(self) -> None:
        self.active = False
        self._amiss: dict[str, tuple[object, int]] = {}

    def set(self, active: bool) -> None:
        """Begin or end to stand by."""
        self.active = active
        self._amiss.clear()

    def leaves(self, what: str, steps: tuple[Step, ...], now: int) -> bool:
        """Whether the other one has the time to take these steps for an asset, or an exit."""
        if not self.active or all(isinstance(step, Note) for step in steps):
            self._amiss.pop(what, None)
            return False
        found = tuple((type(step), getattr(step, "quantity", None)) for step in steps)
        before, since = self._amiss.get(what, (None, now))
        if before != found:
            since = now
        self._amiss[what] = found, since
        return now - since < OTHERS

    def kept(self, cancels: list[Cancel], now: int) -> list[Cancel]:
        """Return the cancels that are not left to the other one."""
        return [each for each in cancels if not self.leaves(each.client_id, (each,), now)]
