"""The `TradingBot` resource: what a user declares, and what the operator reports."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

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
from tradingbot_api.image import image_problem
from tradingbot_api.model import Condition, Model, SecretKey, SecretName
from tradingbot_api.schedule import CLOCK_TIME, DAYS, Day, time_zones

EXCHANGE_IS_IMMUTABLE = (
    "is immutable: open positions and credentials belong to one exchange; create another bot"
    " instead"
)
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH = 52
"""Children carry the bot's name, and a pod adds a suffix of its own to it (63 in all)."""

BASE_URL_FORM = "must be an absolute https URL (http only in mode Paper)"
PARAMETER_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)
PARAMETER_KEYS = re.compile(rf"(?:{PARAMETER_KEY.pattern}\n)*", re.ASCII)
"""Any number of keys, one a line."""
MAX_PARAMETERS = 64
MAX_PARAMETER_LENGTH = 4096
DEFAULT_REQUEST_CPU = "100m"
DEFAULT_REQUEST_MEMORY = "128Mi"

Money = Annotated[str, DecimalText()]
StopPercent = Annotated[str, DecimalText(below=Decimal(100))]
ProfitPercent = Annotated[str, DecimalText(at_most=Decimal(1000))]
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


def _base_url_problem(text: str) -> str | None:
    if "@" in text.split("://", 1)[1].split("/", 1)[0]:
        return "must not contain user info; put credentials into the Secret"
    if "?" in text or "#" in text:
        return "must not contain a query or a fragment"
    try:
        parts = urlsplit(text)
        complete = bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:
        complete = False
    return None if complete else BASE_URL_FORM


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


class ExchangeName(StrEnum):
    """Exchanges that are known by name; `Custom` takes a base URL."""

    BINANCE = "Binance"
    COINBASE = "Coinbase"
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
    """What the bot runs."""

    type: Annotated[StrategyType, Field(strict=False)] = Field(
        description="Family of the strategy; shown in lists and passed to the bot."
    )
    image: Annotated[
        str,
        Text("must be an image reference", max_length=512, check=image_problem),
    ] = Field(
        description="Container image of the bot, as an OCI reference. In mode Live use a digest or"
        " a tag other than latest, so that a restart never changes what trades."
    )
    parameters: Annotated[
        dict[str, Annotated[str, Text("must be a string", max_length=MAX_PARAMETER_LENGTH)]],
        Field(max_length=MAX_PARAMETERS),
    ] = Field(
        {},
        description="Settings of the strategy, passed to the bot as they are. Never credentials:"
        " those belong into the Secret that exchange.apiKeySecret names.",
    )


class Exchange(Model):
    """Where the bot trades, and which Secret holds its credentials."""

    name: Annotated[
        ExchangeName,
        Field(strict=False),
        cel(Cel("self == oldSelf", EXCHANGE_IS_IMMUTABLE)),
    ] = Field(description="Exchange that the bot trades on. It can't be changed later.")
    api_key_secret: SecretName = Field(
        description="Name of the Secret in the bot's namespace that holds the exchange"
        " credentials. Only the name is ever stored here."
    )
    api_key_path: SecretKey = Field("api-key", description="Key in that Secret of the API key.")
    api_secret_path: SecretKey = Field(
        "api-secret", description="Key in that Secret of the API secret."
    )
    base_url: Annotated[
        str | None,
        NotNull(),
        Text(
            BASE_URL_FORM,
            pattern=r"^https?://[^/\s?#]+(/[^\s]*)?$",
            max_length=2048,
            sensitive=True,
            check=_base_url_problem,
        ),
    ] = Field(
        None,
        alias="baseURL",
        description="Base URL of the exchange's API: required for Custom, else only to use another"
        " endpoint such as a test network. https, or http in mode Paper.",
    )


class ResourceLimits(Model):
    """The most that the bot's container may use."""

    cpu: Quantity = Field("500m", description="CPU limit, a quantity above 0.")
    memory: Quantity = Field("256Mi", description="Memory limit, a quantity above 0.")


class ResourceRequests(Model):
    """What the scheduler reserves for the bot's container."""

    cpu: Annotated[Quantity | None, NotNull()] = Field(
        None,
        description=f"CPU request. Default: the smaller of {DEFAULT_REQUEST_CPU} and the limit.",
    )
    memory: Annotated[Quantity | None, NotNull()] = Field(
        None,
        description="Memory request. Default: the smaller of"
        f" {DEFAULT_REQUEST_MEMORY} and the limit.",
    )


class Resources(Model):
    """CPU and memory of the bot's container."""

    limits: ResourceLimits = Field(ResourceLimits(), description="The most that it may use.")
    requests: ResourceRequests = Field(
        ResourceRequests(), description="What is reserved for it; at most the limit."
    )


class RiskManagement(Model):
    """Limits that protect the account. Money is in the quote currency; a percentage of "5" is 5 %.

    Zero is never "off": it is refused.
    """

    max_position_size: Money = Field(
        description="Money: cap on the notional value of any one open position, greater than 0."
    )
    daily_loss_limit: Money = Field(
        description="Money: loss in one trading day at which the bot is halted until the next"
        " trading day, greater than 0. It is a trigger, not a guarantee: prices can gap."
    )
    stop_loss_percentage: StopPercent = Field(
        "2", description="Percent of a trade's entry value at which it is closed with a loss."
    )
    take_profit_percentage: Annotated[ProfitPercent | None, NotNull()] = Field(
        None,
        description="Percent of a trade's entry value at which it is closed with a profit."
        " Default: twice stopLossPercentage, at most 1000.",
    )
    max_open_positions: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Most positions that may be open at once, 1 to 1000."
    )


class Window(Model):
    """A time of the week during which the bot runs."""

    days: Annotated[
        list[Day],
        Field(max_length=7, min_length=1),
        list_type("set"),
    ] = Field(list(DAYS), description="Days on which the window starts. Default: all seven.")
    start: ClockTime = Field(description="Time of day at which it opens, HH:MM.")
    end: ClockTime = Field(
        description="Time of day at which it closes, HH:MM. Before start: it runs past midnight."
    )


class Blackout(Model):
    """A span during which the bot does not run."""

    from_: Instant = Field(
        alias="from", description="First instant of the blackout, RFC 3339 with offset."
    )
    to: Instant = Field(description="First instant after it, RFC 3339 with offset.")


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
        "00:00", description="Boundary of the trading day, HH:MM: a daily halt ends here."
    )
    windows: Annotated[list[Window], Field(max_length=50), list_type("atomic")] = Field(
        [], description="Times of the week in which the bot runs, not overlapping. None: always."
    )
    blackouts: Annotated[list[Blackout], Field(max_length=50), list_type("atomic")] = Field(
        [], description="Spans in which the bot does not run, whatever the windows say."
    )


class TradingBotSpec(Model):
    """What the user wants."""

    strategy: Strategy = Field(description="What the bot runs.")
    exchange: Exchange = Field(description="Where it trades, and which Secret it uses.")
    mode: Annotated[Mode, Field(strict=False)] = Field(
        Mode.PAPER, description="Paper simulates orders, Live sends them."
    )
    resources: Resources = Field(Resources(), description="CPU and memory of the container.")
    risk_management: RiskManagement = Field(
        description="Limits that protect the account. Money is in the quote currency, percentages"
        ' are in percent: "5" is 5 %. All are decimal strings. Zero is never "off".'
    )
    schedule: Schedule = Field(Schedule(), description="When it runs, and when its day begins.")
    update_policy: Annotated[UpdatePolicy, Field(strict=False)] = Field(
        UpdatePolicy.WHEN_FLAT,
        description="When a change that needs a restart may restart the bot: WhenFlat once it has"
        " no open position, Immediate at once, Manual when told to.",
    )
    paused: bool = Field(
        False, description="The emergency stop: true stops the bot. It is never refused."
    )


class DeployedResource(Model):
    """A child that the operator keeps for the bot."""

    api_version: str = Field(description="API version of the child.")
    kind: str = Field(description="Kind of the child.")
    name: str = Field(description="Name of the child, in the bot's namespace.")
    ready: bool = Field(description="Whether it does its job.")


class ScheduleStatus(Model):
    """Where the bot is in its schedule."""

    open: bool = Field(description="Whether the schedule lets the bot run now.")
    next_transition: Annotated[str | None, NotNull()] = Field(
        None,
        description="When that changes next (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )


class RiskStatus(Model):
    """The trading day, what the bot reported of it, and the latch of a daily loss halt."""

    trading_day: Annotated[str | None, NotNull()] = Field(
        None,
        description="The trading day, a date in the zone of its schedule.",
        json_schema_extra={"format": "date"},
    )
    day_ends_at: Annotated[str | None, NotNull()] = Field(
        None,
        description="When the next trading day begins (RFC 3339). A change of timeZone or dayStart"
        " counts from then.",
        json_schema_extra={"format": "date-time"},
    )
    day_pnl: Annotated[str | None, NotNull()] = Field(
        None,
        alias="dayPnL",
        description="Profit or loss of the trading day as the bot reported it, in the quote"
        " currency.",
    )
    open_positions: Annotated[int | None, NotNull()] = Field(
        None, description="Number of open positions reported."
    )
    exposure: Annotated[str | None, NotNull()] = Field(
        None, description="Notional value of all open positions reported, in the quote currency."
    )
    reported_at: Annotated[str | None, NotNull()] = Field(
        None,
        description="When the bot reported these figures (RFC 3339). Figures that change are"
        " written once a minute, those that stay are not written again.",
        json_schema_extra={"format": "date-time"},
    )
    halted_since: Annotated[str | None, NotNull()] = Field(
        None,
        description="When the daily loss limit was reached (RFC 3339). The bot is halted while this"
        " stands here, whatever happens to the operator.",
        json_schema_extra={"format": "date-time"},
    )
    halt_reason: Annotated[str | None, NotNull()] = Field(
        None, description="What it was halted for."
    )
    resumes_at: Annotated[str | None, NotNull()] = Field(
        None,
        description="When a halted bot resumes by itself (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )


class TradingBotStatus(Model):
    """What the operator reports."""

    phase: Annotated[str | None, NotNull()] = Field(
        None, description="Where the bot is, in one word."
    )
    observed_generation: Annotated[int | None, NotNull()] = Field(
        None, description="The metadata.generation that the status was computed from."
    )
    config_hash: Annotated[str | None, NotNull()] = Field(
        None, description="Hash of the declared bot.json."
    )
    applied_config_hash: Annotated[str | None, NotNull()] = Field(
        None, description="Hash of the bot.json that the bot reports to run with."
    )
    conditions: Annotated[list[Condition], list_type("map", key="type")] = Field(
        [], description="Conditions, always all present."
    )
    deployed_resources: Annotated[list[DeployedResource], list_type("atomic")] = Field(
        [], description="The children that exist."
    )
    risk: Annotated[RiskStatus | None, NotNull()] = Field(
        None, description="The trading day and its loss."
    )
    schedule: Annotated[ScheduleStatus | None, NotNull()] = Field(
        None, description="Where the bot is in its schedule."
    )


class TradingBot(Model):
    """A trading bot: a strategy image, the exchange it trades on, and the limits it runs within.

    Its Deployment, ConfigMap and Service are made and kept by the operator.
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
        )
    )

    spec: TradingBotSpec = Field(description="What the user wants.")
    status: TradingBotStatus = Field(
        TradingBotStatus(), description="What the operator reports; users don't write it."
    )
