"""Requests that ask for permission at the last moment before they are sent.

A process may stand still anywhere, for any time. A check before it waits for a connection, or for
its turn in the event loop, means nothing afterwards. So the check has to run between the last wait
and the bytes:

    session.request   waits for a free connection
      send            check 1, then the head is put into a buffer of the connection
                      (on Python 3.11: waits for a turn of the event loop)
      write_bytes     check 2, then head and body go out together

aiohttp has no public hook there. This overrides `ClientRequest.send`, which is not documented, and
`ClientRequest.write_bytes`, which is documented for the body only. aiohttp is pinned in
requirements.txt, and `test_operator_fencing.py` checks the signatures and the order of the calls,
so that an update that changes them fails in the tests and not in a failover.
"""

from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection


def fenced(check: Callable[[aiohttp.ClientRequest], None]) -> type[aiohttp.ClientRequest]:
    """Return a class of requests that call `check` right before they are sent.

    An exception of `check` keeps the request from being sent, and is raised by it.
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
                # This is a task of its own, which runs at once on Python 3.12 and later: the error
                # must be found by the caller, who begins to wait for the answer and then closes
                # the connection. A connection that is closed here has lost the error by then.
                if conn.protocol is not None:
                    conn.protocol.set_exception(error)
                return
            await super().write_bytes(writer, conn, content_length)

    return Fenced
