"""One open WebSocket: messages leave in order, and a client that reads too slowly is cut off."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import WSCloseCode, WSMsgType, web

from tradingbot_exchange.streams import LONGEST_MESSAGE, EventStream

PING_SECONDS = 20.0
"""How often the server pings. A client that does not answer within half of it is cut off."""

_GOODBYE_SECONDS = 0.5
_LONGEST_QUEUE = 10_000
"""Messages that wait for a slow client."""


class Connection:
    """A WebSocket with a queue of outgoing messages. `send` never blocks."""

    def __init__(self, stream: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._stream = stream
        self._transport = transport
        self._queue: asyncio.Queue[str] = asyncio.Queue(_LONGEST_QUEUE)
        self._overrun = False

    @classmethod
    async def open(cls, request: web.Request, *, longest: int = LONGEST_MESSAGE) -> "Connection":
        """Accept a WebSocket. `longest`: of a message from the client, in bytes."""
        stream = EventStream(request, heartbeat=PING_SECONDS, longest=longest)
        await stream.prepare(request)
        return cls(stream, request.transport)

    @property
    def response(self) -> web.WebSocketResponse:
        """The answer to the request that opened it."""
        return self._stream

    def send(self, text: str) -> None:
        """Send a message after those that wait."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._overrun = True

    async def messages(self) -> AsyncGenerator[str]:
        """Iterate over the client's messages until it leaves; send what waits meanwhile."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._stream:
                if message.type is WSMsgType.TEXT:
                    yield message.data
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer

    async def _write(self) -> None:
        while not self._stream.closed:
            text = await self._queue.get()
            if self._overrun:
                await self.close(WSCloseCode.POLICY_VIOLATION, b"too slow")
                return
            with contextlib.suppress(ConnectionError):
                await self._stream.send_str(text)

    def abort(self) -> None:
        """Cut the connection without a farewell. Messages that wait are lost."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self, code: int, reason: bytes) -> None:
        """Close the WebSocket. Messages that wait are lost."""
        await self._stream.close(code=code, message=reason)

    async def say_goodbye(self, text: str) -> None:
        """Send what waits and a last message, as far as the client reads it in time, and close."""
        self.send(text)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                while not self._queue.empty():
                    await self._stream.send_str(self._queue.get_nowait())
                await self.close(WSCloseCode.GOING_AWAY, b"server shutdown")
