"""An operator that is killed again and again in a storm of work: in the end all is as declared.

Users create, edit and delete bots all the while, children vanish, losses halt bots, and in the
middle etcd and the API server are killed as well.
"""

import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from person import Object, Person, eventually, sample, sample_bot
from simulated_bots import SimulatedBots
from tradingbot_dev.control_plane.components import ETCD, KUBE_APISERVER
from tradingbot_dev.product.system import OPERATOR
from urllib3.exceptions import HTTPError

KILLS = int(os.environ.get("TRADINGBOT_STORM_KILLS", "6"))
NAMES = [f"storm-{number}" for number in range(24)]
WORKING = 0.7
"""Part of the kills that come while it works; the others come while it starts."""
SPARED = 2
"""Halted bots that are not deleted."""
GROUP = {"group": "trading.io", "version": "v1", "plural": "tradingbots"}
CHILDREN = ("configmap", "deployment", "service")


@dataclass
class Storm:
    """What happens to the bots of a namespace, one random thing after the other."""

    person: Person
    bots: SimulatedBots
    dice: random.Random
    halted: dict[str, str] = field(default_factory=dict)
    """Uids and names of bots that were seen halted, and have reported a profit ever since."""
    done: int = 0

    def __post_init__(self) -> None:
        kubeconfig = str(self.person.system.plane.kubeconfig)
        connection = config.new_client_from_config(kubeconfig)
        self._objects = client.CustomObjectsApi(connection)
        self._core = client.CoreV1Api(connection)
        self._apps = client.AppsV1Api(connection)
        self._stop = threading.Event()

    def run(self) -> None:
        """Until told to stop; what the API server can't do while it is away is not done."""
        while not self._stop.is_set():
            name = self.dice.choice(NAMES)
            what = self.dice.choices(
                (self.create, self.edit, self.delete, self.lose, self.damage), (4, 5, 2, 3, 2)
            )[0]
            try:
                what(name)
                self.look_for_halts()
                self.done += 1
            except (ApiException, HTTPError):
                time.sleep(0.05)
            time.sleep(self.dice.uniform(0, 0.05))

    def stop(self) -> None:
        self._stop.set()

    def create(self, name: str) -> None:
        bot = sample_bot(updatePolicy="Immediate")
        bot["metadata"] = {"name": name}
        self._objects.create_namespaced_custom_object(
            **GROUP, namespace=self.person.namespace, body=bot
        )
        self.bots.set(self.person.namespace, name)

    def edit(self, name: str) -> None:
        change: Object = self.dice.choice(
            (
                {"riskManagement": {"dailyLossLimit": str(self.dice.randint(100, 900))}},
                {"strategy": {"image": f"ghcr.io/example/arb:{self.dice.randint(1, 99)}"}},
                {"paused": self.dice.random() < 0.3},
            )
        )
        self._objects.patch_namespaced_custom_object(
            **GROUP, namespace=self.person.namespace, name=name, body={"spec": change}
        )

    def delete(self, name: str) -> None:
        """Delete any but the first bots that halted: their latch is what may be lost."""
        if name in list(self.halted.values())[:SPARED]:
            return
        self._objects.delete_namespaced_custom_object(
            **GROUP, namespace=self.person.namespace, name=name
        )

    def lose(self, name: str) -> None:
        """It loses until it is seen halted, and only wins from then on."""
        if not self._is_halted(name):
            self.bots.set(self.person.namespace, name, day_pnl="-5000")

    def look_for_halts(self) -> None:
        """A bot that is seen halted reports a profit from then on, and has to stay halted."""
        found = self._objects.list_namespaced_custom_object(
            **GROUP, namespace=self.person.namespace
        )
        for bot in found["items"]:
            uid, name = bot["metadata"]["uid"], bot["metadata"]["name"]
            halted = "haltedSince" in bot.get("status", {}).get("risk", {})
            if halted and uid not in self.halted and "deletionTimestamp" not in bot["metadata"]:
                self.halted[uid] = name
                self.bots.set(self.person.namespace, name, day_pnl="500")

    def _is_halted(self, name: str) -> bool:
        bot = self._objects.get_namespaced_custom_object(
            **GROUP, namespace=self.person.namespace, name=name
        )
        return bot["metadata"]["uid"] in self.halted

    def damage(self, name: str) -> None:
        delete: Any = self.dice.choice(
            (
                lambda: self._core.delete_namespaced_config_map(f"{name}-config", namespace),
                lambda: self._apps.delete_namespaced_deployment(name, namespace),
                lambda: self._core.delete_namespaced_service(name, namespace),
            )
        )
        namespace = self.person.namespace
        delete()


def settled(storm: Storm) -> list[Object]:
    """All bots of the namespace; AssertionError as long as one is not as declared."""
    person = storm.person
    found = person.listed("tbot")
    for bot in found:
        name, status = bot["metadata"]["name"], bot.get("status", {})
        assert "deletionTimestamp" not in bot["metadata"], f"{name} is still being deleted"
        assert status.get("observedGeneration") == bot["metadata"]["generation"], name
        halted = "haltedSince" in status.get("risk", {})
        paused = bot["spec"].get("paused", False)
        expected = "Paused" if paused else "Halted" if halted else "Running"
        assert status["phase"] == expected, f"{name}: {status['phase']}, not {expected}"
        assert {one["kind"] for one in status["deployedResources"]} == {
            "ConfigMap",
            "Deployment",
            "Service",
        }, name
    return found


@pytest.fixture
def storm(person: Person, bots: SimulatedBots) -> Storm:
    seed = random.SystemRandom().randrange(10**9)
    print(f"storm of seed {seed}")
    person.applied(sample("secret.yaml"))
    return Storm(person, bots, random.Random(seed))


def test_an_operator_killed_again_and_again_in_a_storm_loses_and_leaves_nothing(
    storm: Storm,
) -> None:
    person, system = storm.person, storm.person.system
    blowing = threading.Thread(target=storm.run, daemon=True)
    blowing.start()
    try:
        # The first halts come before the first kill, so that there is a latch that may be lost.
        system.start_one(OPERATOR)
        eventually(lambda: len(storm.halted) >= SPARED)
        system.kill(OPERATOR)
        for kill in range(KILLS):
            if kill in {KILLS // 3, 2 * KILLS // 3}:
                system.plane.table.kill(ETCD if kill == KILLS // 3 else KUBE_APISERVER)
                system.plane.start()
            system.begin(OPERATOR)
            if storm.dice.random() < WORKING:
                system.await_ready(OPERATOR)
            time.sleep(storm.dice.uniform(0.0, 1.5))  # the moment is what is random
            system.kill(OPERATOR)
    finally:
        storm.stop()
        blowing.join(timeout=30)
        system.start_one(OPERATOR)
    assert storm.done > KILLS
    found = eventually(lambda: settled(storm) or True) and settled(storm)
    by_uid = {bot["metadata"]["uid"]: bot for bot in found}
    lost = [
        bot["metadata"]["name"]
        for uid, bot in by_uid.items()
        if uid in storm.halted and "haltedSince" not in bot["status"]["risk"]
    ]
    assert not lost, "these were halted and are not any more"
    assert len(storm.halted.keys() & by_uid.keys()) >= SPARED, "the halted bots are gone"
    names = {bot["metadata"]["name"] for bot in found}
    eventually(lambda: orphans(person, names) == [])
    for name in sorted(names):
        eventually(lambda name=name: as_declared(person, name) or True)  # type: ignore[misc]
    eventually(lambda: all((person.asset(name) is not None) == (name in names) for name in NAMES))


def orphans(person: Person, names: set[str]) -> list[str]:
    """Children and pods of bots that are gone."""
    done = person.kubectl(
        "get",
        f"{','.join(CHILDREN)},pod",
        "-l",
        "trading.io/bot",
        "-o",
        "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.labels.trading\\.io/bot}"
        '{"\\n"}{end}',
    )
    assert done.returncode == 0, done.stderr
    pairs = [line.split() for line in done.stdout.splitlines()]
    return [child for child, bot in pairs if bot not in names]


def as_declared(person: Person, name: str) -> None:
    """The children hold what the bot says now: one that loses may be halted at any moment."""
    bot = person.get("tradingbot", name)
    assert bot is not None
    spec = bot["spec"]
    (deployment,) = person.items("deployment", bot=name)
    (configuration,) = person.items("configmap", bot=name)
    running = bot["status"]["phase"] == "Running"
    assert deployment["spec"]["replicas"] == int(running), name
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == spec["strategy"]["image"], name
    limit = json.loads(configuration["data"]["bot.json"])["risk"]["dailyLossLimit"]
    assert limit == spec["riskManagement"]["dailyLossLimit"], name
