"""The demo in pods: bots trade, a crash halts one, and the next trading day starts it again.

The tests share one demo, and each continues with what the one before has left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest
from drop_copies import fills, gained, moved
from gateway_orders import open_orders
from installation import Installation
from namespaces import restricted_namespace
from person import Object, Person, eventually
from pod_demo import (
    ARBITRAGE,
    CARELESS,
    FOLLOWER,
    MAKER,
    PodDemo,
    exchanges,
    fall_at_once,
    rendered,
)
from port_forward import forwarded
from real_bots import a_day_that_ends_soon, await_condition
from tradingbot_api.gateway_pod import EXCHANGE_PORT
from tradingbot_cli.orders.entries import Kind
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_operator.bots.children.gateway import HANDOVER_VOLUME

DAY_SECONDS = 90
"""What the market maker's trading day has left at least, to trade and to be halted, besides twice
the time in which the other bots have started. With 30, beside the other tests of CI, the day
once ended 10 seconds before the fall."""
NEXT_CANDLE = 90.0
"""Seconds in which a candle of a minute closes and the bot sees that."""
STATUS_INTERVAL = 90.0
"""Seconds in which the operator writes figures that have changed, and has a minute for that."""
LAST_DIGIT = Decimal("0.00000001")
WORTH_NOTHING = Decimal(10)
SMALLEST = Decimal("0.0001")
"""Bitcoins that are too few to be sold."""
AT_COINBASE = "at-coinbase"
"""A bot beside those of the demo: at Coinbase, behind a gateway, and without limits of its own."""
SCRIPT = Path(__file__).parent / "coinbase_bot.py"
LOOK = """
import os, pathlib
try:
    pathlib.Path("/written").write_text("x")
except OSError as error:
    print(os.getuid(), error.strerror)
"""


@dataclass(frozen=True)
class Story:
    """The demo, and when the trading day of the market maker ends."""

    demo: PodDemo
    ends: datetime
    maker: str
    """HOST:PORT of the market maker's gateway, until the first halt."""

    @property
    def person(self) -> Person:
        return self.demo.person


@pytest.fixture(scope="module")
def story(product: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with (
        restricted_namespace(product.node, f"t{crc32(b'demo')}") as person,
        exchanges(person, product.node, tmp_path_factory.mktemp("demo")) as demo,
    ):
        begun = datetime.now(UTC)
        others = (ARBITRAGE, CARELESS, FOLLOWER)
        day = {"dayStart": f"{begun - timedelta(hours=1):%H:%M}"}
        demo.apply(*others, schedule=day)
        person.applied(*at_coinbase(day))
        for name in (*others, AT_COINBASE):
            await_condition(person, "RiskReported", "True", name=name)
        started = datetime.now(UTC) - begun
        schedule, ends = a_day_that_ends_soon(seconds=DAY_SECONDS + 2 * started.seconds)
        demo.apply(MAKER, schedule=schedule)
        await_condition(person, "RiskReported", "True", name=MAKER)
        with forwarded(product.node, person.namespace, f"deploy/{MAKER}", EXCHANGE_PORT) as port:
            yield Story(demo, ends, f"127.0.0.1:{port}")


def test_all_run_and_trade_in_confined_pods(story: Story) -> None:
    demo = story.demo
    # The follower buys when a candle of a minute has closed after this: one such candle turns the
    # averages.
    demo.coinbase.begin({"type": "spike", "percent": "10", "over": "1s"})
    opened = demo.binance.begin(
        {"type": "crash", "symbol": "ETH-BTC", "percent": "1", "over": "1s"}
    )
    invest_all(story)
    eventually(lambda: fills(demo.decisions(MAKER)))
    eventually(lambda: moved(demo.decisions(ARBITRAGE))["USDT"] > 0)
    demo.binance.end(opened["id"])
    # The crash must not meet it halfway through a cycle.
    eventually(lambda: holds_money_only(demo, ARBITRAGE))

    (pod,) = story.person.items("pod", bot=ARBITRAGE)
    name = pod["metadata"]["name"]
    done = story.person.kubectl("exec", name, "--", "python", "-c", LOOK)
    assert done.stdout == "65532 Read-only file system\n", done.stderr
    refused = story.person.kubectl("exec", name, "--", "sh")
    assert "executable file not found" in refused.stderr


def test_an_order_beyond_a_limit_is_refused_and_both_logs_say_why(story: Story) -> None:
    limit = "maxPositionSize is 1000"
    eventually(lambda: limit in story.person.kubectl("logs", f"deploy/{CARELESS}").stdout)
    refused = [one for one in story.demo.decisions(CARELESS) if one.kind is Kind.REFUSALS]
    assert limit in refused[0].text("reason")


def test_a_crash_halts_the_market_maker_with_the_figures_of_its_gateways_fills(
    story: Story,
) -> None:
    demo, person = story.demo, story.person
    invest_all(story)
    eventually(lambda: is_fully_invested(story))
    entries = demo.decisions(MAKER)  # its pod ends with the halt
    fall_at_once(demo.binance, "20")
    left = (story.ends - datetime.now(UTC)).total_seconds()
    halted = person.await_phase(MAKER, "Halted", seconds=left)

    risk, marks = halted["status"]["risk"], demo.bids()
    figure = Decimal(risk["dayPnL"])
    assert figure <= -100
    assert abs(figure - gained(entries, marks, "USDT")) <= LAST_DIGIT  # a report is rounded
    held = moved(entries)["BTC"]
    assert abs(Decimal(risk["exposure"]) - held * marks["BTC"]) <= LAST_DIGIT
    assert datetime.fromisoformat(risk["resumesAt"]) == story.ends
    reached = f"DailyLossLimit: dayPnL {figure:f} reached the limit of 100"
    (event,) = person.await_events(MAKER, "Halted")
    assert reached in event
    described = person.kubectl("describe", "tbot", MAKER).stdout
    assert f"Day Pn L:        {risk['dayPnL']}" in described
    assert f"Exposure:        {risk['exposure']}" in described
    assert reached in described
    eventually(lambda: not person.items("pod", bot=MAKER))
    assert demo.binance.statement(MAKER)["fills"] == [], "in Paper, no order leaves the pod"


def test_the_bot_that_knows_no_limit_is_halted_as_well(story: Story) -> None:
    (halted,) = story.person.await_events(CARELESS, "Halted")
    assert "reached the limit of 80" in halted


def test_parameters_of_the_strategies_are_checked(story: Story) -> None:
    copy = "registry.example/desk/strategies:1.0"
    said = verdict(story)
    assert "spec.strategy.parameters[spraed]" in said
    assert 'did you mean "spread"?' in said
    assert verdict(story, image=copy) == ""
    assert verdict(story, image=copy, annotation="v1") == said


def test_the_trend_follower_has_bought_when_a_candle_closed(story: Story) -> None:
    fills = eventually(
        lambda: story.demo.coinbase.statement(FOLLOWER)["fills"], seconds=NEXT_CANDLE
    )
    assert {fill["side"] for fill in fills} == {"BUY"}


def test_at_coinbase_an_order_passes_and_the_next_one_beyond_the_limit_is_refused(
    story: Story,
) -> None:
    limit = "maxPositionSize is 1000"
    log = eventually(lambda: shown(story, AT_COINBASE, having=limit))
    assert "bought " in log
    entries = story.demo.decisions(AT_COINBASE)
    assert {(fill.text("symbol"), fill.text("side")) for fill in fills(entries)} == {
        ("BTC-USD", "BUY")
    }
    refused = [one for one in entries if one.kind is Kind.REFUSALS]
    assert limit in refused[0].text("reason")
    assert any(one.kind is Kind.OWN for one in entries), "the position has a stop"
    assert story.demo.risk(AT_COINBASE)["openPositions"] == 1
    (pod,) = story.person.items("pod", bot=AT_COINBASE)
    (handed,) = [each for each in pod["spec"]["volumes"] if each["name"] == HANDOVER_VOLUME]
    assert handed["emptyDir"]["medium"] == "Memory"


def test_at_coinbase_a_crash_halts_the_bot(story: Story) -> None:
    fall_at_once(story.demo.coinbase, "20")
    halted = story.person.await_phase(AT_COINBASE, "Halted", seconds=STUCK_SECONDS)
    assert Decimal(halted["status"]["risk"]["dayPnL"]) <= -60
    eventually(lambda: not story.person.items("pod", bot=AT_COINBASE))


def test_the_profit_of_the_arbitrage_is_that_of_its_fills(story: Story) -> None:
    demo = story.demo

    def by_fills() -> Decimal:
        return gained(demo.decisions(ARBITRAGE), demo.bids(), "USDT")

    # What a cycle leaves over has fallen with the market, so this may be a loss.
    eventually(lambda: by_fills() != 0)
    eventually(
        lambda: abs(demo.day_pnl(ARBITRAGE) - by_fills()) <= LAST_DIGIT, seconds=STATUS_INTERVAL
    )
    printed = story.person.kubectl("get", "tbot", ARBITRAGE).stdout
    assert f"{demo.day_pnl(ARBITRAGE):f}" in printed


def test_the_next_trading_day_starts_the_market_maker_again(story: Story) -> None:
    demo, person = story.demo, story.person
    left = (story.ends - datetime.now(UTC)).total_seconds()
    person.await_phase(MAKER, "Running", seconds=max(left, 0) + STUCK_SECONDS)
    assert datetime.now(UTC) >= story.ends
    await_condition(person, "RiskReported", "True", name=MAKER)
    risk = demo.risk(MAKER)
    assert datetime.fromisoformat(risk["dayEndsAt"]) == story.ends + timedelta(days=1)
    assert "haltReason" not in risk
    # In Paper, a new pod has a new account.
    eventually(lambda: "dayPnL" in demo.risk(MAKER))
    assert abs(demo.day_pnl(MAKER)) < 1
    eventually(lambda: any(entry.kind is Kind.ORDERS for entry in demo.decisions(MAKER)))


def at_coinbase(day: Object) -> tuple[Object, Object]:
    """The bot at Coinbase, and the ConfigMap with its program."""
    follower = declared(FOLLOWER)
    spec = follower["spec"]
    spec["strategy"] = {"type": "Custom", "image": spec["strategy"]["image"]}
    spec["riskManagement"] = {
        "enforcement": "Gateway",
        "maxPositionSize": "1000",
        "dailyLossLimit": "60",
        "stopLossPercentage": "25",
    }
    spec["pod"] = {
        "command": ["python", "/script/coinbase_bot.py"],
        "files": [{"mountPath": "/script", "configMap": {"name": AT_COINBASE}}],
        "terminationGracePeriodSeconds": 5,
    }
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AT_COINBASE},
        "data": {SCRIPT.name: SCRIPT.read_text(encoding="utf-8")},
    }
    bot = {**follower, "metadata": {"name": AT_COINBASE}, "spec": {**spec, "schedule": day}}
    return script, bot


def shown(story: Story, name: str, *, having: str) -> str:
    """Return the log of a bot once it has some text."""
    log = story.person.kubectl("logs", f"deploy/{name}", "-c", "bot").stdout
    return log if having in log else ""


def declared(name: str) -> Object:
    """The bot of the demo with this name."""
    (bot,) = [one for one in rendered() if one["metadata"]["name"] == name]
    return bot


def bids(story: Story) -> list[Decimal]:
    """The prices of the market maker's entry orders."""
    return [Decimal(o["price"]) for o in open_orders(story.maker) if o["side"] == "BUY"]


def invest_all(story: Story) -> None:
    """Let prices fall below the bids of the market maker until it has none and holds bitcoins.

    So the crash meets a bot that holds all that it may: only the price changes. A report that is
    made from two reads of the exchange, one before the crash and one after it, is whole all the
    same.
    """

    def look() -> bool:
        ask = Decimal(story.demo.binance.market()["symbols"]["BTC-USDT"]["ask"])
        last = min(bids(story), default=ask)
        if last < ask:
            percent = (100 * (1 - (last - 1) / ask)).quantize(Decimal("0.0001"))
            fall_at_once(story.demo.binance, f"{percent:f}")
        return is_fully_invested(story)

    eventually(look)


def is_fully_invested(story: Story) -> bool:
    """Whether the market maker has no bid any more, and a stop for all that it holds."""
    position = moved(story.demo.decisions(MAKER))["BTC"]
    return position > 0 and not bids(story) and position - stopped(story) < SMALLEST


def stopped(story: Story) -> Decimal:
    """How many bitcoins of the market maker have a stop."""
    stops = [one for one in open_orders(story.maker) if Decimal(one["stopPrice"])]
    return sum((Decimal(one["origQty"]) for one in stops), Decimal(0))


def holds_money_only(demo: PodDemo, account: str) -> bool:
    held, prices = moved(demo.decisions(account)), demo.bids()
    return all(held[asset] * price < WORTH_NOTHING for asset, price in prices.items())


def verdict(story: Story, *, image: str = "", annotation: str = "") -> str:
    """Why a market maker with a wrong name of a parameter is refused, or nothing."""
    changed = declared(MAKER)
    strategy = changed["spec"]["strategy"]
    strategy["parameters"]["spraed"] = strategy["parameters"].pop("spread")
    strategy["image"] = image or strategy["image"]
    changed["metadata"] = {"name": "another"}
    if annotation:
        changed["metadata"]["annotations"] = {"trading.io/strategies": annotation}
    done = story.person.apply(changed, options=("--dry-run=server",))
    return done.stderr if done.returncode else ""
