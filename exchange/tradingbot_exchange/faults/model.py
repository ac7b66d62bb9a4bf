"""The faults, as a request's body and as a step of a scenario: one model for both.

Durations are texts such as `500ms`, `30s`, `2m` and `1h`, or numbers of seconds, in the exchange's
time (which `--speed` accelerates); only the delay of `latency` is in real time.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from tradingbot_exchange.engine.types import Reason

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(-?\d{1,12}(?:\.\d{1,3})?)\s?(ms|s|m|h)")
_LONGEST = 30 * 24 * 3_600_000


def parse_duration(value: Any) -> int:
    """Return milliseconds. Raises ValueError."""
    if isinstance(value, bool):
        found = None
    elif isinstance(value, int | float | Decimal):
        found = _DURATION.fullmatch(f"{value}s")
    else:
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a text such as 500ms, 30s, 2m or 1h, or seconds")
    milliseconds = int(Decimal(found[1]) * _UNITS[found[2]])
    if abs(milliseconds) > _LONGEST:
        raise ValueError("a duration is 30 days at most")
    return milliseconds


def duration_text(milliseconds: int) -> str:
    """Return the shortest text of a duration."""
    for unit in ("h", "m", "s"):
        if milliseconds and milliseconds % _UNITS[unit] == 0:
            return f"{milliseconds // _UNITS[unit]}{unit}"
    return f"{milliseconds}ms"


_AnyDuration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "examples": ["500ms", "30s", "2m"]}),
]
Duration = Annotated[_AnyDuration, Field(ge=0)]
Positive = Annotated[_AnyDuration, Field(gt=0)]

_Match = Annotated[str, StringConstraints(pattern=r"^([A-Z]+|\*) (/[!-~]*|\*)$", max_length=200)]
_Percent = Annotated[Decimal, Field(gt=0, max_digits=9, decimal_places=4)]


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class _Market(_Fault):
    symbol: str | None = Field(
        default=None, description="The engine's name, BTC-USDT. All if absent."
    )


class _Move(_Market):
    over: Annotated[_AnyDuration, Field(ge=1000, le=3_600_000)] = Field(
        default=10_000, description="Time in which the prices move."
    )
    hold: Duration | None = Field(
        default=None,
        description="Time that prices stay there; then they return. Absent: until it is deleted.",
    )


class Crash(_Move):
    """Prices fall by `percent`."""

    type: Literal["crash"]
    percent: Annotated[_Percent, Field(le=90)]


class Spike(_Move):
    """Prices rise by `percent`."""

    type: Literal["spike"]
    percent: Annotated[_Percent, Field(le=500)]


class Halt(_Market):
    """New orders are refused; cancels work, and the market stands still."""

    type: Literal["halt"]
    lasts: Positive | None = Field(default=None, alias="for")


class ThinLiquidity(_Market):
    """The market quotes `percent` of its usual sizes."""

    type: Literal["thin-liquidity"]
    percent: Annotated[_Percent, Field(lt=100)] = Decimal(1)
    lasts: Positive | None = Field(default=None, alias="for")


class PartialFills(_Market):
    """An order that would trade at once fills to `percent`; then the market waits for `rest`."""

    type: Literal["partial-fills"]
    percent: Annotated[_Percent, Field(lt=100)] = Decimal(50)
    times: int = Field(default=1, ge=1, le=1_000_000)
    rest: Duration = 2_000


class ClockSkew(_Fault):
    """The exchange's clock differs from the real one by this; negative: it is behind."""

    type: Literal["clock-skew"]
    by: _AnyDuration
    lasts: Positive | None = Field(default=None, alias="for")


class _Counted(_Fault):
    times: int | None = Field(
        default=None, ge=1, le=1_000_000, description="How often. 1 if `for` is absent, too."
    )
    lasts: Positive | None = Field(default=None, alias="for")


class _Request(_Counted):
    match: _Match = Field(
        default="* *", description="Method and path, `*` for any: `POST /api/v3/order`, `GET *`."
    )


class Latency(_Request):
    """Requests wait for `delay` before the exchange sees them. Until deleted by default."""

    type: Literal["latency"]
    delay: Annotated[_AnyDuration, Field(gt=0, le=60_000)]


class Reject(_Request):
    """Requests are refused as if the engine had refused an order for `reason`."""

    type: Literal["reject"]
    reason: Reason = Reason.INSUFFICIENT_BALANCE


class ServerError(_Request):
    """The answer is a 5xx. With `executed`, the request is carried out all the same."""

    type: Literal["server-error"]
    status: int = Field(default=503, ge=500, le=599)
    executed: bool = False


class RateLimit(_Request):
    """The answer is 429 with Retry-After in seconds."""

    type: Literal["rate-limit"]
    retry_after: int = Field(default=10, ge=0, le=86_400)


class Ban(_Request):
    """The answer is 418 with Retry-After in seconds."""

    type: Literal["ban"]
    retry_after: int = Field(default=120, ge=0, le=259_200)


class DropRequest(_Request):
    """The connection is closed before the exchange has seen the request."""

    type: Literal["drop-request"]


class LoseAnswer(_Request):
    """The request is carried out, and the connection is closed without an answer."""

    type: Literal["lose-answer"]


class DoubleRequest(_Request):
    """The request is carried out twice, as by a proxy that retries. The first answer is sent."""

    type: Literal["double-request"]


class DoubleAnswer(_Request):
    """The answer is sent twice on the connection."""

    type: Literal["double-answer"]


class CutStreams(_Fault):
    """Open streams are cut, at once. With `for`, new ones are refused for this time."""

    type: Literal["cut-streams"]
    path: Annotated[str, StringConstraints(pattern=r"^(/[!-~]*|\*)$", max_length=200)] = "*"
    lasts: Positive | None = Field(default=None, alias="for")


class DropEvents(_Counted):
    """Messages of streams that contain the text are not sent."""

    type: Literal["drop-events"]
    contains: str = Field(default="", max_length=200)


class DoubleEvents(_Counted):
    """Messages of streams that contain the text are sent twice."""

    type: Literal["double-events"]
    contains: str = Field(default="", max_length=200)


MarketFault = Crash | Spike | Halt | ThinLiquidity | PartialFills | ClockSkew
RequestFault = (
    Latency | Reject | ServerError | RateLimit | Ban | DropRequest | LoseAnswer | DoubleRequest
    | DoubleAnswer
)  # fmt: skip
StreamFault = CutStreams | DropEvents | DoubleEvents
Fault = Annotated[MarketFault | RequestFault | StreamFault, Field(discriminator="type")]

FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)

FAULT_TYPES: tuple[str, ...] = tuple(
    get_args(kind.model_fields["type"].annotation)[0]
    for group in (MarketFault, RequestFault, StreamFault)
    for kind in get_args(group)
)
"""The types of faults, as they are written."""
