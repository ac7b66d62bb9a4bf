"""The simulated exchanges of `make up`: a Binance and a Coinbase, an account for each demo bot.

Their keys are made by the exchanges at the first start, into files of mode 0600 in the directory
of the state. Their markets, orders and balances are in SQLite files there, and outlive a restart.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tradingbot_dev.control_plane.apiclient import Answer, http_answer
from tradingbot_dev.control_plane.plane import ControlPlane, ensure
from tradingbot_dev.errors import CommandFailedError, NotReadyError
from tradingbot_dev.processes.table import Program
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product.system import tradingbot_path

READY_SECONDS = 30.0
SEEDS = {"binance": 6249, "coinbase": 1715}
"""They decide the markets. With these, both are volatile in the first minutes. At Binance the
triangle is worth a cycle 50, 70, 90 and 110 s after the start. At Coinbase the price falls before
the start and then rises: the trend follower's averages cross in the first two minutes, wherever in
a minute the exchange starts."""
CRASH = {"type": "crash", "percent": "20", "over": "2s"}


@dataclass(frozen=True)
class Key:
    """An API key. The secret shows in no repr."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class SimulatedExchange:
    """One simulated exchange, whether it runs or not."""

    dialect: str
    accounts: tuple[str, ...]
    """One for each bot, with the bot's name."""
    money: str
    """The asset that each account begins with 10,000 of."""
    port: int
    control_port: int
    directory: Path

    @property
    def name(self) -> str:
        return f"exchange-{self.dialect}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    @property
    def keys_file(self) -> Path:
        return self.directory / f"{self.dialect}-keys.yaml"

    @property
    def program(self) -> Program:
        command = (
            *(tradingbot_path(), "exchange", f"--dialect={self.dialect}"),
            *(f"--port={self.port}", f"--control-port={self.control_port}"),
            f"--seed={SEEDS[self.dialect]}",
            f"--state={self.directory / f'{self.dialect}.db'}",
            f"--keys={self.keys_file}",
            f"--account={','.join(self.accounts)}",
            f"--balance={self.money}=10000",
            "--log-format=json",
        )
        return Program(self.name, command, ports=(self.port, self.control_port))

    def is_ready(self) -> bool:
        """Return whether the exchange answers on its control port and has made its keys."""
        answer = http_answer(self.control_port, "/market")
        return answer is not None and answer.status == 200 and self.keys_file.exists()

    def key(self, account: str) -> Key:
        """Return the first key of an account. Raises CommandFailedError if there is none."""
        for found in yaml.safe_load(self.keys_file.read_text())["keys"]:
            if found["account"] == account:
                return Key(found["name"], found.get("secret") or found["private_key"])
        raise CommandFailedError(f"{self.keys_file} has no key of the account {account}")

    def has_crashed(self) -> bool:
        """Return whether the market falls or has fallen."""
        return any(fault["type"] == "crash" for fault in self.faults())

    def crash(self) -> bool:
        """Let the market fall. Return False if it has fallen already."""
        if self.has_crashed():
            return False
        self.begin(CRASH)
        return True

    def begin(self, fault: dict[str, Any]) -> dict[str, Any]:
        """Begin a fault (docs/exchange.md lists them), and return it with its id."""
        begun: dict[str, Any] = self._call("/faults", method="POST", body=fault).json()
        return begun

    def end(self, fault_id: str) -> None:
        """End one fault."""
        self._call(f"/faults/{fault_id}", method="DELETE")

    def calm(self) -> bool:
        """End all faults. Return whether there were any."""
        if not self.faults():
            return False
        self._call("/faults", method="DELETE")
        return True

    def faults(self) -> list[dict[str, Any]]:
        """Return the active faults."""
        found: list[dict[str, Any]] = self._call("/faults").json()["faults"]
        return found

    def market(self) -> dict[str, Any]:
        """Return time, regime and prices."""
        found: dict[str, Any] = self._call("/market").json()
        return found

    def statement(self, account: str) -> dict[str, Any]:
        """Return the statement of an account: balances, fills, profit, orders."""
        found: dict[str, Any] = self._call(f"/accounts/{account}/statement").json()
        return found

    def orders(self, account: str) -> list[dict[str, Any]]:
        """Return the open orders of an account, oldest first."""
        found: list[dict[str, Any]] = self._call(f"/accounts/{account}/orders").json()["orders"]
        return found

    def _call(
        self, path: str, *, method: str = "GET", body: dict[str, Any] | None = None
    ) -> Answer:
        answer = http_answer(self.control_port, path, method=method, body=body)
        if answer is None:
            raise NotReadyError(f"{self.name} does not run: make up starts it")
        if answer.status >= 300:
            raise CommandFailedError(
                f"{method} {self.control_url}{path} failed", detail=answer.body.decode()
            )
        return answer


@dataclass(frozen=True)
class Exchanges:
    """The exchanges of one control plane."""

    plane: ControlPlane

    @property
    def all(self) -> tuple[SimulatedExchange, ...]:
        ports, directory = self.plane.ports, self.plane.directory / "exchanges"
        return (
            SimulatedExchange(
                dialect="binance",
                accounts=("arbitrage", "careless", "market-maker"),
                money="USDT",
                port=ports.binance,
                control_port=ports.binance_control,
                directory=directory,
            ),
            SimulatedExchange(
                dialect="coinbase",
                accounts=("trend-follower",),
                money="USD",
                port=ports.coinbase,
                control_port=ports.coinbase_control,
                directory=directory,
            ),
        )

    def of(self, account: str) -> SimulatedExchange:
        """Return the exchange that has an account."""
        return next(exchange for exchange in self.all if account in exchange.accounts)

    def start(self, *, seconds: float = READY_SECONDS) -> list[str]:
        """Start what is not running, and wait until all answer. Return the names of those started.

        On failure, what this call started is stopped again.
        """
        table = self.plane.table
        before = table.all_running()
        try:
            started = []
            for exchange in self.all:
                exchange.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                if ensure(table, exchange.program):
                    started.append(exchange.name)
            for exchange in self.all:
                wait_until(
                    exchange.is_ready,
                    what=exchange.name,
                    seconds=seconds,
                    table=table,
                    needs=(exchange.name,),
                )
        except BaseException:
            self.stop(only=table.started_since(before))
            raise
        return started

    def stop(self, *, only: Collection[str] | None = None) -> list[str]:
        """Stop all or `only` these. Return the names of those that were running."""
        names = [exchange.name for exchange in self.all]
        return self.plane.table.stop(*(name for name in names if only is None or name in only))


NAMES = ("exchange-binance", "exchange-coinbase")
"""Of the processes."""
