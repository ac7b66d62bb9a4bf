"""Never two pods of a bot that let entries through, whatever is lost, delayed or started again.

The operator's part is the real one on a cluster in memory, the gateways' decision is the real one
too. Nodes, kubelets and processes are played here, with the true time that none of them knows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from reconcile_harness import BOT, KEY, Harness
from tradingbot_api.entry_grant import ANNOTATION, EntryGrant, GatewayMoment, Moment
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_gateway.grants import permission
from tradingbot_operator.bots.entry_grants import decision
from tradingbot_operator.bots.entry_grants import grants as grants_module
from tradingbot_operator.bots.entry_grants.decision import Wish
from tradingbot_operator.bots.entry_grants.grants import NotStoredError
from tradingbot_operator.bots.pods import read_pod
from tradingbot_operator.cluster import cache
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.risk.moments import NoMomentError

HASH = "hash-1"
SECONDS = 300
SETTLED = SECONDS + 60
FAULTY = KubernetesError(500, "InternalError", "etcd is away")


@dataclass
class Gateway:
    """A gateway's process on its node."""

    uid: str
    boot: str
    skew: float
    """Seconds by which the clock of its node is wrong."""
    runs: bool = True
    reachable: bool = True
    """Whether the kubelet sees the API server, and the operator the pod."""
    file: str = ""

    def moment(self, now: float) -> Moment:
        elapsed = int((now + self.skew) * 1000)
        return Moment(self.boot, elapsed + 10**9, elapsed + 10**12)

    def enters(self, now: float) -> bool:
        found = permission(
            EntryGrant.read(self.file),
            pod=self.uid,
            now=self.moment(now),
            config_hash=HASH,
            live=True,
        )
        return self.runs and not (found.not_granted or found.outdated)


@dataclass
class World:
    """One bot, its pods and its operator."""

    random: random.Random
    harness: Harness = field(default_factory=lambda: Harness(secret=False))
    gateways: dict[str, Gateway] = field(default_factory=dict)
    made: int = 0
    granted: int = 0
    handed_over: int = 0
    last: str = ""

    def __post_init__(self) -> None:
        self.start = self.harness.now
        self.harness.moments.ask = self.ask  # type: ignore[method-assign]
        self.harness.context = self.harness.started()
        self.create()

    @property
    def now(self) -> float:
        return (self.harness.now - self.start).total_seconds()

    @property
    def pods(self) -> list[JsonObject]:
        return [obj for key, obj in self.harness.cluster.objects.items() if key[0] == "Pod"]

    def current(self) -> JsonObject | None:
        """The newest pod that is not being deleted."""
        staying = [pod for pod in self.pods if "deletionTimestamp" not in pod["metadata"]]
        return max(staying, key=lambda pod: int(pod["metadata"]["name"][4:]), default=None)

    async def ask(self, _key: NamespacedName, address: str) -> GatewayMoment:
        gateway = self.gateways[address]
        if not gateway.reachable or not gateway.runs:
            raise NoMomentError("no answer within 2 s")
        answer = GatewayMoment(moment=gateway.moment(self.now).text(), config_hash=HASH)
        self.wait(self.random.choice((0.0, 0.0, 1.9)))  # the answer takes its time
        return answer

    # What happens

    def wait(self, seconds: float) -> None:
        self.harness.now += timedelta(seconds=seconds)
        self.check()

    def create(self) -> None:
        if self.current() is not None:
            return
        self.made += 1
        uid = f"uid-{self.made}"
        node = self.random.choice(("a", "b"))
        self.gateways[uid] = Gateway(uid, f"boot-{node}", {"a": 0.0, "b": 4000.0}[node])
        status = {
            "phase": "Running",
            "podIP": uid,
            "initContainerStatuses": [{"name": "gateway", "state": {"running": {}}}],
        }
        name = f"arb-{self.made}"
        meta = {"name": name, "namespace": "desk", "uid": uid, "labels": {"trading.io/bot": "arb"}}
        meta["annotations"] = {}
        self.harness.cluster.put(
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}
        )

    def deliver(self) -> None:
        """The kubelets write the annotations into the files."""
        for pod in self.pods:
            gateway = self.gateways[pod["metadata"]["uid"]]
            if gateway.reachable and "deletionTimestamp" not in pod["metadata"]:
                gateway.file = pod["metadata"]["annotations"].get(ANNOTATION, "")

    def drain(self) -> None:
        pod = self.current()
        if pod is not None:
            self.edit(pod, metadata={"deletionTimestamp": "2026-03-04T12:00:00Z"})

    def end(self) -> None:
        """The kubelets end what is being deleted, report it, and remove it."""
        for pod in self.pods:
            gateway = self.gateways[pod["metadata"]["uid"]]
            if "deletionTimestamp" in pod["metadata"] and gateway.reachable:
                gateway.runs = False
                ended = [{"name": "gateway", "state": {"terminated": {"exitCode": 0}}}]
                self.edit(pod, status={"phase": "Succeeded", "initContainerStatuses": ended})
                if self.random.random() < 0.7:
                    self.harness.cluster.tell(self.harness.context.store)
                self.harness.cluster.drop("Pod", "desk", pod["metadata"]["name"])

    def force(self) -> None:
        """Somebody deletes the object of a pod by force; its process goes on."""
        for pod in self.pods:
            if self.random.random() < 0.5:
                if self.random.random() < 0.3:  # as the garbage collector does before
                    self.edit(pod, status={"phase": "Failed"})
                    self.harness.cluster.tell(self.harness.context.store)
                self.harness.cluster.drop("Pod", "desk", pod["metadata"]["name"])

    def lose(self) -> None:
        self.random.choice(list(self.gateways.values())).reachable = False

    def heal(self) -> None:
        for gateway in self.gateways.values():
            gateway.reachable = True

    def restart(self) -> None:
        self.harness.context = self.harness.started()

    def scribble(self) -> None:
        """A person moves a grant to another pod, or changes it."""
        if self.pods:
            pod, other = self.random.choice(self.pods), self.random.choice(self.pods)
            text = other["metadata"]["annotations"].get(ANNOTATION, "{}")
            self.edit(pod, metadata={"annotations": {ANNOTATION: text}})

    async def work(self) -> None:
        """The operator does its part, which may fail at each write."""
        self.harness.cluster.tell(self.harness.context.store)
        pod = self.current()
        found = None if pod is None else read_pod(pod)
        withdrawn = "Paused" if self.random.random() < 0.05 else None
        wish = Wish(HASH, withdrawn, exclusive=True)
        answers = found is not None and found.gateway.is_trusted(self.harness.now)
        self.harness.context.grants.want(KEY, wish, found, answers=answers)
        self.harness.cluster.faults.clear()
        if self.random.random() < 0.1:
            self.harness.fail("merge", self.random.choice(("TradingBot", "Pod")), FAULTY)
        with suppress(type(FAULTY)):
            await self.harness.context.grants.work(KEY)
        self.check()

    def edit(self, pod: JsonObject, **patch: object) -> None:
        self.harness.cluster.edit("Pod", "desk", pod["metadata"]["name"], **patch)

    def check(self) -> None:
        entering = [uid for uid, gateway in self.gateways.items() if gateway.enters(self.now)]
        assert len(entering) <= 1, f"{entering} at {self.now}"
        for uid in entering:
            self.granted += 1
            self.handed_over += bool(self.last) and self.last != uid
            self.last = uid

    async def run(self, steps: int) -> None:
        acts = (
            (30, self.work),
            (25, self.deliver),
            (8, self.create),
            (6, self.end),
            (5, self.drain),
            (2, self.force),
            (2, self.lose),
            (3, self.heal),
            (2, self.restart),
            (2, self.scribble),
        )
        weights, choices = zip(*acts, strict=True)
        for _ in range(steps):
            (act,) = self.random.choices(choices, weights)
            result = act()
            if result is not None:
                await result
            self.wait(self.random.choice((0.0, 0.5, 5.0, 20.0, 100.0)))

    async def settle(self) -> None:
        """Without further faults the current pod gets the right after a bounded time."""
        self.heal()
        self.end()
        self.create()
        begun = self.now
        while self.now - begun < SETTLED:
            await self.work()
            self.deliver()
            pod = self.current()
            assert pod is not None
            if self.gateways[pod["metadata"]["uid"]].enters(self.now):
                return
            self.wait(5)
        raise AssertionError("nobody may enter")


def played(seed: int, steps: int = 120) -> World:
    world = World(random.Random(seed))

    async def play() -> None:
        await world.run(steps)
        await world.settle()

    asyncio.run(play())
    return world


def play_many(count: int) -> None:
    for seed in range(count):
        played(seed)


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_never_do_two_pods_let_entries_through(first: int) -> None:
    worlds = [played(seed) for seed in range(first, first + 20)]
    assert all(world.granted for world in worlds)
    assert sum(world.handed_over for world in worlds) > 20


def nothing_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decision, "free_at", lambda _holder, known: known.read)


def what_is_gone_has_ended(patch: pytest.MonkeyPatch) -> None:
    def is_gone(grants: Any, key: NamespacedName, uid: str) -> bool:
        return all(pod["metadata"]["uid"] != uid for pod in grants._store.pods(*key))

    patch.setattr(grants_module.Grants, "_has_ended", is_gone)


def what_has_failed_has_ended(patch: pytest.MonkeyPatch) -> None:
    for module in (cache, grants_module):
        patch.setattr(module, "gateway_has_ended", lambda pod: pod["status"]["phase"] == "Failed")


def a_restart_forgets_the_holder(patch: pytest.MonkeyPatch) -> None:
    def forgetful(world: World) -> None:
        status = world.harness.cluster.objects[BOT].setdefault("status", {})
        status.pop("entries", None)
        world.harness.context = world.harness.started()

    patch.setattr(World, "restart", forgetful)


def a_grant_lasts_from_its_arrival(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Moment, "seconds_since", lambda _now, _begun: 0.0)


@pytest.mark.parametrize(
    "defect",
    [
        nothing_is_waited_for,
        what_is_gone_has_ended,
        what_has_failed_has_ended,
        a_restart_forgets_the_holder,
        a_grant_lasts_from_its_arrival,
    ],
)
def test_a_defect_is_noticed(
    defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    with pytest.raises(AssertionError, match=r"uid-\d+', 'uid-\d+"):
        play_many(200)


def test_the_holder_is_stored_before_its_first_grant() -> None:
    world = World(random.Random(1))

    async def play() -> None:
        world.harness.fail("merge", "TradingBot", FAULTY)
        cluster = world.harness.cluster
        cluster.tell(world.harness.context.store)
        pod = world.current()
        assert pod is not None
        grants = world.harness.context.grants
        grants.want(KEY, Wish(HASH, None, exclusive=True), read_pod(pod), answers=True)
        with pytest.raises(KubernetesError):
            await grants.work(KEY)
        assert ANNOTATION not in pod["metadata"]["annotations"]
        await grants.work(KEY)
        assert [write[1] for write in cluster.writes] == ["TradingBot", "TradingBot", "Pod"]
        assert cluster.objects[BOT]["status"]["entries"]["podUID"] == "uid-1"

    asyncio.run(play())


def test_without_the_field_in_the_definition_nobody_gets_the_right() -> None:
    world = World(random.Random(1))
    cluster = world.harness.cluster
    merge = cluster.merge

    async def pruning(kind: str, *where: str, **more: Any) -> JsonObject:
        written = await merge(kind, *where, **more)
        if kind == "TradingBot":
            cluster.objects[BOT]["status"].pop("entries")
            written["status"].pop("entries")
        return written

    async def play() -> None:
        cluster.merge = pruning  # type: ignore[assignment]
        cluster.tell(world.harness.context.store)
        pod = world.current()
        assert pod is not None
        grants = world.harness.context.grants
        grants.want(KEY, Wish(HASH, None, exclusive=True), read_pod(pod), answers=True)
        with pytest.raises(NotStoredError):
            await grants.work(KEY)
        assert "CustomResourceDefinitions" in grants.problem(KEY)
        assert ANNOTATION not in pod["metadata"]["annotations"]

    asyncio.run(play())


def test_a_moment_is_of_its_node() -> None:
    gateway = Gateway("me", "boot-a", 0.0)
    assert replace(gateway, boot="boot-b").moment(5).seconds_since(gateway.moment(1)) is None
    assert gateway.moment(5).seconds_since(gateway.moment(1)) == 4
