"""A closed loop of requests over kept connections: each sends its next one when it is answered."""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_SILENT_SECONDS = 60


@dataclass
class Load:
    """What a loop measured: latencies in milliseconds, in the order of the answers."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class _Connection:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    began: float = 0.0

    def send(self, request: bytes) -> None:
        self.received.clear()
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> bool:
        """Read what has arrived. Return whether the answer is complete."""
        part = self.socket.recv(1 << 20)
        if not part:
            raise RuntimeError("the connection was closed")
        self.received += part
        head, separator, body = self.received.partition(b"\r\n\r\n")
        return bool(separator) and len(body) >= content_length(bytes(head))


def content_length(head: bytes) -> int:
    """Return the length of the body of an answer; 0 if it has none."""
    _, found, after = head.lower().partition(b"\r\ncontent-length:")
    return int(after.partition(b"\r\n")[0]) if found else 0


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return a POST request with a JSON body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def send(
    port: int, requests: Iterator[bytes], *, connections: int, seconds: float, status: int = 200
) -> Load:
    """Send requests for so long, or until there are no more.

    Raises RuntimeError if an answer has another status.
    """
    load, expected = Load(), f"HTTP/1.1 {status} ".encode()
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        for _ in range(connections):
            connected = socket.create_connection(("127.0.0.1", port), timeout=_SILENT_SECONDS)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(connected)
            selector.register(connected, selectors.EVENT_READ, connection)
            _next(selector, connection, requests)
        try:
            while selector.get_map():
                ready = selector.select(_SILENT_SECONDS)
                if not ready:
                    raise RuntimeError("the server does not answer")
                for key, _ in ready:
                    connection = key.data
                    if not connection.read():
                        continue
                    now = time.perf_counter()
                    if not connection.received.startswith(expected):
                        raise RuntimeError(f"answered {bytes(connection.received[:1000])!r}")
                    load.latencies.append((now - connection.began) * 1000)
                    if now - began < seconds:
                        _next(selector, connection, requests)
                    else:
                        _close(selector, connection)
        finally:
            for key in list(selector.get_map().values()):
                _close(selector, key.data)
        load.seconds = time.perf_counter() - began
    return load


def _next(
    selector: selectors.BaseSelector, connection: _Connection, requests: Iterator[bytes]
) -> None:
    request = next(requests, None)
    if request is None:
        _close(selector, connection)
    else:
        connection.send(request)


def _close(selector: selectors.BaseSelector, connection: _Connection) -> None:
    selector.unregister(connection.socket)
    connection.socket.close()
