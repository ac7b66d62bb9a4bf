"""A simulated Binance for the clients, as a process of its own.

The tests run in an environment that has the client and pytest only. TRADINGBOT_EXCHANGE_COMMAND is
the command that starts an exchange (`.venv/bin/tradingbot exchange`).
"""

import json
import os
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 30
ACCOUNT = "client"
BALANCES = "USDT=1000000,BTC=20,ETH=100"


@dataclass(frozen=True)
class Exchange:
    """Where it listens, and a key of it. Each test module has an account of its own."""

    port: int
    control_port: int
    key: str
    secret: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def add_fault(self, **fault: Any) -> None:
        """Begin a fault, such as `type="reject"`."""
        self._control("POST", "/faults", fault)

    def end_faults(self) -> None:
        self._control("DELETE", "/faults")

    def deposit(self, asset: str, amount: str) -> None:
        """Credit the account of the key; a negative amount is a withdrawal."""
        body = {"asset": asset, "amount": amount}
        self._control("POST", f"/accounts/{ACCOUNT}/deposits", body)

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    command = os.environ.get("TRADINGBOT_EXCHANGE_COMMAND")
    if command is None:
        pytest.fail("set TRADINGBOT_EXCHANGE_COMMAND to the command that starts an exchange")
    here = tmp_path_factory.mktemp("exchange")
    keys = here / "keys.yaml"
    exchange = Exchange(free_port(), free_port(), "client-key-of-tests-1", "client-secret-of-tests")
    entry = {"account": ACCOUNT, "name": exchange.key, "secret": exchange.secret}
    keys.write_text(json.dumps({"keys": [entry]}))
    keys.chmod(0o600)
    arguments = [
        *shlex.split(command),
        *("--dialect", "binance", "--seed", "7", "--balance", BALANCES, "--keys", str(keys)),
        *("--port", str(exchange.port), "--control-port", str(exchange.control_port)),
    ]
    with (here / "log").open("w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(exchange, process, here / "log")
        yield exchange
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_ready(exchange: Exchange, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(exchange.url + "/api/v3/ping", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"the exchange did not start: {log.read_text()[-2000:]}")
