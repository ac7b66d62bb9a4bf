"""One connection to a bot, with limits on everything that an answer may contain.

The image of a bot belongs to a tenant, and may answer with anything. aiohttp's client reads interim
responses (`100 Continue`) in a loop that no time-out interrupts, and has no limit for their number.
So this protocol counts bytes and reads before it parses, and the parts of the answer while it
parses. The parser, llhttp, comes from httptools.
"""

import asyncio
import socket
from http import HTTPStatus
from typing import Self, cast

import httptools
from tradingbot_api.contract import MAX_REPORT_BYTES
from tradingbot_api.gateway_state import HEADER, GatewayNotice

from tradingbot_operator.risk.answer import NoReportError

MAX_EXCHANGE_BYTES = MAX_REPORT_BYTES + 16 * 1024
"""Of a whole answer: heads, interim answers, sizes and extensions of chunks, body, trailers."""

MAX_READS = 128
"""Twice the reads of the longest allowed answer, if each packet is read alone."""

MAX_PIECES = 1024
"""Header lines and pieces of the body together; a chunk is a piece, or several."""

SLOW_READS = 16
"""An answer that hits the time-out after more reads is excessive; after fewer, the bot is slow."""

MAX_INTERIM = 8
"""Maximum responses of status 1xx before the final one."""

_NOTICE = HEADER.lower().encode()

UNASKED = "it sends data that was not requested"


class ConnectionBrokenError(Exception):
    """The connection ended before the answer did. `unused` if no byte of the answer had come."""

    def __init__(self, *, unused: bool) -> None:
        super().__init__("the connection broke")
        self.unused = unused


class RiskConnection(asyncio.Protocol):
    """An open connection for one exchange at a time. A method that raises closes it."""

    _transport: asyncio.Transport
    _parser: httptools.HttpResponseParser

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._answer: asyncio.Future[bytes] | None = None
        self.keeps_open = False
        """Whether another exchange may follow."""
        self.intruded = False
        """Whether the peer sent data between two exchanges."""
        self.reads = 0
        """Number of reads of the current answer."""
        self.notice: GatewayNotice | None = None
        """What the gateway says of itself in the head of the last answer."""

    @classmethod
    async def open(cls, address: str, port: int) -> Self:
        """Connect to a literal address; no name is looked up. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (address, port))
            _, connection = await loop.create_connection(lambda: cls(sock), sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    async def exchange(self, request: bytes) -> bytes:
        """Send `request` and return the body of the answer, if its status is 200.

        Raises NoReportError, or ConnectionBrokenError.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._bytes = self.reads = self._pieces = self._interim = 0
        self._framed = self._in_body = self._complete = self.keeps_open = False
        self.notice = None
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None

    def is_fresh(self) -> bool:
        """Return whether the connection is open and has no unread data.

        Data that came before the request is not the answer to it, even if the event loop has not
        read it yet.
        """
        if self._transport.is_closing():
            return False
        try:
            self.intruded |= bool(self._sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            pass
        self.close()
        return False

    def close(self) -> None:
        """Close the connection immediately."""
        self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.intruded = True
            self.close()
            return
        self._bytes += len(data)
        self.reads += 1
        if self._bytes > MAX_EXCHANGE_BYTES:
            self._fail(_too_long())
        elif self.reads > MAX_READS:
            self._fail(NoReportError("excessive", "its answer comes in too many pieces"))
        else:
            self._parse(data, self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is None or self._answer.done():
            return
        if exc is None and self._in_body and not self._framed:  # as in HTTP/1.0
            self._answer.set_result(bytes(self._body))
        else:
            self._answer.set_exception(ConnectionBrokenError(unused=self.reads == 0))

    def _parse(self, data: bytes, answer: "asyncio.Future[bytes]") -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error.__context__, NoReportError):  # raised by a callback below
                self._fail(error.__context__)
            elif self._complete:
                self._fail(NoReportError("excessive", UNASKED))
            else:
                self._fail(NoReportError("http_error", "its answer is not HTTP"))
        else:
            if self._complete:
                answer.set_result(bytes(self._body))

    def _fail(self, error: NoReportError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._complete:
            raise NoReportError("excessive", UNASKED)
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_piece()
        lower = name.lower()
        if lower in {b"content-length", b"transfer-encoding"}:
            self._framed = True
        elif lower == _NOTICE:
            self.notice = GatewayNotice.parse(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status // 100 == 1 and status != HTTPStatus.SWITCHING_PROTOCOLS:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise NoReportError("excessive", "it sends interim answers without end")
        elif status != HTTPStatus.OK:
            raise NoReportError("http_error", f"it answered with HTTP {status}")
        else:
            self._in_body = True

    def on_body(self, piece: bytes) -> None:
        self._count_piece()
        self._body += piece
        if len(self._body) > MAX_REPORT_BYTES:
            raise _too_long()

    def on_message_complete(self) -> None:
        if self._in_body:
            self._complete = True
            self.keeps_open = self._parser.should_keep_alive()

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise NoReportError("excessive", "its answer comes in too many pieces")


def _too_long() -> NoReportError:
    return NoReportError("excessive", f"its report is longer than {MAX_REPORT_BYTES} bytes")
