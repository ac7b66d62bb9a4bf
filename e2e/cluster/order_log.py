"""What the exchange has on record of an account: all orders and trades of a symbol, and what of it
counts against the limits of a bot. Money is in the quote currency, times are milliseconds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hostile_wire import Wire

Record = dict[str, Any]
MINUTE_MS = 59_000
"""A second less: the gateway counts from when it sends, and the exchange from when it receives."""
_OPEN = ("NEW", "PARTIALLY_FILLED")


@dataclass(frozen=True)
class OrderLog:
    """The orders and trades of an account, as it reads them with its own key, oldest first."""

    orders: tuple[Record, ...]
    trades: tuple[Record, ...]

    @classmethod
    def read(cls, account: Wire, symbol: str) -> "OrderLog":
        found = []
        for path in ("allOrders", "myTrades"):
            answer = account.call("GET", f"/api/v3/{path}", symbol=symbol, limit=1000)
            assert answer.accepted, answer
            found.append(tuple(answer.json()))
        assert all(len(records) < 1000 for records in found), "there may be more"
        return cls(*found)

    @property
    def entries(self) -> list[Record]:
        """The orders that could open a position; on spot, without a loan, purchases alone."""
        return [order for order in self.orders if order["side"] == "BUY"]

    def most_in_a_minute(self) -> int:
        """The most entries in any minute."""
        times = sorted(int(order["time"]) for order in self.entries)
        return max(
            (sum(0 <= time - first < MINUTE_MS for time in times) for first in times), default=0
        )

    def largest_position(self, mark: Decimal) -> Decimal:
        """The most that was held and that open entries could have added, at any moment.

        Each counts at its limit or at the mark, whichever is more.
        """
        largest = now = Decimal(0)
        for _, change in sorted(self._changes(mark), key=lambda each: each[0]):
            now += change
            largest = max(largest, now)
        return largest

    def _changes(self, mark: Decimal) -> Iterator[tuple[int, Decimal]]:
        for order in self.entries:
            price = max(Decimal(order["price"]), mark)
            wanted, filled = Decimal(order["origQty"]), Decimal(order["executedQty"])
            yield int(order["time"]), wanted * price
            if order["status"] not in _OPEN:
                yield int(order["updateTime"]), -(wanted - filled) * price
        for trade in self.trades:
            if not trade["isBuyer"]:
                yield int(trade["time"]), -Decimal(trade["qty"]) * mark


def untagged(orders: Iterable[Record], strategy_type: int) -> list[Record]:
    """Return the orders that no gateway has sent."""
    return [order for order in orders if order.get("strategyType") != strategy_type]
