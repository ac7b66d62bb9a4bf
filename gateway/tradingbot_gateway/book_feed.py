"""The gateway's own market data: the books of what its bot trades. No dialect.

A book is followed from the first order on. One that nothing confirms for some seconds is asked for
by REST.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable

import aiohttp

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.connection import STREAM_FAILURES
from tradingbot_gateway.markets import Depth, OnDepth

log = logging.getLogger(__name__)

CONFIRM_MS = 5_000
"""A book that is older than this is asked for."""
PING_SECONDS = 10.0

_PAUSE_SECONDS = 1.0
_CHECK_SECONDS = 1.0


class BookFeed(ABC):
    """Books by the exchange's names, from a stream and, where that is silent, by REST."""

    def __init__(self, *, wall: Wall, on_depth: OnDepth) -> None:
        self._wall = wall
        self._on_depth = on_depth
        self._times: dict[str, int] = {}
        """When each followed book was confirmed last."""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        """The stream, once it has what was followed before."""
        self._wanted = asyncio.Event()

    async def follow(self, name: str) -> None:
        """Follow a book from now on; it is known when this returns, if it can be read."""
        if name in self._times:
            return
        self._times[name] = 0
        self._wanted.set()
        if self._socket is not None:
            await self._subscribe(self._socket, (name,))
        await self._ask(name)

    async def run(self) -> None:
        """Follow the books for ever."""
        await asyncio.gather(self._run_stream(), self._run_checks())

    @abstractmethod
    async def _stream_once(self) -> None:
        """Open the stream, subscribe, set `_socket`, and hand on what comes until it ends."""

    @abstractmethod
    async def _subscribe(
        self, socket: aiohttp.ClientWebSocketResponse, names: Iterable[str]
    ) -> None:
        """Ask the stream for books."""

    @abstractmethod
    async def _read(self, name: str) -> Depth | None:
        """Return a book by REST; None if the exchange refuses."""

    def _learn(self, name: str, depth: Depth) -> None:
        self._times[name] = depth.time
        self._on_depth(name, depth)

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

    async def _run_checks(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            now = self._wall()
            for name, time in tuple(self._times.items()):
                if now - time > CONFIRM_MS:
                    await self._ask(name)

    async def _ask(self, name: str) -> None:
        try:
            depth = await self._read(name)
            if depth is not None:
                self._learn(name, depth)
        except STREAM_FAILURES as error:
            log.warning("no quotes of %s: %s", name, type(error).__name__)
