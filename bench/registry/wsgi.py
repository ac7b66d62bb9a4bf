"""The registry behind several WSGI servers, beside its own: uvicorn and a thread for each request.

Each gets the same load, then slow clients beside others, then SIGTERM while a request runs.
"""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.common.processes import Cores
from bench.common.series import Measured, Say, Series, quantile
from bench.registry import workload
from bench.registry.comparison import CLIENTS
from bench.registry.databases import Seeded
from bench.registry.load import send
from bench.registry.peers import WSGI_SERVERS
from bench.registry.servers import Server, Service, registry, running
from bench.registry.workload import ASSETS
from bench.registry.wsgi_app import SERVERS

OWN = "uvicorn"
"""What the registry is served with."""
SLOW_CLIENTS = 200
SERVED_WITHIN = 5.0
"""Seconds in which a client must get its answer, however slow others are."""
DRAINED_WITHIN = 10.0
ARRIVED_WITHIN = 2.0
"""Seconds after which a server certainly has a request; it shows that to nobody."""
HALVES = (
    b"",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /api/v1/assets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{",
)


@dataclass(frozen=True)
class Behaviour:
    """What a server does in difficult moments."""

    serves_beside_slow_clients: bool
    healthy_beside_slow_clients: bool
    drains: bool
    """Whether a request that runs at SIGTERM is answered, and the process then ends."""


Results = dict[str, tuple[Measured, Behaviour]]


def measure(database: Seeded, *, rounds: int, seconds: float, log: Path, say: Say) -> Results:
    """Measure each server by itself, in turns."""
    core = Cores.choose().server
    services = {OWN: registry(database.url)} | {
        name: _service(name, database.url) for name in SERVERS
    }
    rates: dict[str, Series] = {name: Series() for name in services}
    times: dict[str, list[float]] = {name: [] for name in services}
    for number in range(rounds):
        for name, service in services.items():
            say(f"WSGI servers, round {number + 1} of {rounds}: {name}")
            with running(service, core=core, log=log) as server:
                _send(server, database.size, seconds / 4)
                before = server.usage().cpu_seconds
                latencies = _send(server, database.size, seconds)
                used = server.usage().cpu_seconds - before
            rates[name].values.append(len(latencies) / max(used, 0.01))
            times[name] += latencies
    found: Results = {}
    for name, service in services.items():
        say(f"WSGI servers: slow clients of {name}, and its end")
        measured: Measured = {
            "requests_per_cpu_second": rates[name],
            "p50_ms": Series([quantile(times[name], 50)]),
            "p99_ms": Series([quantile(times[name], 99)]),
        }
        found[name] = (measured, _behaviour(service, database, core, log))
    return found


def _send(server: Server, size: int, seconds: float) -> list[float]:
    return send(server.port, workload.reads(size), connections=CLIENTS, seconds=seconds).latencies


def _service(name: str, url: str) -> Service:
    packages = next((WSGI_SERVERS.directory() / "lib").glob("python*/site-packages"))
    return Service(
        name,
        (sys.executable, "-m", "bench.registry.wsgi_app", name, "{port}"),
        {
            "TRADINGBOT_REGISTRY_DATABASE_URL": url,
            "WSGI_SERVERS": str(packages),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'hack'}",
        },
    )


def _behaviour(service: Service, database: Seeded, core: int, log: Path) -> Behaviour:
    with running(service, core=core, log=log) as server, _slow_clients(server):
        asset = workload.ids(database.size, 1)[0]
        healthy = _is_answered(server, "/healthz")
        served = _is_answered(server, f"{ASSETS}/{asset}")
    return Behaviour(served, healthy, _drains(service, database, core, log))


def _is_answered(server: Server, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SERVED_WITHIN)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _slow_clients(server: Server) -> Iterator[None]:
    """Clients that have sent a part of a request, half of which go on byte by byte."""
    stop = threading.Event()
    with ExitStack() as stack:
        clients = []
        for _, half in zip(range(SLOW_CLIENTS), cycle(HALVES), strict=False):
            address = ("127.0.0.1", server.port)
            client = stack.enter_context(socket.create_connection(address, SERVED_WITHIN))
            client.sendall(half)
            clients.append(client)

        def go_on() -> None:
            while not stop.wait(0.2):
                for client in clients[::2]:
                    with contextlib.suppress(OSError):
                        client.send(b"x")

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _drains(service: Service, database: Seeded, core: int, log: Path) -> bool:
    """Send SIGTERM while a creation waits for the lock of writes, and release the lock then."""
    body = json.dumps(next(workload.new_assets(database.size)))
    with running(service, core=core, log=log) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DRAINED_WITHIN)
        with database.write_locked():
            client.request("POST", ASSETS, body, {"Content-Type": "application/json"})
            time.sleep(ARRIVED_WITHIN)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(ARRIVED_WITHIN / 4)
        try:
            answered: Any = client.getresponse().status
            client.close()
            server.process.wait(DRAINED_WITHIN)
        except (OSError, http.client.HTTPException, subprocess.TimeoutExpired):
            return False
        return bool(answered == http.client.CREATED)
