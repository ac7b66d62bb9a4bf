"""Serve an application with a bounded number of connections.

The gateway's memory is limited, and its bot may be hostile: each connection costs a buffer and a
descriptor. aiohttp takes as many as come, so connections are accepted here.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import web

BOT_CONNECTIONS = 128
"""Clients of an exchange keep a pool of 100 at most."""
REPORT_CONNECTIONS = 32
"""The operator, the kubelet and Prometheus have one or two each."""

_SHUTDOWN_SECONDS = 1.0
_HANDSHAKE_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
"""After an error of the socket, such as too many open files."""


@dataclass
class Listener:
    """One application on one socket."""

    sock: socket.socket
    tls: ssl.SSLContext | None
    most: int
    """Connections, those of unfinished handshakes included."""
    oldest_goes: bool
    """Whether a new connection takes the place of the oldest one. Otherwise it is closed."""
    _runner: web.AppRunner = field(repr=False)
    _server: web.Server = field(repr=False)
    _opening: set[asyncio.Task[None]] = field(default_factory=set)
    _accepting: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        app: web.Application,
        sock: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        most: int,
        oldest_goes: bool = False,
    ) -> "Listener":
        """Serve the application from now on."""
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        if runner.server is None:
            raise RuntimeError("the runner was set up and has no server")
        found = cls(sock, tls, most, oldest_goes, runner, runner.server)
        found._accepting = asyncio.create_task(found._accept())
        return found

    async def close(self) -> None:
        """Accept no more, and end all connections."""
        for task in (self._accepting, *self._opening):
            if task is not None:
                task.cancel()
        await self._runner.cleanup()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self.sock)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if self._has_room():
                sock.setblocking(False)
                task = loop.create_task(self._open(sock))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            else:
                sock.close()

    def _has_room(self) -> bool:
        """Return whether one more connection may be opened; makes room if the oldest one goes."""
        transports = (each.transport for each in self._server.connections)
        alive = [each for each in transports if each is not None and not each.is_closing()]
        if len(alive) + len(self._opening) < self.most:
            return True
        if not self.oldest_goes or not alive:
            return False
        alive[0].abort()
        return True

    async def _open(self, sock: socket.socket) -> None:
        with suppress(OSError):  # of a client that has gone, or does not speak TLS
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server,
                sock,
                ssl=self.tls,
                ssl_handshake_timeout=None if self.tls is None else _HANDSHAKE_SECONDS,
            )
