"""uvicorn's server and HTTP/1.1 protocol, with the bounds that they lack.

uvicorn waits for ever for a client that connects and says nothing, or says it a byte at a time, and
reads request heads of any size. And it re-raises SIGTERM when it has stopped, and closes on a
client whose request is half received.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 << 10
"""Bytes of a request's line and headers. The API server sends under 1 KiB."""

FRESH_GRACE = 1.0
"""Seconds that a connection without a request yet gets when the server stops."""


_TLS_GOODBYE = 2.0
"""Seconds that a client gets to answer the end of a TLS session."""


class _HeadTooLargeError(Exception):
    """Makes the parser stop; the client is answered 431."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection: a request must be complete `request_timeout` after it began."""

    request_timeout: float = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self._fresh = True  # nothing asked yet
        self._receiving = False
        self._in_head = True
        self._head_size = 0
        self._arm(self.request_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._receiving:
            if self._deadline is None:
                self._arm(self.request_timeout)
        elif self._deadline is not None and not self._fresh:
            self._disarm()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = self._in_head = True
        self._head_size = 0
        self._header_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_size += len(name) + len(value)
        if self._header_size > MAX_HEAD:
            raise _HeadTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = self._fresh = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._receiving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        if self._in_head and max(self._head_size, self._header_size) > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def shutdown(self) -> None:
        """Let a request that has begun, or is about to on a new connection, be answered first."""
        if self._receiving:
            return  # the application answers with `connection: close` from now on
        if self._fresh:
            self._disarm()
            self._arm(FRESH_GRACE)
            return
        super().shutdown()

    def _arm(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._fresh and not self._receiving:
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = f"{status.phrase.lower()}\n"
            self.transport.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\n"
                f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
                f"connection: close\r\n\r\n{body}".encode()
            )
        self.transport.close()


class BoundedServer(uvicorn.Server):
    """Serves one application on one socket until `should_exit` is set; signals are not its job."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        protocol: type[BoundedProtocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(config)
        self._protocol = protocol
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config = self.config
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        handshake, goodbye = self._protocol.request_timeout, _TLS_GOODBYE

        def protocol() -> BoundedProtocol:
            return self._protocol(config, self.server_state, self.lifespan.state)

        self.servers = [
            await loop.create_server(
                protocol,
                sock=sock,
                ssl=self._tls,
                backlog=config.backlog,
                ssl_handshake_timeout=handshake if self._tls else None,
                ssl_shutdown_timeout=goodbye if self._tls else None,
            )
            for sock in sockets or []
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bounded_server(
    app: Callable[..., Any],
    *,
    request_timeout: float,
    keep_alive: int,
    drain_timeout: int,
    max_concurrency: int,
    tls: ssl.SSLContext | None = None,
) -> BoundedServer:
    """A server for the ASGI application `app`. All durations are in seconds."""
    protocol = type("Protocol", (BoundedProtocol,), {"request_timeout": request_timeout})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=drain_timeout,
        limit_concurrency=max_concurrency,
    )
    return BoundedServer(config, protocol=protocol, tls=tls)
