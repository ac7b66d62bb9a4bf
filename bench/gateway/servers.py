"""The processes between bot and exchange: the gateway, with and without a ledger, and the peer."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tradingbot_api.contract import bot_json

from bench.common.local_http import free_port, wait_for
from bench.common.simulated_binance import KEY, SECRET

BOT_KEY = BOT_SECRET = "tradingbot-placeholder"


@dataclass(frozen=True)
class Way:
    """A way from bot to exchange."""

    name: str
    port: int
    key: str
    secret: str
    pid: int | None
    """Of the process on the way, if there is one."""
    ready_seconds: float = 0.0
    """From its start until it lets entries through."""


def direct(exchange: int) -> Way:
    """Return the way without anything between."""
    return Way("direct", exchange, KEY, SECRET, None)


@contextmanager
def peer(program: Path, exchange: int) -> Iterator[Way]:
    """Run the proxy in Go."""
    port = free_port()
    command = [
        str(program),
        *("-listen", f"127.0.0.1:{port}", "-upstream", f"http://127.0.0.1:{exchange}"),
        *("-bot-key", BOT_KEY, "-bot-secret", BOT_SECRET),
    ]
    with _running(command, port, "/api/v3/ping", {}) as (process, seconds):
        yield Way("go", port, BOT_KEY, BOT_SECRET, process.pid, seconds)


@contextmanager
def gateway(exchange: int, directory: Path, *, ledger: bool = False) -> Iterator[Way]:
    """Run the gateway of a bot with limits that no order of the benchmark meets."""
    name = "with a ledger" if ledger else "gateway"
    directory.mkdir()
    config = directory / "bot.json"
    config.write_text(bot_json(_bot(f"http://127.0.0.1:{exchange}")))
    port, report = free_port(), free_port()
    command = [
        *(sys.executable, "-m", "tradingbot_cli", "gateway", "--config", str(config)),
        *("--listen", f"127.0.0.1:{port}", "--report-listen", f"127.0.0.1:{report}"),
        *("--drain-listen", "127.0.0.1:0"),
        *("--placeholder-key", BOT_KEY),
        *(("--state", str(directory / "ledger")) if ledger else ()),
    ]
    more = {"TRADINGBOT_GATEWAY_PLACEHOLDER_SECRET": BOT_SECRET}
    with _running(command, report, "/readyz", more) as (process, seconds):
        yield Way(name, port, BOT_KEY, BOT_SECRET, process.pid, seconds)


@contextmanager
def _running(
    command: Sequence[str], port: int, path: str, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    keys = {"EXCHANGE_API_KEY": KEY, "EXCHANGE_API_SECRET": SECRET}
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **keys, **environment},
    )
    try:
        wait_for(port, path, process)
        yield process, time.monotonic() - begin
    finally:
        process.terminate()
        process.wait()


def _bot(base_url: str) -> dict[str, object]:
    return {
        "schemaVersion": "v1",
        "namespace": "bench",
        "name": "bot",
        "strategy": {"type": "Custom", "image": "example.com/bot:1", "parameters": {}},
        "exchange": {"name": "Binance", "baseURL": base_url},
        "mode": "Live",
        "risk": {
            "maxPositionSize": "1000000",
            "dailyLossLimit": "1000000",
            "stopLossPercentage": "2.5",
            "takeProfitPercentage": "5",
            "maxOpenPositions": 1,
            "maxOrdersPerMinute": 100_000,
        },
        "schedule": {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []},
    }
