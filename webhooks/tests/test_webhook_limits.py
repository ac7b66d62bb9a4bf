"""Clients that are slow, many or greedy are held to bounds, and others are served meanwhile."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_webhooks.settings import MAX_BODY
from webhook_process import (
    BOT,
    Starter,
    bot,
    eventually,
    review,
)


def test_slow_clients_are_dropped(start: Starter) -> None:
    server = start(request_timeout=0.3)
    head = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    body = head + b"Content-Length: 1000\r\n\r\n{"
    for sent, answered in ((b"", b""), (head, b"HTTP/1.1 408 "), (body, b"HTTP/1.1 408 ")):
        with server.tls_socket() as client:
            begin = time.monotonic()
            client.sendall(sent)
            assert client.recv(64)[: len(answered) or 64] == answered
            assert time.monotonic() - begin > 0.2
    # A connection that never begins its handshake goes too.
    with socket.create_connection(("127.0.0.1", server.port), timeout=STUCK_SECONDS) as client:
        assert client.recv(64) == b""
    assert server.post("/mutate", review(BOT))[0] == 200


def test_a_byte_now_and_then_does_not_extend_the_deadline(start: Starter) -> None:
    server = start(request_timeout=0.3)
    with server.tls_socket() as client:
        client.settimeout(0.05)
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        eventually(lambda: _is_dropped(client))


def test_the_bodies_of_all_requests_together_are_bounded(start: Starter) -> None:
    server = start(max_buffered=MAX_BODY)
    head = (
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 3000000\r\n\r\n"
    )
    refusals = 'tradingbot_webhook_http_refusals_total{code="503"}'
    with server.tls_socket() as first, server.tls_socket() as second:
        first.sendall(head + b" " * 2_000_000)
        with contextlib.suppress(OSError):  # the server need not read all of it
            second.sendall(head + b" " * 2_000_000)
        eventually(lambda: server.metric(refusals) == 1)
    large = bot()
    large["metadata"]["annotations"] = {"a": "x" * (MAX_BODY - 5000)}
    eventually(lambda: server.post("/mutate", review(large))[0] == 200)


def _is_dropped(client: ssl.SSLSocket) -> bool:
    """Send one byte more, and see whether the server is still listening."""
    try:
        client.sendall(b"X")
        client.recv(64)
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
