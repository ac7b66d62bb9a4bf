"""Reads objects that any user may have written, from the bytes of the API server's answers.

No object may stop the operator:

    the object                                          becomes
    is well formed                                      itself
    is too deep or invalid only in managedFields        itself, without those
    is refused by the parser, too large, or has a       a stub: its identity, and the reason
    wrong type in a field that every object has
    has no name that can be read                        None

A tenant can write `metadata.managedFields` past every webhook, so they must not make an object
unreadable. Every object that is returned has the types of Kubernetes in its `metadata`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from tradingbot_api.model import JsonObject

from tradingbot_operator import UNREADABLE
from tradingbot_operator.cluster.reading.json_spans import Cursor, MalformedError, Span
from tradingbot_operator.cluster.reading.untrusted import mapping

SMALL = 64 * 1024
"""Bytes of an object that is parsed in one step. A larger one may consist of hundreds of thousands
of empty objects, so managedFields are cut out of it before it is parsed."""

SMALL_PAGE = 1024 * 1024
"""Bytes of a page of a list that is parsed in one step; a larger one is parsed by object."""

LONGEST_PART = 64 * 1024
"""Maximum bytes of a part of `metadata` in a stub."""

TOO_LARGE = "larger than the operator reads"
NOT_JSON = "not JSON that the operator can read: nested too deeply, cut off, or invalid UTF-8"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]{1,19}")
_EMPTY = b"[]"


@dataclass(frozen=True)
class Event:
    """An event of a watch."""

    type: str
    object: JsonObject


def read_object(text: bytes, kind: str = "", api_version: str = "") -> JsonObject | None:
    """Return the object of a text, or its stub; None if its name can't be read.

    Without a `kind`, any object is returned unchecked, also a Status.
    """
    if len(text) <= SMALL:
        with suppress(ValueError):
            found = from_json(text, cache_strings="keys")
            if not isinstance(found, dict) or "kind" not in found:
                return None
            return checked(found, kind, api_version) if kind else found
    return _read_around_managed_fields(_Parts.of(text), kind, api_version)


def read_event(line: bytes, kind: str, api_version: str, *, whole: bool = True) -> Event | None:
    """Return the event of a line, with the object or its stub; None if it is not an event.

    A line that is not `whole` is the beginning of one that is too long.
    """
    if whole and len(line) <= SMALL:
        with suppress(ValueError):
            return _event(from_json(line, cache_strings="keys"), kind, api_version)
    parts = _Parts()
    type_ = ""
    with suppress(MalformedError):
        cursor = Cursor(line)
        for key in cursor.members():
            if key == "type":
                type_ = _string(_parsed(line, cursor.skip()))
            elif key == "object":
                parts = _Parts(line)
                parts.read(cursor)
    if not type_:
        return None
    if type_ in {"BOOKMARK", "ERROR"}:
        again = parts.parsed_without_managed_fields()
        return None if again is None else Event(type_, again)
    obj = _read_around_managed_fields(parts, kind, api_version, reason="" if whole else TOO_LARGE)
    return None if obj is None else Event(type_, obj)


def _event(found: Any, kind: str, api_version: str) -> Event | None:
    if not isinstance(found, dict):
        return None
    type_, obj = found.get("type"), found.get("object")
    if not isinstance(type_, str) or not isinstance(obj, dict):
        return None
    if type_ in {"BOOKMARK", "ERROR"}:
        return Event(type_, obj)
    read = checked(obj, kind, api_version)
    return None if read is None else Event(type_, read)


def checked(obj: JsonObject, kind: str, api_version: str) -> JsonObject | None:
    """Return the object, or its stub if a field that all objects have is of a wrong type."""
    obj = {**obj, "apiVersion": api_version, "kind": kind}
    problem = _problem(obj)
    if not problem:
        return obj
    meta = obj.get("metadata")
    return _stub(meta if isinstance(meta, dict) else {}, problem, kind, api_version)


def _problem(obj: JsonObject) -> str:
    """Return what is wrong with an object; empty if nothing is."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return "metadata is not an object"
    for key, is_right in _IDENTITY.items():
        if not is_right(meta.get(key)) and (key in _NAMES or key in meta):
            return f"metadata.{key} is not valid"
    for key, is_right in _METADATA.items():
        if key in meta and meta[key] is not None and not is_right(meta[key]):
            return f"metadata.{key} is of the wrong type"
    for key in ("spec", "status", "data"):
        if obj.get(key) is not None and not isinstance(obj[key], dict):
            return f"{key} is not an object"
    return ""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_map_of_strings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Check = Callable[[Any], bool]
_IDENTITY: Mapping[str, _Check] = {
    "name": _is_name,
    "namespace": _is_name,
    "uid": _is_string,
    "resourceVersion": _is_number,
}
_NAMES = frozenset({"name", "namespace"})
_METADATA: Mapping[str, _Check] = {
    "labels": _is_map_of_strings,
    "annotations": _is_map_of_strings,
    "finalizers": _is_strings,
    "ownerReferences": _is_objects,
    "generation": _is_integer,
    "creationTimestamp": _is_string,
    "deletionTimestamp": _is_string,
}
_OF_A_STUB = ("labels", *(key for key in _METADATA if key not in {"labels", "annotations"}))


def _stub(meta: Mapping[str, Any], reason: str, kind: str, api_version: str) -> JsonObject | None:
    """Return the stub of an object that can't be read; None without a valid name."""
    if not (_is_name(meta.get("name")) and _is_name(meta.get("namespace"))):
        return None
    kept: JsonObject = {
        key: meta[key] for key, is_right in _IDENTITY.items() if key in meta and is_right(meta[key])
    }
    for key in _OF_A_STUB:
        if key in meta and _METADATA[key](meta[key]):
            kept[key] = meta[key]
    return {"apiVersion": api_version, "kind": kind, "metadata": kept, UNREADABLE: reason}


@dataclass
class _Parts:
    """The spans of the parts of an object's text that identify it."""

    text: bytes = b""
    span: Span | None = None
    """The whole object; None if its end was not found."""
    metadata: dict[str, Span] = field(default_factory=dict)
    managed_fields: list[Span] = field(default_factory=list)

    @classmethod
    def of(cls, text: bytes) -> "_Parts":
        """Find the parts of the object that is all of `text`."""
        parts = cls(text)
        with suppress(MalformedError):
            parts.read(Cursor(text))
        return parts

    def read(self, cursor: Cursor) -> None:
        """Move `cursor` behind the object at it, and note its parts."""
        start = cursor.at
        for key in cursor.members():
            if key == "metadata" and self.text[cursor.at : cursor.at + 1] == b"{":
                self.metadata.clear()  # of a repeated key, the last one counts, as in the parser
                for part in cursor.members():
                    span = cursor.skip()
                    self.metadata[part] = span
                    if part == "managedFields":
                        self.managed_fields.append(span)
            else:
                cursor.skip()
        self.span = start, cursor.at

    def parsed_without_managed_fields(self) -> JsonObject | None:
        """Parse the object without `managedFields` that are large or nested too deeply.

        Returns None if the rest can't be parsed either.
        """
        if self.span is None:
            return None
        pieces, at = [], self.span[0]
        for start, end in self.managed_fields:
            if _parsed(self.text, (start, end)) is not None:
                continue
            pieces += [self.text[at:start], _EMPTY]
            at = end
        pieces.append(self.text[at : self.span[1]])
        try:
            found = from_json(b"".join(pieces), cache_strings="keys")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def identity(self) -> JsonObject:
        """Parse the parts of `metadata` for a stub, each by itself."""
        wanted = (*_IDENTITY, *_OF_A_STUB)
        spans = {key: self.metadata[key] for key in wanted if key in self.metadata}
        return {key: _parsed(self.text, span) for key, span in spans.items()}


def _read_around_managed_fields(
    parts: _Parts, kind: str, api_version: str, *, reason: str = ""
) -> JsonObject | None:
    """Read an object that the parser refused, or that is large, from its parts; else its stub."""
    if not reason:
        found = parts.parsed_without_managed_fields()
        if found is not None:
            return checked(found, kind, api_version) if kind else found
    return _stub(parts.identity(), reason or NOT_JSON, kind, api_version)


def _parsed(text: bytes, span: Span) -> Any:
    start, end = span
    if end - start > LONGEST_PART:
        return None
    try:
        return from_json(text[start:end])
    except ValueError:
        return None


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


@dataclass
class Page:
    """A page of a list. Its items are read one at a time."""

    text: bytes
    whole: bool = True
    """False for the beginning of a page that is too long."""
    more: str | None = None
    """The token of the next page; empty on the last page, None if unknown."""
    unidentified: int = 0
    """Number of items that were skipped, since their names can't be read."""

    def items(self, kind: str, api_version: str) -> Iterator[JsonObject]:
        """Iterate over the items, or their stubs. `more` is set after the last.

        Raises MalformedError if the text is not a list, or is whole and ends before the list does.
        """
        found = self._parsed() if self.whole and len(self.text) <= SMALL_PAGE else None
        if found is not None:
            self.more = _string(mapping(found.get("metadata")).get("continue"))
            entries = found.get("items")
            for entry in entries if isinstance(entries, list) else ():
                read = checked(entry, kind, api_version) if isinstance(entry, dict) else None
                if read is not None:
                    yield read
                else:
                    self.unidentified += 1
            return
        try:
            yield from self._one_at_a_time(kind, api_version)
        except MalformedError:
            if self.whole:
                raise

    def _parsed(self) -> JsonObject | None:
        try:
            found = from_json(self.text, cache_strings="keys")
        except ValueError:
            return None
        if not isinstance(found, dict) or "kind" not in found:
            raise MalformedError(0)
        return found

    def _one_at_a_time(self, kind: str, api_version: str) -> Iterator[JsonObject]:
        cursor = Cursor(self.text)
        is_object = False
        for key in cursor.members():
            is_object = is_object or key == "kind"
            if key == "items" and self.text[cursor.at : cursor.at + 1] == b"[":
                for _ in cursor.elements():
                    read = self._item(cursor, kind, api_version)
                    if read is not None:
                        yield read
                    else:
                        self.unidentified += 1
            elif key == "metadata":
                meta = _parsed(self.text, cursor.skip())
                self.more = _string(mapping(meta).get("continue"))
        if not is_object:
            raise MalformedError(cursor.at)

    def _item(self, cursor: Cursor, kind: str, api_version: str) -> JsonObject | None:
        start = cursor.at
        try:
            _, end = cursor.skip()
        except MalformedError:
            if self.whole:
                raise
            parts = _Parts.of(self.text[start:])
            cursor.at = len(self.text)
            return _read_around_managed_fields(parts, kind, api_version, reason=TOO_LARGE)
        return read_object(self.text[start:end], kind, api_version)
