"""The demo of `make up`: bots trade on simulated exchanges, and a crash halts one of them.

The tests share one system, and each continues with what the one before has left.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from drop_copies import fills, gained, moved
from gateway_orders import open_orders
from person import Object, eventually
from tradingbot_api.gateway_pod import EXCHANGE_PORT
from tradingbot_cli.orders.entries import Entry
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.product import demo_view, tour
from tradingbot_dev.product.crash import calm, crash
from tradingbot_dev.product.demo import BOT, CARELESS, Demo
from tradingbot_dev.product.system import temporary_system, tradingbot_path
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
    strategies_environment.STRATEGIES.install(progress=Progress(StringIO()))
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


def address(demo: Demo, name: str) -> str:
    """The address of a bot's pod."""
    (pod,) = pods(demo, name)
    return kubectl(demo, "get", pod, "-o", "jsonpath={.status.podIP}")


def decisions(demo: Demo, name: str) -> list[Entry]:
    """All decisions of the gateway of a bot's pod."""
    return demo.decisions(name, lines=1_000_000)


def test_a_bot_trades_and_its_orders_and_logs_can_be_seen(demo: Demo) -> None:
    exchange, place = demo.exchanges.of(MAKER), f"{address(demo, MAKER)}:{EXCHANGE_PORT}"
    eventually(lambda: open_orders(place), seconds=PATIENCE)
    eventually(lambda: fills(decisions(demo, MAKER)), seconds=PATIENCE)
    eventually(lambda: day_pnl(demo, MAKER) != 0, seconds=PATIENCE)
    eventually(lambda: "bought" in kubectl(demo, "logs", f"deployment/{MAKER}"), seconds=PATIENCE)
    shown = tour.demo_text(demo_view.observe(demo))
    assert MAKER in shown
    assert "BTC-USDT" in shown
    assert "to let the market fall: make crash" in shown
    statement = exchange.statement(MAKER)
    assert (exchange.orders(MAKER), statement["fills"]) == ([], []), "in Paper, none leaves the pod"


def test_an_order_beyond_a_limit_is_refused_and_both_logs_say_why(demo: Demo) -> None:
    demo.await_refusal(seconds=PATIENCE)
    limit = "maxPositionSize is 1000"
    eventually(lambda: limit in kubectl(demo, "logs", f"deployment/{CARELESS}"))
    # kubectl need not say which of the two containers it took.
    done = demo.system.plane.kubectl("logs", f"deployment/{CARELESS}", "--tail=1", check=True)
    assert "container" not in done.stderr
    command = (tradingbot_path(), "orders", CARELESS, "--only", "refusals")
    environment = {**os.environ, "KUBECONFIG": str(demo.system.plane.kubeconfig)}
    orders = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    heading, *rows = orders.stdout.splitlines()
    assert heading.startswith("TIME")
    assert rows
    assert all(limit in row and f"default/{CARELESS} " in row for row in rows)
    shown = tour.demo_text(demo_view.observe(demo))
    assert f"An order of {CARELESS} is refused" in shown
    assert shown.count(limit) == 2, "as the bot and as the gateway tell it"
    assert moved(decisions(demo, CARELESS))["USDT"] > -1000


def test_no_key_is_in_a_pod_with_a_gateway(demo: Demo) -> None:
    (name,) = pods(demo, CARELESS)
    pod = json.loads(kubectl(demo, "get", name, "-o", "json"))
    (gateway,) = pod["status"]["initContainerStatuses"]
    assert (gateway["started"], gateway["ready"]) == (True, True)
    assert f"{CARELESS}-keys" not in json.dumps(pod["spec"])  # in Paper, not even the gateway


def test_a_deleted_pod_stops_in_order_and_is_replaced(demo: Demo) -> None:
    (before,) = pods(demo, "arbitrage")
    command = [kubectl_path(), "logs", "--follow", before]
    environment = {**os.environ, "KUBECONFIG": str(demo.system.plane.kubeconfig)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as logs:
        kubectl(demo, "delete", before)
        assert logs.communicate(timeout=PATIENCE)[0].endswith("INFO stopped\n")
    eventually(lambda: pods(demo, "arbitrage") not in ([], [before]), seconds=PATIENCE)
    # The new bot asks the new gateway for the symbols.
    eventually(
        lambda: b"Arbitrage trades" in b"".join(demo.log("arbitrage", BOT, lines=10)),
        seconds=PATIENCE,
    )


def test_the_figures_of_a_halt_are_those_of_the_gateways_fills(demo: Demo) -> None:
    exchange = demo.exchanges.of(MAKER)
    exchange.begin({"type": "crash", "percent": "5", "over": "1s"})
    eventually(lambda: day_pnl(demo, MAKER) < -5, seconds=PATIENCE)
    exchange.begin({"type": "halt"})  # the market stands still: figures stay as they are

    def by_fills() -> Decimal:
        return gained(decisions(demo, MAKER), {"BTC": bid(demo)}, "USDT")

    def same() -> bool:
        return abs(day_pnl(demo, MAKER) - by_fills()) <= LAST_DIGIT

    eventually(same, seconds=PATIENCE)
    expected = by_fills()
    limits = '{"spec":{"riskManagement":{"dailyLossLimit":"5"}}}'
    kubectl(demo, "patch", "tbot", MAKER, "--type=merge", "--patch", limits)
    eventually(lambda: status(demo, MAKER)["phase"] == "Halted", seconds=PATIENCE)

    figure = day_pnl(demo, MAKER)
    assert abs(figure - expected) <= LAST_DIGIT  # a report is rounded
    described = kubectl(demo, "describe", "tbot", MAKER)
    assert f"Day Pn L:        {figure:f}" in described
    assert f"DailyLossLimit: dayPnL {figure:f} reached the limit of 5" in described
    exchange.calm()


def test_a_crash_halts_bots_and_shows_what_their_gateways_did(demo: Demo) -> None:
    exchange = demo.exchanges.of(CARELESS)
    kubectl(demo, "delete", "tbot", CARELESS)  # a new one has no halt
    eventually(lambda: pods(demo, CARELESS) == [], seconds=PATIENCE)
    demo.apply(changed=with_a_day_that_began_an_hour_ago)
    eventually(lambda: "dayPnL" in status(demo, CARELESS).get("risk", {}), seconds=PATIENCE)
    demo.await_refusal(seconds=PATIENCE)

    said = crash(demo, progress=Progress(StringIO()))
    assert "to end the crash: make calm" in said
    eventually(lambda: status(demo, CARELESS)["phase"] == "Halted", seconds=PATIENCE)
    (fault,) = [fault for fault in exchange.faults() if fault["type"] == "crash"]

    assert f"{CARELESS} is halted" in said
    # What its gateway did meanwhile is shown if it did anything: the halt can be faster.
    assert "ended with its pod" in said
    risk = status(demo, CARELESS)["risk"]
    assert Decimal(risk["dayPnL"]) <= -80
    assert risk["haltReason"] in said
    assert risk["resumesAt"] in said
    since = datetime.fromisoformat(risk["haltedSince"])
    assert since.timestamp() + 1 > fault["started"] / 1000
    eventually(lambda: any(event["reason"] == "Halted" for event in demo.events(CARELESS)))
    assert pods(demo, CARELESS) == []
    assert "fallen already" in crash(demo, progress=Progress(StringIO()))


def test_calm_ends_the_crash_and_not_the_halt(demo: Demo) -> None:
    fallen = bid(demo)
    assert "prices return" in calm(demo)
    eventually(lambda: bid(demo) > fallen * Decimal("1.1"))
    assert calm(demo) == "the market is calm already"
    assert status(demo, CARELESS)["phase"] == "Halted"
    said = tour.demo_text(demo_view.observe(demo))
    assert f"{CARELESS} is halted" in said
    assert "ended with its pod" in said


def bid(demo: Demo) -> Decimal:
    return Decimal(demo.exchanges.of(MAKER).market()["symbols"]["BTC-USDT"]["bid"])
