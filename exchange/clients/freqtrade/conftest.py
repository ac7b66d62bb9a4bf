"""freqtrade as a process, live, against a simulated Binance."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from served import Served, serve, wait_until

KEY, SECRET = "freqtrade-key-of-tests-1", "freqtrade-secret-of-tests"
PAIR = "BTC/USDT"
STAKE = 1000


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Served]:
    keys = [{"name": KEY, "secret": SECRET}]
    with serve("binance", tmp_path, keys=keys, balances="USDT=10000") as served:
        yield served


def configuration(exchange: Served, here: Path) -> dict[str, Any]:
    """Return what a user writes. `ccxt_config` is all that leads to the simulated exchange."""
    pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 5}
    return {
        "dry_run": False,
        "initial_state": "running",
        "trading_mode": "spot",
        "max_open_trades": 1,
        "stake_currency": "USDT",
        "stake_amount": STAKE,
        "db_url": f"sqlite:///{here / 'trades.sqlite'}",
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
        "internals": {"process_throttle_secs": 1},
        "pairlists": [{"method": "StaticPairList"}],
        "exchange": {
            "name": "binance",
            "key": KEY,
            "secret": SECRET,
            "enable_ws": False,
            "pair_whitelist": [PAIR],
            "ccxt_config": {
                "urls": {
                    "api": {
                        "public": exchange.url + "/api/v3",
                        "private": exchange.url + "/api/v3",
                        "sapi": exchange.url + "/sapi/v1",
                    }
                },
                "options": {"fetchMarkets": {"types": ["spot"]}},
            },
        },
    }


@dataclass
class Freqtrade:
    """A bot that is started, told what to do, and stopped. Its trades are in its own database."""

    exchange: Served
    here: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start(self) -> None:
        (self.here / "config.json").write_text(json.dumps(configuration(self.exchange, self.here)))
        self.tell("")
        user = self.here / "user"
        user.mkdir(exist_ok=True)
        strategies = Path(__file__).parent / "strategies"
        arguments = [
            *("--config", str(self.here / "config.json"), "--userdir", str(user)),
            *("--strategy-path", str(strategies), "--strategy", "Told"),
        ]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "freqtrade", "trade", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, TOLD_FILE=str(self.told_file), HOME=str(self.here)),
            )
        runs = self.log().count("state='RUNNING'") + 1
        self.until(lambda: self.log().count("state='RUNNING'") >= runs)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process = None
        return code

    def tell(self, word: str) -> None:
        """Say what the strategy does from its next loop on: `enter`, `exit`, or nothing."""
        new = self.told_file.with_suffix(".new")
        new.write_text(word)
        new.replace(self.told_file)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Return the first result that is true. Fails after a while, or if freqtrade ended."""

        def check() -> Any:
            if self.process is not None and self.process.poll() is not None:
                pytest.fail(f"freqtrade ended: {self.log()[-4000:]}")
            return condition()

        return wait_until(check, lambda: self.log()[-4000:])

    def trades(self) -> list[dict[str, Any]]:
        """Return its trades, oldest first."""
        return self._rows("SELECT * FROM trades ORDER BY id")

    def orders(self, side: str) -> list[dict[str, Any]]:
        """Return its orders of `buy`, `sell` or `stoploss`, oldest first."""
        return self._rows("SELECT * FROM orders WHERE ft_order_side = ? ORDER BY id", side)

    def _rows(self, query: str, *arguments: str) -> list[dict[str, Any]]:
        if not (self.here / "trades.sqlite").exists():
            return []
        with closing(sqlite3.connect(self.here / "trades.sqlite", timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, arguments)]

    @property
    def told_file(self) -> Path:
        return self.here / "told"

    @property
    def log_file(self) -> Path:
        return self.here / "freqtrade.log"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


@pytest.fixture
def bot(exchange: Served, tmp_path: Path) -> Iterator[Freqtrade]:
    bot = Freqtrade(exchange, tmp_path)
    bot.start()
    yield bot
    if bot.process is not None:
        bot.process.kill()
        bot.process.wait(timeout=60)
