"""A simulated exchange as a process of its own, for suites of several kinds of client.

The tests run in an environment that has the clients and pytest only. TRADINGBOT_EXCHANGE_COMMAND is
the command that starts an exchange (`.venv/bin/tradingbot exchange`), and
TRADINGBOT_GATEWAY_COMMAND the one that starts a risk gateway (`.venv/bin/tradingbot gateway`).
"""

import json
import os
import shlex
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

DEADLINE_SECONDS = 60
ACCOUNT = "client"
HTTP_OK = 200


@dataclass(frozen=True)
class Served:
    """Where an exchange listens, and what its control port says."""

    port: int
    control_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def add_fault(self, **fault: Any) -> None:
        """Begin a fault, such as `type="reject"`."""
        self.control("POST", "/faults", fault)

    def end_faults(self) -> None:
        self.control("DELETE", "/faults")

    def active_faults(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", "/faults")["faults"]
        return found

    def statement(self) -> dict[str, Any]:
        """Return the account's own statement: balances, fills, open orders."""
        found: dict[str, Any] = self.control("GET", f"/accounts/{ACCOUNT}/statement")
        return found

    def fills(self, side: str) -> list[dict[str, Any]]:
        return [fill for fill in self.statement()["fills"] if fill["side"] == side]

    def balance(self, asset: str) -> Decimal:
        """Return what the account has of an asset, free and held."""
        found = self.statement()["balances"].get(asset, {"free": "0", "held": "0"})
        return Decimal(found["free"]) + Decimal(found["held"])

    def price(self, symbol: str) -> Decimal:
        """Return the last price of one of the engine's symbols, such as BTC-USDT."""
        return Decimal(self.control("GET", "/market")["symbols"][symbol]["last"])

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def serve(
    dialect: str,
    here: Path,
    *,
    keys: Sequence[dict[str, Any]],
    balances: str,
    more: Sequence[str] = (),
) -> Iterator[Served]:
    """Start an exchange with seed 7, and stop it at the end. `more`: other arguments."""
    served = Served(free_port(), free_port())
    file = here / "keys.yaml"
    file.write_text(json.dumps({"keys": [{"account": ACCOUNT, **key} for key in keys]}))
    file.chmod(0o600)
    arguments = [
        *("--dialect", dialect, "--seed", "7", "--balance", balances, "--keys", str(file)),
        *("--port", str(served.port), "--control-port", str(served.control_port)),
        *more,
    ]
    with running("TRADINGBOT_EXCHANGE_COMMAND", arguments, here / "exchange.log", served.port):
        yield served


@contextmanager
def serve_behind_gateway(
    here: Path, *, placeholder: dict[str, str], balances: str, risk: dict[str, Any]
) -> Iterator[Served]:
    """Start a Binance and a gateway in front of it; the client has the placeholder only."""
    real = {"name": "key-of-the-gateway", "secret": "secret-of-the-gateway"}
    environment = {
        "TRADINGBOT_GATEWAY_PLACEHOLDER_KEY": placeholder["name"],
        "TRADINGBOT_GATEWAY_PLACEHOLDER_SECRET": placeholder["secret"],
    }
    with (
        serve("binance", here, keys=[real], balances=balances) as exchange,
        gateway(here, bot(exchange.url, risk), real, environment=environment) as port,
    ):
        yield Served(port, exchange.control_port)


@contextmanager
def serve_coinbase_behind_gateway(
    here: Path, *, private_key: str, balances: str, risk: dict[str, Any], mode: str = "Live"
) -> Iterator[tuple[Served, Path]]:
    """Start a Coinbase and a gateway in front of it; the client has what is handed over.

    `private_key`: the PEM of the exchange's key. Yields the directory of the handover too.
    """
    handover = here / "handover"
    handover.mkdir()
    arguments = ("--dialect", "coinbase", "--handover", str(handover))
    keys = [{"name": "key-of-the-gateway", "private_key": private_key}]
    real = {"name": "key-of-the-gateway", "secret": private_key}
    with (
        serve("coinbase", here, keys=keys, balances=balances) as exchange,
        gateway(
            here,
            bot(exchange.url, risk, exchange="Coinbase") | {"mode": mode},
            real,
            more=arguments,
        ) as port,
    ):
        yield Served(port, exchange.control_port), handover


@contextmanager
def gateway(
    here: Path,
    content: dict[str, Any],
    real: dict[str, str],
    *,
    more: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[int]:
    """Start a gateway with a bot.json and the real key; yield its port once it is ready."""
    port, report_port = free_port(), free_port()
    config = here / "bot.json"
    config.write_text(json.dumps(content))
    arguments = [
        *("--config", str(config), "--listen", f"127.0.0.1:{port}"),
        *("--report-listen", f"127.0.0.1:{report_port}", "--drain-listen", "127.0.0.1:0"),
        *more,
    ]
    environment = {
        "EXCHANGE_API_KEY": real["name"],
        "EXCHANGE_API_SECRET": real["secret"],
        **(environment or {}),
    }
    log = here / "gateway.log"
    with running("TRADINGBOT_GATEWAY_COMMAND", arguments, log, report_port, environment):
        wait_until(lambda: is_ready(report_port), log.read_text)
        yield port


def bot(url: str, risk: dict[str, Any], *, exchange: str = "Binance") -> dict[str, Any]:
    """Return a bot.json."""
    return {
        "schemaVersion": "v1",
        "namespace": "trading",
        "name": "client",
        "strategy": {"type": "Custom", "image": "example.com/client:1", "parameters": {}},
        "exchange": {"name": exchange, "baseURL": url},
        "mode": "Live",
        "risk": {
            "maxPositionSize": "2000",
            "dailyLossLimit": "1000",
            "stopLossPercentage": "10",
            "takeProfitPercentage": "20",
            "maxOpenPositions": 1,
            **risk,
        },
        "schedule": {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []},
        "configHash": "0000000000000000",
    }


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == HTTP_OK)
    except OSError:
        return False


@contextmanager
def running(
    variable: str,
    arguments: Sequence[str],
    log: Path,
    port: int,
    environment: dict[str, str] | None = None,
) -> Iterator[None]:
    """Run the command of an environment variable until the end; it listens on `port`."""
    command = os.environ.get(variable)
    if command is None:
        pytest.fail(f"set {variable} to the command that starts it")
    with log.open("w") as output:
        process = subprocess.Popen(
            [*shlex.split(command), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None)
        if process.poll() is not None:
            pytest.fail(f"{command} did not start: {log.read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait(timeout=DEADLINE_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], Any], told: Callable[[], str] = str) -> Any:
    """Return the first result that is true. Fails after a while, with what `told` returns."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    pytest.fail(f"not true after {DEADLINE_SECONDS} s\n{told()}")
