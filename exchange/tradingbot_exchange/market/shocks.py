"""Crashes and spikes: factors on the prices of a market, as a function of time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal

from pydantic import TypeAdapter

from tradingbot_exchange.engine.types import Instrument

_CONTEXT = Context(prec=18)
_ONE = Decimal(1)
_FOREVER = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """A move of prices by `percent` within `over` milliseconds.

    Prices stay there until `end` and return within another `over` milliseconds. Times are in
    milliseconds since the epoch. `symbol` None is every symbol that is quoted in money.
    """

    id: str
    symbol: str | None
    percent: Decimal
    start: int
    over: int
    end: int = _FOREVER

    def factor(self, now: int) -> Decimal:
        """Return what prices are multiplied by."""
        reached = min(max(now - self.start, 0), self.over, max(self.end - self.start, 0))
        left = max(reached - max(now - self.end, 0), 0)
        return _ONE + self.percent / 100 * _CONTEXT.divide(Decimal(left), Decimal(self.over))

    def is_over(self, now: int) -> bool:
        """Whether the prices have returned."""
        return now >= self.end + self.over


SHOCK: TypeAdapter[Shock] = TypeAdapter(Shock)


class Shocks:
    """All shocks of a market. Their factors are multiplied."""

    def __init__(self, instruments: Iterable[Instrument], shocks: Sequence[Shock] = ()) -> None:
        self.active = list(shocks)
        self._legs = _legs(tuple(instruments))

    def factor(self, symbol: str, now: int) -> Decimal:
        """Return what the price of `symbol` is multiplied by.

        The pair of two shocked assets moves by the quotient, so that the triangle stays closed. A
        shock of that pair itself opens it.
        """
        if not self.active:
            return _ONE
        legs = self._legs.get(symbol)
        own = self._own(symbol, now, everywhere=legs is None)
        if legs is None:
            return own
        base, quote = (self._own(leg, now, everywhere=True) for leg in legs)
        return _CONTEXT.divide(_CONTEXT.multiply(own, base), quote)

    def end(self, shock_id: str, *, now: int) -> None:
        """Let prices return from now on, if they do not yet."""
        self.active = [
            replace(shock, end=min(shock.end, now)) if shock.id == shock_id else shock
            for shock in self.active
        ]

    def forget_past(self, now: int) -> list[str]:
        """Drop the shocks that are over, and return their ids."""
        over = [shock.id for shock in self.active if shock.is_over(now)]
        if over:
            self.active = [shock for shock in self.active if shock.id not in over]
        return over

    def _own(self, symbol: str, now: int, *, everywhere: bool) -> Decimal:
        factor = _ONE
        for shock in self.active:
            if shock.symbol == symbol or (shock.symbol is None and everywhere):
                factor = _CONTEXT.multiply(factor, shock.factor(now))
        return factor


def _legs(instruments: Sequence[Instrument]) -> dict[str, tuple[str, str]]:
    """Return, for each pair of assets that both have a price in a third, these two symbols."""
    by_assets = {(i.base, i.quote): i.symbol for i in instruments}
    found = {}
    for instrument in instruments:
        for money in {i.quote for i in instruments}:
            base = by_assets.get((instrument.base, money))
            quote = by_assets.get((instrument.quote, money))
            if base and quote:
                found[instrument.symbol] = (base, quote)
    return found
