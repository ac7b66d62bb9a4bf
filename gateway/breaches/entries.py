"""At which prices positions were entered: the checker's own averages."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_exchange.engine.types import Fill, Side

from breaches.facts import ZERO


@dataclass(slots=True)
class Entry:
    """A position, and what was paid for it. Both are negative for a short position."""

    quantity: Decimal = ZERO
    paid: Decimal = ZERO
    mixed: bool = False
    """Whether a part was traded for another asset: its price in money is not known here."""

    def price(self) -> Decimal | None:
        """Return the average price, if it is known."""
        if self.mixed or not self.quantity:
            return None
        return self.paid / self.quantity

    def trade(self, quantity: Decimal, price: Decimal) -> None:
        """Count a purchase, or a sale."""
        before, self.quantity = self.quantity, self.quantity + quantity
        if before * quantity >= 0:
            self.paid += quantity * price
        elif before * self.quantity > 0:
            self.paid = self.paid * self.quantity / before
        else:
            self.paid = self.quantity * price
            self.mixed = False

    def lose(self, quantity: Decimal) -> None:
        """Count a fee that is paid out of the position, or adds to a short one."""
        before, self.quantity = self.quantity, self.quantity - quantity
        if before:
            self.paid = self.paid * self.quantity / before
        else:
            self.mixed = True


@dataclass(slots=True)
class Entries:
    """The entries of all positions. An average depends on the order of purchases and sales."""

    money: str
    by_asset: dict[str, Entry] = field(default_factory=lambda: defaultdict(Entry))
    _fills: dict[tuple[int, int, str], Fill] = field(default_factory=dict)
    """In the order in which they count."""

    def count(self, fill: Fill) -> None:
        """Count a fill once: one that is shown alone counts when it is shown first."""
        if _key(fill) not in self._fills:
            self._fills[_key(fill)] = fill
            self._move(fill)

    def answered(self, fills: Iterable[Fill]) -> None:
        """Count the fills of one answer, in the order in which they were traded."""
        for fill in sorted(fills, key=lambda fill: (fill.time, fill.trade_id)):
            self.count(fill)

    def forget(self, lost: Iterable[Fill]) -> None:
        """Count again without some fills: they count at their place in the next answer."""
        for fill in lost:
            self._fills.pop(_key(fill), None)
        self.by_asset.clear()
        for fill in self._fills.values():
            self._move(fill)

    def _move(self, fill: Fill) -> None:
        base, quote = fill.symbol.split("-")
        sign = 1 if fill.side is Side.BUY else -1
        entry = self.by_asset[base]
        entry.trade(sign * fill.quantity, fill.price)
        if quote != self.money:
            other = self.by_asset[quote]
            other.trade(-sign * fill.quantity * fill.price, ZERO)
            entry.mixed = other.mixed = True
        if fill.fee_asset != self.money:
            self.by_asset[fill.fee_asset].lose(fill.fee)
        for asset in (base, quote):
            if not self.by_asset[asset].quantity:
                del self.by_asset[asset]

    def price(self, asset: str) -> Decimal | None:
        """Return the average price at which a position was entered, if it is known."""
        entry = self.by_asset.get(asset)
        return None if entry is None else entry.price()


def _key(fill: Fill) -> tuple[int, int, str]:
    return fill.order_id, fill.trade_id, fill.symbol
