"""How many clients an exchange has at once.

Each connection costs a descriptor and a buffer, and aiohttp takes as many as come. Of a client that
opens one after the other, with or without a request, the oldest connections go, so that others are
still served. All clients of a machine have one address, so they are not told apart by that.
"""

import asyncio
import logging
import resource

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

MOST_CONNECTIONS = 1_000
MOST_STREAMS = 500
"""WebSockets among them, which stay open until they end: there is always room for requests."""
IDLE_SECONDS = 75.0
"""After its latest request, or since it was opened, until a connection must have sent the next."""
HANDSHAKE_SECONDS = 10.0

_SPARE_FILES = 200
"""Descriptors beside connections: the state, the control port, connections being accepted."""


def _is_of_server(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


http_log = logging.getLogger(__name__)
"""aiohttp's, without what clients send that is not HTTP: it would be logged whole, as an error."""
http_log.addFilter(_is_of_server)


class Connections:
    """The connections of one server: a middleware, and the factory of their protocols.

    The middleware must be the outermost one.
    """

    __middleware_version__ = 1
    """Tells aiohttp that this is a middleware of its present style."""

    def __init__(self, *, most: int = MOST_CONNECTIONS, most_streams: int = MOST_STREAMS) -> None:
        self._most, self._most_streams = most, most_streams
        self._streams: set[asyncio.BaseProtocol] = set()
        self._used: set[asyncio.BaseProtocol] = set()
        """Those with a request before, until they are looked through again."""
        self._served: set[asyncio.BaseProtocol] = set()
        """Those with a request in this turn of the event loop."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request; a WebSocket too many is refused."""
        protocol: asyncio.BaseProtocol = request.protocol
        self._used.add(protocol)
        await self._wait_for_turn(protocol)
        if "Upgrade" not in request.headers:
            return await handler(request)
        if len(self._streams) >= self._most_streams:
            raise web.HTTPServiceUnavailable(text="too many WebSockets are open")
        self._streams.add(protocol)
        try:
            return await handler(request)
        finally:
            self._streams.discard(protocol)

    async def _wait_for_turn(self, protocol: asyncio.BaseProtocol) -> None:
        """Let others have their turn if a client has sent requests without waiting for answers.

        aiohttp answers all that have come on a connection before it reads any other one.
        """
        if protocol in self._served:
            await asyncio.sleep(0)
        if not self._served:
            asyncio.get_running_loop().call_soon(self._served.clear)
        self._served.add(protocol)

    def make(self, server: web.Server) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection; makes room for it."""
        alive = [
            each
            for each in server.connections
            if each.transport is not None and not each.transport.is_closing()
        ]
        if len(alive) >= self._most:
            self._used.intersection_update(alive)
            others = [each for each in alive if each not in self._streams]
            # One that has never sent a whole request goes first.
            oldest = min(others, key=self._used.__contains__, default=None)
            if oldest is not None and oldest.transport is not None:
                oldest.transport.abort()
        return server()


def allow_files() -> None:
    """Raise the limit of open files, if it is too low for all connections and may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
