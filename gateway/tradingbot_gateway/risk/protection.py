"""Which orders must protect the positions: take-profit and stop-loss, at the exchange if it can.

For each position, what the bot does not sell by itself is the gateway's to protect, with one list
of two orders. A stop of the bot is as good as the gateway's, if its price is. What no order
protects is watched: at the stop price, the gateway closes it at the market.
"""

from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.engine.types import OrderType, Side

from tradingbot_gateway.risk.actions import Cancel
from tradingbot_gateway.risk.controls import figure
from tradingbot_gateway.risk.decision import cancel
from tradingbot_gateway.risk.figures import Prices, flows
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.limits import Limits
from tradingbot_gateway.risk.orders import Unit
from tradingbot_gateway.risk.positions import Holding
from tradingbot_gateway.risk.types import ZERO, Market, Purpose, assets_of

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The prices at which a position is closed."""

    stop: Decimal
    take_profit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Protect:
    """A list of take-profit and stop-loss is wanted; the stop alone if the market has no lists."""

    market: Market
    side: Side
    quantity: Decimal
    levels: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """An order at the market is wanted. `halts`: the bot must open nothing for the day."""

    market: Market
    side: Side
    quantity: Decimal
    reason: str
    halts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that a user should know, and that nothing can be done about."""

    text: str


Step = Protect | Close | Cancel | Note


def levels(holding: Holding, market: Market, limits: Limits) -> Levels | None:
    """Return the prices of a position, by the average price of its entry; None without a cost."""
    entry = holding.entry
    if not holding.priced or entry <= 0:
        return None
    sign = 1 if holding.quantity > 0 else -1
    # Towards the entry for the stop, away from it for the profit: never looser than the limits.
    up, down = market.ticks_up, market.ticks_down
    near, far = (up, up) if sign > 0 else (down, down)
    stop = near(entry * (1 - sign * limits.stop_loss_percentage / _HUNDRED))
    take_profit = far(entry * (1 + sign * limits.take_profit_percentage / _HUNDRED))
    return Levels(stop=stop, take_profit=max(take_profit, market.tick))


def protect(ledger: Ledger, limits: Limits, prices: Prices, asset: str) -> list[Step]:
    """Return what has to be done for the position in an asset, as far as it can be done now.

    Orders whose outcome is unknown count as open: nothing is placed twice.
    """
    holding = ledger.holdings.by_asset[asset]
    symbol = prices.symbol(asset)
    market = prices.markets.get(symbol)
    if market is None:
        return [Note(text=f"{asset} can't be protected: {symbol} is not traded")]
    wanted = levels(holding, market, limits)
    if wanted is None:
        return [Note(text=f"{asset} can't be protected: it has no entry price")]
    return _Position(ledger, prices, asset, market=market, wanted=wanted).steps()


class _Position:
    """One position, the orders that close it, and what is missing."""

    def __init__(
        self,
        ledger: Ledger,
        prices: Prices,
        asset: str,
        *,
        market: Market,
        wanted: Levels,
    ) -> None:
        holding = ledger.holdings.by_asset[asset]
        self._ledger, self._asset, self._market, self._wanted = ledger, asset, market, wanted
        self._prices = prices
        self._long = holding.quantity > 0
        self._side = Side.SELL if self._long else Side.BUY
        self._held = abs(holding.quantity)
        quote = prices.quote(market.symbol)
        self._price = None if quote is None else (quote.bid if self._long else quote.ask)
        closing = [unit for unit in ledger.units() if self._closes(unit)]
        self._bots = [unit for unit in closing if unit.purpose is Purpose.BOT]
        self._own = [unit for unit in closing if unit.purpose is Purpose.PROTECTION]
        self._exits = [unit for unit in closing if unit.purpose is Purpose.EXIT]

    def steps(self) -> list[Step]:
        """Return what has to be done now."""
        if self._exits or not all(unit.open for unit in self._own):
            return []  # the answer to the exit decides, or fills that have not arrived yet
        if self._passed(self._wanted.stop, loss=True):
            return self._stop_out()
        free = self._free()
        if self._own:
            fits = (
                len(self._own) == 1
                and self._own[0].remaining == free
                and _same_levels(self._own[0], self._wanted, self._market)
            )
            return [] if fits else [self._cancel_own("the position has changed")]
        if not self._tradable(free):
            return self._dust(free)
        if self._asset in self._ledger.state.unprotected:
            return [self._close(free, "the exchange refuses protective orders", halts=True)]
        if self._passed(self._wanted.take_profit, loss=False):
            return [self._close(free, "the take-profit price has been reached")]
        return [Protect(market=self._market, side=self._side, quantity=free, levels=self._wanted)]

    def _closes(self, unit: Unit) -> bool:
        base, quote = assets_of(unit.symbol)
        if base == self._asset:
            return unit.side is self._side
        return quote == self._asset and unit.side is not self._side

    def _taken(self, unit: Unit) -> Decimal:
        """Return how much of the position a unit may close, at most."""
        moved = flows(unit, self._ledger.money, self._prices)
        return next((abs(flow.quantity) for flow in moved if flow.asset == self._asset), ZERO)

    def _free(self) -> Decimal:
        """Return what is not being closed by the bot."""
        free = self._held - sum((self._taken(unit) for unit in self._bots), ZERO)
        return self._market.lots_down(max(free, ZERO))

    def _passed(self, price: Decimal, *, loss: bool) -> bool:
        """Whether the market has reached a price, as far as that is known."""
        if self._price is None:
            return False
        return self._price <= price if self._long is loss else self._price >= price

    def _stop_out(self) -> list[Step]:
        """Close what no stop closes. A stop at the exchange has been triggered by now."""
        if self._own:
            if self._is_beyond_slippage():
                return [self._cancel_own("the market has passed the limit of the stop")]
            if not all(self._covers(unit) for unit in self._own):
                return [self._cancel_own("the stop price has changed")]
            if sum((unit.remaining for unit in self._own), ZERO) < self._free():
                return [self._cancel_own("the position has grown")]
            return []
        covered = sum((unit.remaining for unit in self._bots if self._covers(unit)), ZERO)
        open_quantity = self._market.lots_down(max(self._held - covered, ZERO))
        if not self._tradable(open_quantity):
            return self._dust(open_quantity)
        others = [unit for unit in self._bots if not self._covers(unit)]
        if others:
            return [
                cancel(unit, "the stop price has been reached and this order is not a stop")
                for unit in others
                if unit.open
            ]
        return [self._close(open_quantity, "the stop price has been reached")]

    def _is_beyond_slippage(self) -> bool:
        """Whether the market has passed what a triggered stop of the gateway may be filled at."""
        slippage = self._market.stop_slippage
        if slippage is None:
            return False
        sign = 1 if self._long else -1
        return self._passed(self._wanted.stop * (1 - sign * slippage), loss=True)

    def _covers(self, unit: Unit) -> bool:
        """Whether an order of the bot closes at the stop price at the latest."""
        stop = unit.stop
        if stop is None or unit.symbol != self._market.symbol:
            return False
        return stop >= self._wanted.stop if self._long else stop <= self._wanted.stop

    def _tradable(self, quantity: Decimal) -> bool:
        lowest = min(self._wanted.stop, self._wanted.take_profit)
        return self._market.accepts(quantity, lowest)

    def _dust(self, quantity: Decimal) -> list[Step]:
        if not quantity and self._bots:
            return []
        return [
            Note(
                text=f"{figure(self._held)} {self._asset} is left unprotected: the exchange takes"
                f" no order of {figure(quantity)} {self._asset}"
            )
        ]

    def _close(self, quantity: Decimal, reason: str, *, halts: bool = False) -> Close:
        return Close(
            market=self._market, side=self._side, quantity=quantity, reason=reason, halts=halts
        )

    def _cancel_own(self, reason: str) -> Cancel:
        return cancel(self._own[0], reason)


def _same_levels(unit: Unit, wanted: Levels, market: Market) -> bool:
    """Whether an own list has the wanted prices."""
    legs = [tracked.order for tracked in unit.orders if tracked.open]
    # As `orders_of` has them. Those of another gateway come in the order that the exchange reports.
    legs.sort(key=lambda order: order.stop_price is not None)
    expected = [price for _, limit, stop in orders_of(market, wanted) for price in (limit, stop)]
    found = [price for order in legs for price in (order.price, order.stop_price)]
    # A rounded cost may move a price by a tick: not worth a moment without protection.
    return len(found) == len(expected) and all(
        (a is None) is (b is None) and (a is None or b is None or abs(a - b) <= market.tick)
        for a, b in zip(found, expected, strict=True)
    )


def orders_of(
    market: Market, wanted: Levels
) -> tuple[tuple[OrderType, Decimal | None, Decimal | None], ...]:
    """Return types, limit prices and stop prices of the orders: take-profit, then stop-loss."""
    stop = (OrderType.STOP_MARKET, None, wanted.stop)
    return ((OrderType.LIMIT, wanted.take_profit, None), stop) if market.oco else (stop,)
