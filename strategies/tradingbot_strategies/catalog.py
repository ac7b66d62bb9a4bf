"""The built-in strategies, by the names of `spec.strategy.type`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_api.errors import FieldError
from tradingbot_api.strategies import PARAMETERS_OF, GridParameters, parse

from tradingbot_strategies import arbitrage, dca, grid, market_making, trend_following
from tradingbot_strategies.errors import StrategiesError
from tradingbot_strategies.needs import Needs
from tradingbot_strategies.view import View, Wish

_MODULES: Mapping[str, Any] = {
    "Arbitrage": arbitrage,
    "MarketMaking": market_making,
    "Grid": grid,
    "TrendFollowing": trend_following,
    "DCA": dca,
}

TYPES = tuple(_MODULES)
assert set(TYPES) == set(PARAMETERS_OF)  # noqa: S101 - both lists are part of the program


class ParametersError(StrategiesError):
    """The parameters of a strategy are wrong. The message lists every mistake with its path."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy with its parameters."""

    type: str
    needs: Needs
    decide: Callable[[View], Sequence[Wish]]
    unchanged: Callable[[View, View], bool]
    """Whether `decide` certainly returns for a view what it returned for an earlier one."""


def strategy(type_: str, parameters: Mapping[str, str]) -> Strategy:
    """Return a built-in strategy. Raises ParametersError."""
    parsed = parse(type_, parameters)
    if isinstance(parsed, list):
        raise ParametersError("\n".join(_line(error) for error in parsed))
    module = _MODULES[type_]
    return Strategy(
        type_,
        module.needs(parsed),
        lambda view: module.decide(view, parsed),
        lambda view, before: (
            isinstance(parsed, GridParameters) and grid.unchanged(view, before, parsed)
        ),
    )


def _line(error: FieldError) -> str:
    return str(error)
