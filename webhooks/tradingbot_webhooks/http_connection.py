"""One HTTP/1.1 connection: what it may send, in which time, and what it is answered in which order.

Most requests come in one piece and are answered in the same turn of the event loop, with no task,
no timer and no copy between. Those that come in one turn are answered together: all are received,
then all are decided, then all answers are written. Whatever has to wait for something else waits in
a queue of the connection, and the client is not read from meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote

import httptools

from tradingbot_webhooks.http_heads import KnownHeads
from tradingbot_webhooks.http_messages import Answer, Application, Head, refusal

logger = logging.getLogger(__name__)

MAX_HEAD = 32 << 10
"""Bytes of a request's line and headers. The API server sends under 1 KiB."""

FRESH_GRACE = 1.0
"""Seconds that a connection without a request yet gets when the server stops."""

_SMALLEST_CHUNK = 8
"""Bytes around each byte of a body that comes in chunks of one byte."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What clients are held to. Times are in seconds."""

    request_timeout: float
    """From the first byte of a request to its last; for a new connection, to its first request;
    and for a client to read its answers."""
    keep_alive: float
    drain_timeout: float
    max_connections: int
    max_body: int
    max_buffered: int
    """Bytes of bodies held at a time by all connections."""


class Round:
    """The connections with a request that came in this turn of the event loop.

    To receive, to decide and to write are each done for all of them in a row. A system call leaves
    the processor's caches cold, and an answer wakes its client: one after the other, with both
    between any two decisions, takes half as long again.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object] | None = None) -> None:
        """`soon` calls a function at the end of the turn: as the running event loop does."""
        self._soon = soon
        self._asked: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """Have its request answered before the turn ends."""
        self._asked.append(connection)
        if len(self._asked) == 1:
            soon = self._soon or asyncio.get_running_loop().call_soon
            soon(self._answer)

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        for connection in asked:
            connection.decide()
        for connection in asked:
            try:
                connection.deliver()
            except Exception:  # one client's end is not that of the others
                logger.exception("an answer could not be written")
                connection.abort()


@dataclass
class Shared:
    """What the connections of one server have in common."""

    application: Application
    limits: Limits
    clock: Callable[[], float]
    round: Round
    heads: KnownHeads = field(default_factory=KnownHeads)
    connections: set[Connection] = field(default_factory=set)
    buffered: int = 0
    draining: bool = False
    """Every answer ends its connection, so that the client goes elsewhere."""
    stopping: bool = False
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection has ended."""

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self.empty.set()


@dataclass(slots=True)
class _Request:
    head: Head | None
    body: bytes
    close: bool
    answer: Answer | Awaitable[Answer] | None = None
    """Decided at once where it is refused, whatever it asks."""
    since: float = field(default_factory=time.perf_counter)


class _StopParsingError(Exception):
    """Makes the parser stop: what follows is of no interest."""


class Connection(asyncio.Protocol):
    """From the handshake to the end."""

    deadline: float
    """When `expire` is due."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self._fresh = True  # nothing asked yet
        self._receiving = False  # a request has begun and is not complete
        self._deaf = False  # nothing more is read
        self._closing = False
        self._asked: _Request | None = None  # the one that is being answered
        self._due: _Request | None = None  # the same, until this turn of the event loop ends
        self._waiting: deque[_Request] = deque()  # those behind it
        self._choked = False  # the client does not read its answers
        self._paused = False
        self._held = 0  # bytes of bodies, as far as they count in `Shared.buffered`

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._shared.connections.add(self)
        shared = self._shared
        seconds = FRESH_GRACE if shared.stopping else shared.limits.request_timeout
        self.deadline = shared.clock() + seconds

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._deaf = self._closing = True
        self._asked = self._due = None
        self._waiting.clear()
        self._release(self._held)
        self._shared.lost(self)
        del self._parser  # it holds this object, as this object held it

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        between = not (self._receiving or self._blocked)
        known = self._shared.heads.split(data) if between else None
        if known is not None and self._has_room(len(known[1])):
            head, body = known
            self._fresh = False
            self._hold(len(body))
            self._ask(_Request(head, body, close=False))
            return
        self._parse(data)
        request = self._asked
        keeps = between and not self._deaf
        if keeps and request is not None and request.head is not None:
            self._shared.heads.remember(data, request.head)

    def _parse(self, data: bytes) -> None:
        self._undivided = True  # all that is fed now belongs to one request
        self._body_in_feed = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # answered like any other, as the last of its connection
        except httptools.HttpParserError:
            if not self._deaf:
                too_large = self._receiving and self._header_size > MAX_HEAD
                self._refuse(431 if too_large else 400)
            return
        if self._receiving and self._undivided:
            self._framing += len(data) - self._body_in_feed
            if self._framing > MAX_HEAD + _SMALLEST_CHUNK * self._size:
                self._refuse(431)

    def eof_received(self) -> None:
        """The client sends nothing more. The transport ends after this, and the turn too late."""
        while self._due is not None:
            self.decide()
            self.deliver()

    def pause_writing(self) -> None:
        self._choked = True
        self._pause()
        self.deadline = self._shared.clock() + self._shared.limits.request_timeout

    def resume_writing(self) -> None:
        self._choked = False
        self._proceed()

    # What the parser calls. An exception ends the parsing of what has been received.

    def on_message_begin(self) -> None:
        if self._deaf:
            raise _StopParsingError
        self._receiving = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._size = self._header_size = self._framing = 0
        self._head: Head | None = None
        self._expects = False
        if not self._blocked:
            self.deadline = self._shared.clock() + self._shared.limits.request_timeout

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        shared, parser, headers = self._shared, self._parser, self._headers
        self._fresh = False
        path = httptools.parse_url(self._url).path.decode("ascii")
        self._head = head = Head(
            parser.get_method(), unquote(path) if "%" in path else path, headers
        )
        if len(shared.connections) > shared.limits.max_connections:
            self._stop_parsing(refusal(503, "too many connections", (b"retry-after", b"1")))
        answer = shared.application.refusal(head)
        if answer is not None:
            self._stop_parsing(answer)
        announced = headers.pop(b"content-length", b"")  # of no interest to an application
        if announced.isdigit() and int(announced) > shared.limits.max_body:
            self._stop_parsing(self._too_large())
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._expects = True
            self._invite()

    def on_body(self, body: bytes) -> None:
        size, shared = len(body), self._shared
        self._chunks.append(body)
        self._size += size
        self._body_in_feed += size
        self._hold(size)
        if self._size > shared.limits.max_body:
            self._stop_parsing(self._too_large())
        if shared.buffered > shared.limits.max_buffered:
            self._stop_parsing(refusal(503, "too many large requests", (b"retry-after", b"1")))

    def on_message_complete(self) -> None:
        self._receiving = self._undivided = False
        parser, chunks = self._parser, self._chunks
        close = (
            not parser.should_keep_alive()
            or parser.should_upgrade()
            or parser.get_http_version() != "1.1"
        )
        self._deaf = close
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._ask(_Request(self._head, body, close))

    # What the server calls.

    def expire(self) -> None:
        """The deadline has passed: the client is too slow, or has nothing more to ask."""
        self.deadline = math.inf
        if self._closing or self._choked:
            self._transport.abort()
        elif self._asked is not None:
            return
        elif self._receiving:
            self._refuse(408)
        else:
            self._close()

    def finish(self) -> None:
        """End, but answer what has begun, or is about to on a new connection."""
        if self._receiving or self._blocked or self._closing:
            return
        if self._fresh:
            self.deadline = min(self.deadline, self._shared.clock() + FRESH_GRACE)
        else:
            self._close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    # Answers, in the order of the requests.

    @property
    def _blocked(self) -> bool:
        """Whether something has to happen before the next request is decided."""
        return self._asked is not None or self._choked

    def _ask(self, request: _Request) -> None:
        if self._blocked:
            self._waiting.append(request)
            self._pause()
        else:
            self._asked = self._due = request
            self._shared.round.add(self)

    def decide(self) -> None:
        """Have the application answer the request whose turn it is."""
        request = self._due
        if request is None:  # the client has gone
            return
        self._release(len(request.body))
        if request.answer is not None or request.head is None:
            return
        try:
            request.answer = self._shared.application.answer(
                request.head, request.body, since=request.since
            )
        except Exception:
            logger.exception("a request failed")
            request.answer = refusal(500)

    def deliver(self) -> None:
        """Write the answer that was decided on, or wait for it."""
        request, self._due = self._due, None
        if request is None:
            return
        answer = request.answer or refusal(400)
        if isinstance(answer, Answer):
            self._write(answer, request)
            return
        self._pause()
        self.deadline = math.inf
        asyncio.ensure_future(answer).add_done_callback(
            lambda done: self._deliver_later(done, request)
        )

    def _deliver_later(self, task: asyncio.Future[Answer], request: _Request) -> None:
        if task.cancelled():
            answer = refusal(503)
        elif (failure := task.exception()) is not None:
            logger.error("a request failed", exc_info=failure)
            answer = refusal(500)
        else:
            answer = task.result()
        if not self._closing:
            self._write(answer, request)

    def _write(self, answer: Answer, request: _Request) -> None:
        self._asked = None
        close = answer.close or request.close or self._shared.draining
        if answer.code >= HTTPStatus.BAD_REQUEST:
            self._shared.application.refused(answer.code)
        without_body = request.head is not None and request.head.method == b"HEAD"
        self._transport.write(answer.encoded(close=close, without_body=without_body))
        if close:
            self._close()
        else:
            self._proceed()

    def _proceed(self) -> None:
        """Answer what has waited, and read on."""
        if self._blocked or self._closing:
            return
        if self._waiting:
            self._ask(self._waiting.popleft())
            return
        limits = self._shared.limits
        seconds = limits.request_timeout if self._receiving else limits.keep_alive
        self.deadline = self._shared.clock() + seconds
        if self._receiving:
            self._invite()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _invite(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self._expects and not self._blocked:
            self._expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _pause(self) -> None:
        if not self._paused and not self._closing:
            self._paused = True
            self._transport.pause_reading()

    # Refusals.

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > MAX_HEAD:
            raise _StopParsingError

    def _too_large(self) -> Answer:
        return refusal(413, f"the body is over {self._shared.limits.max_body} bytes")

    def _stop_parsing(self, answer: Answer) -> None:
        self._refuse(answer.code, answer)
        raise _StopParsingError

    def _refuse(self, code: int, answer: Answer | None = None) -> None:
        """Answer the request that is being received, in its turn, and read no more."""
        head = None
        if self._receiving:
            head = self._head
            self._chunks = []
            self._release(self._size)
        self._receiving = False
        self._deaf = True
        self._ask(_Request(head, b"", close=True, answer=answer or refusal(code)))

    def _has_room(self, size: int) -> bool:
        """Whether a body of that size is within all limits."""
        shared, limits = self._shared, self._shared.limits
        return (
            size <= limits.max_body
            and shared.buffered + size <= limits.max_buffered
            and len(shared.connections) <= limits.max_connections
        )

    def _hold(self, size: int) -> None:
        self._held += size
        self._shared.buffered += size

    def _release(self, size: int) -> None:
        self._held -= size
        self._shared.buffered -= size

    def _close(self) -> None:
        """Send what is written, then end."""
        self._deaf = self._closing = True
        self.deadline = self._shared.clock() + self._shared.limits.request_timeout
        self._transport.close()
