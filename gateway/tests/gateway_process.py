"""Real `tradingbot gateway` processes in front of real simulated exchanges."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange_process import Answer, Exchange, Starter, eventually
from tradingbot_api.contract import bot_json
from tradingbot_gateway.credentials import PLACEHOLDER

SYMBOL = "BTCUSDT"
RISK = {
    "maxPositionSize": "1000",
    "dailyLossLimit": "200",
    "stopLossPercentage": "2.5",
    "takeProfitPercentage": "5",
    "maxOpenPositions": 1,
}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tradingbot_cli", "gateway", *arguments]


def bot(base_url: str, *, mode: str = "Live", **risk: Any) -> dict[str, Any]:
    """The content of a bot.json."""
    return {
        "schemaVersion": "v1",
        "namespace": "trading",
        "name": "tested",
        "strategy": {"type": "Custom", "image": "example.com/bot:1", "parameters": {}},
        "exchange": {"name": "Binance", "baseURL": base_url},
        "mode": mode,
        "risk": RISK | risk,
        "schedule": {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []},
    }


@dataclass
class Gateway:
    """A running gateway, and its bot's requests to it."""

    exchange: Exchange
    config: Path
    directory: Path
    arguments: tuple[str, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    start: dict[str, Any] = field(default_factory=dict)
    runs: int = 0
    without_keys: bool = False
    orders: int = 0

    def begin(self) -> None:
        """Start the process, and wait until it listens."""
        self.runs += 1
        environment = dict(os.environ)
        if not self.without_keys:
            key = self.exchange.key()
            environment["EXCHANGE_API_KEY"] = key["name"]
            environment["EXCHANGE_API_SECRET"] = key.get("secret") or key["private_key"]
        flags = [
            *("--config", str(self.config), "--listen", "127.0.0.1:0"),
            *("--report-listen", "127.0.0.1:0", "--drain-listen", "127.0.0.1:0"),
            *("--log-format", "json", *self.arguments),
        ]
        with self.log.open("w") as log, self.output.open("w") as out:
            self.process = subprocess.Popen(
                command(*flags), stdout=out, stderr=log, text=True, env=environment
            )
        self.start = {}

        def has_started() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            found = [line for line in self.lines() if "report_url" in line]
            self.start = found[0] if found else {}
            return bool(found)

        eventually(has_started, seconds=60)

    def ready(self) -> Gateway:
        """Wait until entries are let through."""
        eventually(lambda: self.report("/readyz").status == 200, seconds=60)
        return self

    @property
    def log(self) -> Path:
        return self.directory / f"gateway-{self.runs}.log"

    @property
    def output(self) -> Path:
        return self.directory / f"gateway-{self.runs}.out"

    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def drop_copy(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text("utf-8").splitlines()]

    @property
    def port(self) -> int:
        return self.port_of("url")

    def port_of(self, name: str) -> int:
        return urllib.parse.urlsplit(self.start[name]).port or 0

    def configure(self, **risk: Any) -> str:
        """Write bot.json as a mounted ConfigMap is swapped; return its hash."""
        self.content["risk"] = self.content["risk"] | risk
        return self.write(self.content)

    def write(self, content: dict[str, Any], **more: Any) -> str:
        text = bot_json(content, **more)
        following = self.config.with_name("next")
        following.write_text(text)
        following.replace(self.config)
        found: str = json.loads(text)["configHash"]
        return found

    # Requests

    def request(self, method: str, path: str, **more: Any) -> Answer:
        return self.exchange.request(method, path, port=self.port, **more)

    def report(self, path: str) -> Answer:
        return self.exchange.request("GET", path, port=self.port_of("report_url"))

    def drain(self) -> Answer:
        return self.exchange.request("GET", "/drain", port=self.port_of("drain_url"))

    def signed(
        self,
        method: str,
        path: str,
        *,
        key: str = PLACEHOLDER,
        secret: str = PLACEHOLDER,
        timeout: float = 30.0,
        **parameters: Any,
    ) -> Answer:
        values = {"timestamp": time.time_ns() // 1_000_000, **parameters}
        query = urllib.parse.urlencode(values)
        signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        signed = f"{path}?{query}&signature={signature}"
        return self.request(method, signed, headers={"X-MBX-APIKEY": key}, timeout=timeout)

    def order(self, *, timeout: float = 30.0, **changes: Any) -> Answer:
        """Buy a little at the market, each time another quantity: the same one is a duplicate."""
        self.orders += 1
        quantity = Decimal("0.001") + self.orders % 20 * Decimal("0.00001")
        values = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": f"{quantity}"}
        sent = {name: value for name, value in (values | changes).items() if value is not None}
        return self.signed("POST", "/api/v3/order", timeout=timeout, **sent)

    def limit(self, price: Decimal | str, **changes: Any) -> Answer:
        # Each time another price: two entries with the same terms are duplicates.
        text = price if isinstance(price, str) else f"{price - self.orders % 100:.2f}"
        return self.order(**({"type": "LIMIT", "timeInForce": "GTC", "price": text} | changes))

    def risk(self) -> dict[str, Any]:
        """Return the report, once there is one."""
        eventually(lambda: self.report("/risk").status == 200)
        found: dict[str, Any] = self.report("/risk").body
        return found

    def buy(self) -> None:
        """Buy for 600 USDT, which is allowed, and wait until the position is protected."""
        self.orders += 1
        quantity = Decimal("0.01") + self.orders % 20 * Decimal("0.00001")
        answer = self.order(quantity=f"{quantity}")
        assert answer.status == 200, answer.body
        eventually(lambda: len(self.open_orders()) == 2)

    # The exchange's own view

    def price(self) -> Decimal:
        return Decimal(self.exchange.control("GET", "/market").body["symbols"]["BTC-USDT"]["bid"])

    def open_orders(self) -> list[dict[str, Any]]:
        found = self.exchange.control("GET", "/accounts/main/orders").body["orders"]
        assert isinstance(found, list)
        return found

    def statement(self) -> dict[str, Any]:
        found: dict[str, Any] = self.exchange.control("GET", "/accounts/main/statement").body
        return found

    def flatten(self) -> None:
        """Cancel the bot's orders, and sell what it holds, so that the next test begins flat."""

        def is_flat() -> bool:
            self.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
            held = self.held()
            if held >= Decimal("0.0001"):
                self.order(side="SELL", quantity=f"{held:.5f}")
            return self.held() < Decimal("0.0001") and not self.open_orders()

        eventually(is_flat)

    def held(self) -> Decimal:
        """What the bot has bought and not sold, in whole lots."""
        position = self.statement()["symbols"].get("BTC-USDT", {"position": "0"})["position"]
        return Decimal(position).quantize(Decimal("0.00001"), "ROUND_DOWN")

    # End

    def pause(self) -> None:
        """Stop the process without its knowledge."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def end(self) -> None:
        """Ask the process to end, whatever it does, and kill it if it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.process.wait(timeout=30)


def killed_meanwhile(
    gateway: Gateway, work: Callable[[Gateway, threading.Event], None], *, seconds: float
) -> None:
    """Kill a gateway in the middle of work, which goes on until the event is set, after a time."""
    over = threading.Event()
    bot = threading.Thread(target=work, args=(gateway, over))
    bot.start()
    over.wait(seconds)
    gateway.kill()
    over.set()
    bot.join()


@dataclass
class Gateways:
    """Starts exchanges and gateways for one test or module."""

    directory: Path
    exchanges: Starter
    started: list[Gateway] = field(default_factory=list)

    def __call__(
        self,
        *arguments: str,
        exchange: Exchange | None = None,
        mode: str = "Live",
        begin: bool = True,
        **risk: Any,
    ) -> Gateway:
        """Start a gateway, in front of an exchange of its own if none is given."""
        exchange = exchange or self.exchanges("--balance", "USDT=100000,BTC=1")
        here = self.directory / f"bot-{len(self.started)}"
        here.mkdir()
        content = bot(exchange.start["url"], mode=mode, **risk)
        made = Gateway(exchange, here / "bot.json", here, arguments, content)
        made.write(content)
        self.started.append(made)
        if begin:
            made.begin()
        return made

    def close(self) -> None:
        for gateway in self.started:
            gateway.end()
        self.exchanges.close()


@contextmanager
def gateways(directory: Path) -> Iterator[Gateways]:
    made = Gateways(directory, Starter(directory))
    try:
        yield made
    finally:
        made.close()


Start = Callable[..., Gateway]
