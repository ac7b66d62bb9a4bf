"""A hostile client of a real process, in both dialects: others are served, memory is bounded."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from exchange_process import Exchange, Starter, eventually, is_closed, resident_memory
from tradingbot_exchange.connections import MOST_CONNECTIONS

TIME = {"binance": "/api/v3/time", "coinbase": "/api/v3/brokerage/time"}
ORDERS = {"binance": "/api/v3/order", "coinbase": "/api/v3/brokerage/orders"}
FAR_MORE = 100
COLLECTED = 1024 * 1024
"""More than what the exchange takes of a message, and far less than what is sent."""
BUFFERS = 128 * 1024
"""Of a connection, beside the message that it collects."""
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module", params=["binance", "coinbase"])
def exchange(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exchange]:
    starter = Starter(tmp_path_factory.mktemp(request.param))
    try:
        yield starter(dialect=request.param)
    finally:
        starter.close()


def dialect(exchange: Exchange) -> str:
    return str(exchange.start["dialect"])


def connected(held: ExitStack, exchange: Exchange, data: bytes) -> socket.socket:
    sock = held.enter_context(socket.create_connection(("127.0.0.1", exchange.port), 20))
    sock.sendall(data)
    return sock


def serves(exchange: Exchange) -> None:
    answer = exchange.request("GET", TIME[dialect(exchange)])
    assert answer.status in (200, 429), answer


def test_half_requests_and_half_bodies_keep_nobody_out(exchange: Exchange) -> None:
    head = b"GET / HTTP/1.1\r\nX: "
    path = ORDERS[dialect(exchange)].encode()
    body = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 1000
    before = resident_memory(exchange.process)
    with ExitStack() as held:
        opened = [
            connected(held, exchange, body if number % 4 == 0 else head)
            for number in range(MOST_CONNECTIONS + FAR_MORE)
        ]
        eventually(lambda: sum(map(is_closed, opened)) >= FAR_MORE)
        serves(exchange)
        assert resident_memory(exchange.process) - before < MOST_CONNECTIONS * BUFFERS
        assert exchange.control("GET", "/market").status == 200
    eventually(lambda: serves(exchange) is None)


def test_messages_without_an_end_are_not_collected(exchange: Exchange) -> None:
    before, number, size = resident_memory(exchange.process), 30, 4 * 1024 * 1024
    frame = b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + b"x" * (size - 1)
    with ExitStack() as held:
        for _ in range(number):
            sock = connected(held, exchange, UPGRADE)
            assert b" 101 " in sock.recv(4096)
            try:
                sock.sendall(frame)
            except ConnectionError:
                continue
        serves(exchange)
        assert resident_memory(exchange.process) - before < number * COLLECTED


def test_requests_in_a_row_whose_answers_nobody_reads_are_not_collected(
    exchange: Exchange,
) -> None:
    before, number = resident_memory(exchange.process), 20
    requests = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with ExitStack() as held:
        for _ in range(number):
            sock = connected(held, exchange, b"")
            sock.setblocking(False)
            sent = 1
            while sent:
                try:
                    sent = sock.send(requests)
                except BlockingIOError:
                    break
        serves(exchange)
        assert resident_memory(exchange.process) - before < number * 4 * BUFFERS


def test_what_is_not_http_is_answered_and_not_logged(exchange: Exchange) -> None:
    with ExitStack() as held:
        for data in (b"\x16\x03\x01 a secret\r\n\r\n", b"GET / HTTP/1.1\r\n\xff: a secret\r\n\r\n"):
            assert b" 400 " in connected(held, exchange, data).recv(4096)
    serves(exchange)
    text = exchange.log.read_text(encoding="utf-8")
    assert "a secret" not in text
    assert "Traceback" not in text
