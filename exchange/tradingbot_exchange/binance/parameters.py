"""Parameters of Binance's calls: how they are sent, which a call has, and what their values are.

REST sends them in the query, in a form body, or in both (then the query's value counts); the
WebSocket API sends JSON. Both become the same text values, and one `Schema` reads them. Errors are
Binance's, in the order in which they are checked here: sent twice, missing, malformed, unknown.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn, cast
from urllib.parse import unquote_plus

from tradingbot_exchange.binance import errors
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.signing import milliseconds

_LARGEST_LONG = 2**63 - 1
_PLACES = 8
"""Decimal places of a price or quantity that Binance accepts."""
_WINDOW_PLACES = 3
_DIGITS = 12
"""Digits before the point: quantities and prices stay below 10^12."""
_SYMBOL = r"[A-Z0-9-_.]{1,20}"


class Kind(StrEnum):
    """The type of a parameter."""

    SYMBOL = "symbol"
    SYMBOLS = "array of symbols"
    CLIENT_ID = "client id"
    LONG = "integer"
    TIME = "time"
    DECIMAL = "decimal"
    WINDOW = "milliseconds"
    BOOLEAN = "boolean"
    ENUM = "enum"
    TEXT = "text"


_INTEGER = "^[0-9]{1,20}$"
_NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
LEGAL_RANGES: Mapping[Kind, str] = {
    Kind.SYMBOL: f"^{_SYMBOL}$",
    Kind.SYMBOLS: rf'^\[("{_SYMBOL}"(,"{_SYMBOL}"){{0,}}){{0,1}}\]$',
    Kind.CLIENT_ID: "^[a-zA-Z0-9-_]{1,36}$",
    Kind.LONG: _INTEGER,
    Kind.TIME: _INTEGER,
    Kind.DECIMAL: _NUMBER,
    Kind.WINDOW: _NUMBER,
    Kind.BOOLEAN: "^(true|false)$",
    Kind.TEXT: "^.{1,2000}$",
}
"""What a value may look like, as Binance names it in its error."""

_PATTERNS = {kind: re.compile(legal) for kind, legal in LEGAL_RANGES.items()}
_ANYTHING = re.compile(".*")
_DECIMALS = frozenset({Kind.DECIMAL, Kind.WINDOW})
_NUMBERS = _DECIMALS | {Kind.LONG, Kind.TIME}
_INVALID_ENUM = {
    "type": (-1116, "Invalid orderType."),
    "side": (-1117, "Invalid side."),
    "interval": (-1120, "Invalid interval."),
    "symbolStatus": (-1122, "Invalid symbolStatus."),
    "cancelRestrictions": (-1145, "Invalid cancelRestrictions"),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call. `choices` are the values of an ENUM; `limit` the largest integer."""

    name: str
    kind: Kind
    mandatory: bool = False
    choices: tuple[str, ...] = ()
    limit: int | None = None
    """Larger values count as this one, as Binance documents it for `limit`."""
    matches: Callable[[str], re.Match[str] | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", _PATTERNS.get(self.kind, _ANYTHING).fullmatch)

    def value(self, text: str) -> object:
        """Return the value of the text. Raises ApiError."""
        if not text:
            raise errors.empty(self.name)
        kind = self.kind
        if kind is Kind.ENUM:
            return text if text in self.choices else self._refuse_choice()
        if self.matches(text) is None:
            raise errors.illegal(self.name, LEGAL_RANGES[kind])
        if kind in _NUMBERS:
            return self._decimal(text) if kind in _DECIMALS else self._integer(text)
        if kind is Kind.BOOLEAN:
            return text == "true"
        return self._symbols(text) if kind is Kind.SYMBOLS else text

    def _refuse_choice(self) -> NoReturn:
        if self.name in _INVALID_ENUM:
            raise ApiError(*_INVALID_ENUM[self.name])
        if self.name.lower().endswith("timeinforce"):
            raise ApiError(-1115, "Invalid timeInForce.")
        raise errors.invalid(self.name)

    def _decimal(self, text: str) -> Decimal:
        whole, _, fraction = text.partition(".")
        places = _WINDOW_PLACES if self.kind is Kind.WINDOW else _PLACES
        if len(fraction) > places and len(fraction.rstrip("0")) > places:
            raise errors.too_precise(self.name)
        if len(whole) > _DIGITS and len(whole.lstrip("0")) > _DIGITS:
            raise errors.overflowed(self.name)
        return Decimal(text)

    def _integer(self, text: str) -> int:
        number = int(text)
        if number > _LARGEST_LONG:
            raise errors.overflowed(self.name)
        if self.kind is Kind.TIME:
            return milliseconds(number)
        return number if self.limit is None or number <= self.limit else self.limit

    def _symbols(self, text: str) -> tuple[str, ...]:
        symbols = tuple(cast("list[str]", json.loads(text)))
        if len(set(symbols)) < len(symbols):
            raise ApiError(-1151, "Symbol is present multiple times in the list.")
        return symbols


class Values:
    """The values of one request, typed by the parameters of its call."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """Return a symbol, client id, enum or text, or None."""
        return cast("str | None", self._values.get(name))

    def required_text(self, name: str) -> str:
        """Return a mandatory text."""
        return cast("str", self._values[name])

    def number(self, name: str) -> int | None:
        """Return an integer or a time in milliseconds, or None."""
        return cast("int | None", self._values.get(name))

    def decimal(self, name: str) -> Decimal | None:
        """Return a decimal, or None."""
        return cast("Decimal | None", self._values.get(name))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean."""
        return cast("bool", self._values.get(name, default))

    def symbols(self, name: str = "symbols") -> tuple[str, ...] | None:
        """Return a list of symbols, or None."""
        return cast("tuple[str, ...] | None", self._values.get(name))

    def limit(self, default: int) -> int:
        """Return the parameter `limit`; 0 counts as not sent."""
        return self.number("limit") or default


class Schema:
    """The parameters of one call."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters = tuple(parameters)
        self._readers = {each.name: each.value for each in self.parameters}
        self._mandatory = tuple(each.name for each in self.parameters if each.mandatory)

    def read(self, sent: Mapping[str, str]) -> Values:
        """Return the typed values of what was sent. Raises ApiError."""
        readers = self._readers
        if sent and not readers:
            raise errors.too_many(len(sent))
        for name in self._mandatory:
            if not sent.get(name):
                raise errors.missing(name)
        values = {name: readers[name](text) for name, text in sent.items() if name in readers}
        if len(values) < len(sent):
            raise errors.unread(read=len(values), sent=len(sent))
        return Values(values)


def decode(encoded: bytes) -> dict[str, str]:
    """Return the parameters of a query or form body. Raises ApiError if one is sent twice."""
    if not encoded:
        return {}
    pairs = [pair.partition("=") for pair in encoded.decode("utf-8", "replace").split("&") if pair]
    if b"%" in encoded or b"+" in encoded:
        parameters = {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}
    else:
        parameters = {name: value for name, _, value in pairs}
    if len(parameters) < len(pairs):
        raise errors.duplicated()
    return parameters


def sent_by_rest(query: bytes, body: bytes) -> dict[str, str]:
    """Return the parameters of a request: the query's, and the body's that the query has not."""
    parameters = decode(query)
    if body:
        parameters = decode(body) | parameters
    return parameters


def sent_by_json(parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the text of each JSON parameter, as it is signed. Raises ApiError."""
    return {name: _text(name, value) for name, value in parameters.items()}


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise errors.empty(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return json.dumps(value, separators=(",", ":"))
