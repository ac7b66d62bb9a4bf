"""An HTTP/1.1 server for one application: it listens, drops who is too slow, and ends in order.

Its own, as an ASGI server makes a task, an event, a timer and several messages of each request, and
a review is so small that these cost as much as to judge it. `docs/benchmarks.md` has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from tradingbot_webhooks.http_connection import Connection, Limits, Round, Shared
from tradingbot_webhooks.http_messages import Application

SWEEP_INTERVAL = 0.1
"""Seconds between two looks at who is late. One timer for all connections: one of its own for each
request costs more than to parse the request's head."""

_TLS_GOODBYE = 2.0
"""Seconds that a client gets to answer the end of a TLS session."""

_HANDSHAKES = 0.1
"""Seconds for handshakes under way to become connections when the server stops."""


class HttpServer:
    """Serves `application` on one socket until it is told to stop; signals are not its job."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        *,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._shared = Shared(application, limits, clock, Round(soon))
        self._tls = tls
        self._stop = asyncio.Event()

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests until `stop`, then let those under way end."""
        timeout = self._shared.limits.request_timeout
        server = await asyncio.get_running_loop().create_server(
            self.connection,
            sock=listening,
            ssl=self._tls,
            ssl_handshake_timeout=timeout if self._tls else None,
            ssl_shutdown_timeout=_TLS_GOODBYE if self._tls else None,
        )
        sweeping = asyncio.create_task(self._keep_sweeping())
        await self._stop.wait()
        server.close()
        await self._finish()
        sweeping.cancel()

    def drain(self) -> None:
        """Ask clients, with every answer from now on, to connect anew: elsewhere."""
        self._shared.draining = True

    def stop(self) -> None:
        """End listening, and soon thereafter `serve`."""
        self._shared.draining = self._shared.stopping = True
        self._stop.set()

    def connection(self) -> Connection:
        """A new connection, which a transport is to be given."""
        return Connection(self._shared)

    def sweep(self) -> None:
        """Expire the connections whose deadline has passed."""
        now = self._shared.clock()
        for late in [one for one in self._shared.connections if one.deadline <= now]:
            late.expire()

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self.sweep()

    async def _finish(self) -> None:
        shared = self._shared
        for connection in list(shared.connections):
            connection.finish()
        await asyncio.sleep(_HANDSHAKES)
        shared.empty.clear()
        if shared.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(shared.empty.wait(), shared.limits.drain_timeout)
        for connection in list(shared.connections):
            connection.abort()
