"""The `TradingBot` resource. Its status is in `tradingbot_status`."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tradingbot_api.constraints import (
    Cel,
    DecimalText,
    Kubernetes,
    NotNull,
    QuantityText,
    Text,
    cel,
    list_type,
)
from tradingbot_api.credentials import may_be_secret, name_rule, value_rule
from tradingbot_api.exchange import DIALECT_IS_OWN, NOT_IN_PODS, Enforcement, Exchange, Symbol
from tradingbot_api.image import image_problem
from tradingbot_api.model import Model
from tradingbot_api.pod import Pod
from tradingbot_api.schedule import CLOCK_TIME, DAYS, Day, time_zones
from tradingbot_api.tradingbot_status import TradingBotStatus

NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH = 52
"""Children carry the bot's name, and a pod adds a suffix of its own to it (63 in all)."""

PARAMETER_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)
PARAMETER_KEYS = re.compile(rf"(?:{PARAMETER_KEY.pattern}\n)*", re.ASCII)
"""Any number of keys, one a line."""
WHERE_CREDENTIALS_BELONG = "put it into the Secret that spec.exchange.apiKeySecret names"
A_KEY_NAMES_A_CREDENTIAL = f"a key looks like a credential; {WHERE_CREDENTIALS_BELONG}"
A_VALUE_IS_A_CREDENTIAL = f"a value looks like a credential; {WHERE_CREDENTIALS_BELONG}"
_PARAMETERS = "self.spec.strategy.parameters"
NO_DIALECT = (
    "enforcement: Gateway needs the API that a Custom exchange speaks; if that is not Binance, use"
    " enforcement: Bot"
)
NO_GATEWAY = f"a gateway in a bot's pod can't speak the API of {NOT_IN_PODS} yet; use Bot"
_NO_GATEWAY_ASKED = (
    "!has(self.riskManagement.enforcement) || self.riskManagement.enforcement != 'Gateway'"
)
GATEWAY_KNOWS_ITS_DIALECT = Cel(
    f"{_NO_GATEWAY_ASKED} || self.exchange.name != 'Custom' || has(self.exchange.dialect)",
    f"exchange.dialect: {NO_DIALECT}",
)
GATEWAY_SPEAKS_ITS_DIALECT = Cel(
    f"{_NO_GATEWAY_ASKED} || (has(self.exchange.dialect) ? self.exchange.dialect :"
    f" self.exchange.name) != '{NOT_IN_PODS}'",
    f"riskManagement.enforcement: {NO_GATEWAY}",
)
MAX_PARAMETERS = 64
MAX_PARAMETER_LENGTH = 4096
DEFAULT_REQUEST_CPU = "100m"
DEFAULT_REQUEST_MEMORY = "128Mi"
MAX_TAKE_PROFIT = Decimal(1000)
MAX_ORDERS_PER_MINUTE = 100_000
MAX_SYMBOLS = 100

Money = Annotated[str, DecimalText()]
StopPercent = Annotated[str, DecimalText(below=Decimal(100))]
ProfitPercent = Annotated[str, DecimalText(at_most=MAX_TAKE_PROFIT)]
CollarPercent = Annotated[str, DecimalText(at_most=Decimal(100))]
Quantity = Annotated[str, QuantityText()]


def _time_zone_problem(name: str) -> str | None:
    if name in time_zones():
        return None
    return "must be a time zone of the IANA database such as UTC or Europe/Berlin"


def _instant_problem(text: str) -> str | None:
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return "must be a date and time with offset such as 2026-12-24T18:00:00+01:00"
    return None


ClockTime = Annotated[
    str, Text("must be a time of day from 00:00 to 23:59", pattern=CLOCK_TIME, max_length=5)
]
Instant = Annotated[
    str,
    Text(
        "must be a date and time with offset such as 2026-12-24T18:00:00+01:00",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
        max_length=40,
        check=_instant_problem,
    ),
]


class StrategyType(StrEnum):
    """Families of strategies."""

    ARBITRAGE = "Arbitrage"
    MARKET_MAKING = "MarketMaking"
    GRID = "Grid"
    TREND_FOLLOWING = "TrendFollowing"
    DCA = "DCA"
    CUSTOM = "Custom"


class Mode(StrEnum):
    """Whether orders are simulated or real."""

    PAPER = "Paper"
    LIVE = "Live"


class UpdatePolicy(StrEnum):
    """When a change that needs a restart may restart the bot."""

    WHEN_FLAT = "WhenFlat"
    IMMEDIATE = "Immediate"
    MANUAL = "Manual"


class Strategy(Model):
    """The strategy that the bot runs."""

    type: Annotated[StrategyType, Field(strict=False)] = Field(
        description="Family of the strategy. Shown in lists and passed to the bot."
    )
    image: Annotated[
        str,
        Text("must be an image reference", max_length=512, check=image_problem),
    ] = Field(
        description="Container image of the bot, as an OCI reference. In mode Live use a digest or"
        " a tag other than latest, so that a restart never changes the version that trades."
    )
    parameters: Annotated[
        dict[str, Annotated[str, Text("must be a string", max_length=MAX_PARAMETER_LENGTH)]],
        Field(max_length=MAX_PARAMETERS),
        # Old content must not refuse a stop. Kubernetes ratchets by itself only since 1.30.
        cel(
            Cel(
                f"self.all(key, !({name_rule('self')})"
                f" || (key in oldSelf && {may_be_secret('oldSelf')}))",
                A_KEY_NAMES_A_CREDENTIAL,
            ),
            Cel(
                "self.all(key, (key in oldSelf && oldSelf[key] == self[key])"
                f" || !({value_rule('self')}))",
                A_VALUE_IS_A_CREDENTIAL,
            ),
        ),
    ] = Field(
        {},
        description="Settings of the strategy, passed to the bot unchanged. Never credentials:"
        " put those into the Secret that exchange.apiKeySecret names.",
    )


class ResourceLimits(Model):
    """Resource limits of the bot's container."""

    cpu: Quantity = Field("500m", description="CPU limit, a quantity above 0.")
    memory: Quantity = Field("256Mi", description="Memory limit, a quantity above 0.")


class ResourceRequests(Model):
    """Resource requests of the bot's container."""

    cpu: Annotated[Quantity | None, NotNull()] = Field(
        None,
        description=f"CPU request. Default: the smaller of {DEFAULT_REQUEST_CPU} and the limit;"
        " computed, not stored, and shown in status.effective.",
    )
    memory: Annotated[Quantity | None, NotNull()] = Field(
        None,
        description="Memory request. Default: the smaller of"
        f" {DEFAULT_REQUEST_MEMORY} and the limit; computed, not stored, and shown in"
        " status.effective.",
    )


class Resources(Model):
    """CPU and memory of the bot's container."""

    limits: ResourceLimits = Field(ResourceLimits(), description="Limits of the container.")
    requests: Annotated[ResourceRequests | None, NotNull()] = Field(
        None, description="Requests of the container, each at most its limit."
    )


class RiskLimits(Model):
    """Limits that protect the account. Money is in the quote currency; a percentage of "5" is 5 %.

    Zero does not switch a limit off: it is rejected.
    """

    max_position_size: Money = Field(
        description="Money: maximum notional value of one open position, greater than 0."
    )
    daily_loss_limit: Money = Field(
        description="Money: loss in one trading day at which the bot is halted until the next"
        " trading day, greater than 0. A trigger, not a guarantee: prices can gap, and the loss"
        " can exceed it."
    )
    stop_loss_percentage: StopPercent = Field(
        "2", description="Percent of a trade's entry value at which it is closed with a loss."
    )
    take_profit_percentage: Annotated[ProfitPercent | None, NotNull()] = Field(
        None,
        description="Percent of a trade's entry value at which it is closed with a profit."
        f" Default: twice stopLossPercentage, at most {MAX_TAKE_PROFIT}; computed, not stored, and"
        " shown in status.effective.",
    )
    max_open_positions: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Maximum number of positions that are open at the same time, 1 to 1000."
    )
    price_collar_percentage: CollarPercent = Field(
        "5",
        description="Percent that an order which opens a position may trade beyond the market"
        " price, on the costly side.",
    )
    max_orders_per_minute: Annotated[int, Field(ge=1, le=MAX_ORDERS_PER_MINUTE)] = Field(
        60,
        description="Maximum number of orders within 60 seconds that open a position, 1 to"
        f" {MAX_ORDERS_PER_MINUTE}. Cancels and orders that only close are never refused.",
    )
    allowed_symbols: Annotated[
        list[Symbol] | None,
        NotNull(),
        Field(max_length=MAX_SYMBOLS, min_length=1),
        list_type("set"),
    ] = Field(
        None,
        description="Symbols in which a position may be opened, such as BTC-USDT. Default: all that"
        " are traded for exchange.quoteCurrency.",
    )


class RiskManagement(RiskLimits):
    """The limits of a bot, and who keeps them."""

    enforcement: Annotated[Enforcement | None, NotNull(), Field(strict=False)] = Field(
        None,
        description="Who keeps these limits. Gateway: a gateway in the bot's pod checks each order;"
        " it alone has the keys of the exchange, and reports the risk; not with the API of"
        f" {NOT_IN_PODS}. Bot: the bot has the keys,"
        " keeps the limits and reports by itself; only the daily loss halt is enforced from"
        " outside. A change restarts the bot. Default: Gateway for Binance, Bot for other"
        " exchanges; computed, not stored, and shown in status.effective. A bot in mode Live that"
        " runs with Bot keeps it until this is set.",
    )


class Window(Model):
    """A time of the week in which the bot runs."""

    days: Annotated[
        list[Day],
        Field(max_length=7, min_length=1),
        list_type("set"),
    ] = Field(list(DAYS), description="Days on which the window starts. Default: all seven.")
    start: ClockTime = Field(description="Time of day at which the window opens, HH:MM.")
    end: ClockTime = Field(
        description="Time of day at which the window closes, HH:MM. If it is before start, the"
        " window ends on the next day."
    )


class Blackout(Model):
    """A period in which the bot does not run."""

    from_: Instant = Field(
        alias="from", description="First instant of the blackout, RFC 3339 with offset."
    )
    to: Instant = Field(description="First instant after the blackout, RFC 3339 with offset.")


class Schedule(Model):
    """The trading day and the hours in which the bot runs."""

    time_zone: Annotated[
        str,
        Text(
            "must be a time zone of the IANA database such as UTC or Europe/Berlin",
            max_length=64,
            check=_time_zone_problem,
        ),
    ] = Field("UTC", description="IANA time zone of dayStart and the windows.")
    day_start: ClockTime = Field(
        "00:00", description="Start of the trading day, HH:MM. A daily halt ends at this time."
    )
    windows: Annotated[list[Window], Field(max_length=50), list_type("atomic")] = Field(
        [],
        description="Times of the week in which the bot runs. They must not overlap. An empty"
        " list means always.",
    )
    blackouts: Annotated[list[Blackout], Field(max_length=50), list_type("atomic")] = Field(
        [], description="Periods in which the bot does not run, even within a window."
    )


class TradingBotSpec(Model):
    """The desired state of the bot."""

    strategy: Strategy = Field(description="Strategy that the bot runs.")
    exchange: Annotated[Exchange, cel(DIALECT_IS_OWN)] = Field(
        description="Exchange that the bot trades on, and the Secret with its credentials."
    )
    mode: Annotated[Mode, Field(strict=False)] = Field(
        Mode.PAPER, description="Paper simulates orders, Live sends them to the exchange."
    )
    resources: Resources = Field(Resources(), description="CPU and memory of the bot's container.")
    risk_management: RiskManagement = Field(
        description="Limits that protect the account. Money is in the quote currency, percentages"
        ' are in percent: "5" is 5 %. All are decimal strings; a whole number needs no quotes. Zero'
        " does not switch a limit off."
    )
    schedule: Schedule = Field(
        Schedule(), description="When the bot runs, and when its trading day begins."
    )
    update_policy: Annotated[UpdatePolicy, Field(strict=False)] = Field(
        UpdatePolicy.WHEN_FLAT,
        description="When a change that needs a restart may restart the bot: WhenFlat as soon as"
        " the bot has no open position, Immediate at once, Manual when the user asks for it.",
    )
    paused: bool = Field(
        False,
        description="Emergency stop: true stops the bot. Setting it to true is never rejected.",
    )
    pod: Annotated[Pod | None, NotNull()] = Field(
        None,
        description="What the bot's pod needs in a cluster: where it runs, what it reads, what it"
        " may reach. All of it is optional, and the pod keeps to the restricted Pod Security"
        " Standard whatever is set. A change restarts the bot (see updatePolicy), except for"
        " storage.size, storage.retain and networkPolicy.",
    )


class TradingBot(Model):
    """A trading bot: a strategy image, an exchange to trade on, and risk limits.

    The operator creates and maintains its Deployment, ConfigMap and Service.
    """

    plural: ClassVar[str] = "tradingbots"
    short_names: ClassVar[Sequence[str]] = ("tbot",)
    printer_columns: ClassVar[Sequence[dict[str, Any]]] = (
        {"name": "Strategy", "type": "string", "jsonPath": ".spec.strategy.type"},
        {"name": "Exchange", "type": "string", "jsonPath": ".spec.exchange.name"},
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Day-PnL", "type": "string", "jsonPath": ".status.risk.dayPnL"},
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        },
        {"name": "Image", "type": "string", "jsonPath": ".spec.strategy.image", "priority": 1},
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
            "priority": 1,
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )
    extensions: ClassVar[Kubernetes] = cel(
        Cel(
            f"size(self.metadata.name) <= {NAME_LENGTH}"
            f" && self.metadata.name.matches('{NAME_PATTERN}')",
            f"metadata.name must be a DNS-1035 label of at most {NAME_LENGTH} characters",
        ),
        # On creation, the only time without a status: later every object has at least the default
        # one. A rule of the field would hold for updates as well, and an old bot may have any
        # content: no halt could be written to its status.
        *(
            Cel(
                f"has(self.status) || !has({_PARAMETERS}) || !{_PARAMETERS}.exists(key, {rule})",
                f"spec.strategy.parameters: {message}",
            )
            for rule, message in (
                (name_rule(_PARAMETERS), A_KEY_NAMES_A_CREDENTIAL),
                (value_rule(_PARAMETERS), A_VALUE_IS_A_CREDENTIAL),
            )
        ),
    )

    spec: Annotated[TradingBotSpec, cel(GATEWAY_KNOWS_ITS_DIALECT, GATEWAY_SPEAKS_ITS_DIALECT)] = (
        Field(description="Desired state of the bot.")
    )
    status: TradingBotStatus = Field(
        TradingBotStatus(), description="Observed state of the bot, written by the operator."
    )
