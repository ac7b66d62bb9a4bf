"""Assets for people and for programs. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import yaml
from tradingbot_api.model import JsonObject

from tradingbot_cli.terminal import RED, YELLOW, Paint, one_line
from tradingbot_cli.yaml_scalars import plain

FORMATS = ("table", "wide", "json", "yaml", "name")
_MAX_CELL = 60
_COLORS = {"Failed": RED, "Degraded": YELLOW}


class Column(NamedTuple):
    """A column: its title, the field that it shows, and its minimum width."""

    title: str
    field: str
    width: int


_COLUMNS = (
    Column("ID", "id", 36),
    Column("NAME", "name", 20),
    Column("TYPE", "type", 20),
    Column("STATUS", "status", 8),
    Column("EFFECTIVE", "effectiveStatus", 9),
    Column("MANAGED-BY", "managedBy", 10),
)
_WIDE = (
    *_COLUMNS,
    Column("REFERENCE", "externalRef", 20),
    Column("TAGS", "tags", 12),
    Column("DEPENDS-ON", "dependsOn", 10),
    Column("VERSION", "version", 7),
    Column("UPDATED", "updatedAt", 20),
)


def fields_of(output: str) -> tuple[str, ...]:
    """Return the fields that a format shows; none: all of them."""
    if output == "name":
        return ("id",)
    if output in {"table", "wide"}:
        return tuple(column.field for column in _columns(output))
    return ()


def shown(pages: Iterable[list[JsonObject]], output: str, *, paint: Paint) -> Iterator[str]:
    """Yield the lines of a list, page by page."""
    match output:
        case "json":
            yield from _json_list(pages)
        case "yaml":
            for page in pages:
                yield from _yaml(page).splitlines() if page else ()
        case "name":
            for page in pages:
                yield from (str(asset.get("id")) for asset in page)
        case _:
            yield from _table(pages, _columns(output), paint=paint)


def one(asset: JsonObject, output: str, *, paint: Paint) -> Iterator[str]:
    """Yield the lines of one asset."""
    match output:
        case "json":
            yield json.dumps(asset, indent=2)
        case "yaml":
            yield from _yaml(asset).splitlines()
        case _:
            yield from shown([[asset]], output, paint=paint)


def _columns(output: str) -> Sequence[Column]:
    return _WIDE if output == "wide" else _COLUMNS


def _json_list(pages: Iterable[list[JsonObject]]) -> Iterator[str]:
    before = "["
    for page in pages:
        for asset in page:
            yield before
            before = json.dumps(asset) + ","
    yield before.removesuffix(",")
    yield "]"


class _Dumper(yaml.SafeDumper):
    """Quotes what `apply` would not read as text: PyYAML takes `y` and `0o17` for text."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        style = None if plain(text) == text else '"'
    except ValueError:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(value: Any) -> str:
    dumped: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return dumped


def _table(
    pages: Iterable[list[JsonObject]], columns: Sequence[Column], *, paint: Paint
) -> Iterator[str]:
    """Yield a table as wide as the first page needs, so that a long list is shown as it comes."""
    widths: list[int] = []
    for page in pages:
        rows = [[_cell(asset.get(column.field)) for column in columns] for asset in page]
        if not widths:
            widths = [
                max([column.width, len(column.title), *(len(row[place]) for row in rows)])
                for place, column in enumerate(columns)
            ]
            titles = zip(columns, widths, strict=True)
            yield "  ".join(f"{column.title:<{width}}" for column, width in titles).rstrip()
        for asset, row in zip(page, rows, strict=True):
            line = "  ".join(
                f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            color = _COLORS.get(str(asset.get("effectiveStatus")))
            yield paint(line, color) if color else line


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = ",".join(map(str, value)) if len(value) <= _FEW else f"{len(value)} of them"
    text = "-" if value in {None, ""} else one_line(str(value))
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


_FEW = 3
