"""What the rest of the market does at an exchange: a house that quotes, and takers.

Both are accounts of the engine with real orders, so a user's order meets them as it would meet
anyone's. The decisions are pure; `requote` and `take` carry them out.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Event,
    NewOrder,
    OrderType,
    RefusedError,
    Side,
    TimeInForce,
)
from tradingbot_exchange.market.noise import mix, uniform
from tradingbot_exchange.market.symbols import Symbol

HOUSE = ".house"
TAKERS = ".takers"
PARTIES = frozenset({HOUSE, TAKERS})
"""Accounts of the market. No user's account begins with a dot."""

FUNDS = Decimal(10**9)
"""What each of them has of every asset at the start."""

LEVELS = 12
_DEPTH = 1000
_HALF_SPREAD = Decimal("0.00015")
_DEPLETED = Decimal("0.3")
"""A level that is down to this part of its size is quoted again."""
_FOLLOW = Decimal("0.0003")
"""If the last trade is further than this from the market, a taker trades at once."""
_HUNDRED = Decimal(100)
_TAKERS_PERCENT = 60
"""How often a step has a taker."""


@dataclass(frozen=True, slots=True)
class Quote:
    """An order that the house wants to have."""

    side: Side
    price: Decimal
    quantity: Decimal


def quotes(symbol: Symbol, middle: Decimal, *, seed: int, percent: Decimal) -> list[Quote]:
    """Return the house's book around `middle`, best prices first, with `percent` of the sizes.

    Except for the best level, prices are multiples of the symbol's gap, and a price has the same
    size whenever it is quoted: a small move changes few levels.
    """
    tick = symbol.instrument.tick
    bid = _floor(middle * (1 - _HALF_SPREAD), tick)
    ask = max(_ceiling(middle * (1 + _HALF_SPREAD), tick), bid + tick)
    found = []
    for side, best, gap in ((Side.BUY, bid, -symbol.gap), (Side.SELL, ask, symbol.gap)):
        grid = _floor(best, symbol.gap) if side is Side.BUY else _ceiling(best, symbol.gap)
        first = grid + gap if grid == best else grid
        prices = (best, *(first + gap * level for level in range(LEVELS - 1)))
        found += [
            Quote(side, price, _size(symbol, price, seed=seed, percent=percent))
            for price in prices
            if symbol.instrument.min_price <= price <= symbol.instrument.max_price
        ]
    return found


def requote(engine: Engine, symbol: Symbol, wanted: list[Quote], *, now: int) -> list[Event]:
    """Bring the house's orders to `wanted`. They fill the orders of users that they meet."""
    events: list[Event] = []
    missing = {(quote.side, quote.price): quote for quote in wanted}
    for order in engine.open_orders(HOUSE, symbol.instrument.symbol):
        price = order.request.price
        quote = missing.get((order.request.side, price)) if price is not None else None
        left = order.quantity - order.filled
        if quote is not None and quote.quantity * _DEPLETED <= left <= quote.quantity:
            del missing[order.request.side, quote.price]
        else:
            events += engine.cancel(HOUSE, order.id, now=now)[1]
    for quote in missing.values():
        offer = NewOrder(
            symbol=symbol.instrument.symbol,
            side=quote.side,
            type=OrderType.LIMIT,
            quantity=quote.quantity,
            price=quote.price,
        )
        events += _submitted(engine, HOUSE, offer, now=now)
    return events


def take(engine: Engine, symbol: Symbol, middle: Decimal, *, bits: int, now: int) -> list[Event]:
    """Let a taker trade a small quantity at the best price of one side, if the step has one."""
    name = symbol.instrument.symbol
    last = engine.last_price(name)
    side = Side.BUY if bits & 1 else Side.SELL
    if last is None or abs(last - middle) > middle * _FOLLOW:
        if last is not None:
            side = Side.BUY if last < middle else Side.SELL
    elif uniform(mix(bits, 1), 1, 100) > _TAKERS_PERCENT:
        return []
    book = engine.book(name, 1)
    levels = book.asks if side is Side.BUY else book.bids
    if not levels:
        return []
    part = Decimal(1 << uniform(mix(bits, 2), 0, 6)) / 512
    quantity = _floor(symbol.size * part, symbol.instrument.lot)
    order = NewOrder(
        symbol=name,
        side=side,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.IOC,
        quantity=max(quantity, symbol.instrument.min_quantity),
        price=levels[0].price,
    )
    return _submitted(engine, TAKERS, order, now=now)


def partial_quote(
    engine: Engine, account: str, order: NewOrder, *, percent: Decimal
) -> Quote | None:
    """Return the quote of the house that fills `percent` of an order, at the best price.

    None for an order that would not trade at once, is refused, or gets no more than that anyway.
    """
    instrument, sign = engine.instrument(order.symbol), 1 if order.side is Side.BUY else -1
    book = engine.book(order.symbol, _DEPTH)
    levels = [
        level
        for level in (book.asks if order.side is Side.BUY else book.bids)
        if order.price is None or (order.price - level.price) * sign >= 0
    ]
    if not levels or order.stop_price is not None or order.post_only:
        return None
    best = levels[0].price
    wanted = order.quantity or (order.quote_quantity or Decimal(0)) / best
    quantity = _floor(wanted * percent / _HUNDRED, instrument.lot)
    if not instrument.min_quantity <= quantity < sum(level.quantity for level in levels):
        return None
    if quantity * best < instrument.min_notional:
        return None
    try:
        engine.check(account, order)
    except RefusedError:
        return None
    return Quote(Side.SELL if order.side is Side.BUY else Side.BUY, best, quantity)


def quote_only(engine: Engine, symbol: str, quote: Quote, *, now: int) -> list[Event]:
    """Make `quote` the house's only order of its side."""
    events: list[Event] = []
    for order in engine.open_orders(HOUSE, symbol):
        if order.request.side is quote.side:
            events += engine.cancel(HOUSE, order.id, now=now)[1]
    offer = NewOrder(
        symbol=symbol,
        side=quote.side,
        type=OrderType.LIMIT,
        quantity=quote.quantity,
        price=quote.price,
    )
    return events + _submitted(engine, HOUSE, offer, now=now)


def _submitted(engine: Engine, account: str, order: NewOrder, *, now: int) -> list[Event]:
    """Submit an order. One that the engine refuses is left out: the market goes on."""
    try:
        return engine.submit(account, order, now=now)[1]
    except RefusedError:
        return []


@lru_cache(maxsize=4096)
def _size(symbol: Symbol, price: Decimal, *, seed: int, percent: Decimal) -> Decimal:
    instrument = symbol.instrument
    bits = mix(seed, int(price / instrument.tick))
    size = symbol.size * uniform(bits, 50, 200) / _HUNDRED * percent / _HUNDRED
    least = max(instrument.min_quantity, _ceiling(instrument.min_notional / price, instrument.lot))
    return min(max(_floor(size, instrument.lot), least), instrument.max_quantity)


def _floor(value: Decimal, unit: Decimal) -> Decimal:
    return (value / unit).to_integral_value(ROUND_FLOOR) * unit


def _ceiling(value: Decimal, unit: Decimal) -> Decimal:
    return (value / unit).to_integral_value(ROUND_CEILING) * unit
