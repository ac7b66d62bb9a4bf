"""Mode Paper: orders are filled inside the gateway, against the real market's quotes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from exchange_process import eventually
from gateway_process import Gateway, Gateways


def test_a_paper_order_is_filled_at_the_markets_quote_and_never_leaves(start: Gateways) -> None:
    gateway = start(mode="Paper", begin=False)
    gateway.content["exchange"]["paperBalance"] = [{"asset": "USDT", "amount": "5000"}]
    gateway.configure()
    gateway.begin()
    gateway.ready()
    assert gateway.request("GET", "/api/v3/ping").headers["x-tradingbot-simulated"] == "true"
    answer = gateway.order(quantity="0.01")
    assert (answer.status, answer.body["status"]) == (200, "FILLED")
    paid = Decimal(answer.body["fills"][0]["price"])
    assert abs(paid - gateway.price()) < paid * Decimal("0.01")
    balances = gateway.signed("GET", "/api/v3/account").body["balances"]
    held = {each["asset"]: Decimal(each["free"]) for each in balances}
    assert held["BTC"] == Decimal("0.00999")
    assert 4300 < held["USDT"] < 4500
    assert gateway.statement()["fills"] == []
    assert gateway.open_orders() == []
    report = gateway.risk()
    assert (report["openPositions"], Decimal(report["dayPnL"]) < 0) == (1, True)


def test_limits_and_protection_hold_in_paper(start: Gateways) -> None:
    gateway = start(mode="Paper").ready()
    assert gateway.order(quantity="0.02").headers["x-tradingbot-refused"] == "MaxPositionSize"
    assert gateway.order(quantity="0.01").status == 200
    eventually(lambda: {"LIMIT", "STOP_MARKET"} == protection(gateway))
    assert gateway.signed("GET", "/api/v3/openOrders").body == []
    gateway.exchange.fault(type="crash", percent=5, over="1s")
    eventually(lambda: gateway.risk()["openPositions"] == 0)
    assert Decimal(gateway.risk()["dayPnL"]) < -10


def protection(gateway: Gateway) -> set[str]:
    """The types of the protective orders that this run has placed."""
    return {each["type"] for each in gateway.drop_copy() if each.get("action") == "protection"}


def test_a_paper_account_goes_on_after_a_crash(start: Gateways, tmp_path: Path) -> None:
    gateway = start("--state", str(tmp_path / "ledger"), mode="Paper").ready()
    assert gateway.order(quantity="0.01").status == 200
    eventually(lambda: protection(gateway))
    before = gateway.risk()
    gateway.kill()
    gateway.begin()
    gateway.ready()
    after = gateway.risk()
    assert (before["openPositions"], after["openPositions"]) == (1, 1)
    assert protection(gateway) == set()  # that of the first run is still there
    assert gateway.order(side="SELL", quantity="0.00999").body["status"] == "FILLED"
    assert gateway.risk()["openPositions"] == 0


def test_no_key_is_needed_in_paper(start: Gateways) -> None:
    gateway = start(mode="Paper", begin=False)
    gateway.without_keys = True
    gateway.begin()
    assert gateway.ready().order().status == 200
