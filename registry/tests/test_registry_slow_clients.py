"""Slow clients do not keep others waiting, and what is not HTTP gets a problem."""

import json
import socket
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
import pytest
from registry_harness import ASSETS, DEADLINE_SECONDS, Server, serving
from test_registry_tls import issued, trusting
from tradingbot_registry.storage.sqlite import database_path

CLIENTS = 200

HALVES = (
    b"",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /api/v1/assets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{",
)
"""What a client sends and then nothing, or one byte at a time."""


def connected(server: Server) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", server.port), DEADLINE_SECONDS)
    if server.tls is None:
        return raw
    return server.tls.wrap_socket(raw, server_hostname="127.0.0.1")


@contextmanager
def slow_clients(server: Server) -> Iterator[None]:
    """Clients that have sent a part of a request, half of which go on byte by byte."""
    stop = threading.Event()
    with ExitStack() as connections:
        clients = []
        for _, half in zip(range(CLIENTS), cycle(HALVES), strict=False):
            client = connections.enter_context(connected(server))
            client.sendall(half)
            clients.append(client)

        def go_on() -> None:
            while not stop.wait(0.2):
                for client in clients[::2]:
                    try:
                        client.send(b"x")
                    except OSError:
                        continue  # The server has lost patience with it.

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(
    ("database", "tls"),
    [("sqlite_file", False), ("sqlite_file", True), ("empty_postgresql", False)],
    indirect=["database"],
    ids=["sqlite", "tls", "postgresql"],
)
def test_slow_clients_do_not_keep_others_waiting(
    database_url: str, tmp_path: Path, tls: bool
) -> None:
    issued(tmp_path / "certs")
    context: ssl.SSLContext | None = trusting() if tls else None
    settings = {"TRADINGBOT_REGISTRY_THREADS": "2"}
    if tls:
        settings["TRADINGBOT_REGISTRY_CERT_DIR"] = str(tmp_path / "certs")
    with (
        serving(database_url, tmp_path / "log", tls=context, **settings) as server,
        slow_clients(server),
    ):
        assert server.call("GET", "/healthz") == (200, "ok\n")
        status, asset = server.call("POST", ASSETS, {"name": "a", "type": "Other"})
        assert status == 201
        assert server.call("GET", f"{ASSETS}/{asset['id']}") == (200, asset)
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert log.rstrip().endswith("returned")


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Keep writers of the database waiting, as another process can."""
    if database_url.startswith("sqlite"):
        file = sqlite3.connect(database_path(database_url), isolation_level=None)
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("ROLLBACK")
        file.close()
        return
    with psycopg.connect(database_url) as session:
        session.execute("LOCK TABLE asset")
        yield


def test_health_answers_while_every_thread_waits_for_the_database(
    database_url: str, tmp_path: Path
) -> None:
    with serving(database_url, tmp_path / "log", TRADINGBOT_REGISTRY_THREADS="1") as server:
        with locked(database_url):
            writer = connected(server)
            body = json.dumps({"name": "a", "type": "Other"})
            writer.sendall(
                f"POST {ASSETS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            assert server.call("GET", "/healthz") == (200, "ok\n")
        assert answer(writer)[0] == 201


def answer(client: socket.socket) -> tuple[int, Any, str]:
    """The status, JSON and media type of the answer on this connection, which is then closed."""
    with client:
        response = HTTPResponse(client)
        response.begin()
        return response.status, json.loads(response.read()), response.headers["Content-Type"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("registry")
    with serving(directory / "r.db", directory / "log") as running:
        yield running


CHUNKED = b"POST /api/v1/assets HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: elsewhere\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\nno size\r\n", 400),
        (CHUNKED + b"\r\n1;" + b"x" * 1_000_000, 431),
        (CHUNKED + b"\r\n0\r\nX-Long: " + b"x" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization hunter2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 1_000_000, 431),
        (b"GET /" + b"x" * 1_000_000, 431),
        (b"GET /api/v1/assets HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n", 421),
    ],
)
def test_what_is_not_http_gets_a_problem(server: Server, request_text: bytes, status: int) -> None:
    client = connected(server)
    client.sendall(request_text)
    answered, problem, media_type = answer(client)
    assert (answered, media_type) == (status, "application/problem+json")
    assert problem["status"] == status
    assert problem["detail"]
    assert "hunter2" not in problem["detail"]
    assert problem["request_id"]


def test_what_follows_a_body_is_no_header(server: Server) -> None:
    client = connected(server)
    client.sendall(CHUNKED + b"\r\n0\r\nX-Request-ID: behind-the-body\r\n\r\n")
    status, problem, _ = answer(client)
    assert status == 415
    assert problem["request_id"] != "behind-the-body"


def test_a_long_query_is_read_whole(server: Server) -> None:
    tags = "&".join(f"any_tag=tag-{number}" for number in range(1000))
    asset = server.call("POST", ASSETS, {"name": "b", "type": "Other", "tags": ["tag-999"]})[1]
    assert server.call("GET", f"{ASSETS}?{tags}") == (200, [asset])


def test_a_path_is_decoded_once_and_a_header_with_an_underscore_is_dropped(server: Server) -> None:
    assert server.call("GET", "/no%2525thing")[1]["instance"] == "/no%2525thing"
    problem = server.call("GET", "/nothing", X_Request_ID="underscored")[1]
    assert problem["request_id"] != "underscored"
    assert server.call("GET", "/nothing", **{"X-Request-ID": "hyphen"})[1]["request_id"] == "hyphen"


def test_half_a_request_is_given_up(server: Server) -> None:
    clients = [connected(server) for _ in range(2)]
    clients[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = HTTPResponse(clients[0])
    response.begin()
    assert response.read() == b"ok\n"
    for client in clients:
        client.sendall(b"GET / HT")  # on a connection that was kept open, and on a new one
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
        client.close()
