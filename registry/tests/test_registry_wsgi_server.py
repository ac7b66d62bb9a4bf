"""The bridge from the event loop to the application: complete bodies in, complete answers out."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_registry import http_connection, wsgi_server
from tradingbot_registry.http_connection import Connection
from tradingbot_registry.rest.long_poll import wait_for_change
from tradingbot_registry.wsgi_server import Application, configured
from uvicorn.server import ServerState

MAX_BODY = 10

SCOPE = {
    "method": "POST",
    "path": "/things/%",
    "raw_path": b"/things/%25",
    "query_string": b"a=%20b",
    "http_version": "1.1",
    "scheme": "https",
    "server": ("127.0.0.1", 8090),
    "client": ("127.0.0.2", 4000),
    "headers": [
        (b"host", b"h"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"x_a", b"3"),
        (b"transfer-encoding", b"chunked"),
    ],
}


def echo(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read().decode()
    shown = {name: value for name, value in environ.items() if isinstance(value, str)}
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown | {"body": body}).encode()]


def broken(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
    raise ZeroDivisionError("inner workings")


def respond(app: Any, *parts: bytes | None) -> tuple[int, dict[str, str], Any]:
    """What the application answers to these parts of a body; None is a client that waits."""
    remaining = list(parts)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        part = remaining.pop(0)
        if part is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": bool(remaining)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    application = Application(app, threads=1, max_body=MAX_BODY)
    asyncio.run(application(SCOPE, receive, send))
    assert application._buffered == 0
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    body = b"".join(message["body"] for message in sent[1:])
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(body)


def test_the_application_gets_the_whole_request() -> None:
    status, headers, seen = respond(echo, b"one", b"two")
    assert status == 200
    assert "connection" not in headers
    assert seen["body"] == "onetwo"
    assert seen["CONTENT_LENGTH"] == "6"
    assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/things/%", "a=%20b")
    assert (seen["HTTP_HOST"], seen["HTTP_X_A"]) == ("h", "1,2")
    assert (seen["wsgi.url_scheme"], seen["REMOTE_ADDR"]) == ("https", "127.0.0.2")


def test_a_body_is_cut_one_byte_after_the_limit_and_the_rest_is_discarded() -> None:
    status, headers, seen = respond(echo, b"x" * 7, b"y" * 7, b"z" * 7)
    assert (status, seen["body"]) == (200, "xxxxxxxyyyy")
    assert "connection" not in headers


def test_what_is_far_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_server, "MAX_DISCARDED", 3)
    status, headers, seen = respond(echo, b"x" * 7, b"y" * 7, None)
    assert (status, seen["body"]) == (200, "xxxxxxxyyyy")
    assert headers["connection"] == "close"


def refused(app: Any, status: int, *parts: bytes | None) -> Any:
    answered, headers, problem = respond(app, *parts)
    assert answered == problem["status"] == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"] == problem["request_id"]
    return problem


def test_a_body_that_does_not_arrive_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_server, "BODY_SECONDS", 0.01)
    assert "body" in refused(echo, 408, b"one", None)["detail"]


def test_the_bodies_of_all_clients_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_server, "MAX_BUFFERED", 5)
    assert refused(echo, 503, b"123456", None)["instance"] == "/things/%25"


def test_a_defect_outside_the_application_shows_nothing_of_the_inside() -> None:
    assert "inner" not in json.dumps(refused(broken, 500, b""))


def test_a_large_answer_is_written_in_parts() -> None:
    def large(_environ: dict[str, Any], start: Callable[..., Any]) -> io.BytesIO:
        start("200 OK", [])
        return io.BytesIO(json.dumps(["x" * 100] * 2000).encode())

    assert len(respond(large, b"")[2]) == 2000


def test_waiting_requests_hold_no_body_and_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_server, "MAX_WAITING", 1)

    def waits(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        wait_for_change(environ, 30, after=0)
        return echo(environ, start)

    async def two() -> list[int]:
        application = Application(waits, threads=1, max_body=MAX_BODY)

        def request() -> asyncio.Task[int]:
            begun = asyncio.Event()

            async def receive() -> dict[str, Any]:
                if begun.is_set():
                    await asyncio.Event().wait()
                begun.set()
                return {"type": "http.request", "body": b"body", "more_body": False}

            status: list[int] = []

            async def send(message: dict[str, Any]) -> None:
                status.append(message.get("status", 0))

            async def answered() -> int:
                await application(SCOPE, receive, send)
                return status[0]

            return asyncio.create_task(answered())

        first = request()
        async with asyncio.timeout(STUCK_SECONDS):
            while not application._changes.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert application._buffered == 0
            second = await request()
            application.stop_waiting()
            found = [await first, second]
        assert (application._buffered, application._changes.waiting) == (0, 0)
        return found

    assert asyncio.run(two()) == [200, 503]


@asynccontextmanager
async def connected(app: Any) -> AsyncIterator[tuple[Connection, Any, Any]]:
    """A connection of a server in this process, with its client's ends."""
    application = Application(app, threads=1, max_body=MAX_BODY)
    config = configured(application, tls=None, drain_seconds=1, backlog=1)
    config.load()
    begun: list[Connection] = []

    def begin() -> Connection:
        begun.append(Connection(config, ServerState(), {}))
        return begun[0]

    server = await asyncio.get_running_loop().create_server(begin, "127.0.0.1", 0)
    async with server, asyncio.timeout(STUCK_SECONDS):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        while not begun:  # noqa: ASYNC110
            await asyncio.sleep(0)
        yield begun[0], reader, writer
        writer.close()


async def next_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


def numbered(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["PATH_INFO"].encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def request_to(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\nX-Padding: {'x' * 1000}\r\n\r\n".encode()


def test_requests_that_are_sent_together_are_answered_in_order_and_read_bit_by_bit() -> None:
    paths = [f"/{number}" for number in range(1000)]
    waiting: list[int] = []

    async def ask() -> list[tuple[int, bytes]]:
        def note(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            waiting.append(len(connection.pipeline))
            return numbered(environ, start)

        async with connected(note) as (connection, reader, writer):
            writer.write(b"".join(map(request_to, paths)))
            return [await next_answer(reader) for _ in paths]

    assert asyncio.run(ask()) == [(200, path.encode()) for path in paths]
    assert 0 < max(waiting) < len(paths) // 2


def test_what_is_not_http_is_refused_after_the_requests_before_it_are_answered() -> None:
    async def ask() -> tuple[list[tuple[int, bytes]], bytes]:
        async with connected(numbered) as (_, reader, writer):
            writer.write(request_to("/1") + request_to("/2") + b"NONSENSE\r\n\r\n")
            answers = [await next_answer(reader) for _ in range(3)]
            return answers, await reader.read()

    (one, two, refusal), rest = asyncio.run(ask())
    assert (one, two, rest) == ((200, b"/1"), (200, b"/2"), b"")
    assert refusal[0] == json.loads(refusal[1])["status"] == 400


def test_a_client_that_does_not_read_its_answer_loses_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connection, "WRITE_SECONDS", 0.01)

    def large(_: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "50000000")])
        return [b"x" * 50_000_000]

    async def ask() -> bool:
        async with connected(large) as (connection, reader, writer):
            reader._transport.pause_reading()
            writer.write(request_to("/"))
            while connection in connection.connections or connection.cycle is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            return bool(connection.cycle.response_complete)

    assert not asyncio.run(ask())
