"""WebSocket answers that faults can cut, thin out and double, and that end with the process.

A dialect answers a WebSocket request with `EventStream` instead of `web.WebSocketResponse`.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

LONGEST_MESSAGE = 256 * 1024
"""Of a client, in bytes: a message without an end takes so much memory."""
GOODBYE_SECONDS = 0.5
"""How long a client may take to read a farewell."""


class StreamControl(Protocol):
    """What decides over open streams."""

    def opened(self, stream: "EventStream", request: web.BaseRequest) -> None:
        """Notice a stream that was just opened."""

    def copies(self, text: str) -> int:
        """Return how often to send `text`: 0 drops it, 2 doubles it."""


STREAM_CONTROL: web.AppKey[StreamControl] = web.AppKey("stream_control", StreamControl)
"""Set by the server. Without it, streams are plain WebSockets."""


def cut_off(request: web.BaseRequest) -> None:
    """Close the connection of a request at once. A farewell would wait for the client."""
    if request.transport is not None:
        request.transport.abort()


class EventStream(web.WebSocketResponse):
    """A WebSocket of a simulated exchange."""

    def __init__(
        self,
        request: web.Request,
        *,
        heartbeat: float | None = None,
        longest: int = LONGEST_MESSAGE,
    ) -> None:
        """`longest`: of a message from the client, in bytes."""
        super().__init__(heartbeat=heartbeat, max_msg_size=longest)
        self._control = request.config_dict.get(STREAM_CONTROL)
        self._opened_by = request

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Open the stream."""
        writer = await super().prepare(request)
        if self._control is not None:
            self._control.opened(self, request)
        return writer

    def abort(self) -> None:
        """Cut the client off without a farewell."""
        cut_off(self._opened_by)

    async def dismiss(self, code: int, reason: bytes) -> None:
        """Close the stream, without a farewell if the client does not read it in time."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.close(code=code, message=reason)
                return
        self.abort()

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a message, unless a fault drops it; twice if a fault doubles it."""
        copies = 1 if self._control is None else self._control.copies(data)
        for _ in range(copies):
            await super().send_str(data, compress)
