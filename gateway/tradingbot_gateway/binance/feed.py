"""The books of the symbols that the bot trades, of Binance.

The stream of a quiet symbol may be silent while its prices hold: then REST confirms them.
"""

import json
from collections.abc import Iterable
from decimal import Decimal

import aiohttp

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.binance.upstream import Upstream
from tradingbot_gateway.book_feed import PING_SECONDS, BookFeed
from tradingbot_gateway.connection import WEBSOCKET_TIMEOUT
from tradingbot_gateway.markets import Depth, Levels, OnDepth

LEVELS = 20
_STREAM = f"@depth{LEVELS}@100ms"


class Feed(BookFeed):
    """The books of some symbols."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        upstream: Upstream,
        *,
        wall: Wall,
        on_depth: OnDepth,
    ) -> None:
        super().__init__(wall=wall, on_depth=on_depth)
        self._session = session
        self._address = address
        self._upstream = upstream
        self._requests = 0

    async def _stream_once(self) -> None:
        url = f"{self._address}/stream"
        async with self._session.ws_connect(
            url, heartbeat=PING_SECONDS, timeout=WEBSOCKET_TIMEOUT
        ) as socket:
            await self._subscribe(socket, tuple(self._times))
            self._socket = socket
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)

    async def _subscribe(
        self, socket: aiohttp.ClientWebSocketResponse, names: Iterable[str]
    ) -> None:
        self._requests += 1
        streams = [name.lower() + _STREAM for name in names]
        request = {"method": "SUBSCRIBE", "params": streams, "id": self._requests}
        await socket.send_str(json.dumps(request))

    def _take(self, text: str) -> None:
        message = json.loads(text)
        stream = message.get("stream")
        if stream is not None:
            self._learn(stream.partition("@")[0].upper(), self._depth(message["data"]))

    async def _read(self, name: str) -> Depth | None:
        query = f"symbol={name}&limit={LEVELS}"
        answer = await self._upstream.public("GET", "/api/v3/depth", query)
        return self._depth(answer.json()) if answer.succeeded else None

    def _depth(self, book: dict[str, list[list[str]]]) -> Depth:
        return Depth(_levels(book["bids"]), _levels(book["asks"]), self._wall())


def _levels(rows: list[list[str]]) -> Levels:
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in rows)
