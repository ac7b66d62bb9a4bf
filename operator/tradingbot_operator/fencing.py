"""Writes that ask for leave at the last moment, and know when they must be over.

A process may stand still anywhere, for any time. What it checks before it waits for a connection,
or for its turn, means nothing afterwards.
"""

from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection


def fenced(check: Callable[[aiohttp.ClientRequest], None]) -> type[aiohttp.ClientRequest]:
    """A class of requests that call `check` when they have a connection, before each is sent.

    And once more before the body goes out, which takes the headers along and has a turn of the
    event loop of its own. What `check` raises keeps the request from being sent, and is raised.
    """

    class Fenced(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            check(self)
            return await super().send(conn)

        async def write_bytes(
            self,
            writer: AbstractStreamWriter,
            conn: Connection,
            content_length: int | None = None,
        ) -> None:
            try:
                check(self)
            except Exception as error:
                # This is a task of its own: whoever waits for the answer gets the error.
                if conn.protocol is not None:
                    conn.protocol.set_exception(error)
                conn.close()
                return
            await super().write_bytes(writer, conn, content_length)

    return Fenced
