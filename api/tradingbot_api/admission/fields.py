"""The models as a tree of fields, for defaults, paths of errors and lenient parsing.

pydantic checks a whole object in compiled code. This module does what pydantic does not: apply
defaults to a malformed object, locate an error in the API server's terms, and build the valid part
of a typed object.
"""

import operator
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache, cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tradingbot_api.constraints import DecimalText, QuantityText, Text
from tradingbot_api.errors import MapKey, Path
from tradingbot_api.model import JsonObject, Model
from tradingbot_api.quantity import plain_text

Constraint = Text | DecimalText | QuantityText


@dataclass(frozen=True)
class ValueType:
    """The type of a value: its constraint, its choices, and what it is made of."""

    constraint: Constraint | None = None
    choices: tuple[str, ...] = ()
    model: type[Model] | None = None
    items: "ValueType | None" = None
    is_map: bool = False

    @classmethod
    def of(cls, annotation: Any, metadata: tuple[Any, ...] = ()) -> "ValueType":
        """Return the type of the value of a type annotation."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return cls.of(arguments[0], (*arguments[1:], *metadata))
        if origin in (Union, types.UnionType):
            (inner,) = (argument for argument in arguments if argument is not type(None))
            return cls.of(inner, metadata)
        if origin is list:
            return cls(items=cls.of(arguments[0]))
        if origin is dict:
            return cls(items=cls.of(arguments[1]), is_map=True)
        if origin is Literal:
            return cls(choices=arguments)
        if isinstance(annotation, type) and issubclass(annotation, Model):
            return cls(model=annotation)
        if isinstance(annotation, type) and issubclass(annotation, StrEnum):
            return cls(choices=tuple(annotation))
        constraint = next((item for item in metadata if isinstance(item, Constraint)), None)
        return cls(constraint=constraint)

    @cached_property
    def is_plain(self) -> bool:
        """Whether `apply_defaults` returns every value as it is."""
        return (
            self.model is None
            and self.items is None
            and not isinstance(self.constraint, DecimalText | QuantityText)
        )

    def apply_defaults(self, value: Any) -> Any:
        """`value` with defaults applied inside it and fractions as decimal text where they belong.

        A whole number stays as it was written: the schema takes it, and a GitOps tool would see
        drift.
        """
        if self.model is not None and isinstance(value, dict):
            return apply_defaults(self.model, value)
        if self.items is not None and not self.is_map and isinstance(value, list):
            if self.items.is_plain:
                return value
            items = [self.items.apply_defaults(item) for item in value]
            return value if all(map(operator.is_, items, value)) else items
        if self.is_map and self.items and self.items.constraint and isinstance(value, dict):
            if None not in value.values():
                return value
            return {key: inner for key, inner in value.items() if inner is not None}
        if isinstance(self.constraint, DecimalText | QuantityText) and isinstance(value, float):
            return decimal_text(value)
        return value


@dataclass(frozen=True)
class Field:
    """A field of a model."""

    attribute: str
    name: str
    rank: int
    type: ValueType
    info: FieldInfo

    @cached_property
    def has_default(self) -> bool:
        """Whether the schema has a default for it, so that an absent value is filled in."""
        return not self.info.is_required() and self.info.default is not None

    @cached_property
    def max_length(self) -> int | None:
        """The most items of a list, or keys of a map."""
        bounds = (item.max_length for item in self.info.metadata if isinstance(item, MaxLen))
        return next(bounds, None)

    def is_exceeded_by(self, length: int) -> bool:
        """Whether a list or a map of that length holds more than the schema allows."""
        return self.max_length is not None and length > self.max_length

    def default(self) -> Any:
        """Return the default as JSON: an empty object for a nested one, whose own fields follow."""
        value = self.info.get_default(call_default_factory=True)
        if isinstance(value, Model):
            return {}
        return value.value if isinstance(value, Enum) else value

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """A parser of this field alone."""
        metadata = tuple(self.info.metadata)
        annotation: Any = self.info.annotation
        return TypeAdapter(Annotated[annotation, *metadata] if metadata else annotation)


@cache
def fields_of(model: type[Model]) -> Mapping[str, Field]:
    """Return the fields of `model` by their JSON name, in the order of the schema."""
    return {
        info.alias or attribute: Field(
            attribute=attribute,
            name=info.alias or attribute,
            rank=rank,
            type=ValueType.of(info.annotation, tuple(info.metadata)),
            info=info,
        )
        for rank, (attribute, info) in enumerate(model.model_fields.items())
    }


def decimal_text(value: float) -> str | float:
    """Return a fraction as the same number in plain decimal text; as it is if it has no such
    text."""
    text = plain_text(Decimal(repr(value)))
    return text if text.isascii() and text.replace(".", "", 1).isdigit() else value


def apply_defaults(model: type[Model], raw: JsonObject) -> JsonObject:
    """Return `raw` with the defaults of `model`, as the API server applies them.

    A null counts as an absent field, as in the API server. Total: malformed values and lists that
    are too long stay as they are, and the checks report them. If nothing changes, `raw` itself is
    returned, and so for each part of it, which makes comparing cheap.
    """
    result = raw
    for name, field in fields_of(model).items():
        was = value = raw.get(name)
        if value is None:
            if field.has_default:
                value = field.type.apply_defaults(field.default())
        elif not field.type.is_plain and not (
            isinstance(value, list | dict) and field.is_exceeded_by(len(value))
        ):
            value = field.type.apply_defaults(value)
        if value is was and (value is not None or name not in raw):
            continue
        if result is raw:
            result = dict(raw)
        if value is not None:
            result[name] = value
        else:
            del result[name]
    return result


def parse_leniently(model: type[Model], raw: Any) -> Any:
    """Return the valid part of a typed object. An attribute with an invalid value is None.

    Only for rules that do not run when one of these values is among their needs.
    """
    values: dict[str, Any] = {}
    source = raw if isinstance(raw, dict) else {}
    for name, field in fields_of(model).items():
        if name not in source:
            values[field.attribute] = None if field.info.is_required() else field.info.get_default()
        elif field.type.model is not None:
            values[field.attribute] = parse_leniently(field.type.model, source[name])
        else:
            try:
                values[field.attribute] = field.adapter.validate_python(source[name])
            except ValidationError:
                values[field.attribute] = _parse_items_leniently(field, source[name])
    return model.model_construct(**values)


def _parse_items_leniently(field: Field, raw: Any) -> Any:
    """Return the items of a list, each as far as it is valid, or those of a list or map that are
    text. None if there are more than the schema allows: there can be a million."""
    value_type = field.type
    item_model = value_type.items.model if value_type.items is not None else None
    if isinstance(raw, list | dict) and field.is_exceeded_by(len(raw)):
        return None
    if value_type.is_map and isinstance(raw, dict):
        return {
            key: value if isinstance(value, str) else None
            for key, value in raw.items()
            if isinstance(key, str)
        }
    if item_model is not None and isinstance(raw, list):
        return [parse_leniently(item_model, item) for item in raw]
    if value_type.items is not None and isinstance(raw, list):
        return [item if isinstance(item, str) else None for item in raw]
    return None


def overfull(model: type[Model], raw: Any, path: Path, most: int) -> Path | None:
    """Return the first object below `path` with `most` keys more than the schema has, if any.

    A parser collects an error for each of them, which takes far more memory than the object.
    """
    if not isinstance(raw, dict):
        return None
    count, maps, models, lists = _containers(model)
    if len(raw) > count + most:
        return path
    for field in maps:
        value = raw.get(field.name)
        if isinstance(value, dict) and field.is_exceeded_by(len(value) - most):
            return (*path, field.name)
    for name, inner in models:
        found = overfull(inner, raw.get(name), (*path, name), most)
        if found is not None:
            return found
    for field, inner in lists:
        items = raw.get(field.name)
        for index, item in enumerate(items[: field.max_length] if isinstance(items, list) else ()):
            found = overfull(inner, item, (*path, field.name, index), most)
            if found is not None:
                return found
    return None


@cache
def _containers(
    model: type[Model],
) -> tuple[
    int,
    tuple[Field, ...],
    tuple[tuple[str, type[Model]], ...],
    tuple[tuple[Field, type[Model]], ...],
]:
    """How many fields a model has, and those that are maps, models, and lists of models."""
    fields = fields_of(model).values()
    return (
        len(fields),
        tuple(field for field in fields if field.type.is_map),
        tuple((field.name, field.type.model) for field in fields if field.type.model is not None),
        tuple(
            (field, field.type.items.model)
            for field in fields
            if field.type.items is not None and field.type.items.model is not None
        ),
    )


@dataclass(frozen=True)
class Place:
    """The location of a pydantic error in terms of the schema."""

    path: Path
    value_type: ValueType | None
    model: type[Model] | None
    """The model that the last step is a field of, known or not."""


def locate(model: type[Model], location: tuple[str | int, ...]) -> Place:
    """Return the place in `model` of pydantic's `location`."""
    steps: list[str | int] = []
    current: ValueType | None = ValueType(model=model)
    holder: type[Model] | None = None
    for step in location:
        holder = current.model if current is not None else None
        if current is None or step == "[key]":
            continue
        if current.model is not None:
            steps.append(step)
            field = fields_of(current.model).get(str(step))
            current = field.type if field else None
        else:
            steps.append(MapKey(step) if current.is_map else step)
            current = current.items
    return Place(tuple(steps), current, holder)


def order(model: type[Model], path: Path) -> tuple[int, ...]:
    """Return a sort key that puts paths in the order of the schema, list items by index."""
    ranks: list[int] = []
    current: ValueType | None = ValueType(model=model)
    for step in path:
        if isinstance(step, int):
            ranks.append(step)
            current = current.items if current else None
        elif current is not None and current.model is not None:
            field = fields_of(current.model).get(step)
            last = -1 if step == "metadata" else len(fields_of(current.model))
            ranks.append(field.rank if field else last)
            current = field.type if field else None
    return tuple(ranks)


def value_at(obj: Any, path: Path, absent: Any = None) -> Any:
    """Return the value at `path` in a JSON object, or `absent`."""
    for step in path:
        if isinstance(obj, dict) and isinstance(step, str):
            obj = obj.get(str(step), absent)
        elif isinstance(obj, list) and isinstance(step, int) and step < len(obj):
            obj = obj[step]
        else:
            return absent
    return obj


def attribute_at(model: Model, path: Path) -> Any:
    """Return the typed value at `path`, by names on the wire, or None."""
    value: Any = model
    for name in path:
        if not isinstance(value, Model):
            return None
        value = getattr(value, fields_of(value.__class__)[str(name)].attribute)
    return value


def json_equal(left: Any, other: Any) -> bool:
    """Return whether two JSON values are equal at any depth. Unlike in Python, True is not 1."""
    pairs = [(left, other)]
    while pairs:
        left, right = pairs.pop()
        if left is right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pairs.extend((value, right[key]) for key, value in left.items())
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pairs.extend(zip(left, right, strict=True))
        elif isinstance(left, bool) != isinstance(right, bool) or left != right:
            return False
    return True


def every_field(model: type[Model], prefix: Path = ()) -> Iterator[tuple[Path, Field]]:
    """All fields below `model` in the order of the schema, items of lists under index 0."""
    for name, field in fields_of(model).items():
        path = (*prefix, name)
        yield path, field
        inner = field.type.items or field.type
        if inner.model is not None:
            yield from every_field(inner.model, (*path, 0) if field.type.items else path)
