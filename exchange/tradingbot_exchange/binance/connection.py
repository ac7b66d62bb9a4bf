"""One open WebSocket: messages leave in order, and a client that reads too slowly is cut off."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import WSCloseCode, WSMsgType, web

from tradingbot_exchange.outbox import Outbox, outbox_for
from tradingbot_exchange.streams import GOODBYE_SECONDS, LONGEST_MESSAGE, EventStream

PING_SECONDS = 20.0
"""How often the server pings. A client that does not answer within half of it is cut off."""


class Connection:
    """A WebSocket with an outbox of messages. `send` never blocks."""

    def __init__(self, stream: EventStream, outbox: Outbox) -> None:
        self._stream = stream
        self._outbox = outbox

    @classmethod
    async def open(cls, request: web.Request, *, longest: int = LONGEST_MESSAGE) -> "Connection":
        """Accept a WebSocket. `longest`: of a message from the client, in bytes."""
        stream = EventStream(request, heartbeat=PING_SECONDS, longest=longest)
        await stream.prepare(request)
        return cls(stream, outbox_for(request))

    @property
    def response(self) -> web.WebSocketResponse:
        """The answer to the request that opened it."""
        return self._stream

    def send(self, text: str) -> None:
        """Send a message after those that wait."""
        self._outbox.put(text)

    async def messages(self) -> AsyncGenerator[str]:
        """Iterate over the client's messages until it leaves; send what waits meanwhile."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._stream:
                if message.type is WSMsgType.TEXT:
                    yield message.data
                    # Others have their turn, however many messages have come at once.
                    await asyncio.sleep(0)
        finally:
            self._outbox.close()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer

    async def _write(self) -> None:
        while not self._stream.closed:
            text = await self._outbox.get()
            with contextlib.suppress(ConnectionError):
                await self._stream.send_str(text)

    def abort(self) -> None:
        """Cut the connection without a farewell. Messages that wait are lost."""
        self._stream.abort()

    async def close(self, code: int, reason: bytes) -> None:
        """Close the WebSocket. Messages that wait are lost.

        A client that does not read the farewell in time is cut off without it.
        """
        await self._stream.dismiss(code, reason)

    async def say_goodbye(self, text: str) -> None:
        """Send what waits and a last message, as far as the client reads it in time, and close."""
        self.send(text)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                while len(self._outbox):
                    await self._stream.send_str(self._outbox.take())
                await self.close(WSCloseCode.GOING_AWAY, b"server shutdown")
