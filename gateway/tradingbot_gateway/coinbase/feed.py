"""The books of the products that the bot trades, of Coinbase.

Messages are numbered: as long as none is missing and heartbeats come, a book that does not change
is as good as a new one.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
from tradingbot_exchange.coinbase.calls import V3

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.book_feed import PING_SECONDS, BookFeed
from tradingbot_gateway.coinbase.book import LEVELS, Book
from tradingbot_gateway.coinbase.numbering import Numbering
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.connection import WEBSOCKET_TIMEOUT
from tradingbot_gateway.markets import Depth, Levels, OnDepth

LONGEST_MESSAGE = 64 * 1024 * 1024
"""A snapshot has the whole book."""

_SILENT_SECONDS = 10.0
"""Heartbeats come every second."""


class Feed(BookFeed):
    """The books of some products."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        upstream: Upstream,
        *,
        wall: Wall,
        on_depth: OnDepth,
        book_of: Callable[[str], str],
    ) -> None:
        """`book_of` returns the product under whose name the exchange sends a product's book."""
        super().__init__(wall=wall, on_depth=on_depth)
        self._session = session
        self._address = address
        self._upstream = upstream
        self._book_of = book_of
        self._books: dict[str, Book] = {}
        """Of this connection, from their snapshots on."""
        self._sharing: dict[str, list[str]] = {}
        """By the name of a book, the products that are followed and have it."""

    async def follow(self, name: str) -> None:
        """Follow a book from now on; it is known when this returns, if it can be read."""
        sharing = self._sharing.setdefault(self._book_of(name), [])
        if name not in sharing:
            sharing.append(name)
        await super().follow(name)

    async def _stream_once(self) -> None:
        self._books.clear()
        async with self._session.ws_connect(
            self._address,
            heartbeat=PING_SECONDS,
            timeout=WEBSOCKET_TIMEOUT,
            max_msg_size=LONGEST_MESSAGE,
        ) as socket:
            numbering = Numbering()
            await _subscribe(socket, "heartbeats", ())
            await self._subscribe(socket, tuple(self._times))
            self._socket = socket
            while True:
                received = await socket.receive(timeout=_SILENT_SECONDS)
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionError(f"closed with code {socket.close_code}")
                message = json.loads(received.data)
                numbering.check(message)
                self._take(message)

    async def _subscribe(
        self, socket: aiohttp.ClientWebSocketResponse, names: Iterable[str]
    ) -> None:
        await _subscribe(socket, "level2", sorted({self._book_of(name) for name in names}))

    def _take(self, message: Mapping[str, Any]) -> None:
        channel, now = message.get("channel"), self._wall()
        if channel == "l2_data":
            for event in message["events"]:
                self._update(event, now)
        elif channel == "heartbeats":
            for name in self._books:
                self._show(name, now)

    def _update(self, event: Mapping[str, Any], now: int) -> None:
        name = self._book_of(event["product_id"])
        if event["type"] == "snapshot":
            self._books[name] = Book()
        book = self._books.get(name)
        if book is not None:
            book.update(event["updates"])
            self._show(name, now)

    def _show(self, book: str, now: int) -> None:
        """Hand a book on, as that of each product that has it."""
        depth = self._books[book].depth(now)
        for name in self._sharing.get(book, ()):
            self._learn(name, depth)

    async def _read(self, name: str) -> Depth | None:
        query = f"product_id={name}&limit={LEVELS}"
        answer = await self._upstream.public("GET", f"{V3}/market/product_book", query)
        if not answer.succeeded:
            return None
        book = answer.json()["pricebook"]
        return Depth(_levels(book["bids"]), _levels(book["asks"]), self._wall())


async def _subscribe(
    socket: aiohttp.ClientWebSocketResponse, channel: str, names: Iterable[str]
) -> None:
    message = {"type": "subscribe", "channel": channel, "product_ids": list(names)}
    await socket.send_str(json.dumps(message))


def _levels(rows: list[dict[str, str]]) -> Levels:
    return tuple((Decimal(each["price"]), Decimal(each["size"])) for each in rows)
