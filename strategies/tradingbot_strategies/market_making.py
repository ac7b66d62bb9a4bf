"""Market making: bids and asks around the middle of the market, within inventory limits.

On a spot exchange nothing can be sold that was not bought, so a new bot has only bids; it quotes
both sides as soon as it holds enough for an ask. Both sides move against the position
(`inventorySkew`), so that a bot that holds much sells sooner and buys later.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from tradingbot_api.strategies import MarketMakingParameters
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.needs import Needs, base_asset, quote_asset
from tradingbot_strategies.view import Market, Quote, View, Wish


def needs(parameters: MarketMakingParameters) -> Needs:
    """Return what to read for `decide`."""
    return Needs(symbols=(parameters.symbol,), money=quote_asset(parameters.symbol))


def decide(view: View, parameters: MarketMakingParameters) -> Sequence[Wish]:
    """Return the asks, then the bids, the best price of each side first."""
    held = view.position(base_asset(parameters.symbol)).quantity
    middle = _middle(view.quotes[parameters.symbol])
    shift = _shift(parameters, held=held, middle=middle)
    return [
        *_asks(view, parameters, held=held, middle=middle, shift=shift),
        *_bids(view, parameters, held=held, middle=middle, shift=shift),
    ]


def _bids(
    view: View,
    parameters: MarketMakingParameters,
    *,
    held: Decimal,
    middle: Decimal,
    shift: Decimal,
) -> Iterator[Wish]:
    market, quote = view.markets[parameters.symbol], view.quotes[parameters.symbol]
    room = parameters.max_inventory - held * middle
    best = middle * (1 - parameters.spread / 2) - shift
    for level in range(parameters.levels):
        price = market.price_down(best - middle * parameters.level_spacing * level)
        price = min(price, quote.ask - market.tick)  # or it would take
        wish = _kept(view, parameters, Side.BUY, price, level)
        if wish is None:
            value = min(parameters.order_size, room * price / middle)
            wish = _wish(market, Side.BUY, price, value, level)
        # Both the new and the old price are below the middle, at which the room is counted.
        if market.accepts(wish.quantity, price) and wish.quantity * middle <= room:
            room -= wish.quantity * middle
            yield wish


def _asks(
    view: View,
    parameters: MarketMakingParameters,
    *,
    held: Decimal,
    middle: Decimal,
    shift: Decimal,
) -> Iterator[Wish]:
    market, quote = view.markets[parameters.symbol], view.quotes[parameters.symbol]
    spare = market.quantity_down(held - parameters.min_inventory / middle)
    best = middle * (1 + parameters.spread / 2) - shift
    for level in range(parameters.levels):
        price = market.price_up(best + middle * parameters.level_spacing * level)
        price = max(price, quote.bid + market.tick)
        wish = _kept(view, parameters, Side.SELL, price, level)
        if wish is None:
            value = min(parameters.order_size, spare * price)
            wish = _wish(market, Side.SELL, price, value, level)
        if market.accepts(wish.quantity, price) and wish.quantity <= spare:
            spare -= wish.quantity
            yield wish


def _wish(market: Market, side: Side, price: Decimal, value: Decimal, level: int) -> Wish:
    quantity = market.quantity_down(max(value, Decimal(0)) / price)
    tag = _tag(side, level)
    return Wish(symbol=market.symbol, side=side, quantity=quantity, price=price, tag=tag)


def _kept(
    view: View, parameters: MarketMakingParameters, side: Side, price: Decimal, level: int
) -> Wish | None:
    """Return the order that is in the book if it is near enough to `price`, or too new."""
    tag = _tag(side, level)
    resting = view.resting_at(side, tag)
    if resting is None:
        return None
    near = abs(resting.price - price) <= parameters.requote_tolerance * price
    if near or view.now - resting.created < _milliseconds(parameters.requote_interval):
        return Wish(
            symbol=parameters.symbol,
            side=side,
            quantity=resting.remaining,
            price=resting.price,
            tag=tag,
        )
    return None


def _tag(side: Side, level: int) -> str:
    return f"{side.value[0]}{level}"


def _shift(parameters: MarketMakingParameters, *, held: Decimal, middle: Decimal) -> Decimal:
    """Return how much lower both sides are because of the position: at most half the spread."""
    low, high = parameters.min_inventory, parameters.max_inventory
    imbalance = (2 * held * middle - low - high) / (high - low)  # from -1 to 1 within the limits
    imbalance = max(min(imbalance, Decimal(1)), Decimal(-1))
    return imbalance * parameters.inventory_skew * middle * parameters.spread / 2


def _middle(quote: Quote) -> Decimal:
    return (quote.bid + quote.ask) / 2


def _milliseconds(interval: timedelta) -> int:
    return interval // timedelta(milliseconds=1)
