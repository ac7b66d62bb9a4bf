"""An HTTP/1.1 server for one application: it listens, closes slow connections, and drains.

Not an ASGI server, which makes a task, an event, a timer and several messages for each request:
they cost as much as a review. `docs/benchmarks.md` has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from tradingbot_webhooks.http.batch import Backlog, EventLoopBatch
from tradingbot_webhooks.http.connection import Connection
from tradingbot_webhooks.http.listener import Handshake, Listener
from tradingbot_webhooks.http.messages import Application
from tradingbot_webhooks.http.room import Limits, Room
from tradingbot_webhooks.http.shared import Shared

SWEEP_INTERVAL = 0.1
"""Seconds between two checks for expired deadlines. One timer serves all connections: one
for each request would cost more than parsing the request's head."""

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
        self.room = Room(limits)
        self._shared = Shared(
            application, limits, clock, EventLoopBatch(soon), Backlog(), self.room
        )
        self._tls = tls
        self._stop = asyncio.Event()

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests until `stop`, then let those under way end."""
        listener = Listener(
            self.connection,
            self.room,
            tls=self._tls,
            handshake_timeout=self._shared.limits.request_timeout,
            clock=self._shared.clock,
        )
        listener.begin(listening)
        sweeping = asyncio.create_task(self._keep_sweeping())
        await self._stop.wait()
        listener.end()
        await self._finish()
        sweeping.cancel()

    def drain(self) -> None:
        """Close each connection after its next answer: clients connect to another replica."""
        self._shared.draining = True

    def stop(self) -> None:
        """End listening, and soon thereafter `serve`."""
        self._shared.draining = self._shared.stopping = True
        self._stop.set()

    def connection(self, address: str = "", handshake: Handshake | None = None) -> Connection:
        """Return a new connection, without a transport, that replaces a handshake."""
        return Connection(self._shared, address, handshake)

    def sweep(self) -> None:
        """Expire the connections whose deadline has passed."""
        now = self._shared.clock()
        for late in [client for client in self._shared.connections if client.deadline <= now]:
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
