"""The rows of the registry as JSON, for exports, imports and checks.

Assets refer to one another by id, and times are RFC 3339: nothing here depends on a kind of
database. A model checks the bounds of a row, so the check of a database and an import find the
same faults.
"""

import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from tradingbot_api.asset import (
    MAX_DESCRIPTION,
    MAX_TAGS,
    REFERENCE_LENGTH,
    REFERENCE_PATTERN,
    AssetStatus,
    AssetType,
    config_problems,
    plainly_sound,
)
from tradingbot_api.assetregistry import SecretRef, Tag
from tradingbot_api.contract import SIGNED_DECIMAL_PATTERN

from tradingbot_registry.inventory.history import Action
from tradingbot_registry.inventory.record import MAX_NAME, ManagedBy, is_plain_name
from tradingbot_registry.refusals import pointer
from tradingbot_registry.rfc3339 import parse, text_of

FORMAT = "tradingbot-registry-export"
FORMAT_VERSION = 1
"""Raised when a program of this version can't read the lines any more."""


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Kind(StrEnum):
    """The kinds of lines, in the order in which a file has them."""

    HEADER = "header"
    ASSET = "asset"
    DEPENDENCY = "dependency"
    PENDING = "pending"
    CHANGE = "change"
    RECEIPT = "receipt"
    END = "end"


def _plain(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("may not begin or end with white space or contain control characters")
    return name


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("has a value twice")
    return values


def _no_nul(value: Any) -> Any:
    # PostgreSQL stores no text with it.
    if _NUL.search(json.dumps(value)):
        raise ValueError("contains the character NUL")
    return value


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("is not a time as RFC 3339 text")  # noqa: TRY004
    return parse(value)


Moment = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(text_of)]
Reference = Annotated[str, Field(pattern=f"^{REFERENCE_PATTERN}$", max_length=REFERENCE_LENGTH)]
JsonFields = Annotated[dict[str, Any], AfterValidator(_no_nul)]
Positive = Annotated[int, Field(ge=1)]


class Line(BaseModel):
    """One line. A field that this version does not know is an error: it would be lost."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    def text(self) -> str:
        """Return the line, with its end."""
        # By the parser and writer of the storage: what they keep of numbers, pydantic's may not.
        fields = self.model_dump(by_alias=True)
        return json.dumps(fields, separators=(",", ":"), default=str) + "\n"


class HeaderLine(Line):
    """The first line."""

    kind: Literal["header"] = "header"
    format: Literal["tradingbot-registry-export"] = "tradingbot-registry-export"
    format_version: int = FORMAT_VERSION
    program_version: str
    exported_at: Moment


class AssetLine(Line):
    """An asset, in the order of creation."""

    kind: Literal["asset"] = "asset"
    id: Annotated[UUID, Field(strict=False)]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_plain)]
    type: Annotated[AssetType, Field(strict=False)]
    status: Annotated[AssetStatus, Field(strict=False)]
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION), AfterValidator(_no_nul)]
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_unique)]
    config: JsonFields
    secret_ref: SecretRef | None
    managed_by: Annotated[ManagedBy, Field(strict=False)]
    external_ref: Reference | None
    version: Positive
    created_at: Moment
    updated_at: Moment


class DependencyLine(Line):
    """`source` depends on `target`."""

    kind: Literal["dependency"] = "dependency"
    source: Annotated[UUID, Field(strict=False)]
    target: Annotated[UUID, Field(strict=False)]


class PendingLine(Line):
    """`source` waits for an asset with that reference, which once had the id `target`."""

    kind: Literal["pending"] = "pending"
    source: Annotated[UUID, Field(strict=False)]
    reference: Reference
    target: Annotated[UUID | None, Field(strict=False)]


class ChangeLine(Line):
    """An entry of the history. `number` stays: followers continue from it."""

    kind: Literal["change"] = "change"
    number: Positive
    asset_id: Annotated[UUID, Field(strict=False)]
    name: str
    external_ref: str | None
    version: Positive
    action: Annotated[Action, Field(strict=False)]
    actor: str
    request_id: str | None
    at: Moment
    before: JsonFields | None
    after: JsonFields | None


class ReceiptLine(Line):
    """The answer to a request that may be repeated with its Idempotency-Key."""

    kind: Literal["receipt"] = "receipt"
    actor: str
    key: str
    digest: str
    at: Moment
    answer: Annotated[dict[str, Any] | list[Any], AfterValidator(_no_nul)]


class ReportRow(BaseModel):
    """The last report of an asset. No line of an export: the next one comes within seconds."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    day_pnl: Annotated[str, Field(alias="dayPnL", pattern=SIGNED_DECIMAL_PATTERN)]
    at: Moment


class EndLine(Line):
    """The last line: how many lines of each kind there are, and the digest of all before it."""

    kind: Literal["end"] = "end"
    counts: dict[str, int]
    sha256: str


AnyLine = Annotated[
    HeaderLine | AssetLine | DependencyLine | PendingLine | ChangeLine | ReceiptLine | EndLine,
    Field(discriminator="kind"),
]
_LINES: TypeAdapter[Any] = TypeAdapter(AnyLine)


def parsed(text: bytes) -> Any:
    """Return the line. Raises ValueError, of which ValidationError is a kind."""
    return _LINES.validate_python(json.loads(text))


def faults(error: ValidationError) -> list[str]:
    """Return one text for each fault, by the field's name. Values may be secret: none is shown."""
    found = []
    for detail in error.errors(include_url=False, include_input=False):
        steps = [step for step in detail["loc"] if step not in set(Kind)]
        message = detail["msg"].removeprefix("Value error, ")
        found.append(f"{pointer(*steps)}: {message}" if steps else message)
    return found


def config_faults(asset: AssetLine) -> tuple[list[str], list[str]]:
    """Return what is wrong with the config, and what looks like a credential in it."""
    if plainly_sound([(asset.type, asset.config)]):
        return [], []
    wrong: list[str] = []
    credentials: list[str] = []
    for problem in config_problems(asset.type, asset.config):
        if problem.certain and not problem.missing:
            where = pointer("config", *problem.pointer)
            (credentials if problem.credential else wrong).append(f"{where}: {problem.message}")
    return wrong, credentials
