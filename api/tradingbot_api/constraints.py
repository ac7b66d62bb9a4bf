"""Constraints that a field carries as `Annotated` metadata: one statement, several uses.

Each says what a value must be, once. pydantic checks it from there, the CRD manifest gets its
pattern, bounds and CEL rules from there, and a denial gets its words from there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tradingbot_api import quantity

DECIMAL_DIGITS = 15
"""Before the point."""
DECIMAL_PATTERN = rf"^[0-9]{{1,{DECIMAL_DIGITS}}}(\.[0-9]{{1,8}})?$"
DECIMAL_LENGTH = 24
_PLAIN_QUANTITY = r"^[1-9][0-9]{0,17}([KMGTPE]i|[mkMGTPE])?$"
"""Most quantities above zero. What is none of these is parsed."""
_DECIMAL = re.compile(DECIMAL_PATTERN.removesuffix("$"), re.ASCII)
STRINGS_ALONE = object()
"""Context of a validation in which a decimal has to be a string: a whole number is an error."""
FORMS = "x-forms"
"""Key of a generated schema: what to write, for a value that is `<Object>` to `kubectl explain`."""
BROKEN_RULE = "broken_rule"
"""The pydantic error type of a constraint's own check; `ctx["detail"]` says what must hold."""


@dataclass(frozen=True, slots=True)
class Cel:
    """A CEL rule that the API server evaluates, and what it says when the rule does not hold."""

    rule: str
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the rule as an item of `x-kubernetes-validations`."""
        return {"rule": self.rule, "message": self.message}


@dataclass(frozen=True, slots=True)
class Text:
    """A string of a certain form.

    `check` returns what is wrong with a string of the right pattern, or None. A `sensitive` value
    is never echoed: people paste keys into fields that take only a name.
    """

    detail: str
    pattern: str | None = None
    max_length: int | None = None
    sensitive: bool = False
    check: Callable[[str], str | None] | None = None

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Strict string, pattern and length in compiled code, then `check`."""
        schema: CoreSchema = core_schema.str_schema(
            pattern=self.pattern, max_length=self.max_length, strict=True
        )
        if self.check is None:
            return schema
        return core_schema.no_info_after_validator_function(self._checked, schema)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the part of the form that an OpenAPI schema can express."""
        bounds = {"pattern": self.pattern, "maxLength": self.max_length}
        return {"type": "string", **{key: value for key, value in bounds.items() if value}}

    def _checked(self, value: str) -> str:
        complaint = self.check(value) if self.check else None
        if complaint is not None:
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": complaint})
        return value


@dataclass(frozen=True, slots=True)
class DecimalText:
    """A positive decimal number: a string in plain notation, or a whole number without quotes.

    Stored as the user wrote it; the typed value is always the string. Never a float: 0.1 has no
    float, and money is compared as it is written.
    """

    below: Decimal | None = None
    at_most: Decimal | None = None
    quoted: bool = False
    """Whether only a string will do."""
    sensitive: bool = False

    @property
    def detail(self) -> str:
        """What a value must be that is not a decimal number."""
        return (
            'must be a decimal number in plain text such as "1000" or "2.5", with at most 15 digits'
            " before the point and 8 after it"
        )

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        if self.below is not None:
            return f"must be greater than 0 and less than {self.below}"
        if self.at_most is not None:
            return f"must be greater than 0 and at most {self.at_most}"
        return "must be greater than 0"

    def problem(self, value: object) -> str:
        """Return what is wrong with a value that the validator has refused."""
        text = quantity.number_text(value)
        return self.bounds if text is not None and _DECIMAL.fullmatch(text) else self.detail

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Accept a string that matches pattern and bounds, or a whole number that becomes one.

        Strings, which most values are, are checked in compiled code alone. `problem` has the
        words of an error.
        """
        steps = (DECIMAL_PATTERN, *self._within)
        text = core_schema.chain_schema(
            [core_schema.str_schema(pattern=step, strict=True) for step in steps]
        )
        number = core_schema.with_info_before_validator_function(_as_text, text)
        return core_schema.union_schema(
            [text] if self.quoted else [text, number],
            mode="left_to_right",
            custom_error_type=BROKEN_RULE,
            custom_error_message="{detail}",
            custom_error_context={"detail": self.detail},
        )

    @property
    def _within(self) -> tuple[str, ...]:
        """What a decimal text that is within the bounds matches, all of it. A bound is a power of
        ten, so that the digits before the point tell."""
        above_zero = "[1-9]"
        bound = self.below or self.at_most
        if bound is None:
            return (above_zero,)
        digits = bound.adjusted()
        if bound != Decimal(10) ** digits or digits < 1:
            raise ValueError(f"not a power of ten above 1: {bound}")
        under = rf"0*[0-9]{{1,{digits}}}(\.[0-9]+)?"
        exactly = rf"|0*1{'0' * digits}(\.0+)?" if self.at_most is not None else ""
        return (above_zero, f"^({under}{exactly})$")

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the pattern for strings, the bounds for numbers, and a CEL rule.

        `string()` reads both. Only what CEL has in Kubernetes 1.29: no `sets`, no strings v2.
        """
        rule = "string(self).matches('[1-9]')"
        if self.below is not None:
            rule += f" && double(string(self)) < {self.below}.0"
        if self.at_most is not None:
            rule += f" && double(string(self)) <= {self.at_most}.0"
        form = {
            "pattern": DECIMAL_PATTERN,
            "maxLength": DECIMAL_LENGTH,
            "x-kubernetes-validations": [Cel(rule, self.bounds).as_json()],
        }
        if self.quoted:
            return {"type": "string", **form}
        return {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            FORMS: 'A string such as "2.5", or a whole number without quotes.',
            **form,
            "minimum": 1,
            "maximum": 10**DECIMAL_DIGITS - 1,
            "x-kubernetes-int-or-string": True,
        }


def _as_text(value: Any, info: core_schema.ValidationInfo) -> Any:
    text = quantity.number_text(value)
    return value if text is None or info.context is STRINGS_ALONE else text


@dataclass(frozen=True, slots=True)
class QuantityText:
    """A Kubernetes quantity above zero; a whole number may stand without quotes."""

    detail: str = 'must be a quantity above 0 such as "500m" or "256Mi"'
    sensitive: bool = False

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Accept a string or a whole number; the typed value is always the string."""
        return core_schema.custom_error_schema(
            core_schema.union_schema(
                [
                    core_schema.str_schema(pattern=_PLAIN_QUANTITY, strict=True),
                    core_schema.no_info_plain_validator_function(self._parsed),
                ],
                mode="left_to_right",
            ),
            custom_error_type=BROKEN_RULE,
            custom_error_message="{detail}",
            custom_error_context={"detail": self.detail},
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """As Kubernetes's own CRD generators write a quantity."""
        return {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            FORMS: 'A string such as "500m" or "256Mi", or a whole number without quotes.',
            "pattern": quantity.PATTERN,
            "x-kubernetes-int-or-string": True,
        }

    def _parsed(self, value: Any) -> str:
        text = quantity.number_text(value)
        number = quantity.parse_quantity(text) if text is not None else None
        if text is None or number is None or number <= 0:
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": self.detail})
        return text


@dataclass(frozen=True, slots=True)
class NotNull:
    """On `X | None`: the field may be left out, but `null` is not one of its values.

    Kubernetes drops a `null` where a field is not `nullable`, and so does defaulting.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of `X` alone."""
        schema = handler(source)
        if schema["type"] != "nullable":
            raise TypeError(f"NotNull belongs on `X | None`, not on {source!r}")
        inner: CoreSchema = schema["schema"]
        return inner


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Extension keys that the CRD manifest gets for a field: list types, CEL rules."""

    extensions: tuple[tuple[str, Any], ...]

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the field's schema with the extensions."""
        return {**handler(schema), **dict(self.extensions)}


def list_type(kind: str, *, key: str | tuple[str, ...] = ()) -> Kubernetes:
    """How server-side apply merges a list: `set`, `atomic`, or `map` by `key` or keys."""
    names = [key] if isinstance(key, str) else [*key]
    keys = (("x-kubernetes-list-map-keys", names),) if names else ()
    return Kubernetes((("x-kubernetes-list-type", kind), *keys))


def cel(*rules: Cel) -> Kubernetes:
    """CEL rules on a field."""
    return Kubernetes((("x-kubernetes-validations", [rule.as_json() for rule in rules]),))
