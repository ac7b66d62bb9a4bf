"""Forms of a strategy's parameters: `spec.strategy.parameters` is a map of strings, and a form
reads one of these strings into its type.

A form states once what a text must be. The parser, the words of an error and the table in
docs/strategies.md come from it.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tradingbot_api.constraints import BROKEN_RULE, DECIMAL_PATTERN
from tradingbot_api.quantity import plain_text

_DECIMAL = re.compile(DECIMAL_PATTERN.removesuffix("$"), re.ASCII)
_INTEGER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_ASSET = re.compile(r"[A-Z0-9]{1,20}", re.ASCII)
_SYMBOL = re.compile(rf"({_ASSET.pattern})-({_ASSET.pattern})", re.ASCII)
_OTHER_SEPARATORS = str.maketrans("/_", "--")
_DURATION = re.compile(
    r"(?=[0-9])(?:([0-9]{1,5})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,9})s)?"
    r"(?:([0-9]{1,9})ms)?",
    re.ASCII,
)
_DURATION_UNITS = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "m"),
    (timedelta(seconds=1), "s"),
    (timedelta(milliseconds=1), "ms"),
)


class FormError(ValueError):
    """The text does not have the form. The message says what it must be."""


class Form(ABC):
    """What the text of a parameter must be."""

    name: ClassVar[str]
    """The type, in one word, for tables."""

    @abstractmethod
    def read(self, text: str) -> Any:
        """Return the value that `text` has. Raises FormError."""

    @abstractmethod
    def write(self, value: Any) -> str:
        """Return the text that `read` reads as `value`."""

    @property
    @abstractmethod
    def bounds(self) -> str:
        """The accepted values, for tables."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Accept a string of this form, and write it back to the same form."""
        return core_schema.no_info_plain_validator_function(
            self._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(self.write),
        )

    def _validated(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": "must be a string"})
        try:
            return self.read(value)
        except FormError as error:
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": str(error)}) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecimalForm(Form):
    """A decimal number, read as `Decimal`: never a float, which has no 0.1."""

    name: ClassVar[str] = "decimal"

    above: Decimal | None = None
    at_least: Decimal | None = None
    at_most: Decimal
    note: str = ""
    """Added to the error of a number out of bounds."""

    def read(self, text: str) -> Decimal:
        """Return the number. Raises FormError."""
        if not _DECIMAL.fullmatch(text):
            raise FormError(
                'must be a decimal number such as "0.005" or "100", with at most 15 digits before'
                " the point and 8 after it"
            )
        number = Decimal(text)
        if (
            (self.above is not None and number <= self.above)
            or (self.at_least is not None and number < self.at_least)
            or number > self.at_most
        ):
            raise FormError(f"must be {self.bounds}" + (f"; {self.note}" if self.note else ""))
        return number

    def write(self, value: Decimal) -> str:
        """Return the number in plain notation, with no trailing zeros."""
        return plain_text(value)

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        least = (
            f"greater than {plain_text(self.above)}"
            if self.above is not None
            else f"at least {plain_text(self.at_least or Decimal(0))}"
        )
        return f"{least} and at most {plain_text(self.at_most)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerForm(Form):
    """A whole number within bounds."""

    name: ClassVar[str] = "integer"

    at_least: int
    at_most: int

    def read(self, text: str) -> int:
        """Return the number. Raises FormError."""
        if not _INTEGER.fullmatch(text) or not self.at_least <= int(text) <= self.at_most:
            raise FormError(f"must be a whole number, {self.bounds}")
        return int(text)

    def write(self, value: int) -> str:
        """Return the digits."""
        return str(value)

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        return f"at least {self.at_least} and at most {self.at_most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationForm(Form):
    """A time span such as `500ms`, `30s`, `1h30m` or `7d`: the largest unit first."""

    name: ClassVar[str] = "duration"

    at_least: timedelta
    at_most: timedelta

    def read(self, text: str) -> timedelta:
        """Return the time span. Raises FormError."""
        match = _DURATION.fullmatch(text)
        if match is None:
            raise FormError('must be a duration such as "500ms", "30s", "1h30m" or "7d"')
        counts = (int(count or 0) for count in match.groups())
        span = sum(
            (unit * count for (unit, _), count in zip(_DURATION_UNITS, counts, strict=True)),
            timedelta(),
        )
        if not self.at_least <= span <= self.at_most:
            raise FormError(f"must be {self.bounds}")
        return span

    def write(self, value: timedelta) -> str:
        """Return the time span in the fewest units."""
        text = ""
        for unit, letter in _DURATION_UNITS:
            count, value = divmod(value, unit)
            text += f"{count}{letter}" if count else ""
        return text or "0s"

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        return f"at least {self.write(self.at_least)} and at most {self.write(self.at_most)}"


@dataclass(frozen=True, slots=True)
class SymbolForm(Form):
    """A market, in the spelling `BTC-USDT` on every exchange: base asset, `-`, quote asset."""

    name: ClassVar[str] = "symbol"

    def read(self, text: str) -> str:
        """Return the symbol. Raises FormError, with the right spelling of a known wrong one."""
        match = _SYMBOL.fullmatch(text)
        if match is None:
            meant = text.upper().translate(_OTHER_SEPARATORS)
            hint = f'; write "{meant}"' if _SYMBOL.fullmatch(meant) else ""
            raise FormError(f'must be a market such as "BTC-USDT"{hint}')
        if match[1] == match[2]:
            raise FormError("must be a market of two different assets")
        return text

    def write(self, value: str) -> str:
        """Return the symbol."""
        return value

    @property
    def bounds(self) -> str:
        """The spelling, in words."""
        return "base and quote asset in upper case, such as `BTC-USDT`"


@dataclass(frozen=True, slots=True)
class AssetForm(Form):
    """An asset, by the code that the exchange uses, such as `BTC`."""

    name: ClassVar[str] = "asset"

    def read(self, text: str) -> str:
        """Return the code. Raises FormError, with the right spelling of one in lower case."""
        if not _ASSET.fullmatch(text):
            hint = f'; write "{text.upper()}"' if _ASSET.fullmatch(text.upper()) else ""
            raise FormError(f'must be an asset such as "BTC"{hint}')
        return text

    def write(self, value: str) -> str:
        """Return the code."""
        return value

    @property
    def bounds(self) -> str:
        """The spelling, in words."""
        return "in upper case, such as `BTC`"


@dataclass(frozen=True, slots=True)
class ChoiceForm(Form):
    """One of the values of an enumeration."""

    name: ClassVar[str] = "choice"

    choices: type[StrEnum]

    def read(self, text: str) -> StrEnum:
        """Return the value. Raises FormError."""
        try:
            return self.choices(text)
        except ValueError:
            raise FormError(f"must be one of {self.bounds}") from None

    def write(self, value: StrEnum) -> str:
        """Return the value as text."""
        return value.value

    @property
    def bounds(self) -> str:
        """The accepted values."""
        return ", ".join(f'"{choice}"' for choice in self.choices)
