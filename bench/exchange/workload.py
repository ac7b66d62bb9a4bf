"""Orders for the engine: a book that is already full, and what a maker and a taker send."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    NewOrder,
    OrderType,
    RefusedError,
    Side,
    TimeInForce,
)
from tradingbot_exchange.market.symbols import DialectName, default_symbols

INSTRUMENT = replace(
    default_symbols(DialectName.BINANCE)[0].instrument,
    max_orders=1_000_000,
)
MIDDLE = 3_000_000
"""In ticks: 30,000.00."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request: a new order of an account, or the cancellation of the maker's oldest order."""

    account: str
    order: NewOrder | None


def full_book(resting: int, random: Random) -> Engine:
    """Return an engine with so many resting orders, half of them on each side.

    The accounts keep no history, as those of a simulated market.
    """
    engine = Engine([INSTRUMENT])
    for account in ("resting", "maker", "taker"):
        engine.open_account(account, keeps_history=False)
        engine.deposit(account, "BTC", Decimal(10) ** 9, now=0)
        engine.deposit(account, "USDT", Decimal(10) ** 14, now=0)
    # As many prices as orders, and the best ones further away than the maker's: these stay.
    for number in range(resting):
        side = Side.BUY if number % 2 else Side.SELL
        away = 200 + random.randrange(max(resting, 10))
        engine.submit("resting", _limit(side, away, random.randint(1_000, 50_000)), now=0)
    return engine


def steps(count: int, random: Random) -> list[Step]:
    """Return requests: of ten, four quote, four cancel the oldest quote, two take.

    A taker's order is worth about two quotes, so what is quoted is canceled or taken.
    """
    return [_step(number % 10, random) for number in range(count)]


def _step(kind: int, random: Random) -> Step:
    side = random.choice((Side.BUY, Side.SELL))
    if kind in (0, 2, 5, 7):
        return Step("maker", _limit(side, random.randint(1, 100), random.randint(500, 2_000)))
    if kind in (4, 9):
        return Step("taker", _taking(side, random.randint(1_000, 3_000), random))
    return Step("maker", None)


def _limit(side: Side, away: int, lots: int) -> NewOrder:
    """Return an order so many ticks away from the middle."""
    return NewOrder(
        symbol=INSTRUMENT.symbol,
        side=side,
        type=OrderType.LIMIT,
        quantity=lots * INSTRUMENT.lot,
        price=(MIDDLE - away if side is Side.BUY else MIDDLE + away) * INSTRUMENT.tick,
    )


def _taking(side: Side, lots: int, random: Random) -> NewOrder:
    """Return a market order, or a limit order across the book that does not rest."""
    if random.random() < 0.5:
        return NewOrder(
            symbol=INSTRUMENT.symbol,
            side=side,
            type=OrderType.MARKET,
            quantity=lots * INSTRUMENT.lot,
        )
    across = 100 if side is Side.BUY else -100
    return NewOrder(
        symbol=INSTRUMENT.symbol,
        side=side,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.IOC,
        quantity=lots * INSTRUMENT.lot,
        price=(MIDDLE + across) * INSTRUMENT.tick,
    )


def play(engine: Engine, requests: list[Step]) -> Iterator[None]:
    """Send the requests, one for each `next`. A cancellation of an ended order is refused."""
    quotes: list[int] = []
    oldest = 0
    for now, step in enumerate(requests, start=1):
        if step.order is not None:
            placed, _ = engine.submit(step.account, step.order, now=now)
            if step.account == "maker":
                quotes.append(placed.id)
        else:
            with suppress(RefusedError):
                engine.cancel("maker", quotes[oldest] if oldest < len(quotes) else 0, now=now)
            oldest += 1
        yield
