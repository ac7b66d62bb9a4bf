"""Trend following: buy when the fast moving average of the closing prices crosses above the slow
one, sell when it crosses below.

Only closed candles count, so a crossing is seen once, when its candle closes. The bot buys at most
once for each crossing: not again after a partial fill, nor after a stop-loss within the candle.
"""

from collections.abc import Sequence
from decimal import Decimal

from tradingbot_api.strategies import Average, CandleInterval, TrendFollowingParameters
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.needs import Needs, base_asset, quote_asset
from tradingbot_strategies.view import Style, View, Wish

SLIPPAGE = Decimal("0.002")
"""How far above the ask a buy may be filled, as a fraction."""

MEMORY = 3
"""An exponential average reads this many times its period: older candles weigh less than 0.3 %."""


def needs(parameters: TrendFollowingParameters) -> Needs:
    """Return what to read for `decide`."""
    return Needs(
        symbols=(parameters.symbol,),
        money=quote_asset(parameters.symbol),
        candle_interval=parameters.candle_interval.value,
        candles=_window(parameters) + 1,
    )


def decide(view: View, parameters: TrendFollowingParameters) -> Sequence[Wish]:
    """Return an entry after a crossing upwards, an exit after one downwards."""
    market, quote, closes = (
        view.markets[parameters.symbol],
        view.quotes[parameters.symbol],
        view.closes,
    )
    window = _window(parameters)
    if closes is None or len(closes.prices) <= window:
        return ()
    held = view.position(base_asset(parameters.symbol)).quantity
    newest = closes.prices[-window - 1 :]
    before, now = _difference(newest[:-1], parameters), _difference(newest[1:], parameters)
    if held and now < 0:
        # Also a crossing that the bot has missed while it did not run.
        quantity = market.quantity_down(held)
        if not market.accepts(quantity, quote.bid):
            return ()
        return (
            Wish(
                symbol=parameters.symbol, side=Side.SELL, quantity=quantity, style=Style.AT_MARKET
            ),
        )
    closed = closes.last_start + _milliseconds(parameters.candle_interval)
    if before > 0 or now <= 0 or view.last_fill >= closed:
        return ()
    limit = market.price_up(quote.ask * (1 + SLIPPAGE))
    quantity = market.quantity_down(parameters.order_size / limit)
    if not market.accepts(quantity, quote.ask):
        return ()
    return (
        Wish(
            symbol=parameters.symbol,
            side=Side.BUY,
            quantity=quantity,
            price=limit,
            style=Style.TAKE,
        ),
    )


def _difference(prices: Sequence[Decimal], parameters: TrendFollowingParameters) -> Decimal:
    """Return the fast average less the slow one, at the last of `prices`."""
    average = _exponential if parameters.average is Average.EXPONENTIAL else _simple
    return average(prices, parameters.fast_period) - average(prices, parameters.slow_period)


def _simple(prices: Sequence[Decimal], period: int) -> Decimal:
    return sum(prices[-period:], Decimal(0)) / period


def _exponential(prices: Sequence[Decimal], period: int) -> Decimal:
    weight = Decimal(2) / (period + 1)
    first, *later = prices[-MEMORY * period :]
    average = first
    for price in later:
        average += weight * (price - average)
    return average


def _window(parameters: TrendFollowingParameters) -> int:
    memory = MEMORY if parameters.average is Average.EXPONENTIAL else 1
    return parameters.slow_period * memory


def _milliseconds(interval: CandleInterval) -> int:
    return int(interval.duration.total_seconds()) * 1000
