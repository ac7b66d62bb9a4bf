"""The whole bot with ccxt, against `tradingbot exchange`: both dialects, killed, crashed, stopped.

A suite of `make test-clients`, whose environment has ccxt. The bot runs from this checkout.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from served import free_port, serve, wait_until

ROOT = Path(__file__).resolve().parents[2]
LIMIT, ENOUGH = Decimal(4), Decimal(180)
"""The loss that halts the bot, and a position whose stop-loss of 2.5 % costs more. An order for 200
may have been filled in part."""
SOURCES = os.pathsep.join(str(ROOT / part) for part in ("api", "exchange", "strategies"))


def report_at(port: int) -> Any:
    """Return what a bot reports, None while it reports nothing."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/risk", timeout=5) as answer:
            return json.load(answer)
    except (HTTPError, URLError, OSError):
        return None


@contextmanager
def bot(port: int, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a bot, and kill it at the end."""
    command = [sys.executable, "-m", "tradingbot_strategies", "run", "--port", str(port)]
    whole = {**os.environ, "PYTHONPATH": SOURCES, **environment}
    with log.open("ab") as output:
        running = subprocess.Popen(command, env=whole, stdout=output, stderr=output)
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def new_key(dialect: str) -> dict[str, str]:
    """Return a key as the exchange reads it from a file."""
    if dialect == "binance":
        return {"name": "key-of-the-bot", "secret": "secret-of-the-bot"}
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return {"name": "organizations/o/apiKeys/bot", "private_key": pem.decode()}


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
            "dailyLossLimit": str(LIMIT),
            "stopLossPercentage": "2.5",
            "takeProfitPercentage": "5",
        },
        "schedule": {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []},
        "configHash": "1",
    }


def agrees_flat(report: Any, account: Any, money: str) -> bool:
    """Whether a bot without positions reports the profit that its account shows."""
    if not report or report["openPositions"]:
        return False
    unrealized = account["unrealizedPnL"].get(money, "0")
    total = Decimal(account["realizedPnL"][money]) + Decimal(unrealized)
    return abs(Decimal(report["dayPnL"]) - total) < Decimal("0.01")


@pytest.mark.parametrize(
    ("dialect", "name", "money"), [("binance", "Binance", "USDT"), ("coinbase", "Coinbase", "USD")]
)
def test_a_bot_trades_is_killed_halted_and_stopped(
    dialect: str, name: str, money: str, tmp_path: Path
) -> None:
    config, log, page = tmp_path / "bot.json", tmp_path / "bot.log", free_port()
    key = new_key(dialect)
    secret = key.get("secret") or key["private_key"]

    def report() -> Any:
        return report_at(page)

    with serve(dialect, tmp_path, keys=[key], balances=f"{money}=10000") as exchange:
        config.write_text(json.dumps(bot_json(name, f"BTC-{money}", exchange.url)))
        environment = {
            "EXCHANGE_API_KEY": key["name"],
            "EXCHANGE_API_SECRET": secret,
            "TRADINGBOT_CONFIG": str(config),
            "TRADINGBOT_STATE": str(tmp_path),
        }
        with bot(page, log, **environment):
            wait_until(lambda: (report() or {}).get("openPositions"), log.read_text)
        with bot(page, log, **environment) as second:  # the first one was killed
            wait_until(
                lambda: Decimal((report() or {"exposure": "0"})["exposure"]) >= ENOUGH,
                log.read_text,
            )
            exchange.add_fault(type="crash", percent=20, over="3s")
            wait_until(
                lambda: Decimal((report() or {"dayPnL": "0"})["dayPnL"]) <= -LIMIT, log.read_text
            )
            # What is below a lot stays, and its value moves between the two reads.
            wait_until(lambda: agrees_flat(report(), exchange.statement(), money), log.read_text)
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0
        assert exchange.statement()["openOrders"] == 0
    text = log.read_text()
    assert "halted for the rest of" in text
    assert key["name"] not in text
    assert secret[:60] not in text
