"""One connection of a client: uvicorn's, with limits and with problems as errors.

httptools parses heads and bodies in C and limits nothing. What h11, uvicorn's other parser, refuses
or bounds, is refused and bounded here.
"""

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tradingbot_registry.refusals import RefusedError
from tradingbot_registry.rest.problems import MEDIA_TYPE, HTTPError, MalformedError, problem

HEAD_SECONDS = 10.0
"""How long a client may take for the request line and headers; then the connection is closed."""
WRITE_SECONDS = 30.0
"""How long a client may take to read one part of an answer; then the connection is closed."""
MAX_HEAD = 64 * 1024
"""Bytes that the request line and headers may have."""

_VERSIONS = frozenset({"1.0", "1.1"})
_SMALLEST_CHUNK = 8
"""Bytes of a body's byte that is alone in its chunk, and around it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def head(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI has them."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers]


def problem_answer(error: RefusedError, *, path: str = "") -> Answer:
    """Return the answer for an error that the application does not see; it ends the connection."""
    request_id = secrets.token_hex(8)
    answer = problem(error)
    body = answer.document(instance=path, request_id=request_id)
    headers = {
        **answer.headers,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Request-ID": request_id,
    }
    return Answer(answer.kind.status, list(headers.items()), body)


class _Flow(FlowControl):
    """Reads on only when no request waits behind another one of its connection."""

    def __init__(self, transport: asyncio.Transport, waiting: Collection[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, or wait for the last request that has arrived."""
        if not self._waiting:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """A connection with limits for slow clients, and with problems as errors.

    The request line and headers must arrive in time, and an answer must be read in time. What the
    parser lets pass and HTTP/1.1 forbids is refused here.
    """

    _deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None
    _outside = 0
    """Bytes outside the body since the last head or request was complete, less what may be around
    its bytes in chunks."""
    _is_in_head = True
    _error: RefusedError | None = None
    """Why nothing more is read. It is answered after the requests before."""

    def connection_made(self, transport: Any) -> None:
        """Start to wait for the first request."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parse data, and wait for the rest of an incomplete head."""
        if self._error is not None:
            return
        self._outside += len(data)
        super().data_received(data)
        if self._error is not None:
            return
        if self._outside > MAX_HEAD:
            self._refuse(
                HTTPError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"the request line and headers exceed {MAX_HEAD} bytes",
                )
            )
        elif not self._is_in_head or self._is_answering:
            self._stop_waiting()
        elif self._deadline is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._stop_waiting()
        self._stop_write_deadline()
        super().connection_lost(exc)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header. What follows a body is none: nobody before the registry has checked it."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin with the request, if it has one `Host`."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        version = self.parser.get_http_version()
        if version not in _VERSIONS or hosts > 1 or (version == "1.1" and not hosts):
            raise ValueError("not HTTP/1.1")
        super().on_headers_complete()
        self._is_in_head = False
        self._outside = 0

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._outside = max(self._outside - _SMALLEST_CHUNK * len(body), -MAX_HEAD)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._is_in_head = True
        self._outside = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with what waits."""
        super().on_response_complete()
        if self._error is not None and not self._is_answering:
            self._write_error(self._error)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer with a problem to what is not HTTP."""
        # Not what the parser says: its message may repeat a part of a token.
        self._refuse(MalformedError("the request is not valid HTTP/1.1"))

    def pause_writing(self) -> None:
        """Start to wait for the client to read."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop to wait for the client to read."""
        self._stop_write_deadline()
        super().resume_writing()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_reading_body(self) -> bool:
        """Whether the request that is answered next is not complete."""
        return not self._is_in_head and not self.pipeline and not self.cycle.response_started

    def _refuse(self, error: RefusedError) -> None:
        """Read no more, and answer with the error in its turn."""
        self._error = error
        self._stop_waiting()
        if not self._is_answering or self._is_reading_body:
            self._write_error(error)
        elif not self._is_in_head:
            self.transport.abort()  # The request will never be complete, and others are before it.

    def _write_error(self, error: RefusedError) -> None:
        answer = problem_answer(error)
        lines = [STATUS_LINE[answer.status], *(b"%b: %b\r\n" % header for header in answer.head)]
        self.transport.write(b"".join([*lines, b"\r\n", answer.body]))
        self.transport.close()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
