"""The registry and its peers in processes of their own, on one database and one core."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tradingbot_dev.product.system import tradingbot_path

from bench.common.local_http import free_port, wait_for
from bench.common.processes import Usage, pinned, usage_of
from bench.registry.peers import FASTAPI, Peers

ServerName = Literal["tradingbot", "fastapi", "axum"]
NAMES: tuple[ServerName, ...] = ("tradingbot", "fastapi", "axum")
_END_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def usage(self) -> Usage:
        """Return the usage of the process tree, from /proc."""
        return usage_of(self.process.pid)


@dataclass(frozen=True)
class Service:
    """How a server is started. Its port is the value of the variable `PORT`, or in its command."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def registry(url: str) -> Service:
    """Return the registry, without authentication."""
    return Service(
        "tradingbot",
        (tradingbot_path(), "registry", "--port", "{port}"),
        # The peers log no requests either.
        {"TRADINGBOT_REGISTRY_DATABASE_URL": url, "TRADINGBOT_LOG_LEVEL": "warning"},
    )


def services(url: str, peers: Peers) -> dict[ServerName, Service]:
    """Return the registry and its peers on one database."""
    kind = "sqlite" if url.startswith("sqlite") else "postgres"
    return {
        "tradingbot": registry(url),
        "fastapi": Service(
            "fastapi",
            (
                *(str(peers.python), "-m", "uvicorn", "--factory", "registry_peer.app:create_app"),
                *("--port", "{port}", "--no-access-log", "--log-level", "warning"),
            ),
            {"DATABASE_URL": url, "PYTHONPATH": str(FASTAPI)},
        ),
        "axum": Service("axum", (str(peers.axum[kind]),), {"DATABASE_URL": url, "PORT": "{port}"}),
    }


@contextmanager
def running(service: Service, *, core: int, log: Path) -> Iterator[Server]:
    """Run a server on one core until the end of the block."""
    port = free_port()

    def text(value: str) -> str:
        return value.replace("{port}", str(port))

    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, [*map(text, service.command)]),
            env=os.environ | {name: text(value) for name, value in service.environment.items()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(port, "/readyz", process)
        yield Server(service.name, port, process)
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def all_running(
    found: Mapping[ServerName, Service], *, core: int, logs: Path, names: Sequence[ServerName]
) -> Iterator[dict[ServerName, Server]]:
    """Run these servers, which are used in turns."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running(found[name], core=core, log=logs / f"{name}.log"))
            for name in names
        }
