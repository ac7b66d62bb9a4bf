"""Prices of a generated market: correlated, with regimes, and a triangle that is not always closed.

BTC and ETH in the quote currency follow a common walk and one of their own. ETH in BTC is their
quotient, but for short dislocations: those are what triangular arbitrage lives on.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from math import isqrt
from typing import Protocol

from tradingbot_exchange.market.noise import SCALE, OctaveWalk, mix, normal, uniform

STEP_MS = 250
"""Milliseconds of one step of the market."""

_OCTAVES = 25
"""The longest octave takes 2**24 steps, 48 days."""
_AMPLITUDE = 29_000
"""Of octave 0. A minute's return has a standard deviation of about 0.1 %."""
_USUAL = tuple(_AMPLITUDE * isqrt(10**6 << octave) // 1000 for octave in range(_OCTAVES))
_REGIME_STEPS = 15 * 60 * 1000 // STEP_MS
_DISLOCATION_STEPS = 20 * 1000 // STEP_MS
_DISLOCATION_ODDS = 10
"""One in so many spans of 20 s has a dislocation of the triangle."""

_WEIGHTS = (9, 4, 8)
"""Tenths of the common walk, of the first symbol's own and of the second's."""
_CACHED = 10_000
_CONTEXT = Context(prec=18, rounding=ROUND_HALF_EVEN)


class Regime(StrEnum):
    """How the market behaves for a quarter of an hour."""

    CALM = "calm"
    NORMAL = "normal"
    TREND = "trend"
    VOLATILE = "volatile"


_REGIMES = (Regime.CALM, Regime.CALM, Regime.NORMAL, Regime.NORMAL, Regime.TREND, Regime.VOLATILE)

_FAST, _SLOW = 8, 13
"""Octaves below _FAST are noise (up to a minute), those up to _SLOW are moves within a regime."""

_GAIN = {
    Regime.CALM: (40, 50),
    Regime.NORMAL: (100, 100),
    Regime.TREND: (70, 220),
    Regime.VOLATILE: (300, 200),
}
"""Percent of the usual amplitude, of noise and of moves."""


@dataclass(frozen=True, slots=True)
class Span:
    """Prices between two steps. `volume` is in the base asset."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Prices(Protocol):
    """Where the middle prices of a market come from. Pure."""

    def price(self, symbol: str, step: int) -> Decimal:
        """Return the price at a step of STEP_MS; step 0 is the exchange's start."""

    def regime(self, step: int) -> str:
        """Return a word for the market's behaviour."""

    def span(self, symbol: str, first: int, last: int) -> Span:
        """Return the prices between two steps."""


class GeneratedPrices:
    """Prices of three symbols by seed: two in a quote currency, and the pair of both bases."""

    def __init__(
        self, seed: int, *, first: tuple[str, Decimal], second: tuple[str, Decimal], cross: str
    ) -> None:
        self._seed = seed
        self._walks = tuple(
            OctaveWalk(mix(seed, stream), octaves=_OCTAVES, amplitude=self._amplitude)
            for stream in (1, 2, 3)
        )
        self._first, self._second, self._cross = first, second, cross
        self._regimes: dict[int, Regime] = {}
        self._start = [walk.at(0) for walk in self._walks]
        self._last = [(0, 0)] * len(self._walks)

    def regime(self, step: int) -> Regime:
        """Return the regime of the quarter of an hour that `step` is in."""
        slot = step // _REGIME_STEPS
        regime = self._regimes.get(slot)
        if regime is None:
            bits = mix(self._seed, 4, slot)
            if len(self._regimes) >= _CACHED:
                self._regimes.clear()
            regime = self._regimes[slot] = _REGIMES[uniform(bits, 0, len(_REGIMES) - 1)]
        return regime

    def price(self, symbol: str, step: int) -> Decimal:
        """Return the price at `step`. Raises KeyError for another symbol."""
        if symbol == self._first[0]:
            return _times(self._first[1], self._logarithm(1, step))
        if symbol == self._second[0]:
            return _times(self._second[1], self._logarithm(2, step))
        if symbol != self._cross:
            raise KeyError(symbol)
        quotient = _CONTEXT.divide(self._second[1], self._first[1])
        difference = self._logarithm(2, step) - self._logarithm(1, step)
        return _times(quotient, difference + self._dislocation(step))

    def span(self, symbol: str, first: int, last: int) -> Span:
        """Return the prices between two steps, from the price at its ends and its middle.

        Spans that lie within each other agree in their opening and closing prices only: what lies
        between would cost a price for each step. The volume is random.
        """
        prices = [self.price(symbol, step) for step in (first, (first + last) // 2, last)]
        bits = mix(self._seed, 7, first, last)
        beyond = (max(prices) - min(prices)) * uniform(bits, 0, 60) / 100
        seconds = (last - first) * STEP_MS // 1000 + 1
        money = seconds * uniform(mix(bits), 5_000, 15_000)
        return Span(
            prices[0],
            max(prices) + beyond,
            min(prices) - beyond,
            prices[-1],
            _CONTEXT.divide(Decimal(money), prices[0])
            if symbol != self._cross
            else Decimal(seconds),
        )

    def _logarithm(self, own: int, step: int) -> int:
        """Return what the common walk and an own one have added since step 0."""
        return (_WEIGHTS[0] * self._walk(0, step) + _WEIGHTS[own] * self._walk(own, step)) // 10

    def _walk(self, number: int, step: int) -> int:
        known = self._last[number]
        if step != known[0]:
            known = self._last[number] = (step, self._walks[number].at(step) - self._start[number])
        return known[1]

    def _amplitude(self, octave: int, step: int) -> int:
        if octave > _SLOW:
            return _USUAL[octave]
        noise, moves = _GAIN[self.regime(step)]
        return _USUAL[octave] * (noise if octave < _FAST else moves) // 100

    def _dislocation(self, step: int) -> int:
        """Return how far the cross is from the quotient, as a logarithm.

        A few 0.01 % always; in some spans of 20 s a hump of up to 1 %, which pays three taker fees
        of 0.1 % for some seconds.
        """
        small = normal(mix(self._seed, 5, step), SCALE // 20_000)
        span, place = divmod(step, _DISLOCATION_STEPS)
        bits = mix(self._seed, 6, span)
        if uniform(bits, 1, _DISLOCATION_ODDS) != 1:
            return small
        height = uniform(mix(bits), 4 * SCALE // 1000, SCALE // 100) * (1 if bits & 1 else -1)
        return small + height * min(place, _DISLOCATION_STEPS - place) * 2 // _DISLOCATION_STEPS


def _times(price: Decimal, logarithm: int) -> Decimal:
    """Return price * e**(logarithm / SCALE). Decimal's exp is the same on every machine."""
    return _CONTEXT.multiply(price, _CONTEXT.exp(Decimal(logarithm).scaleb(-9)))
