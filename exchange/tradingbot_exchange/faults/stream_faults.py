"""The open streams of an exchange, and the faults of their messages."""

import asyncio
import logging
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

from aiohttp import WSCloseCode, web

from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.streams import EventStream

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 0.3


class OpenStreams:
    """All open streams: the StreamControl of the server."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue
        self._open: WeakKeyDictionary[EventStream, web.BaseRequest] = WeakKeyDictionary()
        venue.cut_streams = self.cut

    def opened(self, stream: EventStream, request: web.BaseRequest) -> None:
        """Notice a stream; cut it if a fault refuses new ones."""
        self._open[stream] = request
        if self._venue.board.refuses_stream(request.path, now=self._venue.clock.now()):
            _abort(request)

    def copies(self, text: str) -> int:
        """Return how often to send `text`."""
        return self._venue.board.copies(text, now=self._venue.clock.now())

    def count(self) -> int:
        """Return the number of open streams."""
        return sum(not stream.closed for stream in self._open)

    def cut(self, path: str) -> None:
        """Close connections of streams whose path matches, without a farewell."""
        cut = 0
        for stream, request in list(self._open.items()):
            if not stream.closed and fnmatchcase(request.path, path):
                _abort(request)
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


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
