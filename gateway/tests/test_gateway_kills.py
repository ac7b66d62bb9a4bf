"""A gateway that is killed again and again while its bot sends orders keeps the limit."""

from __future__ import annotations

import random
import threading
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path

from exchange_process import eventually
from gateway_process import Gateway, Gateways, killed_meanwhile

KILLS = 6
LIMIT = Decimal(1000)


def test_no_kill_lets_the_bot_have_more_than_its_limit(start: Gateways, tmp_path: Path) -> None:
    rng = random.Random(11)
    gateway = start("--state", str(tmp_path / "ledger"), maxOrdersPerMinute=10000).ready()
    gateway.exchange.fault(type="latency", delay="100ms", match="POST /api/v3/order")
    for _ in range(KILLS):
        killed_meanwhile(gateway, greedy, seconds=rng.uniform(0.05, 1.0))
        worth = gateway.held() * gateway.price()
        assert worth <= LIMIT * Decimal("1.01")
        gateway.begin()
        gateway.ready()
        held = gateway.held()
        if held * gateway.price() > LIMIT * Decimal("0.7"):  # make room for the next ones
            eventually(lambda held=held: sold(gateway, held))
    gateway.exchange.control("DELETE", "/faults")
    assert gateway.risk()["openPositions"] == int(gateway.held() > Decimal("0.0001"))


def greedy(gateway: Gateway, over: threading.Event) -> None:
    """Buy as much as possible, until told otherwise or until nobody answers."""
    while not over.is_set():
        try:
            gateway.orders += 1
            quantity = Decimal("0.003") + gateway.orders % 50 * Decimal("0.00001")
            gateway.order(quantity=f"{quantity}", timeout=10)
        except (OSError, HTTPException):
            return


def sold(gateway: Gateway, quantity: Decimal) -> bool:
    return gateway.order(side="SELL", quantity=f"{quantity}").status == 200
