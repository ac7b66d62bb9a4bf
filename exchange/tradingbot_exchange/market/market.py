"""The market of one exchange: prices with shocks, and what its parties do at each step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import Event
from tradingbot_exchange.market import liquidity
from tradingbot_exchange.market.noise import mix
from tradingbot_exchange.market.prices import STEP_MS, Prices
from tradingbot_exchange.market.shocks import Shocks
from tradingbot_exchange.market.symbols import Symbol
from tradingbot_exchange.venue import Candle

_CONTEXT = Context(prec=18)
_USUAL = Decimal(100)
_LOT_PLACES = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What faults do to a symbol in a step: `percent` of the usual sizes, or nothing at all."""

    percent: Decimal = _USUAL
    still: bool = False


class Market:
    """Prices and parties. `begin` is the time of step 0, in milliseconds since the epoch."""

    def __init__(self, symbols: Iterable[Symbol], prices: Prices, *, seed: int, begin: int) -> None:
        self.symbols: Mapping[str, Symbol] = {s.instrument.symbol: s for s in symbols}
        self.prices = prices
        self.begin = begin
        self.shocks = Shocks([s.instrument for s in self.symbols.values() if not s.follows])
        self._seed = seed

    def step_of(self, time: int) -> int:
        """Return the last step that has begun at `time`."""
        return (time - self.begin) // STEP_MS

    def time_of(self, step: int) -> int:
        """Return when a step begins."""
        return self.begin + step * STEP_MS

    def middle(self, symbol: str, step: int) -> Decimal:
        """Return the price around which the market quotes, shocks included; not rounded."""
        book = self.symbols[symbol].book
        price = self.prices.price(book, step)
        if not self.shocks.active:
            return price
        return _CONTEXT.multiply(price, self.shocks.factor(book, self.time_of(step)))

    def open_parties(self, engine: Engine) -> None:
        """Open the accounts of house and takers, with funds."""
        assets = {a for s in self.symbols.values() for a in (s.instrument.base, s.instrument.quote)}
        for party in sorted(liquidity.PARTIES):
            engine.open_account(party, keeps_history=False)
            for asset in sorted(assets):
                engine.deposit(party, asset, liquidity.FUNDS, now=self.begin)

    def run(self, engine: Engine, name: str, step: int, conditions: Conditions) -> list[Event]:
        """Let the parties act on a symbol in a step."""
        symbol = self.symbols[name]
        if conditions.still or engine.is_halted(name):
            return []
        middle, now = self.middle(name, step), self.time_of(step)
        wanted = liquidity.quotes(symbol, middle, seed=self._seed, percent=conditions.percent)
        events = liquidity.requote(engine, symbol, wanted, now=now)
        bits = mix(self._seed, 8, step, *symbol.book.encode())
        return events + liquidity.take(engine, symbol, middle, bits=bits, now=now)

    def past_candle(self, symbol: str, start: int, end: int) -> Candle:
        """Return the candle of [start, end), both before the first step, in milliseconds."""
        first, last = self.step_of(start), self.step_of(end)
        of = self.symbols[symbol]
        span = self.prices.span(of.book, first, max(last, first + 1))
        tick = of.instrument.tick
        opening, high, low, close = (
            _rounded(value, tick) for value in (span.open, span.high, span.low, span.close)
        )
        volume = span.volume.quantize(_LOT_PLACES)
        return Candle(
            start=start,
            open=opening,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=(volume * (opening + close) / 2).quantize(_LOT_PLACES),
            trades=max(1, (end - start) // 1000) if volume else 0,
        )


def _rounded(price: Decimal, tick: Decimal) -> Decimal:
    return max((price / tick).to_integral_value() * tick, tick)
