"""The gateway's own market data: the books of the symbols that its bot trades.

A symbol is followed from its first order on. A book that no message confirms for some seconds is
asked for by REST, because the stream of a quiet symbol may be silent while its prices hold.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from decimal import Decimal

import aiohttp

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.binance.upstream import Upstream
from tradingbot_gateway.connection import STREAM_FAILURES, WEBSOCKET_TIMEOUT
from tradingbot_gateway.markets import Depth, Levels, OnDepth

log = logging.getLogger(__name__)

LEVELS = 20
CONFIRM_MS = 5_000
"""A book that is older than this is asked for."""

_PING_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_CHECK_SECONDS = 1.0
_STREAM = f"@depth{LEVELS}@100ms"


class Feed:
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
        self._session = session
        self._address = address
        self._upstream = upstream
        self._wall = wall
        self._on_depth = on_depth
        self._times: dict[str, int] = {}
        """When each followed symbol's book was received last."""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._wanted = asyncio.Event()
        self._requests = 0

    async def follow(self, name: str) -> None:
        """Follow a symbol from now on; its book is known when this returns, if it can be read."""
        if name in self._times:
            return
        self._times[name] = 0
        self._wanted.set()
        if self._socket is not None:
            await self._subscribe(self._socket, (name,))
        await self._ask(name)

    async def run(self) -> None:
        """Follow the symbols for ever."""
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
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stream_once(self) -> None:
        url = f"{self._address}/stream"
        async with self._session.ws_connect(
            url, heartbeat=_PING_SECONDS, timeout=WEBSOCKET_TIMEOUT
        ) as socket:
            await self._subscribe(socket, tuple(self._times))
            self._socket = socket
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)

    async def _subscribe(
        self, socket: aiohttp.ClientWebSocketResponse, names: Sequence[str]
    ) -> None:
        self._requests += 1
        streams = [name.lower() + _STREAM for name in names]
        request = {"method": "SUBSCRIBE", "params": streams, "id": self._requests}
        await socket.send_str(json.dumps(request))

    def _take(self, text: str) -> None:
        message = json.loads(text)
        stream = message.get("stream")
        if stream is not None:
            self._learn(stream.partition("@")[0].upper(), message["data"])

    def _learn(self, name: str, book: dict[str, list[list[str]]]) -> None:
        now = self._wall()
        self._times[name] = now
        self._on_depth(name, Depth(_levels(book["bids"]), _levels(book["asks"]), now))

    async def _run_checks(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = self._wall()
            for name, time in tuple(self._times.items()):
                if now - time > CONFIRM_MS:
                    await self._ask(name)

    async def _ask(self, name: str) -> None:
        query = f"symbol={name}&limit={LEVELS}"
        try:
            answer = await self._upstream.public("GET", "/api/v3/depth", query)
            if answer.succeeded:
                self._learn(name, answer.json())
        except STREAM_FAILURES as error:
            log.warning("no quotes of %s: %s", name, type(error).__name__)


def _levels(rows: list[list[str]]) -> Levels:
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in rows)
