"""uvicorn in front of a WSGI application.

The event loop reads requests and writes answers; a thread has a request only while the application
works on it. So clients that send half a request, or one byte at a time, or that do not read their
answer, hold no thread, and all others are served.
"""

import asyncio
import io
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from types import FrameType
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes

import uvicorn

from tradingbot_registry.http_connection import Answer, Connection, problem_answer
from tradingbot_registry.inventory.store import Changed
from tradingbot_registry.refusals import UnavailableError
from tradingbot_registry.rest.long_poll import KEY, Changes, LongPoll
from tradingbot_registry.rest.problems import DefectError, HTTPError

log = logging.getLogger(__name__)

BODY_SECONDS = 20.0
"""How long a client may take for a body of at most `max_body` bytes."""
PART = 64 * 1024
"""Bytes of an answer that are written at once."""
MAX_DISCARDED = 16 * 1024 * 1024
"""Bytes beyond the limit of a body that are still read. A client that sends while its connection is
closed may never see the answer.
"""
MAX_BUFFERED = 64 * 1024 * 1024
"""Bytes that the bodies of all requests that are being read may have together."""
MAX_WAITING = 1000
"""Requests that may wait for a change at once: a change makes all of them work."""

HEALTH = "/healthz"

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""Headers of which a request with a body has one (RFC 9112, 6.3)."""


class Application:
    """An ASGI application that runs a WSGI application in threads, on complete bodies.

    A body of more than `max_body` bytes is cut after one more, which is how the application
    recognises it. `last_change` returns the number of the last change in a database that others
    write to as well.
    """

    def __init__(
        self,
        wsgi: Any,
        *,
        threads: int,
        max_body: int,
        changed: Changed | None = None,
        last_change: Callable[[], int] | None = None,
    ) -> None:
        self._wsgi = wsgi
        self._changes = Changes(last_change)
        if changed is not None:
            changed.listeners.append(self._changes.note)
        self._max_body = max_body
        self._buffered = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        # Its own thread: the process is alive also while all others wait for the database.
        self._health = ThreadPoolExecutor(1, thread_name_prefix="health")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = bytearray()
        complete: bool | None = True
        try:
            has_body = not _FRAMING.isdisjoint(name for name, _ in scope["headers"])
            if has_body:
                async with asyncio.timeout(BODY_SECONDS):
                    complete = await self._read(receive, body)
            if complete is None:
                return  # The client has gone.
            threads = self._health if scope["path"] == HEALTH else self._threads
            environ = wsgi_environ(scope, bytes(body))
            answer = await self._answer(threads, environ, body, receive, is_read=has_body)
            if answer is None:
                return  # The client has gone.
            if not complete:
                answer.headers.append(("Connection", "close"))
        except TimeoutError:
            late = f"the body did not arrive within {BODY_SECONDS:.0f} s"
            refusal = HTTPError(HTTPStatus.REQUEST_TIMEOUT, late)
            answer = problem_answer(refusal, path=_path(scope))
        except UnavailableError as error:
            answer = problem_answer(error, path=_path(scope))
        finally:
            self._buffered -= len(body)
        await _write(answer, send)

    async def _answer(
        self,
        threads: ThreadPoolExecutor,
        environ: dict[str, Any],
        body: bytearray,
        receive: Any,
        *,
        is_read: bool,
    ) -> Answer | None:
        """Run the application, and again after a change if it waits for one: without the body."""
        loop = asyncio.get_running_loop()
        poll, seen = LongPoll(), self._changes.number_in(loop)
        answer = await loop.run_in_executor(threads, run, self._wsgi, {**environ, KEY: poll})
        if not poll.seconds:
            return answer
        if self._changes.waiting >= MAX_WAITING:
            raise UnavailableError("too many requests wait for a change")
        self._buffered -= len(body)
        body.clear()
        environ |= {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}
        if not is_read:
            await receive()  # The next message is then the end of the connection.
        if not await self._changes.wait(seen, poll, receive):
            return None
        return await loop.run_in_executor(threads, run, self._wsgi, environ)

    def stop_waiting(self) -> None:
        """Answer the requests that wait for a change, and let no others wait."""
        self._changes.stop()

    async def _read(self, receive: Any, body: bytearray) -> bool | None:
        """Read into `body`. Returns whether that is all; None if the client has gone."""
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            received = message.get("body", b"")
            size += len(received)
            part = received[: self._max_body + 1 - len(body)]
            body += part
            self._buffered += len(part)
            if self._buffered > MAX_BUFFERED:
                raise UnavailableError("too many large requests at once")
            if not message.get("more_body", False):
                return True
            if size > self._max_body + MAX_DISCARDED:
                return False


async def _write(answer: Answer, send: Any) -> None:
    """Write the answer, a part when the client has read those before."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.head})
    body, size = answer.body, len(answer.body)
    for start in range(0, max(size, 1), PART):
        part = body if size <= PART else body[start : start + PART]
        more = start + PART < size
        await send({"type": "http.response.body", "body": part, "more_body": more})


def run(wsgi: Any, environ: dict[str, Any]) -> Answer:
    """Run the application to the end, in this thread."""
    begun: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info:
            raise exc_info[1].with_traceback(exc_info[2])
        begun[:] = status, headers
        return written.append

    written: list[bytes] = []
    try:
        parts = wsgi(environ, start)
        try:
            written += parts
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = begun
        return Answer(int(status.split(" ", 1)[0]), headers, b"".join(written))
    except Exception:
        log.exception("request failed", extra={"path": environ["PATH_INFO"]})
        return problem_answer(DefectError())


def wsgi_environ(scope: Any, body: bytes) -> dict[str, Any]:
    """Return the request as WSGI has it (PEP 3333)."""
    server, client = scope["server"] or ("localhost", 0), scope["client"] or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        # With an underscore it would be the same variable as one with a hyphen.
        if "_" in name or name == "transfer-encoding":
            continue
        variable = name.upper().replace("-", "_")
        key = variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _path(scope: Any) -> str:
    return quote(unquote_to_bytes(scope["raw_path"]))


class Server(uvicorn.Server):
    """A server that returns after SIGTERM or SIGINT, instead of ending the process by it."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        """`ready` is called once requests are served and signals are handled."""
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; what waits for a change is answered now."""
        super().handle_exit(sig, frame)
        cast("Application", self.config.app).stop_waiting()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals while the server runs."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def configured(
    application: Application, *, tls: Any | None, drain_seconds: int, backlog: int
) -> uvicorn.Config:
    """Return uvicorn's configuration. `tls` is the context for HTTPS, None for plain HTTP."""
    return uvicorn.Config(
        cast("Any", application),
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=backlog,
        timeout_graceful_shutdown=drain_seconds,
        ssl_context_factory=None if tls is None else (lambda _config, _default: tls),
    )
