"""The whole bot with ccxt, against `tradingbot exchange`: both dialects, killed, crashed, stopped.

Needs the requirements in strategies/requirements.txt, and pytest, in an environment of its own:

    TRADINGBOT=.venv/bin/tradingbot PYTHONPATH=api:exchange:strategies \
        python -m pytest -c strategies/clients/pytest.ini strategies/clients
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("ccxt")

SECONDS = 90


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ask(url: str, body: object = None) -> Any:
    """Return the JSON at a URL, None while there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=5) as answer:
            return json.load(answer)
    except (HTTPError, URLError, OSError):
        return None


def eventually(check: Callable[[], Any]) -> Any:
    """Return what `check` returns once that is true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.2)
    raise AssertionError("not within the time")


@contextmanager
def process(*command: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        running = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def first_key(text: str) -> tuple[str, str]:
    """Return name and secret of the first key in a file of keys."""
    name = re.search(r"name: (\S+)", text)
    block = re.search(r"private_key: \|\n((?:    .*\n)+)", text)
    plain = re.search(r"secret: (\S+)", text)
    assert name
    if plain:
        return name[1], plain[1]
    assert block
    return name[1], re.sub(r"^    ", "", block[1], flags=re.MULTILINE)


def bot_json(exchange: str, symbol: str, url: str) -> dict[str, Any]:
    return {
        "schemaVersion": "v1",
        "namespace": "default",
        "name": "mm",
        "strategy": {
            "type": "MarketMaking",
            "image": "tradingbot-strategies:0.1.0",
            "parameters": {
                "symbol": symbol,
                "spread": "0.0006",
                "requoteTolerance": "0.0001",
                "orderSize": "200",
            },
        },
        "exchange": {"name": exchange, "baseURL": url},
        "mode": "Paper",
        "risk": {
            "maxPositionSize": "1000",
            "maxOpenPositions": 1,
            "dailyLossLimit": "10",
            "stopLossPercentage": "2.5",
            "takeProfitPercentage": "5",
        },
        "schedule": {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []},
        "configHash": "1",
    }


@pytest.mark.parametrize(
    ("dialect", "name", "money"), [("binance", "Binance", "USDT"), ("coinbase", "Coinbase", "USD")]
)
def test_a_bot_trades_is_killed_halted_and_stopped(
    dialect: str, name: str, money: str, tmp_path: Path
) -> None:
    port, control, page = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    config, keys, log = tmp_path / "bot.json", tmp_path / "keys.yaml", tmp_path / "bot.log"
    config.write_text(json.dumps(bot_json(name, f"BTC-{money}", url)))
    exchange = [os.environ.get("TRADINGBOT", "tradingbot"), "exchange", "--dialect", dialect]
    flags = ["--seed", "7", "--keys", str(keys), "--balance", f"{money}=10000"]
    ports = ["--port", str(port), "--control-port", str(control)]
    run = [sys.executable, "-m", "tradingbot_strategies", "run", "--port", str(page)]
    faults = f"http://127.0.0.1:{control}/faults"

    def statement() -> Any:
        return ask(f"http://127.0.0.1:{control}/accounts/main/statement")

    def report() -> Any:
        return ask(f"http://127.0.0.1:{page}/risk")

    with process(*exchange, *flags, *ports, log=tmp_path / "exchange.log"):
        eventually(statement)
        key, secret = first_key(keys.read_text())
        environment = {
            "EXCHANGE_API_KEY": key,
            "EXCHANGE_API_SECRET": secret,
            "TRADINGBOT_CONFIG": str(config),
            "TRADINGBOT_STATE": str(tmp_path),
        }
        with process(*run, log=log, **environment):
            eventually(lambda: (report() or {}).get("openPositions"))
        with process(*run, log=log, **environment) as bot:  # the first one was killed
            eventually(report)
            ask(faults, {"type": "crash", "percent": 20, "over": "3s"})
            eventually(lambda: Decimal((report() or {"dayPnL": "0"})["dayPnL"]) <= -10)
            halted = eventually(
                lambda: (found := report()) and not found["openPositions"] and found
            )
            account = statement()
            total = Decimal(account["realizedPnL"][money]) + Decimal(
                account["unrealizedPnL"].get(money, "0")
            )
            assert abs(Decimal(halted["dayPnL"]) - total) < Decimal("0.01")
            bot.send_signal(signal.SIGTERM)
            assert bot.wait(30) == 0
        assert statement()["openOrders"] == 0
    text = log.read_text()
    assert "halted for the rest of" in text
    assert key not in text
    assert secret[:60] not in text
