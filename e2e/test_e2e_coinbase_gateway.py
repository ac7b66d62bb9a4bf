"""A bot of Coinbase in Live with a gateway, as processes: it has the files of its gateway alone."""

import json
import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_process import Exchange, Starter, certificate_for_loopback
from person import Object, Person, condition, eventually
from tradingbot_dev.product.system import System, temporary_system

NAME = "saver"
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
    parameters = {"symbol": "BTC-USD", "amountPerBuy": "25", "interval": "1m"}
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
            "maxPositionSize": "40",
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
        real = exchange.key()
        for file in handed_over(person.system, pod):
            assert real["name"] not in file.read_text()
        (gateway,) = pod["status"]["initContainerStatuses"]
        os.kill(int(gateway["containerID"].removeprefix("process://")), signal.SIGKILL)
        # What the new gateway hands over is what the bot has read: its next buy arrives.
        refused = eventually(lambda: refusals(person), seconds=NEXT_BUY)
        assert "maxPositionSize is 40" in refused[0]["reason"]
        assert bot_restarts(person) == 0
        assert len(open_orders(exchange)) == 2  # the protection of the first buy
    finally:
        person.kubectl("delete", "tradingbots", "--all")


def stored(person: Person) -> Object:
    return person.get("tradingbot", NAME) or {}


def open_orders(exchange: Exchange) -> list[Object]:
    """The open orders: the gateway's bracket is two of the engine."""
    found: list[Object] = exchange.control("GET", "/accounts/main/orders").body["orders"]
    return found


def handed_over(system: System, pod: Object) -> list[Path]:
    """The files that the bot has of its gateway."""
    pods = Path(system.plane.directory) / "pods" / pod["metadata"]["uid"]
    found = [each for each in pods.rglob("api-secret") if each.is_file()]
    assert found
    return [file for each in found for file in each.parent.iterdir()]


def refusals(person: Person) -> list[Object]:
    """The refusals of the gateway's present container, from its log."""
    log = person.kubectl("logs", f"deploy/{NAME}", "-c", "gateway").stdout
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [each for each in lines if each.get("control") == "MaxPositionSize"]


def bot_restarts(person: Person) -> int:
    (pod,) = person.items("pods", bot=NAME)
    (state,) = pod["status"]["containerStatuses"]
    return int(state["restartCount"])
