"""A proxy before the real API server that does to an operator what a bad day does.

Plain HTTP on loopback in front, TLS behind. Faults are asked for from the test's thread and happen
in the proxy's own.
"""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

GONE = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (2)",
        "reason": "Expired",
        "code": 410,
    },
}
REASONS = {
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
HOP_BY_HOP = {"connection", "content-encoding", "content-length", "host", "transfer-encoding"}
READS = {"GET", "HEAD"}

Found = TypeVar("Found")


@dataclass
class Fault:
    """An answer in place of the API server's, so many times."""

    status: int
    left: int
    writes_only: bool


@dataclass
class FaultyProxy:
    """Forwards what it is asked; everything public may be called from any thread."""

    server: str
    """Of the real API server."""
    ca: Path
    url: str = ""
    """Where it listens; set once it does."""
    fault: Fault | None = None
    down: bool = False
    """Whether every connection is ended before an answer."""
    planted: dict[str, list[bytes]] = field(default_factory=dict)
    """Objects, by plural, that every list of that kind has besides its own: any bytes."""
    _watches: set[asyncio.Queue[bytes | None]] = field(default_factory=set)
    _plurals: dict[asyncio.Queue[bytes | None], str] = field(default_factory=dict)
    _silent: set[asyncio.Queue[bytes | None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None
    _session: ClientSession | None = None

    def fail(self, status: int, *, times: int, writes_only: bool = False) -> None:
        """Answer the next requests, but for watches, with an error of the API server's kind."""
        self.fault = Fault(status, times, writes_only)

    def failed_all(self) -> bool:
        """Whether all the errors that were asked for have been given."""
        return self.fault is not None and self.fault.left == 0

    def tell_watches(self, line: bytes, *, of: str = "") -> int:
        """Send a line of our own into all open watches, or those of a plural; how many they are."""
        return self._in_loop(self._put(line, of))

    def silence_watches(self) -> int:
        """Nothing of the API server comes through the open watches any more, not even their end;
        those that are begun later speak. How many there are."""
        self._silent |= self._watches
        return len(self._silent)

    def watched(self) -> set[str]:
        """Return the plurals of which a watch is open that says what the API server says."""
        return self._in_loop(self._watched())

    def heal(self) -> None:
        """End all faults. Watches that were made silent end."""
        self.fault, self.down = None, False
        self.planted.clear()
        self.end_watches()

    def end_watches(self) -> int:
        """End every open watch in an orderly way; how many there were."""
        return self._in_loop(self._put(None))

    @contextmanager
    def serving(self) -> Iterator["FaultyProxy"]:
        """Listens until the block ends."""
        ready = threading.Event()
        thread = threading.Thread(target=asyncio.run, args=(self._serve(ready),), daemon=True)
        thread.start()
        if not ready.wait(10):
            raise RuntimeError("the proxy does not start")
        try:
            yield self
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._ending.set)
            thread.join(10)

    def _in_loop(self, work: Coroutine[Any, Any, Found]) -> Found:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _put(self, line: bytes | None, plural: str = "") -> int:
        told = [one for one in self._watches if plural in {"", self._plurals[one]}]
        for watch in told:
            watch.put_nowait(line)
        return len(told)

    async def _watched(self) -> set[str]:
        return {self._plurals[watch] for watch in self._watches - self._silent}

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        trust = ssl.create_default_context(cafile=self.ca)
        forever = ClientTimeout(total=None)
        async with ClientSession(connector=TCPConnector(ssl=trust), timeout=forever) as session:
            self._session = session
            runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await self._ending.wait()
            await self._put(None)
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.down:
            _cut(request)
        watch = "watch" in request.query
        if not watch and (error := self._error_for(request)) is not None:
            return error
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method,
            f"{self.server}{request.raw_path}",
            headers=headers,
            data=await request.read() or None,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
            if not watch:
                body = self._with_planted(request, await answer.read())
                return web.Response(status=answer.status, headers=kept, body=body)
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            await self._stream(request, response, answer.content.readline)
            return response

    def _with_planted(self, request: web.BaseRequest, body: bytes) -> bytes:
        planted = self.planted.get(request.path.rsplit("/", 1)[-1], [])
        # A list of one name alone has them as little as any other object.
        if request.method != "GET" or not planted or "fieldSelector" in request.query:
            return body
        before, found, after = body.partition(b'"items":[')
        own = b"," if found and not after.startswith(b"]") else b""
        return before + found + b",".join(planted) + own + after if found else body

    def _error_for(self, request: web.BaseRequest) -> web.Response | None:
        fault = self.fault
        if fault is None or not fault.left or (fault.writes_only and request.method in READS):
            return None
        fault.left -= 1
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "made up by the test",
            "reason": REASONS[fault.status],
            "code": fault.status,
        }
        headers = {"Retry-After": "1"} if fault.status == 429 else {}
        return web.json_response(status, status=fault.status, headers=headers)

    async def _stream(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        readline: Callable[[], Coroutine[Any, Any, bytes]],
    ) -> None:
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._watches.add(lines)
        self._plurals[lines] = request.path.rsplit("/", 1)[-1]
        reading = asyncio.create_task(self._read(lines, readline))
        try:
            while (line := await lines.get()) is not None:
                if self.down:
                    _cut(request)
                await response.write(line)
        finally:
            self._watches.discard(lines)
            self._silent.discard(lines)
            del self._plurals[lines]
            reading.cancel()

    async def _read(
        self,
        lines: asyncio.Queue[bytes | None],
        readline: Callable[[], Coroutine[Any, Any, bytes]],
    ) -> None:
        with suppress(OSError):
            while line := await readline():
                if lines not in self._silent:
                    lines.put_nowait(line)
        if lines not in self._silent:
            lines.put_nowait(None)


def _cut(request: web.BaseRequest) -> None:
    """End the connection in the middle, as a broken network does."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("cut by the test")


def line_of(event: object) -> bytes:
    """An event as a watch has it."""
    return json.dumps(event).encode() + b"\n"
