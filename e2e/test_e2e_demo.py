"""The demo of `make up`: bots trade on simulated exchanges, and a crash halts one of them.

The tests share one system, and each continues with what the one before has left.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import yaml
from gateway_orders import market_order
from person import Object, eventually
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.product import demo_view, manifests, tour
from tradingbot_dev.product.crash import calm, crash
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.system import temporary_system
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain import strategies_environment

PATIENCE = 120.0
MAKER = "market-maker"
LAST_DIGIT = Decimal("0.00000001")


def with_a_day_that_began_an_hour_ago(bot: Object) -> Object:
    """Return the bot with another trading day, so that no test sees one end."""
    began = datetime.now(UTC) - timedelta(hours=1)
    return {**bot, "spec": {**bot["spec"], "schedule": {"dayStart": f"{began:%H:%M}"}}}


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    strategies_environment.install(progress=Progress(StringIO()))
    settings = {
        "TRADINGBOT_OPERATOR_RISK_INTERVAL": "0.5",
        "TRADINGBOT_OPERATOR_RISK_STATUS_INTERVAL": "0",
    }
    with temporary_system(environment=settings, local_pods=True) as system:
        running = Demo(system)
        running.exchanges.start()
        running.apply(changed=with_a_day_that_began_an_hour_ago)
        running.await_reports(seconds=PATIENCE)
        yield running


def status(demo: Demo, name: str) -> Object:
    (found,) = [found for found in demo.stored() if found["metadata"]["name"] == name]
    return dict(found["status"])


def day_pnl(demo: Demo, name: str) -> Decimal:
    return Decimal(status(demo, name)["risk"]["dayPnL"])


def total(statement: dict[str, Any]) -> Decimal:
    """Return the profit by the exchange's account."""
    realized, unrealized = statement["realizedPnL"]["USDT"], statement["unrealizedPnL"]["USDT"]
    return Decimal(realized) + Decimal(unrealized)


def kubectl(demo: Demo, *arguments: str) -> str:
    return demo.system.plane.kubectl(*arguments, check=True).stdout


def pods(demo: Demo, name: str) -> list[str]:
    return kubectl(demo, "get", "pods", "-l", f"trading.io/bot={name}", "-o", "name").split()


def test_exchanges_that_run_are_left_alone_and_their_keys_are_private(demo: Demo) -> None:
    before = [exchange.keys_file.read_text() for exchange in demo.exchanges.all]
    assert demo.exchanges.start() == []
    for exchange, text in zip(demo.exchanges.all, before, strict=True):
        assert exchange.keys_file.read_text() == text
        assert exchange.keys_file.stat().st_mode & 0o777 == 0o600
        for account in exchange.accounts:
            key = exchange.key(account)
            assert key.secret not in repr(key)
            assert key.secret not in demo.system.log_file(exchange.name).read_text()
            assert key.secret not in kubectl(demo, "get", "secrets,tbot,pods", "-o", "yaml")


def test_a_bot_trades_and_its_orders_and_logs_can_be_seen(demo: Demo) -> None:
    exchange = demo.exchanges.of(MAKER)
    eventually(lambda: exchange.orders(MAKER), seconds=PATIENCE)
    eventually(lambda: exchange.statement(MAKER)["fills"], seconds=PATIENCE)
    eventually(lambda: day_pnl(demo, MAKER) != 0, seconds=PATIENCE)
    assert "bought" in kubectl(demo, "logs", f"deployment/{MAKER}")
    shown = tour.demo_text(demo_view.observe(demo))
    assert MAKER in shown
    assert "BTC-USDT" in shown
    assert "to let the market fall: make crash" in shown


def test_a_deleted_pod_stops_in_order_and_is_replaced(demo: Demo) -> None:
    (before,) = pods(demo, "arbitrage")
    command = [kubectl_path(), "logs", "--follow", before]
    environment = {**os.environ, "KUBECONFIG": str(demo.system.plane.kubeconfig)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as logs:
        kubectl(demo, "delete", before)
        assert logs.communicate(timeout=PATIENCE)[0].endswith("INFO stopped\n")
    eventually(lambda: pods(demo, "arbitrage") not in ([], [before]), seconds=PATIENCE)
    (after,) = pods(demo, "arbitrage")
    eventually(lambda: "Arbitrage trades" in kubectl(demo, "logs", after), seconds=PATIENCE)


def test_a_bot_with_a_gateway_has_no_keys_and_its_orders_are_refused(demo: Demo) -> None:
    (guarded,) = yaml.safe_load_all((manifests.SAMPLES / "gateway.yaml").read_text())
    guarded["spec"]["exchange"] |= {
        "apiKeySecret": "arbitrage-keys",
        "baseURL": demo.exchanges.of("arbitrage").url,
    }
    demo.system.apply(manifests.text([guarded]))

    def reported() -> Object | None:
        found: Object = json.loads(kubectl(demo, "get", "tbot", "guarded", "-o", "json"))
        return found if "dayPnL" in found.get("status", {}).get("risk", {}) else None

    eventually(reported, seconds=PATIENCE)
    (name,) = pods(demo, "guarded")
    pod = json.loads(kubectl(demo, "get", name, "-o", "json"))
    assert "arbitrage-keys" not in json.dumps(pod["spec"])  # in Paper, not even the gateway
    (gateway,) = pod["status"]["initContainerStatuses"]
    assert (gateway["started"], gateway["ready"]) == (True, True)
    eventually(lambda: "orders are sent to http://" in kubectl(demo, "logs", name))

    address = pod["status"]["podIP"]
    code, answer, control = market_order(address, "BUY", "1")
    assert (code, control) == (400, "MaxPositionSize")
    assert "maxPositionSize is 1000" in answer["msg"]
    refused = kubectl(demo, "logs", name, "-c", "gateway")
    assert '"MaxPositionSize"' in refused

    kubectl(demo, "patch", "tbot", "guarded", "--type=merge", "-p", '{"spec":{"paused":true}}')
    eventually(lambda: pods(demo, "guarded") == [], seconds=PATIENCE)
    kubectl(demo, "delete", "tbot", "guarded")


def test_the_figures_of_a_halt_are_those_of_the_exchange(demo: Demo) -> None:
    exchange = demo.exchanges.of(MAKER)
    exchange.begin({"type": "crash", "percent": "5", "over": "1s"})
    eventually(lambda: day_pnl(demo, MAKER) < -5, seconds=PATIENCE)
    exchange.begin({"type": "halt"})  # the market stands still: figures stay as they are

    def same() -> bool:
        return abs(day_pnl(demo, MAKER) - total(exchange.statement(MAKER))) <= LAST_DIGIT

    eventually(same, seconds=PATIENCE)
    limits = '{"spec":{"riskManagement":{"dailyLossLimit":"5"}}}'
    kubectl(demo, "patch", "tbot", MAKER, "--type=merge", "--patch", limits)
    eventually(lambda: status(demo, MAKER)["phase"] == "Halted", seconds=PATIENCE)

    figure = day_pnl(demo, MAKER)
    # Realized and unrealized profit are rounded, each by itself.
    assert abs(figure - total(exchange.statement(MAKER))) <= LAST_DIGIT
    described = kubectl(demo, "describe", "tbot", MAKER)
    assert f"Day Pn L:        {figure:f}" in described
    assert f"DailyLossLimit: dayPnL {figure:f} reached the limit of 5" in described
    exchange.calm()


def test_a_crash_halts_a_bot_and_its_stops_stay_at_the_exchange(demo: Demo) -> None:
    exchange = demo.exchanges.of(MAKER)
    kubectl(demo, "delete", "tbot", MAKER)  # a new one has no halt
    eventually(lambda: pods(demo, MAKER) == [], seconds=PATIENCE)
    demo.apply(changed=with_a_day_that_began_an_hour_ago)
    eventually(lambda: "dayPnL" in status(demo, MAKER).get("risk", {}), seconds=PATIENCE)
    eventually(lambda: sides(exchange.orders(MAKER)) >= {"BUY"}, seconds=PATIENCE)

    said = crash(demo, progress=Progress(StringIO()))
    assert "is halted" in said
    assert "to end the crash: make calm" in said
    eventually(lambda: status(demo, MAKER)["phase"] == "Halted", seconds=PATIENCE)
    said = tour.demo_text(demo_view.observe(demo))
    (fault,) = [fault for fault in exchange.faults() if fault["type"] == "crash"]

    assert f"{MAKER} is halted" in said
    assert "to end the crash: make calm" in said
    risk = status(demo, MAKER)["risk"]
    assert Decimal(risk["dayPnL"]) <= -100
    assert risk["haltReason"] in said
    assert risk["resumesAt"] in said
    since = datetime.fromisoformat(risk["haltedSince"])
    assert since.timestamp() + 1 > fault["started"] / 1000
    eventually(lambda: any(event["reason"] == "Halted" for event in demo.events(MAKER)))
    assert pods(demo, MAKER) == []
    left = exchange.orders(MAKER)
    assert sides(left) == {"SELL"}, "no entry is left"
    stopped = sum(Decimal(order["quantity"]) for order in left if order["stopPrice"])
    position = Decimal(exchange.statement(MAKER)["symbols"]["BTC-USDT"]["position"])
    assert 0 <= position - stopped < Decimal("0.0001"), "what can be sold has a stop"
    assert f"SELL {left[0]['quantity']} BTC-USDT" in said
    assert "fallen already" in crash(demo, progress=Progress(StringIO()))


def test_calm_ends_the_crash_and_not_the_halt(demo: Demo) -> None:
    fallen = bid(demo)
    assert "prices return" in calm(demo)
    eventually(lambda: bid(demo) > fallen * Decimal("1.1"))
    assert calm(demo) == "the market is calm already"
    assert status(demo, MAKER)["phase"] == "Halted"
    view = demo_view.observe(demo)
    (halt,) = [halt for halt in view.halts if halt.bot == MAKER]
    assert "no order is left" in tour.halt_text(replace(halt, orders=()))


def sides(orders: list[dict[str, Any]]) -> set[str]:
    return {order["side"] for order in orders}


def bid(demo: Demo) -> Decimal:
    return Decimal(demo.exchanges.of(MAKER).market()["symbols"]["BTC-USDT"]["bid"])
