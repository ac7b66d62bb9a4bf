"""Bots in mode Live with a gateway, their default, as local pods, on an exchange that has TLS."""

import itertools
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from urllib.error import URLError

from exchange_process import Exchange, Starter, certificate_for_loopback
from gateway_orders import market_order
from person import Object, Person, condition, eventually
from tradingbot_api.entry_grant import ANNOTATION, EntryGrant

IMAGE = "ghcr.io/example/tradingbot-example-bot:1"
"""Sends no order by itself, so that a test alone does."""
NO_ANSWER = "no answer"
SMALLEST, LOT = Decimal("0.0002"), Decimal("0.00001")
"""Of BTC, at some 60,000 USDT."""
_NAME = "guarded"
_BETWEEN_ENTRIES = 0.025
"""Seconds. Orders of a bot that sends more are refused for their rate."""


@contextmanager
def exchange(directory: Path) -> Iterator[Exchange]:
    """Run a simulated Binance over TLS; its certificate is `directory/crt.pem`."""
    certificate, key = certificate_for_loopback(directory)
    starter = Starter(directory)
    try:
        yield starter(
            *("--tls-cert", str(certificate), "--tls-key", str(key)),
            *("--balance", "USDT=100000"),
            trust=ssl.create_default_context(cafile=str(certificate)),
        )
    finally:
        starter.close()


@dataclass
class LiveBot:
    """A bot in Live, and the orders that a test sends in its place."""

    person: Person
    exchange: Exchange
    certificate: Path
    bought: Decimal = SMALLEST
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def apply(self, **risk: object) -> None:
        """Create the bot with its keys, and wait until it may enter."""
        key = self.exchange.key()
        self.person.applied(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "keys"},
                "stringData": {"api-key": key["name"], "api-secret": key["secret"]},
            },
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "exchange-ca"},
                "data": {"ca.crt": self.certificate.read_text()},
            },
            {
                "apiVersion": "trading.io/v1",
                "kind": "TradingBot",
                "metadata": {"name": _NAME},
                "spec": {
                    "strategy": {"type": "Custom", "image": IMAGE},
                    "exchange": {
                        "name": "Binance",
                        "apiKeySecret": "keys",
                        "baseURL": self.exchange.start["url"],
                        "caBundle": {"name": "exchange-ca", "key": "ca.crt"},
                    },
                    "mode": "Live",
                    "riskManagement": {
                        "maxPositionSize": "1000",
                        "dailyLossLimit": "500",
                        "maxOrdersPerMinute": 100000,
                        **risk,
                    },
                },
            },
        )
        self.await_right()

    def pods(self) -> list[Object]:
        """Return the bot's pods, the newest first."""
        found = self.person.items("pods", bot=_NAME)
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)

    def pod(self) -> Object:
        """Return the pod that is not being deleted, once it has an address."""

        def look() -> Object | None:
            staying = [pod for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]]
            return next((pod for pod in staying if pod.get("status", {}).get("podIP")), None)

        found = eventually(look)
        assert found is not None
        return found

    def pod_whose_bot_has_run(self) -> Object | None:
        """Return the pod once its bot has started, which may have ended since."""
        pod = self.pod()
        (state,) = pod["status"]["containerStatuses"]
        return pod if "running" in state["state"] or state["lastState"] else None

    @property
    def address(self) -> str:
        return str(self.pod()["status"]["podIP"])

    def grant(self) -> EntryGrant | None:
        return EntryGrant.read(self.pod()["metadata"]["annotations"].get(ANNOTATION, ""))

    def await_right(self) -> None:
        eventually(lambda: self.enter(self.address) == "")

    def enter(self, address: str) -> str:
        """Buy for 12 to 48 USDT, each time another amount. Return the control that has refused it,
        empty if it has passed."""
        self.bought = SMALLEST + next(self.numbers) % 60 * LOT
        return self._order(address, "BUY", self.bought)

    def leave(self, address: str) -> str:
        """Sell what an entry has bought at least, less its fee. Returns as `enter` does."""
        return self._order(address, "SELL", SMALLEST - LOT)

    def _order(self, address: str, side: str, quantity: Decimal) -> str:
        try:
            status, _, control = market_order(address, side, f"{quantity}")
        except (URLError, ConnectionError, TimeoutError):
            return NO_ANSWER
        return "" if status == HTTPStatus.OK else control

    def in_and_out(self, address: str) -> str:
        """Buy, and sell it again. Return the control that has refused the entry."""
        control = self.enter(address)
        if not control:
            self._order(address, "SELL", self.bought - LOT)  # less its fee
        return control

    def gateway_condition(self, reason: str) -> Object | None:
        """Return the condition GatewayReady once it has this reason."""
        found = condition(self.person.get("tradingbot", _NAME) or {}, "GatewayReady")
        return found if found.get("reason") == reason else None

    def flatten(self, address: str) -> None:
        """Sell what was bought, so that the next entries fit into the limits."""
        while self.held() >= float(SMALLEST):
            self.leave(address)

    def held(self) -> float:
        """The position in BTC, as the exchange knows it."""
        statement = self.exchange.control("GET", "/accounts/main/statement").body
        return float(statement["symbols"].get("BTC-USDT", {"position": "0"})["position"])

    def change(self, spec: Object) -> float:
        """Patch the spec. Return when that was, on the clock of `time.monotonic`."""
        begun = time.monotonic()
        self.person.patched("tradingbot", _NAME, {"spec": spec})
        return begun

    def last_entry_after(self, begun: float, address: str, *, watched: float) -> float:
        """Enter again and again for `watched` seconds, and sell. A flood is refused for its rate.

        Returns the seconds from `begun` to the last entry that has passed, 0 if none has.
        """
        last = begun
        while time.monotonic() - begun < watched:
            sent = time.monotonic()
            if self.in_and_out(address) == "":
                last = sent
            time.sleep(_BETWEEN_ENTRIES)
        return last - begun
