"""The trading day: what was held when it began, and the money that came in since.

The profit of the day is the money that came in, plus the value of what is held now, less the value
at the start of what was held then. This equals realized + unrealized(now) - unrealized(start) of
docs/bot-contract.md, and does not depend on the order in which fills arrive.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from tradingbot_gateway.risk.positions import Holdings
from tradingbot_gateway.risk.types import ZERO


@dataclass(frozen=True, slots=True)
class UnpricedFee:
    """A fee in a third asset, whose price at the time of the fill is not known yet."""

    asset: str
    amount: Decimal
    at: int


@dataclass(slots=True, kw_only=True)
class Day:
    """A trading day of the ledger."""

    day: date
    starts: int
    ends: int
    at_start: Holdings
    cash: Decimal = ZERO
    """Money from sales less money for purchases, less fees."""
    marks: dict[str, Decimal] = field(default_factory=dict)
    """Prices in money when the day began, by asset: bids, if there are asks."""
    asks: dict[str, Decimal] = field(default_factory=dict)
    unpriced: list[UnpricedFee] = field(default_factory=list)

    def missing_marks(self) -> list[str]:
        """Return the assets that were held at the start and whose price then is not known."""
        return [asset for asset in self.at_start.by_asset if asset not in self.marks]

    def mark(self, asset: str) -> Decimal:
        """Return the price at the start of what was held then, or owed.

        Which of both it was may be known later: a fill of the day before can arrive after the
        price. Raises KeyError if the price is not known.
        """
        price = self.marks[asset]
        return self.asks.get(asset, price) if self.at_start.held(asset) < 0 else price

    def price(self, asset: str, at: int, price: Decimal, ask: Decimal | None) -> None:
        """Note a price of the past. A price of the start is never replaced."""
        if at == self.starts and asset not in self.marks:
            self.marks[asset] = price
            if ask is not None:
                self.asks[asset] = ask
        for fee in [f for f in self.unpriced if (f.asset, f.at) == (asset, at)]:
            self.cash -= fee.amount * price
            self.unpriced.remove(fee)


def as_instant(milliseconds: int) -> datetime:
    """Return a time of the core as the calendar has it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def as_milliseconds(instant: datetime) -> int:
    """Return a time of the calendar as the core has it, since the epoch."""
    return round(instant.timestamp() * 1000)
