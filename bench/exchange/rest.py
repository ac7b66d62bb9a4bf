"""The exchange through REST: orders a second on one core, and what one client waits.

The server has a core of its own, the clients have the other. Each connection sends its next request
when it has the answer, as bots do.
"""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from random import Random

from bench.common.local_http import get
from bench.common.series import Measured, Say, Series
from bench.common.simulated_binance import simulated_binance
from bench.exchange.engine import Plan
from bench.exchange.rest_orders import requests

CONNECTIONS = 8
_TICKS = os.sysconf("SC_CLK_TCK")


def measure_rest(plan: Plan, say: Say) -> Measured:
    """Measure with a server of its own in each round.

    The throughput is per second of the server's CPU time, so what else runs on the machine does not
    change it. Latencies are those of one connection alone, in microseconds of real time.
    """
    say("the exchange through REST")
    measured: Measured = {
        name: Series() for name in ("orders_per_second", "alone_per_second", "p50_us", "p99_us")
    }
    for number in range(plan.rounds):
        with simulated_binance(min(os.sched_getaffinity(os.getppid()))) as (port, pid):
            batches = [
                _batch(port, f"w{c}", plan.rest_orders // CONNECTIONS, number)
                for c in range(CONNECTIONS)
            ]
            before = _cpu_seconds(pid)
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(lambda batch: _send(port, batch), batches))
            used = _cpu_seconds(pid) - before
            measured["orders_per_second"].values.append(sum(map(len, batches)) / used)

            alone = _batch(port, "alone", plan.rest_alone, number)
            before = _cpu_seconds(pid)
            times = sorted(_send(port, alone))
            used = _cpu_seconds(pid) - before
            measured["alone_per_second"].values.append(len(alone) / used)
            measured["p50_us"].values.append(times[len(times) // 2] / 1000)
            measured["p99_us"].values.append(times[len(times) * 99 // 100] / 1000)
    return measured


def _batch(port: int, name: str, count: int, seed: int) -> list[bytes]:
    now = int(get(port, "/api/v3/time")["serverTime"])
    price = Decimal(get(port, "/api/v3/ticker/price?symbol=BTCUSDT")["price"])
    return list(requests(count, price=price, now=now, name=name, random=Random(seed)))


def _send(port: int, batch: list[bytes]) -> list[int]:
    """Send one request after the other; return how long each answer took, in nanoseconds."""
    times = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in batch:
            begin = time.perf_counter_ns()
            connection.sendall(request)
            answer = _answer(connection)
            times.append(time.perf_counter_ns() - begin)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the exchange refused an order: {answer.decode()}")
    return times


def _answer(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, body = answer.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += _received(connection)
    return head + b"\r\n\r\n" + body


def _received(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise RuntimeError("the exchange closed the connection")
    return part


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
