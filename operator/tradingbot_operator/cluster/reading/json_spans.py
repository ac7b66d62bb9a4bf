"""Finds the parts of a JSON text without parsing them.

For texts that a parser refuses: nested too deeply, cut off, or with invalid UTF-8. The work is
linear in the length of the text and takes no recursion, however deeply it is nested.
"""

import re
from collections.abc import Iterator

from pydantic_core import from_json

Span = tuple[int, int]
"""Start and end of a value."""

_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]+")
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|([\[{])|([\]}])', re.DOTALL)
_OPENING, _CLOSING = 1, 2

QUOTE, COMMA, COLON = b'",:'
OBJECT, OBJECT_END, ARRAY, ARRAY_END = b"{}[]"


class MalformedError(ValueError):
    """The text is not JSON, or is cut off, at the position in the argument."""


class Cursor:
    """A position in a JSON text, which moves forward only.

    While iterating over `members` or `elements`, the caller may read the value at the cursor by any
    of its methods; a value that is not read is skipped.
    """

    def __init__(self, text: bytes, at: int = 0) -> None:
        self.text = text
        self.at = at
        self._skip_space()

    def members(self) -> Iterator[str]:
        """Iterate over the keys of the object at the cursor, moving to the value of each."""
        for _ in self._parts(OBJECT, OBJECT_END):
            key = self._key()
            if self._byte() != COLON:
                raise MalformedError(self.at)
            self.at += 1
            self._skip_space()
            value = self.at
            yield key
            if self.at == value:
                self.skip()

    def elements(self) -> Iterator[None]:
        """Iterate over the array at the cursor, moving to each element."""
        for _ in self._parts(ARRAY, ARRAY_END):
            value = self.at
            yield
            if self.at == value:
                self.skip()

    def skip(self) -> Span:
        """Move behind the value at the cursor. Return its span."""
        start, first = self.at, self._byte()
        if first in {OBJECT, ARRAY}:
            self.at = self._end_of_nesting()
        else:
            match = (_STRING if first == QUOTE else _SCALAR).match(self.text, start)
            if match is None:
                raise MalformedError(start)
            self.at = match.end()
        end = self.at
        self._skip_space()
        return start, end

    def _parts(self, opening: int, closing: int) -> Iterator[None]:
        if self._byte() != opening:
            raise MalformedError(self.at)
        self.at += 1
        self._skip_space()
        if self._byte() != closing:
            while True:
                yield
                separator = self._byte()
                if separator == closing:
                    break
                if separator != COMMA:
                    raise MalformedError(self.at)
                self.at += 1
                self._skip_space()
        self.at += 1
        self._skip_space()

    def _key(self) -> str:
        start, end = self.at, self.at
        if self._byte() == QUOTE:
            start, end = self.skip()
        try:
            return str(from_json(self.text[start:end]))
        except ValueError as error:
            raise MalformedError(start) from error

    def _byte(self) -> int:
        if self.at >= len(self.text):
            raise MalformedError(self.at)
        return self.text[self.at]

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match is not None else self.at

    def _end_of_nesting(self) -> int:
        depth = 0
        for match in _BRACKETS.finditer(self.text, self.at):
            kind = match.lastindex
            if kind == _OPENING:
                depth += 1
            elif kind == _CLOSING:
                depth -= 1
                if not depth:
                    return match.end()
        raise MalformedError(self.at)
