"""Parse YAML and JSON documents, with the location of every value.

A document is composed from the events of PyYAML's parser and not from PyYAML's own tree, for three
reasons. The limits on depth, size and values hold while a file is read, before it can cost memory:
aliases multiply (`&a [*b, *b]`, nested ten times, is a thousand values), so `_Composer` counts an
alias with the size of its target. A duplicate key is an error; PyYAML keeps the last one. And
scalars mean what they mean to kubectl; see `yaml_scalars`.

A file that begins with `{` is JSON to kubectl if it parses as JSON. Then the JSON value counts, and
the YAML tree only adds locations, if it has the same value.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events as ev

from tradingbot_cli.errors import ManifestError
from tradingbot_cli.yaml_scalars import misreading, plain, tagged

MAX_FILE = 8 << 20
"""Bytes."""
MAX_DEPTH = 64
MAX_VALUES = 250_000
"""Values of one document. An alias counts with all values that it repeats."""

Path = tuple[str | int, ...]
Json = Any

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "<<"
# The complement of c-printable in YAML 1.1, 5.1.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Spot:
    """Location: line and column from 1.

    `end` is the column after the end on the same line; 0 if the end is on another line.
    """

    line: int
    column: int
    end: int = 0


@dataclass(slots=True)
class Node:
    """A value and its location. `inside` has the nodes of its items, `keys` where their keys are.

    `size` counts the value and all values below it. `misreading` says what may be misread in a
    number; see `yaml_scalars`.
    """

    value: Json
    at: Spot
    size: int = 1
    keys: dict[str, Spot] = field(default_factory=dict)
    inside: dict[str | int, Node] = field(default_factory=dict)
    misreading: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file; `number` counts from 1."""

    number: int
    root: Node

    def find(self, path: Path) -> tuple[Node, Spot | None, int]:
        """Return the node at `path`, or the deepest ancestor of it that is in the file.

        Also the location of the key that leads to the node, if any, and the number of steps taken.
        """
        node, key = self.root, None
        for taken, step in enumerate(path):
            step = int(step) if isinstance(step, int) else str(step)  # noqa: PLW2901
            if step not in node.inside:
                return node, key, taken
            key = node.keys.get(step) if isinstance(step, str) else None
            node = node.inside[step]
        return node, key, len(path)


def documents(content: bytes) -> Iterator[Document]:
    """Yield the documents of a file, in order, without empty ones.

    Raises ManifestError at the first one that can't be read. Nothing follows: after a syntax error
    it is not known where the next document begins.
    """
    if len(content) > MAX_FILE:
        raise ManifestError(f"larger than {MAX_FILE >> 20} MiB: split it")
    text = _decoded(content)
    as_json = _json_document(text)
    try:
        if as_json is None:
            yield from _parsed(text)
            return
        as_yaml = list(_parsed(text, is_json=True))
    except yaml.YAMLError as error:
        if as_json is None:
            raise _syntax_error(error, text) from error
        json.loads(text, object_pairs_hook=_unique)
        as_yaml = []
    same = len(as_yaml) == 1 and as_yaml[0].root.value == as_json.root.value
    yield as_yaml[0] if same else as_json


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            message = "not UTF-8 text but UTF-16: save it as UTF-8"
            raise ManifestError(message, line=1, column=1) from error
        line, column = _line_and_column(error.object[: error.start].decode())
        raise ManifestError("not UTF-8 text", line=line, column=column) from error


def _parsed(text: str, *, is_json: bool = False) -> Iterator[Document]:
    loader = _Loader(text)
    number = 0
    try:
        while True:
            event = loader.get_event()
            if isinstance(event, ev.StreamEndEvent):
                return
            if isinstance(event, ev.DocumentStartEvent):
                number += 1
                root = _Composer(loader, is_json=is_json).document()
                if root.value is not None:
                    yield Document(number=number, root=root)
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end was not read yet.

    `merging` is set while the value of a `<<` key is read; `merged` collects these values. They are
    added at the end of the mapping, where the mapping's own keys take precedence.
    """

    node: Node
    anchor: str | None
    key: str | None = None
    merging: bool = False
    merged: list[Node] = field(default_factory=list)


class _Composer:
    """Composes one document from events.

    The explicit stack has one `_Open` per level. Recursion would end in a RecursionError at a depth
    that a file chooses.
    """

    def __init__(self, loader: Any, *, is_json: bool) -> None:
        self._loader = loader
        self._is_json = is_json
        self._anchors: dict[str, Node] = {}
        self._stack: list[_Open] = []
        self._values = 0

    def document(self) -> Node:
        while True:
            event = self._loader.get_event()
            at = _spot(event)
            if isinstance(event, ev.ScalarEvent):
                done = self._scalar(event, at)
            elif isinstance(event, ev.AliasEvent):
                done = self._alias(event, at)
            elif isinstance(event, ev.MappingStartEvent | ev.SequenceStartEvent):
                self._begin(event, at)
                continue
            elif isinstance(event, ev.MappingEndEvent | ev.SequenceEndEvent):
                done = self._end()
            else:
                raise ManifestError("an unexpected end", line=at.line, column=at.column)
            if done is not None and not self._stack:
                self._loader.get_event()  # the end of the document
                return done

    def _scalar(self, event: Any, at: Spot) -> Node | None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and top.key is None:
            self._key(top, event, at)
            return None
        node = Node(_scalar_value(event, at), at)
        if not self._is_json:
            node.misreading = _misreading(event)
        self._count(1, at)
        if event.anchor:
            self._anchors[event.anchor] = node
        return self._add(node)

    def _alias(self, event: Any, at: Spot) -> Node | None:
        node = self._anchors.get(event.anchor)
        if node is None:
            is_open = any(opened.anchor == event.anchor for opened in self._stack)
            what = "contains itself" if is_open else "has no anchor before it"
            raise ManifestError(f"the alias {what}", line=at.line, column=at.column)
        if self._wants_key():
            raise ManifestError("a key may not be an alias", line=at.line, column=at.column)
        self._count(node.size, at)
        return self._add(
            Node(node.value, at, node.size, node.keys, node.inside, misreading=node.misreading)
        )

    def _begin(self, event: Any, at: Spot) -> None:
        if self._wants_key():
            raise ManifestError("a key must be a plain value", line=at.line, column=at.column)
        if len(self._stack) >= MAX_DEPTH:
            raise ManifestError(
                f"nested deeper than {MAX_DEPTH} levels", line=at.line, column=at.column
            )
        self._count(1, at)
        is_mapping = isinstance(event, ev.MappingStartEvent)
        self._stack.append(_Open(Node({} if is_mapping else [], at), event.anchor))

    def _end(self) -> Node | None:
        done = self._stack.pop()
        for source in done.merged:
            for key, node in source.inside.items():
                if key not in done.node.inside:
                    done.node.value[key] = node.value
                    done.node.inside[key] = node
                    done.node.keys[str(key)] = source.keys[str(key)]
        if done.anchor:
            self._anchors[done.anchor] = done.node
        return self._add(done.node)

    def _key(self, top: _Open, event: Any, at: Spot) -> None:
        key = _key_text(event, at)
        top.merging = key == _MERGE and event.implicit[0]
        if key in top.node.keys and not top.merging:
            raise ManifestError(
                f"the key {json.dumps(key)} is duplicated, first on line {top.node.keys[key].line}",
                line=at.line,
                column=at.column,
            )
        top.key = key
        if not top.merging:
            top.node.keys[key] = at

    def _add(self, node: Node) -> Node | None:
        """Add `node` to the innermost open collection. Return `node` if there is none: it is the
        root.
        """
        if not self._stack:
            return node
        top = self._stack[-1]
        top.node.size += node.size
        if isinstance(top.node.value, list):
            top.node.inside[len(top.node.value)] = node
            top.node.value.append(node.value)
            return None
        key = top.key
        top.key = None
        if key is None:
            raise ManifestError("a value without a key", line=node.at.line)
        if top.merging:
            top.merged += _merge_sources(node)
            return None
        top.node.value[key] = node.value
        top.node.inside[key] = node
        return None

    def _wants_key(self) -> bool:
        if not self._stack:
            return False
        top = self._stack[-1]
        return isinstance(top.node.value, dict) and top.key is None

    def _count(self, values: int, at: Spot) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise ManifestError(
                f"more than {MAX_VALUES} values, with those that aliases repeat",
                line=at.line,
                column=at.column,
            )


def _merge_sources(node: Node) -> list[Node]:
    sources = list(node.inside.values()) if isinstance(node.value, list) else [node]
    if not all(isinstance(source.value, dict) for source in sources):
        raise ManifestError(
            "<< takes a mapping or a list of them", line=node.at.line, column=node.at.column
        )
    return sources


def _scalar_value(event: Any, at: Spot) -> Json:
    try:
        if event.tag is not None:
            value = tagged(event.tag, event.value)
        elif event.implicit[0]:
            value = plain(event.value)
        else:
            return event.value
    except ValueError as error:
        raise ManifestError(str(error), line=at.line, column=at.column) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise ManifestError("not a finite number", line=at.line, column=at.column)
    return value


def _misreading(event: Any) -> str:
    is_number = event.implicit[0] if event.tag is None else event.tag.endswith((":int", ":float"))
    return misreading(event.value) if is_number else ""


def _key_text(event: Any, at: Spot) -> str:
    """Return a key as kubectl converts it to JSON: `1:` is "1", `true:` is "true"."""
    value = _scalar_value(event, at)
    if isinstance(value, str):
        return value
    if value is None:
        raise ManifestError("a key may not be null", line=at.line, column=at.column)
    return json.dumps(value)


def _spot(event: Any) -> Spot:
    start, end = event.start_mark, event.end_mark
    same_line = start.line == end.line
    return Spot(start.line + 1, start.column + 1, end.column + 1 if same_line else 0)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ManifestError("a key is duplicated in the same object")
    return made


def _json_document(text: str) -> Document | None:
    """Parse the text as JSON, as kubectl does if it begins with `{`. Without locations.

    JSON and YAML differ in surrogate pairs, and in characters that are line ends in YAML.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text, parse_int=plain, parse_float=plain)
    except (ValueError, RecursionError):
        return None
    return Document(number=1, root=Node(value, Spot(1, 1)))


def _syntax_error(error: yaml.YAMLError, text: str) -> ManifestError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    if mark is not None:
        line, column = mark.line + 1, mark.column + 1
    elif unprintable := _UNPRINTABLE.search(text):  # PyYAML gives no mark for these
        line, column = _line_and_column(text[: unprintable.start()])
    else:
        line, column = 0, 0
    return ManifestError(f"malformed YAML: {problem}", line=line, column=column)


def _line_and_column(before: str) -> tuple[int, int]:
    """Return the location after this text, both from 1."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
