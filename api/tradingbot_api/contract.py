"""The contract between a bot's image and the operator: bot.json in, the risk report out.

docs/bot-contract.md explains it to authors of images, and the JSON schemas in docs/schemas are
generated from these models. Nothing else ties an image to this project.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema, to_json

from tradingbot_api.constraints import (
    BROKEN_RULE,
    DECIMAL_LENGTH,
    DECIMAL_PATTERN,
    DecimalText,
    NotNull,
    Text,
)
from tradingbot_api.exchange import Asset, Balance, Dialect, Exchange, ExchangeName, PaperBalance
from tradingbot_api.model import DNS_LABEL, JsonObject, Model, ObjectMeta, digest
from tradingbot_api.tradingbot import (
    NAME_LENGTH,
    NAME_PATTERN,
    CollarPercent,
    Instant,
    Mode,
    Money,
    ProfitPercent,
    RiskLimits,
    Schedule,
    StopPercent,
    Strategy,
    TradingBotSpec,
)

CONFIG_SCHEMA_VERSION: Literal["v1"] = "v1"
"""Of bot.json. Fields may be added under it; none is removed, renamed or given another meaning."""

MAX_REPORT_BYTES = 64 * 1024
"""A longer answer is not a report."""

MAX_REPORTED_POSITIONS = 1_000_000

SIGNED_DECIMAL_PATTERN = DECIMAL_PATTERN.replace("^", "^-?", 1)
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_INSTANT: str = get_args(Instant)[1].pattern


@dataclass(frozen=True, slots=True)
class Wire:
    """A value that is text on the wire: its form, and the ways from text to value and back.

    The pattern is checked in compiled code, so that `parse` meets text of that form alone. From
    Python a value of the type `python` may come too; it has to fit the same form.
    """

    python: type
    pattern: str
    max_length: int
    detail: str
    parse: Callable[[str], Any]
    text: Callable[[Any], str]
    format: str | None = None

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Text of the pattern, then parsed; from Python the value too."""
        form = core_schema.str_schema(pattern=self.pattern, max_length=self.max_length, strict=True)
        wire = core_schema.no_info_after_validator_function(self._parsed, form)
        return core_schema.json_or_python_schema(
            json_schema=wire,
            python_schema=core_schema.no_info_before_validator_function(self._as_text, wire),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.text, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema of the form."""
        form = {"type": "string", "pattern": self.pattern, "maxLength": self.max_length}
        return {**form, "format": self.format} if self.format else form

    def _parsed(self, text: str) -> Any:
        try:
            return self.parse(text)
        except (ValueError, OverflowError) as error:
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": self.detail}) from error

    def _as_text(self, value: Any) -> Any:
        return self.text(value) if type(value) is self.python else value


def _instant(text: str) -> datetime:
    """In UTC: one that has no UTC time, such as the first hour of the year 1 at +02:00, is none."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _instant_text(value: datetime) -> str:
    """Without an offset it is not of the form, and refused as such."""
    return value.isoformat().replace("+00:00", "Z")


def _decimal(pattern: str, detail: str) -> Wire:
    return Wire(
        python=Decimal,
        pattern=pattern,
        max_length=DECIMAL_LENGTH + pattern.count("-?"),
        detail=detail,
        parse=Decimal,
        text="{:f}".format,
    )


SignedMoney = Annotated[
    Decimal, _decimal(SIGNED_DECIMAL_PATTERN, 'must be a decimal such as "-12.5"')
]
Exposure = Annotated[Decimal, _decimal(DECIMAL_PATTERN, 'must be a decimal such as "950"')]
TradingDay = Annotated[
    date,
    Wire(
        python=date,
        pattern=_DATE,
        max_length=10,
        detail="must be a date such as 2026-11-24",
        parse=date.fromisoformat,
        text=date.isoformat,
        format="date",
    ),
]
Time = Annotated[
    datetime,
    Wire(
        python=datetime,
        pattern=_INSTANT,
        max_length=40,
        detail="must be a date and time with offset such as 2026-11-24T18:00:00Z",
        parse=_instant,
        text=_instant_text,
        format="date-time",
    ),
]
ConfigHash = Annotated[
    str,
    Text(
        "must be the configHash of a bot.json",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        max_length=64,
    ),
]


class RiskReport(BaseModel):
    """The answer of a running bot to `GET /risk`: today's profit or loss, and its positions.

    All figures are of everything that this bot trades, at the moment `time`; money is in the quote
    currency. A bot that does not know all of them must answer 503: an invented figure, or a zero in
    place of an unknown one, disables the protection of the account.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    trading_day: TradingDay = Field(
        alias="tradingDay",
        description="The trading day that dayPnL belongs to: the calendar date, in"
        " schedule.timeZone, on which it began at schedule.dayStart. YYYY-MM-DD.",
        examples=["2026-11-24"],
    )
    day_pnl: SignedMoney = Field(
        alias="dayPnL",
        description="Profit (or, negative, loss) since the trading day began, in the quote"
        " currency, net of fees: realized since then, plus the unrealized profit of what is open"
        " now, less what it was when the day began. Deposits and withdrawals don't count.",
        examples=["-12.5"],
    )
    open_positions: Annotated[int, Field(ge=0, le=MAX_REPORTED_POSITIONS)] = Field(
        alias="openPositions",
        description="Number of open positions, partly filled ones included; an unfilled order is"
        " not a position. 0 means that a restart leaves no position unattended.",
        examples=[1],
    )
    exposure: Exposure = Field(
        description="Notional value of all open positions, longs and shorts added up without sign,"
        " in the quote currency, at the prices that dayPnL uses.",
        examples=["950"],
    )
    config_hash: ConfigHash = Field(
        alias="configHash",
        description="configHash of the bot.json that the bot has loaded.",
        examples=["3f1c0de9a2b45678"],
    )
    time: Time = Field(
        description="When the figures were computed, RFC 3339 with offset. Not the time of the"
        " request: if the bot hangs, this time must stop.",
        examples=["2026-11-24T18:00:00Z"],
    )


def _quoted(number: Any) -> DecimalText:
    """Return the constraint of a decimal of the spec for strings alone: what a bot has to read."""
    constraint: DecimalText = get_args(number)[1]
    return replace(constraint, quoted=True)


class BotPaperBalance(PaperBalance):
    """An asset of the account in mode Paper."""

    amount: Annotated[str, _quoted(Balance)] = Field(
        description=PaperBalance.model_fields["amount"].description
    )


class BotExchange(Model):
    """The exchange that the bot trades on. Credentials are in its environment, not in bot.json."""

    name: Annotated[ExchangeName, Exchange.model_fields["name"]]
    base_url: Annotated[str | None, Exchange.model_fields["base_url"]]
    dialect: Annotated[Dialect | None, NotNull(), Field(strict=False)] = Field(
        None, description="API that the exchange speaks. Set with enforcement: Gateway."
    )
    quote_currency: Annotated[Asset | None, NotNull()] = Field(
        None,
        description="Currency of all limits and figures. Set with enforcement: Gateway, or if the"
        " spec has it.",
    )
    paper_balance: Annotated[list[BotPaperBalance] | None, NotNull()] = Field(
        None,
        description="What the account has at first. Set in mode Paper with enforcement: Gateway, or"
        " if the spec has it.",
    )


def _described(attribute: str) -> Any:
    return Field(description=RiskLimits.model_fields[attribute].description)


class BotRisk(RiskLimits):
    """The risk limits of the bot. Money is in the quote currency; "5" is 5 %."""

    max_position_size: Annotated[str, _quoted(Money)] = _described("max_position_size")
    daily_loss_limit: Annotated[str, _quoted(Money)] = _described("daily_loss_limit")
    stop_loss_percentage: Annotated[str, _quoted(StopPercent)] = _described("stop_loss_percentage")
    take_profit_percentage: Annotated[str, _quoted(ProfitPercent)] = Field(
        description="Percent of a trade's entry value at which it is closed with a profit."
    )
    price_collar_percentage: Annotated[str, _quoted(CollarPercent)] = Field(
        RiskLimits.model_fields["price_collar_percentage"].default,
        description=RiskLimits.model_fields["price_collar_percentage"].description,
    )


_EXCHANGE_FIELDS = set(BotExchange.model_fields)
_RISK_FIELDS = set(BotRisk.model_fields)
_NO_HASH = "-"
"""In the place of a hash that is about to be computed."""


class BotConfig(Model):
    """bot.json: the configuration of the bot. Every value is effective, none is a credential.

    The bot must reload the file while it runs: `risk` and `schedule` change without a restart.
    """

    schema_version: Literal["v1"] = Field(
        description="Version of this format. Fields may be added under v1: ignore unknown fields."
        " A bot must not trade if it finds another version."
    )
    namespace: Annotated[
        str, Text("must be the name of a namespace", pattern=DNS_LABEL, max_length=63)
    ] = Field(description="Namespace of the TradingBot.")
    name: Annotated[
        str, Text("must be the name of a bot", pattern=NAME_PATTERN, max_length=NAME_LENGTH)
    ] = Field(description="Name of the TradingBot.")
    strategy: Strategy = Field(description="Strategy that the bot runs. A change restarts the bot.")
    exchange: BotExchange = Field(
        description="Exchange that the bot trades on. A change restarts the bot."
    )
    mode: Annotated[Mode, Field(strict=False)] = Field(
        description="Paper: orders are simulated, none is sent. Live: orders are sent. A change"
        " restarts the bot."
    )
    risk: BotRisk = Field(
        description="Risk limits that the bot must keep. They change without a restart."
    )
    schedule: Schedule = Field(
        description="Trading day, and the hours in which the operator runs the bot. Changes without"
        " a restart."
    )
    halted_until: Annotated[Time | None, NotNull()] = Field(
        None,
        description="Set only while the bot is halted for its daily loss: the time when it resumes."
        " If it is in the future, the bot must not open a position. Not covered by configHash.",
    )
    config_hash: ConfigHash = Field(
        description="Identifies this content. Opaque: report it, do not compute it."
    )

    @classmethod
    def of(cls, spec: TradingBotSpec, meta: ObjectMeta) -> "BotConfig":
        """Return the configuration that a valid, effective spec declares for the bot of `meta`."""
        # A change of what Live does not use must not restart a bot.
        unused = {"paper_balance"} if spec.mode is Mode.LIVE else set()
        config = cls.model_validate(
            {
                "schemaVersion": CONFIG_SCHEMA_VERSION,
                "namespace": meta.namespace,
                "name": meta.name,
                "strategy": spec.strategy,
                "exchange": spec.exchange.model_dump(
                    include=_EXCHANGE_FIELDS - unused, by_alias=True, exclude_none=True
                ),
                "mode": spec.mode,
                "risk": spec.risk_management.model_dump(
                    include=_RISK_FIELDS, by_alias=True, exclude_none=True
                ),
                "schedule": spec.schedule,
                "configHash": _NO_HASH,
            }
        )
        return config.model_copy(update={"config_hash": digest(config.content())})

    @classmethod
    def read(cls, whole: Mapping[str, Any]) -> "BotConfig":
        """Return the configuration in the JSON of a bot.json. Fields that a later operator may have
        added are ignored. Raises ValidationError."""
        return cls.model_validate(_known(whole, cls))

    def content(self) -> JsonObject:
        """Return the JSON that `configHash` names: all fields but the halt and the hash."""
        return self.model_dump(
            by_alias=True, mode="json", exclude_none=True, exclude={"halted_until", "config_hash"}
        )


def _known(value: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields that a model knows, at every depth: later versions may add fields."""
    found = {}
    for name, info in model.model_fields.items():
        key = info.alias or name
        if key in value:
            found[key] = value[key]
            for inner in _models(info.annotation):
                if isinstance(value[key], dict):
                    found[key] = _known(value[key], inner)
                elif isinstance(value[key], list):
                    items = value[key]
                    found[key] = [_known(i, inner) if isinstance(i, dict) else i for i in items]
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


HALTED_UNTIL: str = BotConfig.model_fields["halted_until"].alias or ""
CONFIG_HASH: str = BotConfig.model_fields["config_hash"].alias or ""


def bot_json(content: JsonObject, *, halted_until: str | None = None) -> str:
    """Return the text of bot.json for a `content`, with its hash and the end of a halt (RFC 3339).

    Takes JSON, not a `BotConfig`: the content may partly be that of a bot.json that another version
    of the operator wrote, with fields that this version does not know.
    """
    halt = {} if halted_until is None else {HALTED_UNTIL: halted_until}
    whole = {**content, **halt, CONFIG_HASH: digest(content)}
    return to_json(whole, indent=2).decode() + "\n"
