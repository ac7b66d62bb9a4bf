"""However many connections a client opens, others are served."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress

import pytest
from aiohttp import web
from tradingbot_exchange import connections
from tradingbot_exchange.connections import Connections, allow_files

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Peer:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def sent(self, data: bytes) -> Peer:
        self.writer.write(data)
        await self.writer.drain()
        return self

    async def answer(self) -> int:
        """Return the status of the next answer, whose body is read too."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        if status != 101:
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await self.reader.readexactly(int(length))
        return status

    async def ended(self) -> None:
        """Wait until the server has closed the connection."""
        with suppress(ConnectionError):
            assert await self.reader.read() == b""


@asynccontextmanager
async def served(
    *, most: int, most_streams: int, seen: list[str] | None = None
) -> AsyncIterator[asyncio.Server]:
    async def answer(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request.query_string)
        return web.Response(text="served")

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket

    found = Connections(most=most, most_streams=most_streams)
    app = web.Application(middlewares=[found])
    app.add_routes([web.get("/", answer), web.get("/ws", stream)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    server = runner.server
    assert server is not None
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: found.make(server), "127.0.0.1", 0)
    try:
        async with asyncio.timeout(60):
            yield listening
    finally:
        listening.close()
        await runner.cleanup()


async def connect(stack: AsyncExitStack, server: asyncio.Server) -> Peer:
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    stack.enter_context(closing(writer))
    return Peer(reader, writer)


def test_half_requests_make_room_and_those_that_ask_stay() -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack, served(most=4, most_streams=2) as server:
            client = await (await connect(stack, server)).sent(REQUEST)
            assert await client.answer() == 200
            halves = [await (await connect(stack, server)).sent(b"GET / HT") for _ in range(9)]
            for half in halves[:-4]:
                await half.ended()
            assert await (await client.sent(REQUEST)).answer() == 200
            newcomer = await (await connect(stack, server)).sent(REQUEST)
            assert await newcomer.answer() == 200

    asyncio.run(scenario())


def test_idle_connections_make_room_the_oldest_first() -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack, served(most=3, most_streams=1) as server:
            peers = []
            for _ in range(6):
                peers.append(await (await connect(stack, server)).sent(REQUEST))
                assert await peers[-1].answer() == 200
            for old in peers[:3]:
                await old.ended()
            assert await (await peers[-1].sent(REQUEST)).answer() == 200

    asyncio.run(scenario())


def test_requests_in_a_row_leave_turns_to_others() -> None:
    async def scenario() -> None:
        seen: list[str] = []
        flood = 2000
        async with AsyncExitStack() as stack, served(most=9, most_streams=1, seen=seen) as server:
            hostile, client = [await connect(stack, server) for _ in range(2)]
            hostile.writer.write(REQUEST * flood)
            client.writer.write(REQUEST.replace(b"/ ", b"/?client "))
            assert await client.answer() == 200
            assert len(seen) < flood
            for _ in range(flood):
                assert await hostile.answer() == 200

    asyncio.run(scenario())


def test_websockets_leave_room_for_requests_and_stay() -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack, served(most=4, most_streams=2) as server:
            streams = [await (await connect(stack, server)).sent(UPGRADE) for _ in range(2)]
            assert [await each.answer() for each in streams] == [101, 101]
            for _ in range(5):
                refused = await (await connect(stack, server)).sent(UPGRADE)
                assert await refused.answer() == 503
                asked = await (await connect(stack, server)).sent(REQUEST)
                assert await asked.answer() == 200
            streams[0].writer.close()
            while (again := await (await connect(stack, server)).sent(UPGRADE)) is not None:
                if await again.answer() == 101:
                    break
            assert not streams[1].reader.at_eof()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("before", "after"), [((64, 4096), 1200), ((64, 800), 800), ((4096, 4096), 4096)]
)
def test_there_are_files_for_all_connections(
    before: tuple[int, int], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [before]
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    allow_files()
    assert limits[-1] == (after, before[1])
    assert resource.RLIM_INFINITY not in limits[-1]
