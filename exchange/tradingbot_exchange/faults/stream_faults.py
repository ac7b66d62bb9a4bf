"""The open streams of an exchange, and the faults of their messages."""

import asyncio
import logging
from collections.abc import Callable
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

from aiohttp import WSCloseCode, web

from tradingbot_exchange.faults.board import FaultBoard
from tradingbot_exchange.streams import EventStream, cut_off

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 0.3


class OpenStreams:
    """All open streams: the StreamControl of the server.

    `now` returns the exchange's time without skew.
    """

    def __init__(self, board: FaultBoard, now: Callable[[], int]) -> None:
        self._board = board
        self._now = now
        self._open: WeakKeyDictionary[EventStream, web.BaseRequest] = WeakKeyDictionary()

    def opened(self, stream: EventStream, request: web.BaseRequest) -> None:
        """Notice a stream; cut it if a fault refuses new ones."""
        self._open[stream] = request
        if self._board.refuses_stream(request.path, now=self._now()):
            cut_off(request)

    def copies(self, text: str) -> int:
        """Return how often to send `text`."""
        return self._board.copies(text, now=self._now())

    def cut(self, path: str) -> None:
        """Close connections of streams whose path matches, without a farewell."""
        cut = 0
        for stream, request in list(self._open.items()):
            if not stream.closed and fnmatchcase(request.path, path):
                cut_off(request)
                cut += 1
        log.info("cut %d streams", cut)

    async def close(self) -> None:
        """Close all streams, as a server does that goes down."""
        closings = [
            asyncio.wait_for(
                stream.close(code=WSCloseCode.GOING_AWAY, message=b"the server stops"),
                _CLOSE_SECONDS,
            )
            for stream in list(self._open)
            if not stream.closed
        ]
        await asyncio.gather(*closings, return_exceptions=True)
