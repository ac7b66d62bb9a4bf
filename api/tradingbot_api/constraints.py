"""Constraints that a field carries as `Annotated` metadata: one statement, several uses.

Each says what a value must be, once. pydantic checks it from there, the CRD manifest gets its
pattern, bounds and CEL rules from there, and a denial gets its words from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tradingbot_api import quantity

DECIMAL_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,8})?$"
DECIMAL_LENGTH = 24
_PLAIN_QUANTITY = r"^[1-9][0-9]{0,17}([KMGTPE]i|[mkMGTPE])?$"
"""Most quantities above zero. What is none of these is parsed."""
BROKEN_RULE = "broken_rule"
"""The pydantic error type of a constraint's own check; `ctx["detail"]` says what must hold."""


@dataclass(frozen=True, slots=True)
class Cel:
    """A CEL rule that the API server evaluates, and what it says when the rule does not hold."""

    rule: str
    message: str

    def as_json(self) -> dict[str, str]:
        """The rule as an item of `x-kubernetes-validations`."""
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
        """The part of the form that an OpenAPI schema can state."""
        bounds = {"pattern": self.pattern, "maxLength": self.max_length}
        return {"type": "string", **{key: value for key, value in bounds.items() if value}}

    def _checked(self, value: str) -> str:
        complaint = self.check(value) if self.check else None
        if complaint is not None:
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": complaint})
        return value


@dataclass(frozen=True, slots=True)
class DecimalText:
    """A positive decimal number as a string, in plain notation, kept as the user wrote it.

    Never a float: 0.1 has no float, and money is compared as it is written.
    """

    below: Decimal | None = None
    at_most: Decimal | None = None
    sensitive: bool = False

    @property
    def detail(self) -> str:
        """What a value that is no decimal text must be."""
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

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Strict string of the pattern, then the bounds: on the text, and all in compiled code."""
        schema: CoreSchema = core_schema.str_schema(pattern=DECIMAL_PATTERN, strict=True)
        for within in self._within:
            bounded = core_schema.custom_error_schema(
                core_schema.str_schema(pattern=within, strict=True),
                custom_error_type=BROKEN_RULE,
                custom_error_message="{detail}",
                custom_error_context={"detail": self.bounds},
            )
            schema = core_schema.chain_schema([schema, bounded])
        return schema

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
        """The pattern, and the bounds as a CEL rule."""
        rule = "self.matches('[1-9]')"
        if self.below is not None:
            rule += f" && double(self) < {self.below}.0"
        if self.at_most is not None:
            rule += f" && double(self) <= {self.at_most}.0"
        return {
            "type": "string",
            "pattern": DECIMAL_PATTERN,
            "maxLength": DECIMAL_LENGTH,
            "x-kubernetes-validations": [Cel(rule, self.bounds).as_json()],
        }


@dataclass(frozen=True, slots=True)
class QuantityText:
    """A Kubernetes quantity above zero; a whole number may stand without quotes."""

    detail: str = 'must be a quantity above 0 such as "500m" or "256Mi"'
    sensitive: bool = False

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """A string or a whole number; the typed value is always the string."""
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
            "pattern": quantity.PATTERN,
            "x-kubernetes-int-or-string": True,
        }

    def _parsed(self, value: Any) -> str:
        text = quantity.quantity_text(value)
        number = quantity.parse_quantity(text) if text is not None else None
        if text is None or number is None or number <= 0:
            raise PydanticCustomError(BROKEN_RULE, "{detail}", {"detail": self.detail})
        return text


@dataclass(frozen=True, slots=True)
class NotNull:
    """On `X | None`: the field may be left out, but `null` is no value of it.

    Kubernetes drops a `null` where a field is not `nullable`, and so does defaulting.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The schema of `X` alone."""
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
        """The field's schema with the extensions added."""
        return {**handler(schema), **dict(self.extensions)}


def list_type(kind: str, *, key: str | None = None) -> Kubernetes:
    """How server-side apply merges a list: `set`, `atomic`, or `map` by `key`."""
    keys = (("x-kubernetes-list-map-keys", [key]),) if key else ()
    return Kubernetes((("x-kubernetes-list-type", kind), *keys))


def cel(*rules: Cel) -> Kubernetes:
    """CEL rules on a field."""
    return Kubernetes((("x-kubernetes-validations", [rule.as_json() for rule in rules]),))
