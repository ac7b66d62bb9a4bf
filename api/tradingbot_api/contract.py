"""The contract between a bot's image and the operator: bot.json in, the risk report out.

docs/bot-contract.md explains it to authors of images, and the JSON schemas in docs/schemas are
generated from these models. Nothing else ties an image to this project.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tradingbot_api.constraints import BROKEN_RULE, DECIMAL_LENGTH, DECIMAL_PATTERN, Text
from tradingbot_api.model import DNS_LABEL, Model
from tradingbot_api.tradingbot import (
    NAME_LENGTH,
    NAME_PATTERN,
    Exchange,
    ExchangeName,
    Instant,
    Mode,
    ProfitPercent,
    RiskManagement,
    Schedule,
    Strategy,
)

CONFIG_SCHEMA_VERSION = "v1"
"""Of bot.json. Fields may be added under it; none is removed, renamed or given another meaning."""

MAX_REPORT_BYTES = 64 * 1024
"""A longer answer is no report."""

MAX_REPORTED_POSITIONS = 1_000_000

_SIGNED_DECIMAL = DECIMAL_PATTERN.replace("^", "^-?", 1)
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
        """The form as a JSON schema."""
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


SignedMoney = Annotated[Decimal, _decimal(_SIGNED_DECIMAL, 'must be a decimal such as "-12.5"')]
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
    """What a running bot answers at `GET /risk`: how much it has lost today, and what it holds.

    All figures are of everything that this bot trades, at the moment `time`; money is in the quote
    currency. A bot that can't tell them all answers 503 instead: a figure that is made up, or zero
    for want of a better one, switches its protection off.
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
        description="Number of positions that are open, partly filled ones too; orders that have"
        " filled nothing are none. 0 says that a restart leaves no position alone.",
        examples=[1],
    )
    exposure: Exposure = Field(
        description="Notional value of all open positions, longs and shorts added up without sign,"
        " in the quote currency, at the prices that dayPnL is marked with.",
        examples=["950"],
    )
    config_hash: ConfigHash = Field(
        alias="configHash",
        description="configHash of the bot.json that the bot runs with at this moment.",
        examples=["3f1c0de9a2b45678"],
    )
    time: Time = Field(
        description="When the figures were computed, RFC 3339 with offset. Not when the request"
        " came: a loop that hangs must show as a time that stands still.",
        examples=["2026-11-24T18:00:00Z"],
    )


class BotExchange(Model):
    """Where the bot trades. The credentials are in its environment, never in bot.json."""

    name: Annotated[ExchangeName, Exchange.model_fields["name"]]
    base_url: Annotated[str | None, Exchange.model_fields["base_url"]]


class BotRisk(RiskManagement):
    """The limits that the bot has to keep. Money is in the quote currency; "5" is 5 %."""

    take_profit_percentage: ProfitPercent = Field(
        description="Percent of a trade's entry value at which it is closed with a profit."
    )


class BotConfig(Model):
    """bot.json: what the bot is to do, every value effective, never a credential.

    Read again while the bot runs: `risk` and `schedule` change without a restart.
    """

    schema_version: Literal["v1"] = Field(
        description="Version of this form. Under v1 fields may be added: ignore what you don't"
        " know. A bot that finds another version must not trade."
    )
    namespace: Annotated[
        str, Text("must be the name of a namespace", pattern=DNS_LABEL, max_length=63)
    ] = Field(description="Namespace of the TradingBot.")
    name: Annotated[
        str, Text("must be the name of a bot", pattern=NAME_PATTERN, max_length=NAME_LENGTH)
    ] = Field(description="Name of the TradingBot.")
    strategy: Strategy = Field(description="What the bot runs. A change of it restarts the bot.")
    exchange: BotExchange = Field(
        description="Where the bot trades. A change of it restarts the bot."
    )
    mode: Annotated[Mode, Field(strict=False)] = Field(
        description="Paper: orders are simulated, none is sent. Live: they are sent. A change of it"
        " restarts the bot."
    )
    risk: BotRisk = Field(
        description="The limits that the bot has to keep. They change without a restart."
    )
    schedule: Schedule = Field(
        description="The trading day, and the hours in which the operator runs the bot. It changes"
        " without a restart."
    )
    config_hash: ConfigHash = Field(
        description="Names this content. It is opaque: report it, don't compute it."
    )
