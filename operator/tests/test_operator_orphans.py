"""Deployments that no TradingBot governs are found and stopped, and nothing else is."""

from typing import Any

import pytest
from fake_cluster import Fault
from operator_harness import bot_body
from reconcile_harness import BOT, DEPLOYMENT, POD, SERVER_ERROR, Harness, play
from tradingbot_operator.bots.stops.orphans import Orphans

OTHER = ("Deployment", "desk", "other")


class Watchman:
    """The sweep for orphans, on the cluster of a harness."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        context = harness.context
        self._orphans = Orphans(
            harness.cluster,
            context.store,
            context.recorder,
            context.metrics,
            namespaces=[""],
            clock=lambda: harness.now,
        )

    async def sweep(self) -> None:
        self.harness.cluster.tell(self.harness.context.store)
        self.harness.cluster.writes.clear()
        self.harness.cluster.posted.clear()
        await self._orphans.sweep()

    @property
    def running(self) -> float:
        return float(self.harness.context.metrics.ungoverned._value.get())  # type: ignore[attr-defined]


async def running() -> Watchman:
    harness = Harness()
    await harness.run()
    return Watchman(harness)


def test_a_deployment_whose_bot_is_gone_is_stopped_and_told_of() -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        harness.cluster.drop(*BOT)
        await watchman.sweep()
        assert (harness.replicas, watchman.running) == (0, 0)
        (event,) = harness.cluster.posted
        assert (event["type"], event["reason"]) == ("Warning", "Ungoverned")
        assert event["involvedObject"]["kind"] == "Deployment"
        assert event["involvedObject"]["apiVersion"] == "apps/v1"
        await watchman.sweep()
        assert (harness.cluster.writes, harness.cluster.posted) == ([], [])

    play(scenario)


def test_a_deployment_of_a_bot_before_of_the_same_name_is_stopped() -> None:
    async def scenario() -> None:
        watchman = await running()
        watchman.harness.cluster.put(bot_body(metadata={"uid": "uid-second"}))
        await watchman.sweep()
        assert watchman.harness.replicas == 0

    play(scenario)


@pytest.mark.parametrize(
    "patch",
    [
        {"labels": {"trading.io/bot": "another"}},
        {"labels": {"trading.io/bot": None}},
        {"labels": {"app.kubernetes.io/managed-by": "helm"}},
        {"deletionTimestamp": "2026-03-04T12:00:00Z"},
        {"ownerReferences": [{"kind": "Application", "uid": "uid-app", "controller": True}]},
    ],
    ids=["name of another", "no bot", "managed by others", "going", "other kind of controller"],
)
def test_a_deployment_that_the_operator_did_not_make_is_left_alone(patch: dict[str, Any]) -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        harness.cluster.edit(*DEPLOYMENT, metadata=patch)
        harness.cluster.drop(*BOT)
        await watchman.sweep()
        assert (harness.replicas, harness.cluster.writes, harness.cluster.posted) == (1, [], [])

    play(scenario)


def test_a_deployment_that_its_bot_governs_or_may_adopt_is_left_alone() -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        await watchman.sweep()
        assert (harness.replicas, harness.cluster.writes) == (1, [])
        harness.cluster.edit(*DEPLOYMENT, metadata={"ownerReferences": None})
        await watchman.sweep()
        assert (harness.replicas, harness.cluster.writes) == (1, [])

    play(scenario)


def test_a_bot_that_no_watch_has_shown_yet_is_asked_for_before_anything_is_stopped() -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        harness.context.store.remove(
            {**harness.cluster.objects[BOT], "metadata": {**bot_body()["metadata"]}}
        )
        harness.cluster.writes.clear()
        await watchman._orphans.sweep()
        assert (harness.replicas, harness.cluster.writes) == (1, [])

    play(scenario)


def test_one_that_can_not_be_stopped_is_told_of_and_counted() -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        harness.cluster.drop(*BOT)
        for verb in ("merge", "merge/scale", "delete"):
            harness.refuse(verb, "Deployment", f"a policy refuses {verb}")
        await watchman.sweep()
        assert (harness.replicas, watchman.running) == (1, 1)
        (event,) = harness.cluster.posted
        assert "a policy refuses delete" in event["message"]
        harness.cluster.faults = []
        await watchman.sweep()
        assert (harness.replicas, watchman.running) == (0, 0)

    play(scenario)


def test_the_pods_of_one_that_can_not_be_stopped_are_deleted() -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        harness.cluster.drop(*BOT)
        for verb in ("merge", "merge/scale", "delete"):
            harness.refuse(verb, "Deployment")
        await watchman.sweep()
        assert POD not in harness.cluster.objects

    play(scenario)


@pytest.mark.parametrize("kind", ["TradingBot", "Deployment"])
def test_one_that_can_not_be_read_counts_and_delays_no_other(kind: str) -> None:
    async def scenario() -> None:
        watchman = await running()
        harness = watchman.harness
        harness.cluster.drop(*BOT)
        deployment = harness.cluster.objects[DEPLOYMENT]
        labels = {**deployment["metadata"]["labels"], "trading.io/bot": "other"}
        meta = {**deployment["metadata"], "name": "other", "uid": "uid-other", "labels": labels}
        harness.cluster.put({**deployment, "metadata": meta})
        harness.cluster.faults = [Fault("get", kind, SERVER_ERROR)]
        await watchman.sweep()
        replicas = [harness.cluster.objects[key]["spec"]["replicas"] for key in (DEPLOYMENT, OTHER)]
        assert (replicas, watchman.running) == ([1, 0], 1)

    play(scenario)
