"""Triangular arbitrage: three trades of three assets, which end with the asset they began with.

A cycle begins only if the best prices of all three markets, with the quantities at them, leave the
wanted profit after all fees. Its first two trades are filled whole or not at all. What is held of a
middle asset decides what comes next, so a cycle that was interrupted, by a restart too, goes on
where it stopped: to the second middle asset while that is worth more, or back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from tradingbot_api.strategies import ArbitrageParameters
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.needs import Needs
from tradingbot_strategies.view import Market, Quote, Style, View, Wish


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
    start, first, second = _assets(parameters)
    if (first_then_second := _path(view, (start, first, second))) is None:
        return ()
    paths = [first_then_second]
    if (second_then_first := _path(view, (start, second, first))) is not None:
        paths.append(second_then_first)
    held = [wish for path in paths for wish in _continue(view, path, parameters)]
    if held:
        return held
    if view.now - view.last_fill < _milliseconds(parameters.cooldown):
        return ()
    oldest = min(leg.quote.time for leg in first_then_second.legs)
    if view.now - oldest > _milliseconds(parameters.max_quote_age):
        return ()
    cycles = [cycle for path in paths if (cycle := _cycle(view, path, parameters)) is not None]
    best = max(cycles, key=lambda cycle: cycle.profit, default=None)
    if best is None or best.profit < parameters.min_profit_threshold:
        return ()
    return (best.first_trade,)


@dataclass(frozen=True, slots=True)
class _Leg:
    """One trade: from an asset to another one, at the best price of a market."""

    market: Market
    quote: Quote
    side: Side

    def limit(self, slippage: Decimal) -> Decimal:
        """Return the worst price that is accepted."""
        if self.side is Side.BUY:
            return self.market.price_up(self.quote.ask * (1 + slippage))
        return self.market.price_down(self.quote.bid * (1 - slippage))

    def quantity(self, paid: Decimal, slippage: Decimal) -> Decimal:
        """Return the quantity of an order that `paid` is enough for, fee included."""
        if self.side is Side.SELL:
            return self.market.quantity_down(paid)
        cost = self.limit(slippage) * (1 + self.market.taker_fee)
        return self.market.quantity_down(paid / cost)

    def needed(self, quantity: Decimal, slippage: Decimal) -> Decimal:
        """Return what an order of this quantity may cost, fee included."""
        if self.side is Side.SELL:
            return quantity
        return quantity * self.limit(slippage) * (1 + self.market.taker_fee)

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

    def accepts(self, quantity: Decimal, slippage: Decimal) -> bool:
        """Whether the exchange takes an order of this size."""
        return self.market.accepts(quantity, min(self.limit(slippage), self.quote.bid))

    def wish(self, quantity: Decimal, slippage: Decimal, style: Style) -> Wish:
        """Return the order of this trade."""
        return Wish(
            symbol=self.market.symbol,
            side=self.side,
            quantity=quantity,
            price=self.limit(slippage),
            style=style,
        )


@dataclass(frozen=True, slots=True)
class _Path:
    """A cycle through two middle assets, and the direct way back from the first one."""

    middle: str
    legs: tuple[_Leg, _Leg, _Leg]
    back: _Leg


@dataclass(frozen=True, slots=True)
class _Cycle:
    first_trade: Wish
    profit: Decimal
    """As a fraction of what the cycle starts with."""


def _path(view: View, assets: tuple[str, str, str]) -> _Path | None:
    start, first, second = assets
    legs = (_leg(view, start, first), _leg(view, first, second), _leg(view, second, start))
    back = _leg(view, first, start)
    if legs[0] is None or legs[1] is None or legs[2] is None or back is None:
        return None
    return _Path(middle=first, legs=(legs[0], legs[1], legs[2]), back=back)


def _leg(view: View, source: str, target: str) -> _Leg | None:
    """Return the trade from one asset to the other, None if no market of them is known."""
    for symbol, side in ((f"{target}-{source}", Side.BUY), (f"{source}-{target}", Side.SELL)):
        market, quote = view.markets.get(symbol), view.quotes.get(symbol)
        if market is not None and quote is not None:
            return _Leg(market, quote, side)
    return None


def _cycle(view: View, path: _Path, parameters: ArbitrageParameters) -> _Cycle | None:
    """Return the largest cycle along `path` at the best prices, None if none can be traded."""
    first, second, third = path.legs
    slippage = parameters.max_slippage
    money = min(parameters.order_size, view.free)
    # What the second and third market can take at their best prices bounds the first trade.
    of_second = second.paid(min(second.available(), third.available() / _rate(second)))
    quantity = min(first.quantity(money, slippage), first.available(), of_second / _rate(first))
    quantity = first.market.quantity_down(quantity)
    exchanged = second.quantity(first.received(quantity), slippage)
    # Orders have steps: of the middle asset, no more is bought than the second trade can use.
    useful = second.needed(exchanged, slippage) / first.received(Decimal(1))
    quantity = min(quantity, first.market.quantity_up(useful))
    returned = third.quantity(second.received(exchanged), slippage)
    if not (quantity and first.accepts(quantity, slippage)):
        return None
    if not second.accepts(exchanged, slippage) or not third.accepts(returned, slippage):
        return None
    paid = first.paid(quantity)
    return _Cycle(
        first_trade=first.wish(quantity, slippage, Style.ALL_OR_NOTHING),
        profit=third.received(returned) / paid - 1,
    )


def _rate(leg: _Leg) -> Decimal:
    """Return what one unit of an order's quantity brings, without fee."""
    return Decimal(1) if leg.side is Side.BUY else leg.quote.bid


def _continue(view: View, path: _Path, parameters: ArbitrageParameters) -> Sequence[Wish]:
    """Return the next trade for what is held of the first middle asset of `path`."""
    slippage, position = parameters.max_slippage, view.position(path.middle)
    back = path.back.quantity(position.quantity, slippage)
    if not path.back.accepts(back, slippage):
        return ()
    _, second, third = path.legs
    exchanged = second.quantity(position.quantity, slippage)
    returned = third.quantity(second.received(exchanged), slippage)
    in_time = view.now - view.last_fill < _milliseconds(parameters.order_timeout)
    if (
        in_time
        and second.accepts(exchanged, slippage)
        and third.accepts(returned, slippage)
        and third.received(returned) > path.back.received(back)
    ):
        return (second.wish(exchanged, slippage, Style.ALL_OR_NOTHING),)
    return (path.back.wish(back, slippage, Style.TAKE),)


def _assets(parameters: ArbitrageParameters) -> tuple[str, str, str]:
    return parameters.start_asset, parameters.first_asset, parameters.second_asset


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
