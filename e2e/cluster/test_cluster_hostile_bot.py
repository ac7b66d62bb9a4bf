"""A bot that attacks its gateway, its pod and the exchange, on a real node.

The exchange's own records say what has reached it. The tests share one bot: it attacks, is quiet
for a while, and goes on trading when it is told to stop.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest
from hostile_wire import Wire
from installation import Installation
from live_exchange import account_key, live_exchange, reached_by
from namespaces import restricted_namespace
from order_log import OrderLog, untagged
from person import Object, Person, condition, eventually, sample, sample_bot
from pod_demo import profit
from policy_rules import enforced
from port_forward import forwarded
from real_bots import BOT_IMAGE, await_condition
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE, kubectl_path
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_dev.product.exchanges import SimulatedExchange
from tradingbot_gateway.binance.translation import STRATEGY_TYPE

BOT = "hostile"
SIZE, RATE = Decimal(1000), 30
STATUS_INTERVAL = 90.0
"""Seconds in which the operator writes figures that have changed, and has a minute for that."""
LAST_DIGIT = Decimal("0.00000001")
GRACE = 8
NOT_OURS = {"401 -2015", "401 -2014"}
"""The exchange's answers to a key that it does not know."""
SYMBOL = "BTCUSDT"
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError as error:
    print(type(error).__name__)
"""


@dataclass(frozen=True)
class Scene:
    """The bot, what it says, and the exchange, whose account is read with its own key."""

    person: Person
    exchange: SimulatedExchange
    account: Wire
    log: Path

    def said(self, attack: str) -> list[Object]:
        """What the bot has written of an attack."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{")
        return [line for line in lines if line["attack"] == attack]

    def pod(self) -> Object:
        (pod,) = self.person.items("pod", bot=BOT)
        return pod

    def orders(self) -> OrderLog:
        return OrderLog.read(self.account, SYMBOL)

    def mark(self) -> Decimal:
        return Decimal(self.exchange.market()["symbols"]["BTC-USDT"]["bid"])


def hostile_bot() -> Object:
    bot = sample_bot(
        strategy={"type": "Custom", "image": BOT_IMAGE},
        exchange=reached_by(BOT),
        mode="Live",
        riskManagement={
            "enforcement": "Gateway",
            "maxPositionSize": str(SIZE),
            "dailyLossLimit": "50",
            "stopLossPercentage": "2",
            "maxOrdersPerMinute": RATE,
            "allowedSymbols": ["BTC-USDT"],
        },
        resources={"limits": {"cpu": "1", "memory": "256Mi"}},
        pod={
            "command": ["python3", "/bot/hostile_bot.py"],
            "terminationGracePeriodSeconds": GRACE,
        },
    )
    return {**bot, "metadata": {"name": BOT}}


@pytest.fixture(scope="module")
def scene(product: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Return once all attacks are over and the bot is quiet."""
    here = tmp_path_factory.mktemp("hostile")
    with ExitStack() as stack:
        person = stack.enter_context(restricted_namespace(product.node, f"t{crc32(b'hostile')}"))
        exchange = stack.enter_context(live_exchange(person, product.node, here, BOT))
        port = stack.enter_context(
            forwarded(product.node, person.namespace, "deploy/binance", 8070)
        )
        account = Wire("127.0.0.1", port, *account_key(person, BOT), secure=True)
        person.applied(hostile_bot())
        person.await_phase(BOT, "Running")
        scene = Scene(person, exchange, account, here / "bot.log")
        stack.enter_context(followed(product, person, scene.pod()["metadata"]["name"], scene.log))
        eventually(lambda: scene.said("all"), seconds=STUCK_SECONDS)
        yield scene


def followed(product: Installation, person: Person, pod: str, log: Path) -> ExitStack:
    """Write the bot's log to a file, also after the pod is gone."""
    stack = ExitStack()
    output = stack.enter_context(log.open("wb"))
    kubeconfig = f"--kubeconfig={product.node.kubeconfig}"
    command = [kubectl_path(), kubeconfig, "-n", person.namespace, "logs", "-f", pod, "-c", "bot"]
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return stack


def test_it_finds_no_key_and_changes_nothing_in_its_pod(scene: Scene) -> None:
    for secret in (scene.account.key, scene.account.secret):
        assert secret not in scene.log.read_text()
    (read,) = scene.said("read")
    assert read["own"]["EXCHANGE_API_SECRET"] == "tradingbot-gateway-placeholder"
    assert read["processes"] == [1]
    assert not [path for path in read["mounts"] if "gateway" in path or "serviceaccount" in path]
    (written,) = scene.said("write")
    assert "written" not in written["written"].values()
    (tried,) = scene.said("processes")
    assert tried["traced"] == tried["killed"] == []
    assert set(tried["sniffed"].values()) == {"EPERM"}


def test_it_can_not_speak_for_the_gateway(scene: Scene) -> None:
    (ports,) = scene.said("ports")
    # The gateway listens for its bot on the loopback alone; nobody asks at the pod's address.
    assert ports["taken"].pop(f"{scene.pod()['status']['podIP']}:8081") == "taken"
    assert set(ports["taken"].values()) == {"EADDRINUSE"}


def test_others_refuse_it(scene: Scene) -> None:
    (others,) = scene.said("others")
    answered = others["answered"]
    assert answered["secrets"] in {"401", "403"}
    assert answered["kubelet"] in {"401", "403"}
    assert not answered["metadata"].isdecimal()
    assert not answered["controls"].isdecimal()
    (direct,) = scene.said("direct")
    assert len(direct["exchange"]) == 2, "by name and by address"
    for found in direct["exchange"].values():
        # What no gateway can prevent: the exchange is there, and public calls need no key.
        assert found.pop("ping") == "200"
        assert set(found.values()) <= NOT_OURS


def test_no_order_is_at_the_exchange_that_the_gateway_has_not_judged(scene: Scene) -> None:
    orders = scene.orders()
    assert orders.entries
    assert untagged(orders.orders, STRATEGY_TYPE) == []
    for symbol in ("ETHUSDT", "ETHBTC"):
        assert OrderLog.read(scene.account, symbol).orders == ()
    (calls,) = scene.said("calls")
    assert "200" not in calls["tally"]


def test_the_exchanges_records_stay_within_the_limits(scene: Scene) -> None:
    for attack in ("flood", "split"):
        (line,) = scene.said(attack)
        assert sum(line["tally"].values()) > RATE, "it has tried"
    orders = scene.orders()
    assert 0 < orders.most_in_a_minute() <= RATE
    assert 0 < orders.largest_position(scene.mark()) <= SIZE


def test_its_reads_leave_the_gateway_what_it_needs(scene: Scene) -> None:
    (reads,) = scene.said("reads")
    assert not [word for word in reads["tally"] if word.startswith("418")], "the address is banned"
    assert reads["tally"].get("RateLimit")


def test_it_cancels_its_own_orders_alone(scene: Scene) -> None:
    (cancels,) = scene.said("protection")
    assert sum(cancels["tally"].values()) > len(cancels["canceled"])
    own = {order["clientOrderId"] for order in scene.orders().entries}
    assert set(cancels["canceled"]) <= own


def test_the_sidecar_lives_and_the_position_is_protected(scene: Scene) -> None:
    (sidecar,) = scene.pod()["status"]["initContainerStatuses"]
    assert (sidecar["restartCount"], sidecar["ready"]) == (0, True)
    bot = await_condition(scene.person, "GatewayReady", "True", name=BOT)
    assert condition(bot, "RiskReported")["status"] == "True"
    eventually(lambda: is_protected(scene))


def is_protected(scene: Scene) -> bool:
    """Whether a stop of the gateway has all of the position that can be sold, and no more."""
    statement, orders = scene.exchange.statement(BOT), scene.exchange.orders(BOT)
    held = Decimal(statement["symbols"]["BTC-USDT"]["position"])
    stopped = sum((Decimal(o["quantity"]) for o in orders if o["stopPrice"]), Decimal(0))
    return 0 <= held - stopped < Decimal("0.0001")


def test_the_operators_figures_are_those_of_the_exchange(scene: Scene) -> None:
    statement = scene.exchange.statement(BOT)
    held = Decimal(statement["symbols"]["BTC-USDT"]["position"])

    def agree() -> bool:
        risk = (scene.person.get("tradingbot", BOT) or {})["status"]["risk"]
        assert abs(Decimal(risk["dayPnL"]) - profit(statement, "USDT")) <= LAST_DIGIT
        assert abs(Decimal(risk["exposure"]) - held * scene.mark()) <= LAST_DIGIT
        return True

    eventually(agree, seconds=STATUS_INTERVAL)


def test_a_network_policy_leaves_it_the_exchange_and_nothing_else(
    scene: Scene, product: Installation
) -> None:
    """The node's own network enforces none, see `policy_rules`."""
    policy = egress_of_the_sample()
    scene.person.applied(policy)
    stored = scene.person.get("networkpolicy", policy["metadata"]["name"])
    assert stored is not None
    bot, exchange = scene.pod(), "deploy/binance"
    name, address = bot["metadata"]["name"], bot["status"]["podIP"]
    server = product.object("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]

    assert connect(scene.person, name, server, "443") == ""
    assert connect(scene.person, exchange, address, "8082") == ""
    with enforced(stored, bot, product):
        assert connect(scene.person, name, "binance", "8070") == ""
        assert connect(scene.person, name, server, "443") == "TimeoutError"
        assert connect(scene.person, exchange, address, "8082") == "TimeoutError"
        (operator,) = product.pods("operator")[:1]
        operators = Person(scene.person.system, SYSTEM_NAMESPACE)
        assert connect(operators, operator["metadata"]["name"], address, "8080") == ""


def egress_of_the_sample() -> Object:
    """The sample for this bot; its exchange is in the cluster, and takes the place of the proxy."""
    policy: Object = sample("gateway-egress.yaml")
    policy["spec"]["podSelector"]["matchLabels"]["trading.io/bot"] = BOT
    proxy, dns = policy["spec"]["egress"]
    proxy["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] = "simulated-binance"
    proxy["ports"][0]["port"] = 8070
    for port in dns["ports"]:
        port["port"] = 1053
    return policy


def connect(person: Person, pod: str, host: str, port: str) -> str:
    """The name of the error of a connection from a pod, empty if there is none."""
    done = person.kubectl("exec", pod, "--", "python3", "-c", CONNECT, host, port)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_does_not_end_when_told_and_enters_nothing_more(scene: Scene) -> None:
    name = scene.pod()["metadata"]["name"]
    go = ("exec", name, "-c", "bot", "--", "touch", "/tmp/go")
    done = scene.person.kubectl(*go)
    assert done.returncode == 0, done.stderr
    eventually(lambda: any(line["tally"].get("BUY 200") for line in scene.said("churn")))
    before = len(scene.orders().entries)
    paused = time.time()
    scene.person.patched("tbot", BOT, {"spec": {"paused": True}})
    eventually(lambda: scene.person.items("pod", bot=BOT) == [])

    told = [line for line in scene.said("churn") if line["told"]]
    assert len(told) > 2, "it hangs"
    assert not [line for line in told[1:] if line["tally"].get("BUY 200")]
    orders = scene.orders()
    assert len(orders.entries) >= before
    assert orders.most_in_a_minute() <= RATE
    assert orders.largest_position(scene.mark()) <= SIZE
    last = max(int(order["time"]) for order in orders.entries) / 1000
    print(f"the last entry came {last - paused:.1f} s after the pause")
    open_orders = scene.exchange.orders(BOT)
    assert not [order for order in open_orders if order["side"] == "BUY"]
    assert is_protected(scene)
