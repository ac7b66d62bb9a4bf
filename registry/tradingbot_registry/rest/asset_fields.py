"""marshmallow fields made from the pydantic models of `tradingbot_api`.

An asset of an AssetRegistry and an asset of the REST API are the same thing, and one model has the
types, bounds, patterns and descriptions of both. flask-smorest documents and loads marshmallow
schemas, so these are generated from the model. Where the API differs (its `name` is any text, its
`dependsOn` takes ids), the schema declares the field itself.
"""

import re
from collections import Counter
from collections.abc import Sequence
from enum import EnumType
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import annotated_types
import marshmallow as ma
from marshmallow import fields, validate
from pydantic import BaseModel
from tradingbot_api.assetregistry import Asset
from tradingbot_api.constraints import Text

MAX_LISTED = 100
"""Values that one message names."""

REQUIRED: dict[str, Any] = {"required": "Required value.", "null": "May not be null."}

NO_NUL = {"pattern": "^[^\\x00]*$"}
"""What the document says of a text that no other pattern limits."""

_CHARACTER_CLASS = re.compile(r"\[[^]]*\]")


def asset_field(
    name: str,
    *,
    model: type[BaseModel] = Asset,
    nested: type[ma.Schema] | None = None,
    checked: bool = True,
    description: str = "",
    note: str = "",
    example: Any = None,
    **options: Any,
) -> fields.Field[Any]:
    """Return the field of a schema for a field of the model.

    Without `checked` it only documents the value: for answers, and for patches, which are checked
    after they are applied. `description` replaces the model's, `note` is added to it. `nested` is
    the schema of a field that is a model. `options` are marshmallow's.
    """
    info = model.model_fields[name]
    metadata = {"description": f"{description or info.description} {note}".strip()}
    if example is not None:
        metadata["example"] = example
    if options.get("required"):
        options["error_messages"] = REQUIRED
    if info.alias and info.alias != name:
        options["data_key"] = info.alias
    return _field(
        info.annotation,
        info.metadata,
        nested=nested,
        checked=checked,
        options={**options, "metadata": metadata},
    )


class Whole(validate.Validator):
    """The pattern matches the string from its first to its last character.

    `regex` is what the document says. There `$` is the end; in Python a line feed may follow it.
    """

    def __init__(self, pattern: str, message: str) -> None:
        self.regex = re.compile(f"^(?:{pattern.removeprefix('^').removesuffix('$')})$")
        self._message = message

    def __call__(self, value: str) -> str:
        """Raise ValidationError unless the pattern matches."""
        if self.regex.fullmatch(value) is None:
            raise ma.ValidationError(self._message)
        return value


def unique(values: list[str]) -> None:
    """Raise ValidationError if a value is in the list twice."""
    # Linear: a body holds a quarter of a million values, and this runs beside the check of length.
    repeated = sorted(value for value, count in Counter(values).items() if count > 1)
    if repeated:
        raise ma.ValidationError(f"Duplicate value: {', '.join(repeated[:MAX_LISTED])}.")


def _field(
    annotation: Any,
    constraints: Sequence[Any],
    *,
    nested: type[ma.Schema] | None,
    checked: bool,
    options: dict[str, Any],
) -> fields.Field[Any]:
    if get_origin(annotation) is Annotated:
        annotation, *constraints = get_args(annotation)
    if get_origin(annotation) is UnionType:  # `Model | None`
        annotation = get_args(annotation)[0]
        options = {"allow_none": True, **options}
    origin = get_origin(annotation) or annotation
    if origin is list:
        (item,) = get_args(annotation)
        inner = _field(item, (), nested=nested, checked=checked, options={})
        if checked:
            options["validate"] = [*_lengths(constraints), unique]
            options["metadata"]["uniqueItems"] = True
        return fields.List(inner, **options)
    if origin is dict:
        if checked:
            options["keys"] = fields.String()
        return fields.Dict(**options)
    if isinstance(origin, EnumType):
        if checked:
            return fields.Enum(annotation, by_value=fields.String, **options)
        options["metadata"]["enum"] = list(annotation)
        return fields.String(**options)
    if issubclass(origin, BaseModel):
        if nested is None:
            raise TypeError(f"{origin.__name__} needs a schema")
        return fields.Nested(nested, **options)
    return _checked_text(constraints, options) if checked else fields.String(**options)


def _checked_text(constraints: Sequence[Any], options: dict[str, Any]) -> fields.String:
    validators = _of_text(constraints)
    if not any(isinstance(validator, Whole) for validator in validators):
        options["metadata"] = {**NO_NUL, **options["metadata"]}
    return fields.String(validate=validators, **options)


def _of_text(constraints: Sequence[Any]) -> list[Any]:
    """Return the validators of a string."""
    text = next((found for found in constraints if isinstance(found, Text)), None)
    if text is None:
        return []
    validators: list[Any] = []
    if text.max_length is not None and not _bounded(text.pattern):
        validators.append(validate.Length(max=text.max_length))
    if text.pattern is not None:
        validators.append(Whole(text.pattern, f"{text.detail[:1].upper()}{text.detail[1:]}."))
    return validators


def _bounded(pattern: str | None) -> bool:
    """Whether the pattern itself limits the length: a second message would say the same."""
    return pattern is not None and not re.search(r"[*+]", _CHARACTER_CLASS.sub("", pattern))


def _lengths(constraints: Sequence[Any]) -> list[Any]:
    return [
        validate.Length(max=found.max_length)
        for found in constraints
        if isinstance(found, annotated_types.MaxLen)
    ]
