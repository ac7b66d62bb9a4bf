"""The webhooks' verdicts on the objects of a file, with line and column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tradingbot_api import API_VERSION, GROUP
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.effective import effective_values
from tradingbot_api.errors import NOT_SHOWN, ErrorReason, FieldError, FieldWarning
from tradingbot_api.model import JsonObject
from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES
from tradingbot_api.tradingbot import TradingBot

from tradingbot_cli.errors import ManifestError
from tradingbot_cli.manifests import Document, Json, Node, Path, Spot, documents
from tradingbot_cli.number_warnings import number_warnings

UNREADABLE = "Unreadable"
_MAX_EXCERPT = 120
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what libyaml counts as the end of a line


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The part of a line that may be shown. Never the whole line: in flow style it may hold a
    secret.
    """

    column: int
    text: str
    width: int
    """How many characters, from the finding's column on, are what it is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One error or warning. `reason` is empty for a warning, `field` for an unreadable file."""

    field: str
    message: str
    reason: str
    at: Spot
    excerpt: Excerpt | None = None

    @property
    def text(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, slots=True)
class Checked:
    """Result for one object, or for a file or document that can't be read (`kind` is empty)."""

    file: str
    line: int
    document: int
    kind: str = ""
    namespace: str = ""
    name: str = ""
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    effective: JsonObject | None = None
    """What `status.effective` of an admitted TradingBot would show; None for anything else."""

    @property
    def allowed(self) -> bool:
        return not self.errors

    @property
    def unreadable(self) -> bool:
        return any(error.reason == UNREADABLE for error in self.errors)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An object of another kind."""

    kind: str


def check(
    file: str,
    content: bytes,
    *,
    now: datetime,
    strategy_images: frozenset[str] = DEFAULT_STRATEGY_IMAGES,
) -> Iterator[Checked | PassedOver]:
    """Yield the verdicts on the objects in `content`, in order. A syntax error ends them."""
    number, source = 0, _Source(content)
    try:
        for document in documents(content):
            number = document.number
            for path, node in _objects(document.root, ()):
                place = _Place(file, source, document, path)
                yield _checked(place, node, now=now, strategy_images=strategy_images)
    except ManifestError as error:
        yield unreadable(file, str(error), line=error.line, column=error.column, after=number)


def unreadable(
    file: str, message: str, *, line: int = 0, column: int = 0, after: int = 0
) -> Checked:
    """Return the entry for a file, or for what follows its document `after`."""
    finding = Finding("", message, UNREADABLE, Spot(line, column))
    return Checked(file, line, after + 1, errors=(finding,))


def _objects(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """Yield the objects of a document: itself, or the items of a List."""
    value = node.value
    kind = value.get("kind") if isinstance(value, dict) else None
    items = node.inside.get("items")
    if isinstance(kind, str) and kind.endswith("List") and items is not None:
        for index, item in items.inside.items():
            yield from _objects(_typed_by(value, item), (*path, "items", index))
    else:
        yield path, node


def _typed_by(listed: Json, item: Node) -> Node:
    """Return an item with kind and version of its list, without `List`, as kubectl does."""
    if not isinstance(item.value, dict) or item.value.get("kind") or item.value.get("apiVersion"):
        return item
    kind = listed["kind"].removesuffix("List")
    value = {**item.value, "apiVersion": listed.get("apiVersion"), "kind": kind}
    return Node(value, item.at, item.size, item.keys, item.inside)


class _Source:
    """The lines of a file, split on first use."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @cached_property
    def _lines(self) -> list[str]:
        return _LINE_BREAK.split(self._content.decode("utf-8-sig"))

    def cut(self, start: Spot, end: int) -> str:
        """Return the text from `start` to column `end` of the same line; empty if unprintable."""
        text = self._lines[start.line - 1][start.column - 1 : end - 1]
        return text if text.isprintable() and len(text) <= _MAX_EXCERPT else ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Location of an object."""

    file: str
    source: _Source
    document: Document
    path: Path


def _checked(
    place: _Place, node: Node, *, now: datetime, strategy_images: frozenset[str]
) -> Checked | PassedOver:
    value = node.value if isinstance(node.value, dict) else {}
    kind, api_version = _text(value, "kind"), _text(value, "apiVersion")
    if not _is_ours(kind, api_version):
        return PassedOver(kind or "an object without a kind")
    errors: Iterable[FieldError]
    warnings: Iterable[FieldWarning] = ()
    errors = _type_errors(value, kind, api_version)
    values: JsonObject | None = None
    if not errors:
        with_defaults = defaulted(kind, value)
        verdict = review(kind, with_defaults, now=now, strategy_images=strategy_images)
        errors = verdict.errors
        warnings = (*verdict.warnings, *number_warnings(node, verdict.errors))
        if verdict.allowed and kind == TradingBot.__name__:
            spec = KINDS[kind].spec_parser.validate_python(with_defaults["spec"])
            values = effective_values(spec).model_dump(by_alias=True, exclude_none=True)
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return Checked(
        file=place.file,
        line=node.at.line,
        document=place.document.number,
        kind=kind,
        namespace=_text(metadata, "namespace"),
        name=_text(metadata, "name") or _text(metadata, "generateName"),
        errors=tuple(_finding(place, error) for error in errors),
        warnings=tuple(_finding(place, warning) for warning in warnings),
        effective=values,
    )


def _is_ours(kind: str, api_version: str) -> bool:
    """Whether the object is in our group, or has one of our kinds without a group: a typo."""
    group, slash, _ = api_version.rpartition("/")
    return group == GROUP or (not slash and kind in KINDS)


def _type_errors(value: Json, kind: str, api_version: str) -> tuple[FieldError, ...]:
    errors = []
    if not api_version:
        errors.append(FieldError.required(("apiVersion",), f"must be {API_VERSION}"))
    elif api_version != API_VERSION:
        errors.append(FieldError.not_supported(("apiVersion",), api_version, [API_VERSION]))
    if not kind:
        errors.append(FieldError.required(("kind",)))
    elif kind not in KINDS:
        errors.append(FieldError.not_supported(("kind",), value["kind"], KINDS))
    return tuple(errors)


def _finding(place: _Place, found: FieldError | FieldWarning) -> Finding:
    """Return the finding with the location of its value.

    The location of the key if the value is not a scalar, and of the parent if the field is missing.
    """
    path = (*place.path, *found.path)
    node, key, taken = place.document.find(path)
    reason = found.reason.value if isinstance(found, FieldError) else ""
    exact = taken == len(path)
    one_line = isinstance(node.value, str | int | float) and node.at.end > 0
    # Forbidden keys are mostly credentials: the value must not reach a CI log.
    value_shown = (
        exact and one_line and reason != ErrorReason.FORBIDDEN and NOT_SHOWN not in found.message
    )
    if value_shown:
        start = key if key is not None and key.line == node.at.line else node.at
        text = place.source.cut(start, node.at.end)
        if text:
            excerpt = Excerpt(start.column, text, node.at.end - node.at.column)
            return Finding(found.field, found.message, reason, node.at, excerpt)
    if key is not None and key.end and (text := place.source.cut(key, key.end)):
        excerpt = Excerpt(key.column, text + ":", len(text))
        return Finding(found.field, found.message, reason, key, excerpt)
    return Finding(found.field, found.message, reason, key or node.at)


def _text(value: Json, key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
