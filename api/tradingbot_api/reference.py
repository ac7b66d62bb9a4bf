"""The reference page: every field of every kind, as a Markdown document, from the models alone."""

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen

from tradingbot_api import API_VERSION
from tradingbot_api.admission.fields import Field, ValueType, fields_of
from tradingbot_api.assetregistry import AssetRegistry
from tradingbot_api.constraints import DecimalText, QuantityText, Text
from tradingbot_api.model import Model
from tradingbot_api.tradingbot import TradingBot

_INTRODUCTION = f"""\
# Every field of {API_VERSION}

Two kinds: [TradingBot](#tradingbot), a bot and the limits it runs within, and
[AssetRegistry](#assetregistry), a list of the infrastructure that bots depend on. Each begins
with an example that works; below it stands every field, section by section, in the order in which
mistakes are reported.

- **Required** means that there is no default: an object without the field is refused. A default
  that is **computed** depends on another field. It is not stored; `status.effective` shows it.
- A **decimal** is a number in quotes, in plain notation: `"1000"`, `"2.5"`. At most 15 digits
  before the point and 8 after it; no sign, no exponent. Money is in the quote currency, and a
  percentage of `"5"` is 5 %. A whole number needs no quotes; [numbers without
  quotes](admission.md#numbers-without-quotes) says what becomes of others.
- A **quantity** is a number of cores or bytes as Kubernetes writes them: `500m`, `2`, `256Mi`.
- A field that is not on this page is refused by `kubectl apply` and by `tradingbot validate`.

The same texts come from `kubectl explain tradingbot.spec --recursive`.
"""

_SCALARS: Mapping[type, str] = {str: "string", int: "integer", bool: "boolean"}


@dataclass(frozen=True)
class _Section:
    """An object of the schema: its heading, what it is, and its fields."""

    path: str
    model: type[Model]

    @property
    def anchor(self) -> str:
        """Where a link to the section goes, as GitHub makes it from the heading."""
        return "".join(character for character in self.path.lower() if character.isalnum())


def reference(examples: Mapping[str, str]) -> str:
    """Return the page. `examples` maps each kind to a manifest in YAML."""
    parts = [_INTRODUCTION]
    for model in (TradingBot, AssetRegistry):
        parts += [*_kind(model, examples[model.__name__])]
    return "\n".join(parts)


def _kind(model: type[TradingBot] | type[AssetRegistry], example: str) -> Iterator[str]:
    yield f"## {model.__name__}\n"
    yield f"{_prose(model)}\n"
    yield f"```yaml\n{example.strip()}\n```\n"
    for section in _sections(model.__name__, model):
        if section.model is not model:
            yield from _table(section)
    short = " or ".join(f"`kubectl get {name}`" for name in (model.plural, *model.short_names))
    yield f"### {model.__name__} in a list\n"
    yield f"{short} shows these columns; `kubectl get trading` lists both kinds.\n"
    yield from _columns(model.printer_columns)


def _sections(path: str, model: type[Model]) -> Iterator[_Section]:
    """`model` and every object below it, each before its own parts."""
    yield _Section(path, model)
    for name, field in fields_of(model).items():
        inner = field.type.items or field.type
        if inner.model is not None:
            below = f"{path}.{name}" + ("[]" if field.type.items else "")
            yield from _sections(below, inner.model)


def _table(section: _Section) -> Iterator[str]:
    """Return the table of an object's fields; a status has no column of bounds."""
    yield f"### {section.path}\n"
    yield f"{_prose(section.model)}\n"
    written = ".spec" in section.path
    yield (
        "| field | type | default | must be | what it is |" if written else "| field | type | is |"
    )
    yield "|---|---|---|---|---|" if written else "|---|---|---|"
    for name, field in fields_of(section.model).items():
        cells = [f"`{name}`", _type(field, f"{section.path}.{name}")]
        if written:
            cells += [_default(field), _bounds(field)]
        yield f"| {' | '.join(_cell(cell) for cell in (*cells, field.info.description or ''))} |"
    yield ""


def _type(field: Field, path: str) -> str:
    if field.type.is_map:
        return "map of strings" if field.type.items and field.type.items.constraint else "object"
    if field.type.items is not None:
        return f"list of {_one(field.type.items, field, path + '[]')}"
    return _one(field.type, field, path)


def _one(value: ValueType, field: Field, path: str) -> str:
    """Return the type of a value: of the field, or of an item of its list."""
    if value.model is not None:
        return f"[object](#{_Section(path, value.model).anchor})"
    if isinstance(value.constraint, DecimalText):
        return "decimal"
    if isinstance(value.constraint, QuantityText):
        return "quantity"
    if value.constraint is not None or value.choices:
        return "string"
    return _SCALARS[_without_none(field.info.annotation)]


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(argument for argument in get_args(annotation) if argument is not type(None))
    return annotation


def _default(field: Field) -> str:
    if field.info.is_required():
        return "**required**"
    if field.has_default:
        value = field.default()
        return f"`{json.dumps(value, ensure_ascii=False)}`"
    return "computed" if "Default:" in (field.info.description or "") else ""


def _bounds(field: Field) -> str:
    """Return the condition on a value, in the words of the error message."""
    is_list = field.type.items is not None and not field.type.is_map
    value = field.type.items if is_list and field.type.items else field.type
    form = ""
    if value.choices:
        form = ", ".join(f"`{choice}`" for choice in value.choices)
    elif isinstance(value.constraint, DecimalText):
        form = value.constraint.bounds
    elif isinstance(value.constraint, QuantityText):
        form = "above 0"
    elif isinstance(value.constraint, Text):
        form = value.constraint.detail.replace("must be a string", "")
        if value.constraint.pattern is None and value.constraint.max_length:
            form += f"{', ' if form else ''}at most {value.constraint.max_length} characters"
    form = form.removeprefix("must be ")
    return "; ".join([*_size(field), *([f"each {form}" if is_list else form] if form else [])])


def _size(field: Field) -> Iterator[str]:
    """How many items a list or map has, or between what an integer is."""
    least = next((bound.ge for bound in field.info.metadata if isinstance(bound, Ge)), None)
    most = next((bound.le for bound in field.info.metadata if isinstance(bound, Le)), None)
    if least is not None and most is not None:
        yield f"{least} to {most}"
    fewest = next(
        (bound.min_length for bound in field.info.metadata if isinstance(bound, MinLen)), 0
    )
    longest = next(
        (bound.max_length for bound in field.info.metadata if isinstance(bound, MaxLen)), None
    )
    if longest is not None:
        yield f"{fewest} to {longest} items" if fewest else f"at most {longest} items"


def _columns(columns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| column | shows | |"
    yield "|---|---|---|"
    for column in columns:
        wide = "with `-o wide`" if column.get("priority") else ""
        yield f"| {column['name'].upper()} | `{column['jsonPath'].lstrip('.')}` | {wide} |"
    yield ""


def _prose(model: type[Model]) -> str:
    return " ".join((model.__doc__ or "").split())


def _cell(text: str) -> str:
    """`text` inside a table, where a bar would end the cell and `<` begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;")
