"""The parameters of the built-in strategies: what `spec.strategy.parameters` may hold.

Strategies, admission, `tradingbot validate` and docs/strategies.md use the same models.
"""

from tradingbot_api.strategies.parameters import (
    ArbitrageParameters,
    Average,
    CandleInterval,
    DcaParameters,
    GridParameters,
    GridSpacing,
    MarketMakingParameters,
    Parameters,
    StrategyParameters,
    TrendFollowingParameters,
)
from tradingbot_api.strategies.parse import PARAMETERS_OF, SCHEMA_VERSION, defaults_of, parse

__all__ = [
    "PARAMETERS_OF",
    "SCHEMA_VERSION",
    "ArbitrageParameters",
    "Average",
    "CandleInterval",
    "DcaParameters",
    "GridParameters",
    "GridSpacing",
    "MarketMakingParameters",
    "Parameters",
    "StrategyParameters",
    "TrendFollowingParameters",
    "defaults_of",
    "parse",
]
