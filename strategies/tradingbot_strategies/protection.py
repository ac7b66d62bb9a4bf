"""The orders that protect positions, at the exchange, so that they outlive the bot.

A sale that rests holds what it sells, and an exchange lets nobody sell it twice. So each resting
sale, a strategy's own or the take-profit, carries the stop of its part of the position: together
they cover all of it. Binance calls this OCO, Coinbase a bracket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.limits import Limits
from tradingbot_strategies.view import ZERO, Market, Position, Quote, Style, View, Wish

MAX_COVERS = 5
"""Stop orders of one symbol that Binance accepts."""

PERCENT = Decimal(100)


class Cover(NamedTuple):
    """A part of a position that is to be sold at `price`, or when `stop_price` is reached."""

    symbol: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    tag: str


@dataclass(frozen=True, slots=True)
class Exits:
    """What is to be sold at once, and what is to rest."""

    now: Sequence[Wish]
    covers: Sequence[Cover]


def stop_and_target(position: Position, market: Market, limits: Limits) -> tuple[Decimal, Decimal]:
    """Return the prices at which the position is to be closed with a loss, and with a profit."""
    entry = position.cost / position.quantity
    stop = entry * (1 - limits.stop_loss_percentage / PERCENT)
    target = entry * (1 + limits.take_profit_percentage / PERCENT)
    return market.price_up(stop), market.price_up(target)


def exits(wishes: Sequence[Wish], view: View, limits: Limits, *, money: str) -> Exits:
    """Return all sales of all positions: those of the strategy, and what protects the rest."""
    now = [wish for wish in wishes if wish.style is not Style.REST]
    covers: list[Cover] = []
    for asset, position in sorted(view.positions.items()):
        market, quote = view.markets[f"{asset}-{money}"], view.quotes[f"{asset}-{money}"]
        spoken_for = _spent(now, asset, view.markets)
        rest = market.quantity_down(position.quantity - spoken_for)
        if not market.accepts(rest, quote.bid):
            continue
        stop, target = stop_and_target(position, market, limits)
        if quote.bid <= stop or quote.bid >= target:
            now.append(_close(market, rest))
            continue
        resting = [w for w in wishes if w.style is Style.REST and _sells(w, market)]
        covers += _covers(rest, resting, market=market, quote=quote, stop=stop, target=target)
    return Exits(now, covers)


def close_all(view: View, *, money: str) -> list[Wish]:
    """Return the sales that close every position now."""
    found = []
    for asset, position in sorted(view.positions.items()):
        market, quote = view.markets[f"{asset}-{money}"], view.quotes[f"{asset}-{money}"]
        quantity = market.quantity_down(position.quantity)
        if market.accepts(quantity, quote.bid):
            found.append(_close(market, quantity))
    return found


def _close(market: Market, quantity: Decimal) -> Wish:
    return Wish(symbol=market.symbol, side=Side.SELL, quantity=quantity, style=Style.AT_MARKET)


def _sells(wish: Wish, market: Market) -> bool:
    return wish.side is Side.SELL and wish.symbol == market.symbol


def _spent(wishes: Sequence[Wish], asset: str, markets: Mapping[str, Market]) -> Decimal:
    """Return how much of `asset` these orders need."""
    needed = ZERO
    for wish in wishes:
        market = markets[wish.symbol]
        if wish.side is Side.SELL and market.base == asset:
            needed += wish.quantity
        elif wish.side is Side.BUY and market.quote == asset:
            needed += wish.quantity * (wish.price or ZERO) * (1 + market.taker_fee)
    return needed


def _covers(
    quantity: Decimal,
    wishes: Sequence[Wish],
    *,
    market: Market,
    quote: Quote,
    stop: Decimal,
    target: Decimal,
) -> list[Cover]:
    """Divide `quantity` among the strategy's sales, the nearest first; the rest takes profit."""
    covers: list[Cover] = []
    for wish in sorted(wishes, key=lambda wish: wish.price or ZERO)[: MAX_COVERS - 1]:
        part = min(wish.quantity, quantity)
        if wish.price is None or not _can_cover(market, part, stop):
            continue
        price = max(min(wish.price, target), quote.bid + market.tick)
        covers.append(_cover(market, part, price, stop, wish.tag))
        quantity -= part
    if _can_cover(market, quantity, stop):
        covers.append(_cover(market, quantity, target, stop, ""))
    elif covers and quantity > 0:  # too small for an order of its own
        last = covers.pop()
        covers.append(_cover(market, last.quantity + quantity, last.price, stop, last.tag))
    return covers


def _cover(market: Market, quantity: Decimal, price: Decimal, stop: Decimal, tag: str) -> Cover:
    return Cover(symbol=market.symbol, quantity=quantity, price=price, stop_price=stop, tag=tag)


def _can_cover(market: Market, quantity: Decimal, stop: Decimal) -> bool:
    return market.accepts(quantity, stop)
