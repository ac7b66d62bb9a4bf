"""The gateway's own market data: the books of the products that its bot trades.

A product is followed from its first order on. Messages are numbered: as long as none is missing and
heartbeats come, a book that does not change is as good as a new one. A book that nothing confirms
for some seconds is asked for by REST.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
from tradingbot_exchange.coinbase.calls import V3

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.coinbase.book import LEVELS, Book
from tradingbot_gateway.coinbase.numbering import Numbering
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.connection import STREAM_FAILURES, WEBSOCKET_TIMEOUT
from tradingbot_gateway.markets import Depth, Levels, OnDepth

log = logging.getLogger(__name__)

CONFIRM_MS = 5_000
"""A book that is older than this is asked for."""
LONGEST_MESSAGE = 64 * 1024 * 1024
"""A snapshot has the whole book."""

_PING_SECONDS = 10.0
_SILENT_SECONDS = 10.0
"""Heartbeats come every second."""
_PAUSE_SECONDS = 1.0
_CHECK_SECONDS = 1.0


class Feed:
    """The books of some products."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        upstream: Upstream,
        *,
        wall: Wall,
        on_depth: OnDepth,
    ) -> None:
        self._session = session
        self._address = address
        self._upstream = upstream
        self._wall = wall
        self._on_depth = on_depth
        self._times: dict[str, int] = {}
        """When each followed product's book was confirmed last."""
        self._books: dict[str, Book] = {}
        """Of this connection, from their snapshots on."""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._wanted = asyncio.Event()

    async def follow(self, name: str) -> None:
        """Follow a product from now on; its book is known when this returns, if it can be read."""
        if name in self._times:
            return
        self._times[name] = 0
        self._wanted.set()
        if self._socket is not None:
            await _subscribe(self._socket, "level2", (name,))
        await self._ask(name)

    async def run(self) -> None:
        """Follow the products for ever."""
        await asyncio.gather(self._run_stream(), self._run_checks())

    async def _run_stream(self) -> None:
        await self._wanted.wait()
        while True:
            try:
                await self._stream_once()
            except STREAM_FAILURES as error:
                log.warning("the stream of quotes ended: %s", type(error).__name__)
            finally:
                self._socket = None
                self._books.clear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stream_once(self) -> None:
        async with self._session.ws_connect(
            self._address,
            heartbeat=_PING_SECONDS,
            timeout=WEBSOCKET_TIMEOUT,
            max_msg_size=LONGEST_MESSAGE,
        ) as socket:
            numbering = Numbering()
            await _subscribe(socket, "heartbeats", ())
            await _subscribe(socket, "level2", tuple(self._times))
            self._socket = socket
            while True:
                received = await socket.receive(timeout=_SILENT_SECONDS)
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionError(f"closed with code {socket.close_code}")
                message = json.loads(received.data)
                numbering.check(message)
                self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        channel, now = message.get("channel"), self._wall()
        if channel == "l2_data":
            for event in message["events"]:
                self._update(event, now)
        elif channel == "heartbeats":
            for name, book in self._books.items():
                self._learn(name, book.depth(now))

    def _update(self, event: Mapping[str, Any], now: int) -> None:
        name = event["product_id"]
        if event["type"] == "snapshot":
            self._books[name] = Book()
        book = self._books.get(name)
        if book is not None:
            book.update(event["updates"])
            self._learn(name, book.depth(now))

    def _learn(self, name: str, depth: Depth) -> None:
        self._times[name] = depth.time
        self._on_depth(name, depth)

    async def _run_checks(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = self._wall()
            for name, time in tuple(self._times.items()):
                if now - time > CONFIRM_MS:
                    await self._ask(name)

    async def _ask(self, name: str) -> None:
        query = f"product_id={name}&limit={LEVELS}"
        try:
            answer = await self._upstream.public("GET", f"{V3}/market/product_book", query)
            if answer.succeeded:
                book = answer.json()["pricebook"]
                depth = Depth(_levels(book["bids"]), _levels(book["asks"]), self._wall())
                self._learn(name, depth)
        except STREAM_FAILURES as error:
            log.warning("no quotes of %s: %s", name, type(error).__name__)


async def _subscribe(
    socket: aiohttp.ClientWebSocketResponse, channel: str, names: Iterable[str]
) -> None:
    message = {"type": "subscribe", "channel": channel, "product_ids": list(names)}
    await socket.send_str(json.dumps(message))


def _levels(rows: list[dict[str, str]]) -> Levels:
    return tuple((Decimal(each["price"]), Decimal(each["size"])) for each in rows)
