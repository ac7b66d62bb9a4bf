"""Positions and the day's profit, from the fills of the bot's own orders alone.

Average cost, as docs/bot-contract.md defines it. The same fills give the same figures whenever they
are read, so a bot that restarts computes what it computed before. Rounding can't reach `dayPnL`: a
cost is rounded once, when a part of a position is closed, and what is taken from the position is
exactly what is realized.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.view import ZERO, Bought, Position

COST_UNIT = Decimal("1e-12")
"""Costs of parts of a position are rounded to this."""


class OwnFill(NamedTuple):
    """A fill of an order of this bot. Fills are ordered by time, then by the exchange's number."""

    time: int
    number: int
    """The exchange's number of the trade, which is unique and grows within a symbol."""
    symbol: str
    base: str
    quote: str
    order_id: str
    tag: str
    side: Side
    price: Decimal
    quantity: Decimal
    value: Decimal
    """In the quote asset, without the fee."""
    fee: Decimal
    fee_asset: str


@dataclass(slots=True)
class _Holding:
    """What is held of one asset. Both are negative for a short position."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    lots: dict[str, Decimal] = field(default_factory=dict)

    def give(self, quantity: Decimal) -> Decimal:
        """Take `quantity` out, and return its part of the cost."""
        if quantity == self.quantity:
            part = self.cost
        else:
            part = (self.cost * quantity / self.quantity).quantize(COST_UNIT)
        self.quantity -= quantity
        self.cost -= part
        return part

    def trade(self, quantity: Decimal, value: Decimal) -> Decimal:
        """Add `quantity` for `value` (both negative for a sale), and return the realized profit."""
        if self.quantity * quantity >= 0:
            self.quantity += quantity
            self.cost += value
            return ZERO
        if abs(quantity) <= abs(self.quantity):
            realized = -value - self.give(-quantity)
        else:  # it closes the position, and opens one in the other direction
            closed = (value * self.quantity / quantity).quantize(COST_UNIT)
            rest, value = quantity + self.quantity, value + closed
            realized = closed - self.give(self.quantity)
            self.quantity, self.cost = rest, value
        return realized

    def count_lot(self, tag: str, quantity: Decimal) -> None:
        """Keep the quantities by tag: what an order of another tag sold is taken from the last."""
        if self.quantity <= 0:
            self.lots.clear()
            return
        self.lots[tag] = self.lots.get(tag, ZERO) + quantity
        excess = ZERO
        if self.lots[tag] < 0:
            excess = -self.lots.pop(tag)
        for last in sorted(self.lots, reverse=True):
            if excess <= 0:
                break
            taken = min(excess, self.lots[last])
            self.lots[last] -= taken
            excess -= taken


class Account:
    """Holdings of a bot, and its figures of one trading day. `apply` takes fills in their order."""

    def __init__(self, money: str, *, day_start: int, price_of_fee: Callable[[OwnFill], Decimal]):
        self._money = money
        self._price_of_fee = price_of_fee
        """Returns the price, in money, of a fee in an asset that was not traded."""
        self._holdings: dict[str, _Holding] = {}
        self._bought: dict[str, Bought] = {}
        self._day_start = day_start
        self._at_start: Mapping[str, tuple[Decimal, Decimal]] | None = None
        self._realized = ZERO
        self.last: OwnFill | None = None

    def apply(self, fills: Iterable[OwnFill]) -> None:
        """Count fills that have not been counted yet, in their order."""
        for fill in fills:
            if self._at_start is None and fill.time >= self._day_start:
                self._begin()
            self._count(fill)
            self.last = fill

    def positions(self) -> dict[str, Position]:
        """Return what is held, by asset."""
        return {
            asset: Position(
                quantity=holding.quantity,
                cost=holding.cost,
                lots=dict(holding.lots),
            )
            for asset, holding in self._holdings.items()
            if holding.quantity
        }

    def bought(self) -> Mapping[str, Bought]:
        """Return all buys so far, by symbol."""
        return self._bought

    def at_start(self) -> Mapping[str, tuple[Decimal, Decimal]]:
        """Return quantity and cost by asset when the trading day began."""
        return self._state() if self._at_start is None else self._at_start

    def day_pnl(
        self, marks: Mapping[str, Decimal], marks_at_start: Mapping[str, Decimal]
    ) -> Decimal:
        """Return realized + unrealized(now) - unrealized(start of the day).

        Both maps are prices in money by asset, of every asset held then. KeyError if one lacks.
        """
        now = sum(
            (
                h.quantity * marks[asset] - h.cost
                for asset, h in self._holdings.items()
                if h.quantity
            ),
            ZERO,
        )
        start = sum(
            (
                quantity * marks_at_start[asset] - cost
                for asset, (quantity, cost) in self.at_start().items()
            ),
            ZERO,
        )
        realized = ZERO if self._at_start is None else self._realized  # no fill today yet
        return realized + now - start

    def _begin(self) -> None:
        self._at_start = self._state()
        self._realized = ZERO

    def _state(self) -> dict[str, tuple[Decimal, Decimal]]:
        return {
            asset: (holding.quantity, holding.cost)
            for asset, holding in self._holdings.items()
            if holding.quantity
        }

    def _holding(self, asset: str) -> _Holding:
        return self._holdings.setdefault(asset, _Holding())

    def _count(self, fill: OwnFill) -> None:
        sign = 1 if fill.side is Side.BUY else -1
        base = self._holding(fill.base)
        if fill.quote == self._money:
            self._realized += base.trade(sign * fill.quantity, sign * fill.value)
        elif sign > 0:
            self._exchange(fill.quote, fill.value, base, fill.quantity)
        else:
            quote = self._holding(fill.quote)
            self._exchange(fill.base, fill.quantity, quote, fill.value)
        if fill.side is Side.BUY:
            before = self._bought.get(fill.symbol, Bought())
            self._bought[fill.symbol] = Bought(spent=before.spent + fill.value, last=fill.time)
        net = sign * fill.quantity
        if fill.fee:
            self._pay(fill)
            net -= fill.fee if fill.fee_asset == fill.base else ZERO
        base.count_lot(fill.tag, net)

    def _exchange(self, given: str, quantity: Decimal, into: _Holding, received: Decimal) -> None:
        """Give one asset for another one, neither of them money: the cost moves with it."""
        source = self._holding(given)
        if source.quantity == 0:  # not bought by this bot: without a cost
            source.quantity -= quantity
            cost = ZERO
        else:
            cost = source.give(quantity)
        into.quantity += received
        into.cost += cost

    def _pay(self, fill: OwnFill) -> None:
        """Count the fee as a loss, out of the asset in which it was paid."""
        if fill.fee_asset == self._money:
            self._realized -= fill.fee
        elif fill.fee_asset in {fill.base, fill.quote}:
            holding = self._holding(fill.fee_asset)
            if holding.quantity:
                self._realized -= holding.give(fill.fee)
            else:
                holding.quantity -= fill.fee
        else:
            self._realized -= fill.fee * self._price_of_fee(fill)
