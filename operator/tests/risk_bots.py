"""Bots that answer `GET /risk` in a test, correctly or not."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from operator_harness import NOW
from tradingbot_api.contract import RiskReport

RawBot = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def report_body(at: datetime = NOW, **fields: Any) -> bytes:
    """Return a report as JSON; a field that is None is left out."""
    known = {
        "tradingDay": "2026-03-04",
        "dayPnL": "-12.5",
        "openPositions": 1,
        "exposure": "950",
        "configHash": "3f1c0de9a2b45678",
        "time": at.isoformat(),
        **fields,
    }
    return json.dumps({key: value for key, value in known.items() if value is not None}).encode()


def report(at: datetime = NOW, **fields: Any) -> RiskReport:
    """Return the same report, parsed."""
    return RiskReport.model_validate_json(report_body(at, **fields))


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Return a whole HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@asynccontextmanager
async def raw_serving(bot: RawBot) -> AsyncIterator[str]:
    """Serve a bot that may do anything with its connections. Yields its URL."""
    talks: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await bot(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/risk"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read the next request of a connection."""
    return await reader.readuntil(b"\r\n\r\n")
