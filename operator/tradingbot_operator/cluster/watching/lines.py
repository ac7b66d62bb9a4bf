"""Passes kopf lines that are short and safe, whatever an object contains.

kopf parses each line with `json.loads`, keeps all of it, and ends the watch for good if that fails.
So each line is read here first, within bounds:

    API server --> bounded_lines --> read_event, trimmed --> short line --> kopf
                                            |                                 |
                                            +--> Handover --> handler <-------+

kopf gets the type of the event, the identity of the object and a number. The object itself, checked
and trimmed, waits in the `Handover` until kopf calls the handler with that number.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json
from tradingbot_api.model import JsonObject

from tradingbot_operator.cluster.reading.object_reader import SMALL, Event, read_event
from tradingbot_operator.cluster.reading.trimming import trimmed

logger = logging.getLogger(__name__)

LONGEST_LINE = 4 * 1024 * 1024
"""Bytes of a line that are held. The beginning of a longer line still identifies its object."""

CHUNK = 64 * 1024
NUMBER = "number"
_IDENTITY = ("name", "namespace", "uid", "resourceVersion")


class Chunks(Protocol):
    """The part of a response's content that kopf uses."""

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Iterate over the content in pieces of at most `n` bytes."""


class Line(NamedTuple):
    """A line of a watch."""

    text: bytes
    whole: bool
    """False for the beginning of a line that is longer than `LONGEST_LINE`."""


async def bounded_lines(content: Chunks) -> AsyncIterator[Line]:
    """Iterate over the lines of a response, holding one at a time."""
    held, length = bytearray(), 0
    async for chunk in content.iter_chunked(CHUNK):
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            piece = chunk[start:end]
            start = end + 1
            if held:
                length += len(piece)
                held += piece[: LONGEST_LINE - len(held)]
                yield Line(bytes(held), length <= LONGEST_LINE)
                held, length = bytearray(), 0
            elif piece:
                yield Line(piece, whole=True)
        rest = chunk[start:]
        length += len(rest)
        held += rest[: LONGEST_LINE - len(held)]
    if held:
        yield Line(bytes(held), length <= LONGEST_LINE)


@dataclass
class Handover:
    """Objects that wait for kopf's handler, by number."""

    _waiting: dict[int, JsonObject] = field(default_factory=dict)
    _numbers: Any = field(default_factory=count)

    def put(self, obj: JsonObject) -> int:
        """Store an object. Return the number to take it with."""
        number = next(self._numbers)
        self._waiting[number] = obj
        return int(number)

    def take(self, number: int) -> JsonObject:
        """Remove and return the object of that number."""
        return self._waiting.pop(number)


@dataclass
class SafeLines:
    """Replaces the content of the response to a watch."""

    content: Chunks
    kind: str
    api_version: str
    handover: Handover
    on_unreadable: Callable[[], object]
    """Called when a line is not a usable event: its kind has to be listed."""
    keeps: Callable[[JsonObject], JsonObject] = trimmed

    def __getattr__(self, name: str) -> Any:
        """Delegate: aiohttp uses more of the content when it closes the response."""
        return getattr(self.content, name)

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Iterate over the lines for kopf, each in a piece of its own."""
        del n
        async for line in bounded_lines(self.content):
            short = self._short(line)
            if short:
                yield short
            if len(line.text) > SMALL:
                await asyncio.sleep(0)  # a large line takes a while: let other watches run

    def _short(self, line: Line) -> bytes:
        try:
            event = read_event(line.text, self.kind, self.api_version, whole=line.whole)
            if event is not None:
                return self._line(event)
        except Exception:
            # One tenant's object must not end the watch of everybody's.
            logger.exception("Could not read a line in the watch of %s", self.kind)
        logger.warning("A line in the watch of %s is not an event; listing them", self.kind)
        self.on_unreadable()
        return b""

    def _line(self, event: Event) -> bytes:
        """Return the event with as much of the object as kopf needs to pass it on."""
        meta = event.object.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        short: JsonObject = {"metadata": {key: meta[key] for key in _IDENTITY if key in meta}}
        if event.type == "ERROR":
            code = event.object.get("code")
            short["code"] = code if isinstance(code, int) else 0
            short["message"] = str(event.object.get("message"))[:200]
        elif event.type != "BOOKMARK":
            short[NUMBER] = self.handover.put(self.keeps(event.object))
            # kopf has a queue for each uid.
            short["metadata"].setdefault("uid", f"{meta['namespace']}/{meta['name']}")
        return to_json({"type": event.type, "object": short}) + b"\n"
