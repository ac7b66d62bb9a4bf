"""Start, drain and end of the server."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import threading
import time

import pytest
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from webhook_process import (
    BOT,
    Starter,
    eventually,
    free_port,
    log_lines,
    review,
)


@pytest.mark.parametrize("setting", ["port", "health_port"])
def test_a_taken_port_is_one_clear_line(start: Starter, setting: str) -> None:
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        server = start(wait=False, **{setting: port})
        assert server.process.wait(timeout=STUCK_SECONDS) == 1
    flag = "--" + setting.replace("_", "-")
    assert server.log.read_text() == (
        f"error: cannot listen on 127.0.0.1:{port}: the port is taken by another process."
        f" Choose another {flag}\n"
    )


def test_missing_certificates_are_one_clear_line(start: Starter) -> None:
    server = start(wait=False, cert_dir="/nowhere")
    assert server.process.wait(timeout=STUCK_SECONDS) == 1
    assert server.log.read_text() == (
        "error: /nowhere/tls.crt does not exist: run `tradingbot certs`, or set --cert-dir to"
        " its directory\n"
    )


def test_sigterm_on_an_idle_server_is_a_clean_exit(start: Starter) -> None:
    server = start()
    assert server.stop() == 0
    assert [x["message"] for x in log_lines(server)][-1] == "stopped"


def test_while_draining_it_is_unready_and_still_answers(start: Starter) -> None:
    server = start(drain_delay=60)
    connection = server.connect()
    server.post("/mutate", review(BOT), connection=connection)
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: server.health("/readyz") == (503, "draining\n"))
    assert server.health("/healthz")[0] == 200
    assert server.post("/mutate", review(BOT), connection=connection)[0] == 200
    assert connection.sock is None, "the answer asked the client to close"
    begin = time.monotonic()
    while time.monotonic() - begin < 0.5:
        assert server.post("/mutate", review(BOT))[0] == 200
    assert server.stop() == 0, "a second signal ends the wait"


def test_a_request_that_has_begun_is_answered_after_the_end_of_listening(start: Starter) -> None:
    server = start()
    body = json.dumps(review(BOT)).encode()
    head = (
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    with server.tls_socket() as begun, server.tls_socket() as fresh:
        begun.sendall(head + body)  # an earlier request, long answered
        assert _status(begun) == 200
        begun.sendall(head[:30])
        eventually(lambda: server.health("/healthz")[0] == 200)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses_connections(server.port))
        begun.sendall(head[30:] + body)
        assert _status(begun) == 200
        fresh.sendall(head + body)
        assert _status(fresh) == 200
    assert server.process.wait(timeout=STUCK_SECONDS) == 0


def test_no_request_is_lost_when_the_server_stops_under_load(start: Starter) -> None:
    server = start(drain_delay=0.5)
    answers: list[int] = []
    faults: list[str] = []

    def client() -> None:
        connection = server.connect()
        while True:
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                return  # the listening has ended, and nothing was asked
            try:
                answers.append(server.post("/mutate", review(BOT), connection=connection)[0])
            except Exception as error:
                faults.append(repr(error))
                return

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    eventually(lambda: len(answers) > 50)
    assert server.stop() == 0
    for thread in clients:
        thread.join(timeout=STUCK_SECONDS)
    assert faults == []
    assert set(answers) == {200}


def _refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def _status(client: ssl.SSLSocket) -> int:
    """Read one whole answer."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    answer.read()
    return answer.status
