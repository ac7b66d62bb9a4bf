"""Orders at a fixed rate over kept connections, and how long each answer takes.

Orders are due at fixed times. A latency counts from the time when the order was due, so a stall is
seen by all orders that were due in it (no coordinated omission).
"""

import hashlib
import hmac
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

from bench.common.local_http import get
from bench.gateway.servers import Way

CONNECTIONS = 8
RESTING = 10
_RECEIVE_WINDOW = 60_000
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Bot:
    """Names and prices of orders: no two are the same."""

    way: Way
    price: Decimal
    """Below the market: no order fills."""
    ahead: int
    """Milliseconds by which the exchange's clock is ahead."""
    name: str
    numbers: "count[int]"

    @classmethod
    def of(cls, way: Way, exchange: int, name: str) -> "Bot":
        """Return a bot that knows the market of an exchange's port."""
        now = int(get(exchange, "/api/v3/time")["serverTime"])
        price = Decimal(get(exchange, "/api/v3/ticker/price?symbol=BTCUSDT")["price"])
        below = (price * Decimal("0.9")).quantize(_CENT)
        return cls(way, below, now - time.time_ns() // 1_000_000, name, count())

    def order(self, time_in_force: str) -> bytes:
        """Return a signed purchase at a limit."""
        number = next(self.numbers)
        now = time.time_ns() // 1_000_000 + self.ahead
        parameters = (
            f"timestamp={now}&recvWindow={_RECEIVE_WINDOW}&symbol=BTCUSDT&side=BUY&type=LIMIT"
            f"&timeInForce={time_in_force}&quantity=0.01000&price={self.price + number * _CENT}"
            f"&newClientOrderId={self.name}-{number}"
        )
        signed = self._signed(parameters)
        return self._head("POST", "/api/v3/order", f"Content-Length: {len(signed)}\r\n") + signed

    def cancel_all(self) -> bytes:
        """Return the signed cancel of all open orders."""
        now = time.time_ns() // 1_000_000 + self.ahead
        signed = self._signed(f"timestamp={now}&recvWindow={_RECEIVE_WINDOW}&symbol=BTCUSDT")
        return self._head("DELETE", f"/api/v3/openOrders?{signed.decode()}", "")

    def _signed(self, parameters: str) -> bytes:
        secret = self.way.secret.encode()
        signature = hmac.new(secret, parameters.encode(), hashlib.sha256).hexdigest()
        return f"{parameters}&signature={signature}".encode()

    def _head(self, method: str, path: str, more: str) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-MBX-APIKEY: {self.way.key}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n{more}\r\n"
        ).encode()


def send(bot: Bot, *, rate: float, seconds: float) -> list[float]:
    """Send orders that rest, then orders that expire at once, at a rate.

    Return how long each of the latter took, in milliseconds. Raises RuntimeError if one is refused.
    """
    with _connected(bot.way.port) as connection:
        for _ in range(RESTING):
            _ask(connection, bot.order("GTC"))
    orders = int(rate * seconds)
    begin = time.perf_counter() + 0.1

    def worker(number: int) -> list[float]:
        found = []
        with _connected(bot.way.port) as own:
            for index in range(number, orders, CONNECTIONS):
                due = begin + index / rate
                time.sleep(max(due - time.perf_counter(), 0.0))
                _ask(own, bot.order("IOC"))
                found.append((time.perf_counter() - due) * 1000)
        return found

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = [each for part in pool.map(worker, range(CONNECTIONS)) for each in part]
    with _connected(bot.way.port) as connection:
        _ask(connection, bot.cancel_all())
    return found


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _ask(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, body = answer.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += _received(connection)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"an order was refused: {json.loads(body)}")


def _received(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise RuntimeError("the connection was closed")
    return part
