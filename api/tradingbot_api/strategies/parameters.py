"""The parameters of each built-in strategy.

Money is in the quote asset of the symbol. A fraction is a part of one: 0.005 is 0.5 %. In
`spec.riskManagement` percentages are in percent; here the name `minProfitThreshold` and its meaning
are those of the first sample, and the other fractions follow it.

A model is read from strings, by the names of `spec.strategy.parameters`:
`DcaParameters.model_validate({"symbol": "BTC-USDT", "interval": "12h"})`. `parse` reports every
mistake. The limits of `spec.riskManagement` apply besides, and win.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tradingbot_api.constraints import BROKEN_RULE, NotNull
from tradingbot_api.model import Model
from tradingbot_api.strategies.forms import (
    AssetForm,
    ChoiceForm,
    DecimalForm,
    DurationForm,
    Form,
    IntegerForm,
    SymbolForm,
)

ZERO = Decimal(0)
MAX_MONEY = Decimal(10) ** 12
_FRACTION = "the number is a fraction: 0.005 is 0.5 %"

Symbol = Annotated[str, SymbolForm()]
Asset = Annotated[str, AssetForm()]
Money = Annotated[Decimal, DecimalForm(above=ZERO, at_most=MAX_MONEY)]
MoneyOrZero = Annotated[Decimal, DecimalForm(at_least=ZERO, at_most=MAX_MONEY)]
Price = Annotated[Decimal, DecimalForm(above=ZERO, at_most=MAX_MONEY)]
Fraction = Annotated[Decimal, DecimalForm(above=ZERO, at_most=Decimal("0.1"), note=_FRACTION)]
FractionOrZero = Annotated[
    Decimal, DecimalForm(at_least=ZERO, at_most=Decimal("0.1"), note=_FRACTION)
]


class CandleInterval(StrEnum):
    """Lengths of a candle that both Binance and Coinbase have. The values are ccxt's timeframes."""

    ONE_MINUTE = "1m"
    FIVE_MINUTES = "5m"
    FIFTEEN_MINUTES = "15m"
    THIRTY_MINUTES = "30m"
    ONE_HOUR = "1h"
    TWO_HOURS = "2h"
    SIX_HOURS = "6h"
    ONE_DAY = "1d"

    @property
    def duration(self) -> timedelta:
        """The length of a candle."""
        minutes = {"m": 1, "h": 60, "d": 24 * 60}[self.value[-1]]
        return timedelta(minutes=int(self.value[:-1]) * minutes)


class GridSpacing(StrEnum):
    """How the levels of a grid are spaced."""

    GEOMETRIC = "Geometric"
    ARITHMETIC = "Arithmetic"


class Average(StrEnum):
    """Kinds of moving averages."""

    SIMPLE = "Simple"
    EXPONENTIAL = "Exponential"


@dataclass(frozen=True, slots=True)
class CrossRule:
    """A rule over more than one parameter of a strategy."""

    parameter: str
    """The parameter that an error names."""
    reads: tuple[str, ...]
    """The parameters that the rule reads, `parameter` among them."""
    statement: str
    """What `parameter` must be, with the names of other parameters in braces."""
    holds: Callable[[Any], bool]
    """Takes the typed parameters."""

    def problem(self, parameters: "Parameters") -> str | None:
        """Return what must hold, with the values of the other parameters; None if it holds."""
        if self.holds(parameters):
            return None
        forms = forms_of(type(parameters))
        attributes = dict(zip(forms, type(parameters).model_fields, strict=True))
        shown = {
            name: f"{name} ({forms[name].write(getattr(parameters, attributes[name]))})"
            for name in self.reads
        }
        return self.statement.format(**shown)


class Parameters(Model):
    """The parameters of a strategy: typed, and read from strings. An instance breaks no rule."""

    cross_rules: ClassVar[tuple[CrossRule, ...]] = ()

    @model_validator(mode="after")
    def _keep_cross_rules(self) -> Self:
        for rule in self.cross_rules:
            problem = rule.problem(self)
            if problem is not None:
                detail = f"{rule.parameter} {problem}"
                raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": detail})
        return self


@cache
def forms_of(model: type[Parameters]) -> Mapping[str, Form]:
    """Return the form of each parameter, in the order of the model."""
    return {
        info.alias or name: next(item for item in info.metadata if isinstance(item, Form))
        for name, info in model.model_fields.items()
    }


class ArbitrageParameters(Parameters):
    """Triangular arbitrage: three trades of three assets, which end with the asset they began
    with. Both directions are watched. Example: USDT to BTC to ETH to USDT."""

    cross_rules = (
        CrossRule(
            "firstAsset",
            ("startAsset", "firstAsset"),
            "must differ from {startAsset}",
            lambda given: given.first_asset != given.start_asset,
        ),
        CrossRule(
            "secondAsset",
            ("startAsset", "firstAsset", "secondAsset"),
            "must differ from {startAsset} and {firstAsset}",
            lambda given: given.second_asset not in {given.start_asset, given.first_asset},
        ),
    )

    start_asset: Asset = Field(
        "USDT", description="Asset that a cycle begins and ends with; money is counted in it."
    )
    first_asset: Asset = Field("BTC", description="One of the two assets in between.")
    second_asset: Asset = Field("ETH", description="The other asset in between.")
    min_profit_threshold: Fraction = Field(
        Decimal("0.005"),
        description="Least profit of a cycle after all fees, as a fraction of what it starts with.",
    )
    order_size: Money = Field(
        Decimal(100), description="Most of the start asset that one cycle uses."
    )
    max_slippage: FractionOrZero = Field(
        Decimal("0.001"),
        description="How far an order's limit price may be worse than the quote it is based on, as"
        " a fraction.",
    )
    max_quote_age: Annotated[
        timedelta,
        DurationForm(at_least=timedelta(milliseconds=50), at_most=timedelta(seconds=30)),
    ] = Field(
        timedelta(seconds=2), description="No cycle starts on a quote that is older than this."
    )
    order_timeout: Annotated[
        timedelta,
        DurationForm(at_least=timedelta(milliseconds=100), at_most=timedelta(minutes=1)),
    ] = Field(
        timedelta(seconds=5),
        description="An order of a cycle that is not filled by then is cancelled, and what the"
        " cycle holds is traded back into the start asset.",
    )
    cooldown: Annotated[
        timedelta, DurationForm(at_least=timedelta(), at_most=timedelta(days=1))
    ] = Field(timedelta(seconds=10), description="Least time from the end of a cycle to the next.")


class MarketMakingParameters(Parameters):
    """Market making: bids and asks around the middle of the market, within inventory limits."""

    cross_rules = (
        CrossRule(
            "maxInventory",
            ("minInventory", "maxInventory", "orderSize"),
            "must be at least {minInventory} plus {orderSize}, or no order fits in between",
            lambda given: given.max_inventory >= given.min_inventory + given.order_size,
        ),
        CrossRule(
            "requoteTolerance",
            ("requoteTolerance", "spread"),
            "must be less than half of {spread}",
            lambda given: given.requote_tolerance < given.spread / 2,
        ),
    )

    symbol: Symbol = Field(description="Market that the bot quotes in.")
    spread: Fraction = Field(
        Decimal("0.002"),
        description="Distance between the best bid and the best ask of the bot, as a fraction of"
        " the middle price. Below twice the maker fee every round trip loses.",
    )
    order_size: Money = Field(Decimal(100), description="Value of each order, in the quote asset.")
    levels: Annotated[int, IntegerForm(at_least=1, at_most=10)] = Field(
        1, description="Number of orders on each side."
    )
    level_spacing: Fraction = Field(
        Decimal("0.001"),
        description="Distance between two levels of one side, as a fraction of the middle price.",
    )
    min_inventory: MoneyOrZero = Field(
        ZERO,
        description="No ask is quoted that could take the value of the position below this, in the"
        " quote asset.",
    )
    max_inventory: Money = Field(
        Decimal(500),
        description="No bid is quoted that could take the value of the position above this, in the"
        " quote asset.",
    )
    inventory_skew: Annotated[Decimal, DecimalForm(at_least=ZERO, at_most=Decimal(1))] = Field(
        Decimal("0.5"),
        description="How much both sides are moved against the position, as a part of half the"
        " spread: 0 is not at all; with 1, at an inventory limit, the side that reduces the"
        " position is at the middle price.",
    )
    requote_tolerance: FractionOrZero = Field(
        Decimal("0.0005"),
        description="An order stays while its price is within this of the wanted price, as a"
        " fraction.",
    )
    requote_interval: Annotated[
        timedelta,
        DurationForm(at_least=timedelta(milliseconds=100), at_most=timedelta(hours=1)),
    ] = Field(
        timedelta(seconds=5),
        description="Least time between two replacements of the orders of one side.",
    )


class GridParameters(Parameters):
    """Grid trading: buy orders below the price and sell orders above it, at fixed levels."""

    cross_rules = (
        CrossRule(
            "upperPrice",
            ("lowerPrice", "upperPrice"),
            "must be greater than {lowerPrice}",
            lambda given: given.upper_price > given.lower_price,
        ),
    )

    symbol: Symbol = Field(description="Market that the grid is in.")
    lower_price: Price = Field(description="Price of the lowest level.")
    upper_price: Price = Field(description="Price of the highest level.")
    levels: Annotated[int, IntegerForm(at_least=2, at_most=100)] = Field(
        10, description="Number of levels, the lowest and the highest included."
    )
    spacing: Annotated[GridSpacing, ChoiceForm(GridSpacing)] = Field(
        GridSpacing.GEOMETRIC,
        description="Geometric: each level is the same fraction above the one below it."
        " Arithmetic: the same amount.",
    )
    order_size: Money = Field(
        Decimal(100), description="Value of the buy order of each level, in the quote asset."
    )


class TrendFollowingParameters(Parameters):
    """Trend following: buy when the fast moving average of the closing prices crosses above the
    slow one, sell when it crosses below."""

    cross_rules = (
        CrossRule(
            "slowPeriod",
            ("fastPeriod", "slowPeriod"),
            "must be greater than {fastPeriod}",
            lambda given: given.slow_period > given.fast_period,
        ),
    )

    symbol: Symbol = Field(description="Market that the bot trades in.")
    candle_interval: Annotated[CandleInterval, ChoiceForm(CandleInterval)] = Field(
        CandleInterval.ONE_HOUR, description="Length of a candle; only closed candles count."
    )
    fast_period: Annotated[int, IntegerForm(at_least=1, at_most=299)] = Field(
        10, description="Number of candles of the fast moving average."
    )
    slow_period: Annotated[int, IntegerForm(at_least=2, at_most=300)] = Field(
        30, description="Number of candles of the slow moving average."
    )
    average: Annotated[Average, ChoiceForm(Average)] = Field(
        Average.SIMPLE,
        description="Kind of both moving averages. Exponential: recent candles weigh more.",
    )
    order_size: Money = Field(
        Decimal(100), description="Value of the position that is bought, in the quote asset."
    )


class DcaParameters(Parameters):
    """Dollar-cost averaging: buy for the same amount at fixed times, and keep the position."""

    cross_rules = (
        CrossRule(
            "maxTotal",
            ("amountPerBuy", "maxTotal"),
            "must be at least {amountPerBuy}",
            lambda given: given.max_total >= given.amount_per_buy,
        ),
    )

    symbol: Symbol = Field(description="Market that the bot buys in.")
    amount_per_buy: Money = Field(
        Decimal(25), description="What one buy spends, in the quote asset."
    )
    interval: Annotated[
        timedelta, DurationForm(at_least=timedelta(minutes=1), at_most=timedelta(days=366))
    ] = Field(
        timedelta(days=1),
        description="Time from one buy to the next. Buys are due at the multiples of it since"
        " 1970-01-01T00:00:00Z, so a restart neither repeats nor moves one.",
    )
    max_total: Money = Field(
        Decimal(1000), description="What all buys spend together, at most, in the quote asset."
    )
    max_price: Annotated[Decimal | None, NotNull(), DecimalForm(above=ZERO, at_most=MAX_MONEY)] = (
        Field(None, description="A buy that is due is left out while the price is above this.")
    )


StrategyParameters = (
    ArbitrageParameters
    | MarketMakingParameters
    | GridParameters
    | TrendFollowingParameters
    | DcaParameters
)
