"""Positions at average cost."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from tradingbot_gateway.risk.types import ZERO

COST_UNIT = Decimal("1e-12")
"""Costs of parts of a position are rounded to this. The profit of a day does not depend on costs:
it comes from cash and marks, which are exact."""


@dataclass(slots=True)
class Holding:
    """What is held of an asset, and what was paid for it in money, without fees.

    Both are negative for a short position: it has sold what it does not have.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    priced: bool = True
    """Whether `cost` is known. False after a trade for another asset whose price was not."""

    @property
    def entry(self) -> Decimal:
        """The average price that was paid (or, short, received). ZeroDivisionError if flat."""
        return self.cost / self.quantity

    def trade(self, quantity: Decimal, value: Decimal | None) -> None:
        """Buy `quantity` for `value`, None if that is unknown; sell if both are negative."""
        held = self.quantity
        if held * quantity >= 0:  # it opens or adds
            self.quantity, self.cost = held + quantity, self.cost + (value or ZERO)
            self.priced = self.priced and value is not None
        elif abs(quantity) <= abs(held):  # it reduces or closes
            self.take(-quantity)
        else:  # it closes, and opens the other way
            rest = held + quantity
            part = (value or ZERO) * rest / quantity
            self.quantity, self.cost = rest, part.quantize(COST_UNIT)
            self.priced = value is not None

    def value(self, price: Decimal) -> None:
        """Take a price as that of the entry."""
        self.cost, self.priced = (self.quantity * price).quantize(COST_UNIT), True

    def take(self, quantity: Decimal) -> Decimal:
        """Remove `quantity` with its part of the cost, and return that part."""
        if quantity == self.quantity:
            part = self.cost
        elif self.quantity:
            part = (self.cost * quantity / self.quantity).quantize(COST_UNIT)
        else:
            part = ZERO
        self.quantity -= quantity
        self.cost -= part
        return part


@dataclass(slots=True)
class Holdings:
    """Holdings by asset. Flat ones are not in it."""

    by_asset: dict[str, Holding] = field(default_factory=dict)

    def held(self, asset: str) -> Decimal:
        """Return the quantity of an asset; negative for a short position."""
        holding = self.by_asset.get(asset)
        return ZERO if holding is None else holding.quantity

    def copy(self) -> "Holdings":
        """Return a copy that does not change with this one."""
        return Holdings({asset: replace(holding) for asset, holding in self.by_asset.items()})

    def fill(
        self,
        base: str,
        quote: str,
        *,
        money: str,
        quantity: Decimal,
        value: Decimal,
        quote_price: Decimal | None = None,
    ) -> Decimal:
        """Count a trade (negative figures for a sale), and return the money that came in.

        One asset for another is a sale and a purchase for money, at `quote_price`.
        """
        if quote == money:
            self._of(base).trade(quantity, value)
            self._drop_flat(base)
            return -value
        worth = None if quote_price is None else (value * quote_price).quantize(COST_UNIT)
        self._of(base).trade(quantity, worth)
        self._of(quote).trade(-value, None if worth is None else -worth)
        self._drop_flat(base, quote)
        return ZERO

    def pay(self, asset: str, amount: Decimal, *, traded: bool) -> Decimal:
        """Pay a fee out of a position, and return what must be paid in money instead.

        `traded`: whether the fee is in an asset of the trade. A third asset is taken from the
        position as far as that goes: the rest comes from what is not the bot's.
        """
        holding = self._of(asset)
        part = amount if traded else min(amount, max(holding.quantity, ZERO))
        if part:
            holding.take(part)
        self._drop_flat(asset)
        return amount - part

    def _of(self, asset: str) -> Holding:
        return self.by_asset.setdefault(asset, Holding())

    def _drop_flat(self, *assets: str) -> None:
        for asset in assets:
            if not self._of(asset).quantity:
                del self.by_asset[asset]
