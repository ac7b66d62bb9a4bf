"""Clients that take all connections, from one address or from many, keep nobody from being served.

Real sockets and a real process. 127.0.0.1 is the API server and the kubelet; the others are floods.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until
from webhook_process import BOT, PROGRAM, Authority, Server, Starter, eventually, review

FEW = 40
"""Connections that the servers of most tests take."""

HEAD = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SMALL = json.dumps(review(BOT)).encode()
ONE, MANY = ["127.0.2.1"], [f"127.0.3.{n}" for n in range(1, 255)]
EVERYWHERE = pytest.mark.parametrize("addresses", [ONE, MANY], ids=["one", "many"])


class Flood:
    """Connections that stay open, from addresses of their own."""

    def __init__(self, port: int, addresses: list[str]) -> None:
        self._port = port
        self._addresses = addresses
        self.sockets: list[socket.socket] = []

    def connect(self, count: int, sent: bytes = b"") -> None:
        for _ in range(count):
            address = self._addresses[len(self.sockets) % len(self._addresses)]
            made = socket.create_connection(("127.0.0.1", self._port), 10, (address, 0))
            self.sockets.append(made)
            with contextlib.suppress(OSError):  # closed already, to make room
                made.sendall(sent)

    def shake_hands(self, count: int, trust: ssl.SSLContext, sent: bytes = b"") -> None:
        for _ in range(count):
            self.connect(1)
            with contextlib.suppress(OSError):
                made = trust.wrap_socket(self.sockets[-1], server_hostname="127.0.0.1")
                self.sockets[-1] = made
                made.sendall(sent)

    def open(self) -> int:
        """How many of them the server has not closed."""
        return sum(map(_is_open, self.sockets))

    def close(self) -> None:
        for made in self.sockets:
            made.close()


def _is_open(made: socket.socket) -> bool:
    made.settimeout(0.001)
    try:
        while chunk := made.recv(65536):
            assert chunk
    except (TimeoutError, ssl.SSLWantReadError):
        return True
    except (OSError, ValueError):
        return False
    return False


@contextlib.contextmanager
def flood(port: int, addresses: list[str]) -> Iterator[Flood]:
    flood = Flood(port, addresses)
    try:
        yield flood
    finally:
        flood.close()


def kept(server: Server) -> http.client.HTTPSConnection:
    """A connection as the API server keeps it: it has carried a review."""
    connection = server.connect()
    assert served(server, connection)
    connection.auto_open = 0  # it is this one that must live
    return connection


def served(server: Server, connection: http.client.HTTPSConnection | None = None) -> bool:
    code, response = server.post("/validate", review(BOT), connection=connection)
    return code == 200 and response["allowed"] is True


@EVERYWHERE
@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_connections_to_the_health_port_keep_no_probe_out(
    shared: Server, addresses: list[str], sent: bytes
) -> None:
    with flood(shared.health_port, addresses) as clients:
        for _ in range(10):
            clients.connect(20, sent)
            assert shared.health("/healthz") == (200, "ok\n")
        wait_until(lambda: clients.open() <= 64, what="the end of the oldest connections")


def test_more_idle_connections_than_the_server_takes_keep_no_review_out(start: Starter) -> None:
    """With the settings of config/: 512 connections."""
    server = start()
    connection = kept(server)
    with flood(server.port, MANY) as clients:
        clients.shake_hands(560, server.trust)
        assert served(server, connection)
        assert served(server)
        assert server.health("/healthz")[0] == 200


@EVERYWHERE
@pytest.mark.parametrize(
    "sent",
    [b"", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{", b"GET / HTTP/1.1\r\nX-Slow: "],
    ids=["idle", "head", "body", "header"],
)
def test_neither_idle_nor_slow_clients_keep_a_review_out(
    start: Starter, addresses: list[str], sent: bytes
) -> None:
    server = start(max_concurrency=FEW)
    connection = kept(server)
    with flood(server.port, addresses) as clients:
        clients.shake_hands(2 * FEW, server.trust, sent)
        assert served(server)
        assert served(server, connection), "one that was used goes after those that were not"
        assert clients.open() <= FEW


@EVERYWHERE
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00"], ids=["silent", "half"])
def test_handshakes_that_are_not_completed_go_first(
    start: Starter, addresses: list[str], sent: bytes
) -> None:
    server = start(max_concurrency=FEW)
    connection = kept(server)
    idle = server.tls_socket()  # a connection that was never used, but is one
    with flood(server.port, addresses) as clients:
        clients.connect(3 * FEW, sent)
        assert served(server)
        assert served(server, connection)
        assert _is_open(idle)
        assert clients.open() < FEW
    idle.close()


@EVERYWHERE
def test_clients_that_send_valid_reviews_do_not_crowd_out_others(
    start: Starter, addresses: list[str]
) -> None:
    """They look like the API server. New clients are served all the same."""
    server = start(max_concurrency=FEW)
    connection = kept(server)
    whole = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL)
    with flood(server.port, addresses) as clients:
        for _ in range(4):
            clients.shake_hands(FEW // 2, server.trust, whole)
            assert served(server)
            if addresses is ONE:
                assert served(server, connection), "of an address with many, one of those goes"


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["idle", "slow"])
def test_a_handshake_that_a_flood_overtakes_is_served(start: Starter, sent: bytes) -> None:
    """As of the API server, which opens a connection for each review at a time, at one address."""
    server = start(max_concurrency=FEW)
    connections = [kept(server) for _ in range(4)]
    with flood(server.port, MANY) as clients:
        clients.shake_hands(FEW, server.trust, sent)
        under_way = socket.create_connection(("127.0.0.1", server.port), 10)
        clients.shake_hands(FEW // 4, server.trust, sent)
        made = server.trust.wrap_socket(under_way, server_hostname="127.0.0.1")
        clients.shake_hands(FEW // 4, server.trust, sent)
        made.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL))
        assert made.recv(12) == b"HTTP/1.1 200"
        assert all(served(server, connection) for connection in connections)
        made.close()


def test_clients_that_read_no_answers_keep_no_review_out(start: Starter) -> None:
    server = start(max_concurrency=FEW, max_buffered=3 << 20)
    connection = kept(server)
    whole = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL)
    with flood(server.port, MANY) as clients:
        for _ in range(10):
            clients.shake_hands(1, server.trust)
            greedy = clients.sockets[-1]
            greedy.settimeout(0.2)
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    greedy.sendall(whole)
        clients.shake_hands(FEW, server.trust)
        assert served(server)
        assert served(server, connection)


@EVERYWHERE
def test_large_bodies_that_never_end_leave_room_for_others(
    start: Starter, addresses: list[str]
) -> None:
    server = start(max_concurrency=FEW, max_buffered=6 << 20)
    connection = kept(server)
    endless = HEAD + b"Content-Length: 3000000\r\n\r\n" + b" " * 2_000_000
    large = json.loads(SMALL)
    large["request"]["object"]["metadata"]["annotations"] = {"a": "x" * 2_500_000}
    with flood(server.port, addresses) as clients:
        for _ in range(8):
            clients.shake_hands(1, server.trust, endless)
            assert served(server, connection)
        # An answer takes a turn of the server's event loop, which reads 256 KiB of each connection.
        # Of two new clients, the one that has sent more goes first, so let the flood be read.
        assert all(served(server, connection) for _ in range(len(endless) // (256 << 10) + 1))
        assert server.post("/validate", large, connection=connection)[0] == 200
        assert server.post("/validate", large)[0] == 200


def test_a_full_backlog_is_worked_off(start: Starter) -> None:
    """As when the process was stopped, and all who wait for it have come meanwhile."""
    server = start(max_concurrency=FEW)
    connection = kept(server)
    with flood(server.port, MANY) as clients:
        server.process.send_signal(signal.SIGSTOP)
        clients.connect(1000)
        server.process.send_signal(signal.SIGCONT)
        assert served(server, connection)
        assert served(server)


def test_fewer_file_descriptors_than_connections_are_no_end(start: Starter) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (220, 220))"
    server = start(program=limit + PROGRAM)
    assert "at most 220 open files" in server.log.read_text()
    connection = kept(server)
    with flood(server.port, MANY) as clients, flood(server.health_port, MANY) as probes:
        clients.connect(300)
        clients.shake_hands(150, server.trust)
        probes.connect(150)
        assert served(server)
        assert served(server, connection)
        assert server.health("/healthz")[0] == 200


def test_when_others_use_up_the_descriptors_a_connection_is_dropped_for_the_next(
    start: Starter,
) -> None:
    """The limit is lowered behind the server's back: to accept fails."""
    lower = (
        "import resource, threading, time, os\n"
        "def lower():\n"
        "    while not os.path.exists(os.environ['TRADINGBOT_WEBHOOKS_CERT_DIR'] + '/lower'):\n"
        "        time.sleep(0.01)\n"
        "    used = len(os.listdir('/proc/self/fd'))\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (used, 1000))\n"
        "threading.Thread(target=lower, daemon=True).start()\n"
    )
    server = start(program=lower + PROGRAM, max_concurrency=400)
    connection = kept(server)
    with flood(server.port, MANY) as clients:
        clients.shake_hands(30, server.trust)
        (start.certs / "lower").touch()
        eventually(lambda: not _accepts(server, clients))
        assert "Too many open files" in server.log.read_text()
        eventually(lambda: served(server))
        assert served(server, connection)


def _accepts(server: Server, clients: Flood) -> bool:
    clients.connect(1)
    time.sleep(0.05)
    return "Too many open files" not in server.log.read_text()


def test_a_client_certificate_keeps_its_connection(start: Starter, authority: Authority) -> None:
    ca = start.folder / "client-ca.crt"
    ca.write_text(authority.pem)
    certificate, key = (start.folder / name for name in ("client.crt", "client.key"))
    for path, content in zip((certificate, key), authority.pair(name="api-server"), strict=True):
        path.write_bytes(content)
    server = start(max_concurrency=FEW, client_ca=ca)
    server.trust.load_cert_chain(certificate, key)
    proven = kept(server)
    without = ssl.create_default_context(cadata=authority.pem)
    without.verify_flags &= ~ssl.VERIFY_X509_STRICT
    whole = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(SMALL), SMALL)
    with flood(server.port, MANY) as clients:
        clients.shake_hands(2 * FEW, without, whole)
        assert clients.open() > 0, "others are served without a certificate"
        assert served(server, proven)


def test_a_client_ca_that_can_not_be_read_is_one_clear_line(start: Starter) -> None:
    ca = start.folder / "client-ca.crt"
    ca.write_text("none")
    server = start(wait=False, client_ca=ca)
    assert server.process.wait(timeout=STUCK_SECONDS) == 1
    assert server.log.read_text() == "error: --client-ca holds no certificate in PEM\n"
