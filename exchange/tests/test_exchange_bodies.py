"""A body that does not come, or that aiohttp never ends, does not keep its connection."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from tradingbot_exchange import bodies

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"


async def answer(extra: bytes, body: bytes) -> bytes:
    """Return the status line of the answer to a request whose body comes after its head."""

    async def handle(request: web.Request) -> web.Response:
        handled.set()
        return web.Response(body=await bodies.read_body(request))

    handled = asyncio.Event()
    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(HEAD + extra + b"\r\n")
        await handled.wait()
        writer.write(body)
        line = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        return line
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("extra", "body", "status"),
    [
        (b"", b"{}", b"200"),
        (b"", b"{", b"408"),
        (b"Content-Encoding: deflate\r\n", b"{}", b"408"),
        (b"Content-Encoding: gzip\r\n", b"{}", b"400"),
    ],
)
def test_each_request_is_answered(
    extra: bytes, body: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_SECONDS", 0.5)
    assert asyncio.run(answer(extra, body)).split()[1] == status
