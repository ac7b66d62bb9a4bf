"""OCO lists: two orders that hold an asset once, and of which one ends the other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradingbot_exchange.engine.entries import Entry


@dataclass(slots=True)
class Pair:
    """The two orders of an OCO list that is executing.

    The limit's entry has the hold of both: the larger of their two needs.
    """

    id: int
    limit: "Entry"
    stop: "Entry"

    def need(self) -> int:
        """Return what the pair has to hold."""
        return max(self.limit.need(), self.stop.need())

    def other(self, entry: "Entry") -> "Entry":
        """Return the twin of one of the orders."""
        return self.stop if entry is self.limit else self.limit
