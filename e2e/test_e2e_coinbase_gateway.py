"""A bot of Coinbase in Live with a gateway, as processes: it has the files of its gateway alone."""

import json
import os
import signal
import ssl
import time
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_process import Exchange, Starter, certificate_for_loopback
from person import Object, Person, condition, eventually
from tradingbot_api.gateway_pod import EXCHANGE_PORT
from tradingbot_dev.product.system import System, temporary_system
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.signing import bearer_headers, load_private_key

NAME, PRODUCT = "saver", "BTC-USD"
NEXT_BUY = 150
"""Seconds: the bot buys at each full minute."""


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    settings = {"TRADINGBOT_OPERATOR_RISK_INTERVAL": "0.5"}
    with temporary_system(environment=settings, local_pods=True) as running:
        yield running


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    certificate, key = certificate_for_loopback(tmp_path)
    starter = Starter(tmp_path)
    try:
        yield starter(
            *("--tls-cert", str(certificate), "--tls-key", str(key), "--balance", "USD=100000"),
            dialect="coinbase",
            trust=ssl.create_default_context(cafile=str(certificate)),
        )
    finally:
        starter.close()


def objects(exchange: Exchange, certificate: str) -> tuple[Object, ...]:
    key = exchange.key()
    secret = {"api-key": key["name"], "api-secret": key["private_key"]}
    parameters = {"symbol": PRODUCT, "amountPerBuy": "25", "interval": "1m"}
    image = "tradingbot-strategies:0.1.0"
    bot = {
        "strategy": {"type": "DCA", "image": image, "parameters": parameters},
        "exchange": {
            "name": "Coinbase",
            "apiKeySecret": "keys",
            "baseURL": exchange.start["url"],
            "caBundle": {"name": "exchange-ca", "key": "ca.crt"},
        },
        "mode": "Live",
        "riskManagement": {
            "enforcement": "Gateway",
            "maxPositionSize": "1000",
            "dailyLossLimit": "20",
        },
    }
    return (
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": secret},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "exchange-ca"},
            "data": {"ca.crt": certificate},
        },
        {
            "apiVersion": "trading.io/v1",
            "kind": "TradingBot",
            "metadata": {"name": NAME},
            "spec": bot,
        },
    )


def test_limits_hold_for_a_bot_of_coinbase_and_a_restart_of_its_gateway_does_not_lock_it_out(
    person: Person, exchange: Exchange, tmp_path: Path
) -> None:
    person.applied(*objects(exchange, (tmp_path / "tls.crt").read_text()))
    try:
        eventually(lambda: len(open_orders(exchange)) == 2, seconds=NEXT_BUY)
        found = eventually(lambda: condition(stored(person), "GatewayReady"))
        assert found["status"] == "True", found
        (pod,) = person.items("pods", bot=NAME)
        (bot,) = pod["spec"]["containers"]
        assert "secretKeyRef" not in json.dumps(bot)
        handover = handed_over(person.system, pod)
        real = exchange.key()
        for file in handover.iterdir():
            assert real["name"] not in file.read_text()
        control = refusal_of(pod["status"]["podIP"], handover, base_size="0.5")
        assert control == "MaxPositionSize"

        first = held(exchange)
        (gateway,) = pod["status"]["initContainerStatuses"]
        os.kill(int(gateway["containerID"].removeprefix("process://")), signal.SIGUSR1)
        # What the new gateway hands over is what the bot has read: its next buy arrives.
        eventually(lambda: held(exchange) > first * Decimal("1.5"), seconds=NEXT_BUY)
        (pod,) = person.items("pods", bot=NAME)
        restarts = {
            each["name"]: each["restartCount"]
            for kind in ("containerStatuses", "initContainerStatuses")
            for each in pod["status"][kind]
        }
        assert restarts == {"bot": 0, "gateway": 1}
        eventually(lambda: len(open_orders(exchange)) == 2)  # all of it is protected
    finally:
        person.kubectl("delete", "tradingbots", "--all")


def stored(person: Person) -> Object:
    return person.get("tradingbot", NAME) or {}


def open_orders(exchange: Exchange) -> list[Object]:
    """The open orders: the gateway's bracket is two of the engine."""
    found: list[Object] = exchange.control("GET", "/accounts/main/orders").body["orders"]
    return found


def held(exchange: Exchange) -> Decimal:
    statement = exchange.control("GET", "/accounts/main/statement").body
    return Decimal(statement["symbols"][PRODUCT]["position"])


def handed_over(system: System, pod: Object) -> Path:
    """The directory of what the bot has of its gateway."""
    pods = Path(system.plane.directory) / "pods" / pod["metadata"]["uid"]
    (found,) = {each.resolve().parent for each in pods.rglob("api-secret")}
    return found


def refusal_of(address: str, handover: Path, **members: str) -> str:
    """Send an order at the market as the bot. Return the control that has refused it."""
    host, path = f"{address}:{EXCHANGE_PORT}", f"{V3}/orders"
    body = {
        "client_order_id": "too-large",
        "product_id": PRODUCT,
        "side": "BUY",
        "order_configuration": {"market_market_ioc": members},
    }
    headers = bearer_headers(
        (handover / "api-key").read_text(),
        load_private_key((handover / "api-secret").read_text()),
        method="POST",
        host=host,
        path=path,
        now_s=int(time.time()),
        nonce="n",
    )
    request = urllib.request.Request(
        f"https://{host}{path}", data=json.dumps(body).encode(), headers=dict(headers)
    )
    trust = ssl.create_default_context(cafile=handover / "ca.crt")
    with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
        return str(answer.headers.get("X-Tradingbot-Refused", ""))
