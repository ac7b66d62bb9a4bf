"""Market streams, passed through message by message. They carry no orders and no account."""

import asyncio
import logging
import re

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

from tradingbot_gateway.binance.budget import Budget
from tradingbot_gateway.connection import CLOSE_SECONDS, LONGEST_FRAME, WEBSOCKET_TIMEOUT

log = logging.getLogger(__name__)

PING_SECONDS = 20.0
_PATH = re.compile(r"/(ws(/[A-Za-z0-9@_!/.-]*)?|stream)(\?[^#]*)?")
_LONGEST_MESSAGE = 4 * 1024 * 1024

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class MarketStreams:
    """Connections to `/ws` and `/stream`, each with one of its own to the exchange."""

    def __init__(self, session: aiohttp.ClientSession, address: str, budget: Budget) -> None:
        self._session = session
        self._address = address
        self._budget = budget
        self._open: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        path = request.raw_path
        if _PATH.fullmatch(path) is None or ".." in path:
            raise web.HTTPNotFound
        if not self._budget.opens_stream():
            raise web.HTTPTooManyRequests(text="the risk gateway opens no more streams for now")
        url = URL(self._address + path, encoded=True)
        try:
            upstream = await self._session.ws_connect(
                url,
                heartbeat=PING_SECONDS,
                max_msg_size=_LONGEST_MESSAGE,
                timeout=WEBSOCKET_TIMEOUT,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("no market stream: %s", type(error).__name__)
            raise web.HTTPServiceUnavailable from None
        client = web.WebSocketResponse(
            heartbeat=PING_SECONDS, timeout=CLOSE_SECONDS, max_msg_size=LONGEST_FRAME
        )
        await client.prepare(request)
        self._open.add(client)
        try:
            await _join(client, upstream)
        finally:
            self._open.discard(client)
            await upstream.close()
            await client.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        return client

    async def shut_down(self) -> None:
        """Close all connections."""
        closing = (each.close(code=aiohttp.WSCloseCode.GOING_AWAY) for each in tuple(self._open))
        await asyncio.gather(*closing, return_exceptions=True)


async def _join(client: Socket, upstream: Socket) -> None:
    """Pass messages both ways until one side ends."""
    pumps = {
        asyncio.create_task(_pump(client, upstream)),
        asyncio.create_task(_pump(upstream, client)),
    }
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: Socket, target: Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
