"""A node is lost and its pod goes on: of two gateways of one bot, one alone lets entries pass."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest
from hostile_wire import Wire
from installation import Installation
from live_exchange import NAME as EXCHANGE
from live_exchange import PORT, account_key, live_exchange
from namespaces import restricted_namespace
from order_log import OrderLog
from person import Object, Person, eventually
from port_forward import forwarded
from test_cluster_entry_grants import NAME, SCRIPT, bot
from tradingbot_api.entry_grant import MARGIN_SECONDS
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE
from tradingbot_node.cluster import Node
from tradingbot_node.host.places import NODE_NAME
from tradingbot_node.images.own import product_image
from tradingbot_node.spare import SpareNode, spare_node

GRANT_SECONDS = 60
LIMIT, LARGEST = Decimal(1400), Decimal(70)
"""maxPositionSize, and more than the largest entry of the bot. The lost pod can't spend all of the
limit: it enters every three seconds, until its right has run out."""
SPREAD = Decimal(10)
"""The limit is for what a position is worth, which is less than the asks that were paid for it. No
entry of the bot is as small as this."""
SYMBOL = "BTCUSDT"


@contextmanager
def short_grants(product: Installation) -> Iterator[None]:
    """Let grants last for as short a time as they can, so that the test need not wait longer."""
    change = ("-n", SYSTEM_NAMESPACE, "set", "env", "deployment/tradingbot-operator")
    wait = ("-n", SYSTEM_NAMESPACE, "rollout", "status", "deployment/tradingbot-operator")
    name = "TRADINGBOT_OPERATOR_GATEWAY_GRANT"
    try:
        product.node.kubectl(*change, f"{name}={GRANT_SECONDS}", check=True)
        product.node.kubectl(*wait, "--timeout=3m", check=True)
        yield
    finally:
        product.node.kubectl(*change, f"{name}-", check=True)
        product.node.kubectl(*wait, "--timeout=3m", check=True)


@contextmanager
def closed(node: Node, name: str) -> Iterator[None]:
    """Have new pods created on other nodes."""
    node.kubectl("cordon", name, check=True)
    try:
        yield
    finally:
        node.kubectl("uncordon", name, check=True)


@dataclass(frozen=True)
class Scene:
    """The bot, its account at the exchange, and the node that is lost."""

    person: Person
    account: Wire
    spare: SpareNode

    def pod(self) -> Object:
        """Return the pod that runs, once one does."""
        running = [
            pod
            for pod in self.person.items("pods", bot=NAME)
            if pod["status"].get("phase") == "Running"
        ]
        assert len(running) == 1
        return running[0]

    def entries(self) -> list[Object]:
        return OrderLog.read(self.account, SYMBOL).entries

    def spent(self) -> Decimal:
        """What the entries of all pods have cost, by the exchange's own records."""
        return sum((Decimal(each["cummulativeQuoteQty"]) for each in self.entries()), Decimal(0))

    def refusal(self, pod: Object) -> str:
        """Return the control that has refused the last entry of a pod of the node that is left."""
        name = pod["metadata"]["name"]
        return self.person.kubectl("logs", name, "-c", "bot", "--tail=1").stdout.split()[-1]

    def last_control(self, pod: Object) -> str:
        """Return the control that has refused the last entry of a pod of the lost node.

        The log is read on the node: the API server can't reach its kubelet.
        """
        meta = pod["metadata"]
        directory = self.spare.logs / f"{meta['namespace']}_{meta['name']}_{meta['uid']}" / "bot"
        (log,) = directory.glob("*.log")
        return log.read_text().splitlines()[-1].split()[-1]


@pytest.fixture
def scene(product: Installation, bot_image: Path, tmp_path: Path) -> Iterator[Scene]:
    """Return once the bot runs on the node that is lost later, and all else on the other one."""
    with ExitStack() as stack:
        stack.enter_context(short_grants(product))
        spare = stack.enter_context(spare_node(product.node))
        for archive in (bot_image, product_image()):
            spare.containerd.import_image(archive)
        name = f"t{crc32(b'lost node')}"
        person = stack.enter_context(restricted_namespace(product.node, name))
        with closed(product.node, spare.name):
            stack.enter_context(live_exchange(person, product.node, tmp_path, NAME))
        port = stack.enter_context(
            forwarded(product.node, person.namespace, f"deploy/{EXCHANGE}", PORT)
        )
        account = Wire("127.0.0.1", port, *account_key(person, NAME), secure=True)
        wanted = bot()
        wanted["spec"]["riskManagement"]["maxPositionSize"] = str(LIMIT)
        wanted["spec"]["pod"]["command"].append("hold")
        meta = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "script"}}
        person.applied({**meta, "data": {"entering_bot.py": SCRIPT}})
        scene = Scene(person, account, spare)
        with closed(product.node, NODE_NAME):
            person.applied(wanted)
            eventually(scene.pod)
        yield scene
        spare.find()
        person.deleted("tradingbot", NAME)


def test_the_pod_of_a_lost_node_and_the_next_one_never_enter_both(
    scene: Scene, product: Installation
) -> None:
    old = scene.pod()
    assert old["spec"]["nodeName"] == scene.spare.name
    eventually(scene.entries)
    with closed(product.node, scene.spare.name):
        scene.spare.lose()
        lost_at = len(scene.entries())
        scene.person.kubectl("delete", "pod", old["metadata"]["name"], "--force")
        new = eventually(scene.pod)
        assert new["spec"]["nodeName"] == NODE_NAME

        def right_has_run_out() -> bool:
            assert scene.last_control(old) == "NotGranted"
            return True

        eventually(right_has_run_out, seconds=GRANT_SECONDS + MARGIN_SECONDS)
        spent_by_the_old = scene.spent()

        def limit_is_spent() -> bool:
            # Not by asking the exchange again and again: it bans an address for that.
            assert scene.refusal(new) == "MaxPositionSize"
            return True

        eventually(limit_is_spent)
        assert scene.last_control(old) == "NotGranted"
    assert spent_by_the_old < scene.spent() <= LIMIT + SPREAD
    assert scene.spent() > LIMIT - 2 * LARGEST
    by_pod: dict[str, list[int]] = {}
    for entry in scene.entries():
        by_pod.setdefault(entry["clientOrderId"].partition("-")[0], []).append(int(entry["time"]))
    before, after = (by_pod.pop(pod["metadata"]["name"].rpartition("-")[2]) for pod in (old, new))
    assert not by_pod
    assert len(before) > lost_at  # the lost pod has entered too
    assert max(before) < min(after)
    scene.spare.find()
    eventually(lambda: not scene.spare.containerd.ctr("tasks", "list", "-q").strip())
