"""Gateways in front of real simulated Coinbases, and what their bot sends."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange_process import Answer, Exchange, eventually
from gateway_process import Gateway, Gateways, gateways
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.signing import bearer_headers, bearer_token, load_private_key

PRODUCT = "BTC-USD"


def patiently(send: Callable[[], Answer]) -> Answer:
    """Send a request, again after a 429: an account has one limit of its rate for its gateway and
    for all that a test asks."""
    deadline = time.monotonic() + 20
    while (answer := send()).status == 429 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


@dataclass
class Bot:
    """A bot: it has what the gateway has handed over, and nothing else."""

    gateway: Gateway
    sent: int = 0

    @property
    def exchange(self) -> Exchange:
        return self.gateway.exchange

    @property
    def handover(self) -> Path:
        return self.gateway.directory / "handover"

    @property
    def key(self) -> tuple[str, Any]:
        secret = (self.handover / "api-secret").read_text()
        return (self.handover / "api-key").read_text(), load_private_key(secret)

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.handover / "ca.crt")

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.gateway.port}"

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Send a request over TLS."""
        through = Exchange(
            self.exchange.process,
            self.exchange.log,
            self.exchange.output,
            self.trust,
            {"url": f"https://{self.host}"},
        )
        content = None if body is None else json.dumps(body).encode()
        return through.request(method, path, body=content, **more)

    def signed(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: tuple[str, Any] | None = None,
        now_s: int | None = None,
        patient: bool = True,
        **more: Any,
    ) -> Answer:
        """Send a signed request."""

        def send() -> Answer:
            return self._signed(method, path, body, key=key or self.key, now_s=now_s, **more)

        return patiently(send) if patient else send()

    def _signed(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        key: tuple[str, Any],
        now_s: int | None,
        **more: Any,
    ) -> Answer:
        name, private = key
        headers = bearer_headers(
            name,
            private,
            method=method,
            host=self.host,
            path=path.partition("?")[0],
            now_s=int(time.time()) if now_s is None else now_s,
            nonce="n",
        )
        return self.request(method, path, body, headers=dict(headers), **more)

    def token(self) -> str:
        """Return a token for a WebSocket."""
        name, private = self.key
        return bearer_token(name, private, uri=None, now_s=int(time.time()), nonce="n")

    def order(
        self,
        form: str = "market_market_ioc",
        *,
        side: str = "BUY",
        product: str = PRODUCT,
        client_id: str = "",
        timeout: float = 30.0,
        patient: bool = True,
        more: dict[str, Any] | None = None,
        **members: Any,
    ) -> Answer:
        """Send an order; by default, buy a little, each time another size."""
        self.sent += 1
        if form == "market_market_ioc" and not members:
            members = {"base_size": f"{Decimal('0.001') + self.sent % 20 * Decimal('0.00001'):f}"}
        body = {
            "product_id": product,
            "side": side,
            "order_configuration": {form: members},
            **(more or {}),
        }

        def send() -> Answer:
            named = {"client_order_id": client_id or str(uuid.uuid4()), **body}
            return self.signed("POST", f"{V3}/orders", named, timeout=timeout, patient=False)

        return patiently(send) if patient else send()

    def limit(self, price: Decimal, size: str = "0.001", **more: Any) -> Answer:
        """Send a limit order, each time at another price."""
        text = f"{price - self.sent % 100:.2f}"
        return self.order("limit_limit_gtc", base_size=size, limit_price=text, **more)

    def buy(self) -> str:
        """Buy for 600 dollars, wait until the position is protected, and return the order's id."""
        self.sent += 1
        size = Decimal("0.01") + self.sent % 20 * Decimal("0.00001")
        answer = self.order(base_size=f"{size:f}")
        assert answer.body["success"], answer.body
        eventually(lambda: len(self.open_orders()) == 2)
        return str(answer.body["order_id"])

    def cancel(self, *order_ids: str) -> Answer:
        return self.signed("POST", f"{V3}/orders/batch_cancel", {"order_ids": list(order_ids)})

    def shown(self, order_id: str) -> dict[str, Any]:
        answer = self.signed("GET", f"{V3}/orders/historical/{order_id}")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.body["order"]
        return found

    def listed(self, query: str = "order_status=OPEN") -> list[dict[str, Any]]:
        answer = self.signed("GET", f"{V3}/orders/historical/batch?{query}")
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.body["orders"]
        return found

    def balance(self, currency: str) -> tuple[Decimal, Decimal]:
        """Return what is available of a currency, and what is held, as the bot sees it."""
        accounts = self.signed("GET", f"{V3}/accounts?limit=250").body["accounts"]
        (found,) = (each for each in accounts if each["currency"] == currency)
        return Decimal(found["available_balance"]["value"]), Decimal(found["hold"]["value"])

    # The exchange's own view. A bracket is two orders of its engine.

    def real(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request with the real key, past the gateway, as a person would."""
        key = self.exchange.key()
        headers = bearer_headers(
            key["name"],
            load_private_key(key["private_key"]),
            method=method,
            host=f"127.0.0.1:{self.exchange.port}",
            path=path.partition("?")[0],
            now_s=int(time.time()),
            nonce="n",
        )
        content = None if body is None else json.dumps(body).encode()
        return self.exchange.request(method, path, body=content, headers=dict(headers))

    def price(self) -> Decimal:
        return Decimal(self.exchange.control("GET", "/market").body["symbols"][PRODUCT]["bid"])

    def open_orders(self) -> list[dict[str, Any]]:
        return self.gateway.open_orders()

    def held(self) -> Decimal:
        position = self.gateway.statement()["symbols"].get(PRODUCT, {"position": "0"})
        return Decimal(position["position"])

    def flatten(self) -> None:
        """Cancel the bot's orders, and sell what it holds, so that the next test begins flat."""

        def is_flat() -> bool:
            own = [each["order_id"] for each in self.listed()]
            if own:
                self.cancel(*own)
            if self.held() > 0:
                self.order(side="SELL", base_size=f"{self.held():f}")
            return self.held() == 0 and not self.open_orders()

        eventually(is_flat)
        # What the gateway has not heard of yet counts against the next test's limits.
        eventually(lambda: self.gateway.risk()["openPositions"] == 0)


def start_bot(start: Gateways, *arguments: str, begin: bool = True, **more: Any) -> Bot:
    """Start a gateway in Coinbase's dialect, in front of an exchange of its own."""
    exchange = more.pop("exchange", None) or start.exchanges(
        "--balance", "USD=100000,BTC=1", dialect="coinbase"
    )
    gateway = start(exchange=exchange, begin=False, **more)
    gateway.content["exchange"] |= {"name": "Coinbase", "quoteCurrency": "USD"}
    gateway.content["risk"] |= {"maxOrdersPerMinute": 1000}
    gateway.write(gateway.content)
    handover = gateway.directory / "handover"
    handover.mkdir()
    gateway.arguments = (*("--dialect", "coinbase", "--handover", str(handover), *arguments),)
    if begin:
        gateway.begin()
    return Bot(gateway)


@contextmanager
def one_bot(directory: Path, *arguments: str) -> Iterator[Bot]:
    """A bot for a module whose tests leave no position."""
    with gateways(directory) as start:
        bot = start_bot(start, *arguments)
        bot.gateway.ready()
        yield bot
