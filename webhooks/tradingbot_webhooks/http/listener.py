"""Accept connections and complete their TLS handshakes.

The event loop's own server accepts connections without a limit, and does not report a client before
its handshake is complete, so a client could hold descriptors without being seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import select
import socket
import ssl
from collections.abc import Callable

from tradingbot_webhooks.http.room import Room, Standing

logger = logging.getLogger(__name__)

_AT_ONCE = 32
"""Connections accepted in one turn of the event loop."""

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.05
"""Seconds without accepting after the file descriptors ran out."""

_TLS_GOODBYE = 2.0
"""Seconds for a client to answer the end of a TLS session."""


class Handshake:
    """A connection whose TLS handshake is not complete."""

    charged = 0
    standing = Standing.HANDSHAKE
    is_answered = False
    is_receiving = False

    def __init__(self, sock: socket.socket, address: str, deadline: float, room: Room) -> None:
        self.address = address
        self.deadline = deadline
        self._sock = sock
        self._room = room

    def evict(self) -> None:
        """Shut the socket down; the transport sees the end of the stream and closes it."""
        self._room.leave(self)
        with contextlib.suppress(OSError):  # the client has already closed it
            self._sock.shutdown(socket.SHUT_RDWR)


class Listener:
    """Accepts clients as long as the room has, or can make, a place for them."""

    def __init__(
        self,
        protocol: Callable[[str, Handshake], asyncio.Protocol],
        room: Room,
        *,
        tls: ssl.SSLContext | None,
        handshake_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        """`protocol` returns the connection that replaces the handshake of an address."""
        self._protocol = protocol
        self._room = room
        self._tls = tls
        self._timeout = handshake_timeout
        self._clock = clock
        self._opening: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None

    def begin(self, listening: socket.socket) -> None:
        """Accept from a non-blocking listening socket."""
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def end(self) -> None:
        """Stop accepting and close the socket; handshakes continue."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._listening is None:
                return
            try:
                sock, name = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    # accept() needs a descriptor before it looks: perhaps no client waits.
                    if _is_readable(self._listening):
                        self._wait_for_descriptors(error)
                    return
                continue  # the client left the queue
            self._open(sock, name[0] if isinstance(name, tuple) else "")

    def _wait_for_descriptors(self, error: OSError) -> None:
        """Stop reading for a moment, or the event loop reports the same client in each turn."""
        logger.warning("Cannot accept a connection yet: %s", error.strerror)
        self._room.drop_one()
        loop = asyncio.get_running_loop()

        def go_on() -> None:
            if self._listening is not None:
                loop.add_reader(self._listening, self._accept)

        if self._listening is not None:
            loop.remove_reader(self._listening)
            loop.call_later(_PAUSE, go_on)

    def _open(self, sock: socket.socket, address: str) -> None:
        if not self._room.make_room(address):
            sock.close()  # every other connection waits for an answer
            return
        sock.setblocking(False)
        handshake = Handshake(sock, address, self._clock() + self._timeout, self._room)
        self._room.enter(handshake)
        task = asyncio.get_running_loop().create_task(self._shake_hands(handshake, sock))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _shake_hands(self, handshake: Handshake, sock: socket.socket) -> None:
        opening = asyncio.get_running_loop().connect_accepted_socket(
            lambda: self._protocol(handshake.address, handshake),
            sock,
            ssl=self._tls,
            ssl_handshake_timeout=self._timeout if self._tls else None,
            ssl_shutdown_timeout=_TLS_GOODBYE if self._tls else None,
        )
        with contextlib.suppress(OSError):  # not TLS, too slow, or closed by the client
            await opening
        self._room.leave(handshake)


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
