"""An HTTP server with a fake clock, and clients of it that only exchange bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tradingbot_webhooks.http.connection import Connection
from tradingbot_webhooks.http.messages import Answer, Head, refusal
from tradingbot_webhooks.http.room import Limits
from tradingbot_webhooks.http.server import HttpServer

LIMITS = Limits(
    request_timeout=10.0,
    keep_alive=100.0,
    drain_timeout=1.0,
    max_connections=3,
    max_body=1000,
    max_buffered=1500,
    small_body=0,
)
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


class Echo:
    """Answers a body with itself; for /wait, once `open` says so; /refused has no way in."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Answer]] = []
        self.refusals: list[int] = []

    def refusal(self, head: Head) -> Answer | None:
        return refusal(404, "no way in") if head.path == "/refused" else None

    def answer(self, head: Head, body: bytes, *, since: float) -> Answer | asyncio.Future[Answer]:
        if head.path == "/broken":
            raise ZeroDivisionError
        if head.path != "/wait":
            return Answer(200, body)
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def refused(self, code: int) -> None:
        self.refusals.append(code)


class Wire(asyncio.Transport):
    """The client's end: what was written to it, and whether it is still read from."""

    def __init__(self, **extra: object) -> None:
        super().__init__(extra)
        self.written = b""
        self.reading = True
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def codes(self) -> list[int]:
        return [int(part[:3]) for part in self.written.split(b"HTTP/1.1 ")[1:]]

    def bodies(self) -> list[bytes]:
        return [part.partition(b"\r\n\r\n")[2] for part in self.written.split(b"HTTP/1.1 ")[1:]]


@dataclass
class Harness:
    """A server with a fake clock, and clients of it."""

    app: Echo = field(default_factory=Echo)
    now: float = 1000.0
    limits: Limits = LIMITS

    def __post_init__(self) -> None:
        self._turn: list[Callable[[], None]] | None = None
        self.server = HttpServer(self.app, self.limits, clock=lambda: self.now, soon=self._soon)

    def client(self, address: str = "") -> tuple[Connection, Wire]:
        """What it sends is received in a turn of the event loop of its own."""
        connection, wire = self.server.connection(address), Wire()
        connection.connection_made(wire)
        receive = connection.data_received

        def received_in_a_turn(data: bytes) -> None:
            with self.turn():
                receive(data)

        connection.data_received = received_in_a_turn  # type: ignore[method-assign]
        return connection, wire

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One turn of the event loop, in which several clients may send."""
        if self._turn is not None:
            yield
            return
        self._turn = []
        yield
        while self._turn:
            self._turn.pop(0)()
        self._turn = None

    def _soon(self, call: Callable[[], None]) -> None:
        if self._turn is None:
            call()
        else:
            self._turn.append(call)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.server.sweep()

    @property
    def held(self) -> int:
        """Bytes of bodies that all connections hold."""
        return sum(connection._budget.held for connection in self.server._shared.connections)


def post(body: bytes, path: bytes = b"/echo", head: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%b%b\r\n%b" % (path, head, length, body)


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n"


def run(scenario: Callable[[], object]) -> None:
    """In an event loop, for answers that are waited for."""

    async def inside() -> None:
        steps = scenario()
        assert isinstance(steps, Iterator)
        for _ in steps:
            await asyncio.sleep(0)

    asyncio.run(inside())
