"""Triangular arbitrage: three trades of three assets, which end with the asset they began with.

A cycle begins only if the best prices of all three markets, with the quantities at them, leave the
wanted profit after all fees. Its first two trades are filled whole or not at all. What is held of a
middle asset decides what comes next, so a cycle that was interrupted, by a restart too, goes on
where it stopped: to the second middle asset while that is worth more, or back.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from tradingbot_api.strategies import ArbitrageParameters
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.needs import Needs
from tradingbot_strategies.view import Market, Quote, Style, View, Wish

_ROUNDING = Decimal("1e-12")
"""Far more than what decimals of 28 digits lose in a cycle."""


def needs(parameters: ArbitrageParameters) -> Needs:
    """Return what to read for `decide`."""
    start, first, second = _assets(parameters)
    return Needs(
        symbols=(f"{first}-{start}", f"{second}-{start}"),
        one_of=(f"{second}-{first}", f"{first}-{second}"),
        money=start,
        leaves_positions=False,
    )


def decide(view: View, parameters: ArbitrageParameters) -> Sequence[Wish]:
    """Return the next trade of a cycle, if any."""
    paths = _paths(view, parameters)
    if paths is None:
        return ()
    held = [wish for path in paths for wish in _continue(view, path, parameters)]
    if held:
        return held
    if view.now - view.last_fill < _milliseconds(parameters.cooldown):
        return ()
    oldest = min(leg.quote.time for leg in paths[0].legs)
    if view.now - oldest > _milliseconds(parameters.max_quote_age):
        return ()
    threshold = parameters.min_profit_threshold
    promising = [path for path in paths if _may_pay(path, threshold)]
    cycles = [cycle for path in promising if (cycle := _cycle(view, path, parameters)) is not None]
    best = max(cycles, key=lambda cycle: cycle.profit, default=None)
    if best is None or best.profit < threshold:
        return ()
    return (best.first_trade,)


class _Leg(NamedTuple):
    """One trade: from an asset to another one, at the best price of a market."""

    market: Market
    quote: Quote
    side: Side
    limit: Decimal
    """The worst price that is accepted."""

    @classmethod
    def of(cls, market: Market, quote: Quote, side: Side, slippage: Decimal) -> "_Leg":
        """Return a trade whose price may be worse than the best one by `slippage`, a fraction."""
        if side is Side.BUY:
            limit = market.price_up(quote.ask * (1 + slippage))
        else:
            limit = market.price_down(quote.bid * (1 - slippage))
        return cls(market, quote, side, limit)

    def quantity(self, paid: Decimal) -> Decimal:
        """Return the quantity of an order that `paid` is enough for, fee included."""
        if self.side is Side.SELL:
            return self.market.quantity_down(paid)
        cost = self.limit * (1 + self.market.taker_fee)
        return self.market.quantity_down(paid / cost)

    def needed(self, quantity: Decimal) -> Decimal:
        """Return what an order of this quantity may cost, fee included."""
        if self.side is Side.SELL:
            return quantity
        return quantity * self.limit * (1 + self.market.taker_fee)

    def received(self, quantity: Decimal) -> Decimal:
        """Return what a trade at the best price brings, less the fee."""
        rate = Decimal(1) if self.side is Side.BUY else self.quote.bid
        return quantity * rate * (1 - self.market.taker_fee)

    def paid(self, quantity: Decimal) -> Decimal:
        """Return what a trade at the best price costs."""
        return quantity * self.quote.ask if self.side is Side.BUY else quantity

    def available(self) -> Decimal:
        """Return the quantity at the best price."""
        return self.quote.ask_size if self.side is Side.BUY else self.quote.bid_size

    def accepts(self, quantity: Decimal) -> bool:
        """Whether the exchange takes an order of this size."""
        return self.market.accepts(quantity, min(self.limit, self.quote.bid))

    def wish(self, quantity: Decimal, style: Style) -> Wish:
        """Return the order of this trade."""
        return Wish(
            symbol=self.market.symbol,
            side=self.side,
            quantity=quantity,
            price=self.limit,
            style=style,
        )


class _Path(NamedTuple):
    """A cycle through two middle assets, and the direct way back from the first one."""

    middle: str
    legs: tuple[_Leg, _Leg, _Leg]
    back: _Leg


class _Cycle(NamedTuple):
    first_trade: Wish
    profit: Decimal
    """As a fraction of what the cycle starts with."""


def _paths(view: View, parameters: ArbitrageParameters) -> tuple[_Path, _Path] | None:
    """Return the cycles of both directions, None if a market of them is not known.

    Each trade of one direction has its counterpart in the other one, so they share the ways back.
    """
    start, first, second = _assets(parameters)
    slippage = parameters.max_slippage
    to_first, to_second = _leg(view, start, first, slippage), _leg(view, start, second, slippage)
    across, against = _leg(view, first, second, slippage), _leg(view, second, first, slippage)
    of_first, of_second = _leg(view, first, start, slippage), _leg(view, second, start, slippage)
    if to_first is None or to_second is None or across is None:
        return None
    if against is None or of_first is None or of_second is None:
        return None
    return (
        _Path(first, (to_first, across, of_second), back=of_first),
        _Path(second, (to_second, against, of_first), back=of_second),
    )


def _leg(view: View, source: str, target: str, slippage: Decimal) -> _Leg | None:
    """Return the trade from one asset to the other, None if no market of them is known."""
    for symbol, side in ((f"{target}-{source}", Side.BUY), (f"{source}-{target}", Side.SELL)):
        market, quote = view.markets.get(symbol), view.quotes.get(symbol)
        if market is not None and quote is not None:
            return _Leg.of(market, quote, side, slippage)
    return None


def _may_pay(path: _Path, threshold: Decimal) -> bool:
    """Whether a cycle could reach `threshold` if orders had no steps and prices did not slip.

    With them it brings less, so that most cycles need not be planned.
    """
    brings = Decimal(1)
    for leg in path.legs:
        brings *= 1 - leg.market.taker_fee
        brings = brings / leg.quote.ask if leg.side is Side.BUY else brings * leg.quote.bid
    return brings - 1 >= threshold - _ROUNDING


def _cycle(view: View, path: _Path, parameters: ArbitrageParameters) -> _Cycle | None:
    """Return the largest cycle along `path` at the best prices, None if none can be traded."""
    first, second, third = path.legs
    money = min(parameters.order_size, view.free)
    # What the second and third market can take at their best prices bounds the first trade.
    of_second = second.paid(min(second.available(), third.available() / _rate(second)))
    quantity = min(first.quantity(money), first.available(), of_second / _rate(first))
    quantity = first.market.quantity_down(quantity)
    exchanged = second.quantity(first.received(quantity))
    # Orders have steps: of the middle asset, no more is bought than the second trade can use.
    useful = second.needed(exchanged) / first.received(Decimal(1))
    quantity = min(quantity, first.market.quantity_up(useful))
    returned = third.quantity(second.received(exchanged))
    if not (quantity and first.accepts(quantity)):
        return None
    if not second.accepts(exchanged) or not third.accepts(returned):
        return None
    paid = first.paid(quantity)
    return _Cycle(
        first_trade=first.wish(quantity, Style.ALL_OR_NOTHING),
        profit=third.received(returned) / paid - 1,
    )


def _rate(leg: _Leg) -> Decimal:
    """Return what one unit of an order's quantity brings, without fee."""
    return Decimal(1) if leg.side is Side.BUY else leg.quote.bid


def _continue(view: View, path: _Path, parameters: ArbitrageParameters) -> Sequence[Wish]:
    """Return the next trade for what is held of the first middle asset of `path`."""
    position = view.position(path.middle)
    back = path.back.quantity(position.quantity)
    if not path.back.accepts(back):
        return ()
    _, second, third = path.legs
    exchanged = second.quantity(position.quantity)
    returned = third.quantity(second.received(exchanged))
    in_time = view.now - view.last_fill < _milliseconds(parameters.order_timeout)
    if (
        in_time
        and second.accepts(exchanged)
        and third.accepts(returned)
        and third.received(returned) > path.back.received(back)
    ):
        return (second.wish(exchanged, Style.ALL_OR_NOTHING),)
    return (path.back.wish(back, Style.TAKE),)


def _assets(parameters: ArbitrageParameters) -> tuple[str, str, str]:
    return parameters.start_asset, parameters.first_asset, parameters.second_asset


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
