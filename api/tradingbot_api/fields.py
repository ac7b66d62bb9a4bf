"""The models read as a tree of fields: what defaulting, messages and partial parsing walk along.

pydantic checks a whole object in compiled code; this module is for what it does not do: apply
structural defaults to an object that may be malformed, say where an error is in the API server's
terms, and build as much of the typed object as is valid.
"""

import operator
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from functools import cache, cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tradingbot_api.constraints import DecimalText, QuantityText, Text
from tradingbot_api.errors import MapKey, Path
from tradingbot_api.model import JsonObject, Model

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
        """The value type that a type annotation stands for."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return cls.of(arguments[0], (*arguments[1:], *metadata))
        if origin in (Union, types.UnionType):
            (inner,) = (one for one in arguments if one is not type(None))
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
        constraint = next((one for one in metadata if isinstance(one, Constraint)), None)
        return cls(constraint=constraint)

    @cached_property
    def is_plain(self) -> bool:
        """Whether `filled` returns every value as it is."""
        return (
            self.model is None
            and self.items is None
            and not isinstance(self.constraint, DecimalText | QuantityText)
        )

    def filled(self, value: Any) -> Any:
        """`value` with defaults applied inside it and numbers as decimal text where they belong."""
        if self.model is not None and isinstance(value, dict):
            return filled(self.model, value)
        if self.items is not None and not self.is_map and isinstance(value, list):
            if self.items.is_plain:
                return value
            items = [self.items.filled(item) for item in value]
            return value if all(map(operator.is_, items, value)) else items
        if self.is_map and self.items and self.items.constraint and isinstance(value, dict):
            if None not in value.values():
                return value
            return {key: inner for key, inner in value.items() if inner is not None}
        if isinstance(self.constraint, DecimalText) or (
            isinstance(self.constraint, QuantityText) and isinstance(value, float)
        ):
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

    def default(self) -> Any:
        """The default as JSON: a nested object is empty, and is then filled from within."""
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
    """The fields of `model` by their name on the wire, in their order in the schema."""
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


def decimal_text(value: Any) -> Any:
    """A JSON number as the same number in plain decimal text; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        text = f"{Decimal(repr(value)):f}"
    except (InvalidOperation, ValueError):
        return value
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text.isascii() and text.replace(".", "", 1).isdigit() else value


def filled(model: type[Model], raw: JsonObject) -> JsonObject:
    """`raw` with the structural defaults of `model`, as the API server applies them.

    A field or a value of a map that is null counts as left out, as it does there. Total: what is
    malformed stays as it is, for the checks to name. `raw` itself, if there is nothing to change,
    and so for every part of it: what is the same object need not be compared.
    """
    result = raw
    for name, field in fields_of(model).items():
        was = value = raw.get(name)
        if value is None:
            if field.has_default:
                value = field.type.filled(field.default())
        elif not field.type.is_plain:
            value = field.type.filled(value)
        if value is was and (value is not None or name not in raw):
            continue
        if result is raw:
            result = dict(raw)
        if value is not None:
            result[name] = value
        else:
            del result[name]
    return result


def partial(model: type[Model], raw: Any) -> Any:
    """As much of the typed object as is valid: an attribute whose value is not is None.

    Only for rules that are not asked when a value that they need is among those.
    """
    values: dict[str, Any] = {}
    source = raw if isinstance(raw, dict) else {}
    for name, field in fields_of(model).items():
        if name not in source:
            values[field.attribute] = None if field.info.is_required() else field.info.get_default()
        elif field.type.model is not None:
            values[field.attribute] = partial(field.type.model, source[name])
        else:
            try:
                values[field.attribute] = field.adapter.validate_python(source[name])
            except ValidationError:
                values[field.attribute] = _partial_items(field.type, source[name])
    return model.model_construct(**values)


def _partial_items(value_type: ValueType, raw: Any) -> Any:
    """The items of a list of objects, each as far as it is valid, or the keys of a map."""
    item_model = value_type.items.model if value_type.items is not None else None
    if value_type.is_map and isinstance(raw, dict):
        return {key: None for key in raw if isinstance(key, str)}
    if item_model is not None and isinstance(raw, list):
        return [partial(item_model, item) for item in raw]
    return None


@dataclass(frozen=True)
class Place:
    """Where a pydantic error location is, in the schema's terms."""

    path: Path
    value_type: ValueType | None
    model: type[Model] | None
    """The model that the last step is a field of, known or not."""


def place(model: type[Model], location: tuple[str | int, ...]) -> Place:
    """The place in `model` that pydantic calls `location`."""
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
    """A sort key that puts paths in the order of the schema, list items by index."""
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
    """The value at `path` in a JSON object, or `absent` where there is none."""
    for step in path:
        if isinstance(obj, dict) and isinstance(step, str):
            obj = obj.get(str(step), absent)
        elif isinstance(obj, list) and isinstance(step, int) and step < len(obj):
            obj = obj[step]
        else:
            return absent
    return obj


def attribute_at(model: Model, path: Path) -> Any:
    """The typed value at `path`, by names on the wire, or None where there is none."""
    value: Any = model
    for name in path:
        if not isinstance(value, Model):
            return None
        value = getattr(value, fields_of(value.__class__)[str(name)].attribute)
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, at any depth. True is not 1, as it is in Python."""
    pairs = [(one, other)]
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
