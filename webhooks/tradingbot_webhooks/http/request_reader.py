"""Reads requests from the bytes of one connection, and bounds what a client may send.

Three states:

    IDLE --first byte--> RECEIVING --last byte--> IDLE
                             |                      |
                             |  refused, or the last request of its connection
                             v                      v
                           CLOSED <-----------------+

A request that comes in one piece with a head that was parsed before goes from IDLE to IDLE without
the parser (`heads`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol
from urllib.parse import unquote

import httptools

from tradingbot_webhooks.http.body_budget import BodyBudget
from tradingbot_webhooks.http.messages import Answer, Head, refusal
from tradingbot_webhooks.http.room import Occupant
from tradingbot_webhooks.http.shared import Request, Shared

MAX_HEAD = 32 << 10
"""Bytes of a request's line and headers. The API server sends under 1 KiB."""

_SMALLEST_CHUNK = 8
"""Bytes around each byte of a body that comes in chunks of one byte."""


class ReadState(Enum):
    """What the reader expects next."""

    IDLE = auto()
    """The first byte of a request."""
    RECEIVING = auto()
    """The rest of a request."""
    CLOSED = auto()
    """Nothing. Bytes that still arrive are dropped."""


_IDLE: Final = ReadState.IDLE
_RECEIVING: Final = ReadState.RECEIVING
_CLOSED: Final = ReadState.CLOSED
# A name costs 30 ns, a member of an enum 150 ns, and a review needs a dozen.


class Answers(Protocol):
    """The requests that wait for an answer."""

    def add(self, request: Request) -> None:
        """Answer a request that is complete or was refused, in its turn."""


class Receiver(Occupant, Protocol):
    """The connection, as its reader sees it."""

    def on_request_begin(self) -> None:
        """React to the first byte of a request that the parser reads."""

    def on_expect_continue(self) -> None:
        """React to a client that waits for `100 Continue` before it sends the body."""


class _StopParsingError(Exception):
    """Makes the parser stop: the following bytes are not read."""


@dataclass(slots=True)
class _Partial:
    """The received part of a request. Sizes are in bytes."""

    url: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    head: Head | None = None
    chunks: list[bytes] = field(default_factory=list)
    header_size: int = 0
    body_size: int = 0
    framing_size: int = 0
    """Bytes outside the body: the head, and the lines between chunks and after the last one."""


class RequestReader:
    """The reading half of a connection."""

    def __init__(
        self, shared: Shared, budget: BodyBudget, answers: Answers, receiver: Receiver
    ) -> None:
        self.state = _IDLE
        self.is_fresh = True
        """No head of a request has arrived yet."""
        self.expects_continue = False
        """The client sends the body only after `100 Continue`, which was not sent yet."""
        self._shared = shared
        self._budget = budget
        self._answers = answers
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)
        self._partial = _Partial()
        self._first_head: Head | None = None  # of the requests that ended in the current feed
        self._is_one_request = True  # no request has ended in the current feed
        self._body_in_feed = 0  # bytes of the current feed that belong to a body

    @property
    def is_receiving(self) -> bool:
        """Whether a request has begun and is not complete."""
        return self.state is _RECEIVING

    def feed(self, data: bytes) -> None:
        """Read the next bytes from the client."""
        if self.state is _CLOSED:
            return
        was_idle = self.state is _IDLE
        if was_idle:
            known = self._shared.heads.split(data)
            if known is not None and self._budget.has_room(len(known[1])):
                head, body = known
                self.is_fresh = False
                self._budget.hold(len(body))
                self._answers.add(Request(head, body, close=False))
                return
        self._parse(data)
        if was_idle:
            self._remember_head(data)

    def refuse(self, code: int, answer: Answer | None = None) -> None:
        """End the request that is being received with an HTTP error, and read no more."""
        head = None
        if self.state is _RECEIVING:
            head = self._partial.head
            self._partial.chunks = []
            self._budget.release(self._partial.body_size)
        self.state = _CLOSED
        self._answers.add(Request(head, b"", close=True, answer=answer or refusal(code)))

    def close(self) -> None:
        """Read no more."""
        self.state = _CLOSED
        self._partial.chunks = []

    def detach(self) -> None:
        """Break the cycles of references with the parser and the connection: each connection would
        otherwise wait for the garbage collector, which runs rarely."""
        self.close()
        del self._parser, self._receiver

    # Called by the parser. An exception ends the parsing of what has been received.

    def on_message_begin(self) -> None:
        if self.state is _CLOSED:
            raise _StopParsingError
        self.state = _RECEIVING
        self.expects_continue = False
        self._partial = _Partial()
        self._receiver.on_request_begin()

    def on_url(self, url: bytes) -> None:
        self._partial.url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._partial.headers[name.lower()] = value
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        shared, partial = self._shared, self._partial
        headers = partial.headers
        self.is_fresh = False
        path = httptools.parse_url(partial.url).path.decode("ascii")
        method = self._parser.get_method()
        partial.head = head = Head(method, unquote(path) if "%" in path else path, headers)
        answer = shared.application.refusal(head)
        if answer is not None:
            self._stop_parsing(answer)
        announced = headers.pop(b"content-length", b"")  # no application reads it
        if announced.isdigit() and int(announced) > shared.limits.max_body:
            self._stop_parsing(self._too_large())
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self.expects_continue = True
            self._receiver.on_expect_continue()

    def on_body(self, body: bytes) -> None:
        size, partial = len(body), self._partial
        partial.chunks.append(body)
        partial.body_size += size
        self._body_in_feed += size
        self._budget.hold(size)
        if partial.body_size > self._shared.limits.max_body:
            self._stop_parsing(self._too_large())
        if self._budget.charged and not self._shared.room.fits(self._receiver):
            self._stop_parsing(refusal(503, "too many large requests", (b"retry-after", b"1")))

    def on_message_complete(self) -> None:
        self._is_one_request = False
        parser, partial = self._parser, self._partial
        close = (
            not parser.should_keep_alive()
            or parser.should_upgrade()
            or parser.get_http_version() != "1.1"
        )
        self.state = _CLOSED if close else _IDLE
        chunks, partial.chunks = partial.chunks, []
        self._first_head = self._first_head or partial.head
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._answers.add(Request(partial.head, body, close))

    def _remember_head(self, data: bytes) -> None:
        """Note that `data` was parsed, and began after a complete request."""
        if self._first_head is not None and self.state is not _CLOSED:
            self._shared.heads.remember(data, self._first_head)

    def _parse(self, data: bytes) -> None:
        self._first_head = None
        self._is_one_request = True
        self._body_in_feed = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.state = _CLOSED  # answered like any other, as the last one
        except httptools.HttpParserError:
            if self.state is not _CLOSED:
                is_receiving = self.state is _RECEIVING
                too_large = is_receiving and self._partial.header_size > MAX_HEAD
                self.refuse(431 if too_large else 400)
            return
        if self._is_one_request and self.state is _RECEIVING:
            self._count_framing(len(data) - self._body_in_feed)

    def _count_header(self, size: int) -> None:
        self._partial.header_size += size
        if self._partial.header_size > MAX_HEAD:
            raise _StopParsingError

    def _count_framing(self, size: int) -> None:
        """Bound the bytes that are neither in the body nor shown by the parser, such as extensions
        of chunks."""
        partial = self._partial
        partial.framing_size += size
        if partial.framing_size > MAX_HEAD + _SMALLEST_CHUNK * partial.body_size:
            self.refuse(431)

    def _too_large(self) -> Answer:
        return refusal(413, f"the body is over {self._shared.limits.max_body} bytes")

    def _stop_parsing(self, answer: Answer) -> None:
        self.refuse(answer.code, answer)
        raise _StopParsingError
