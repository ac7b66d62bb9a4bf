"""The ladder of a stop: each step with each one before it refused."""

from datetime import timedelta

import pytest
from operator_harness import NOW
from reconcile_harness import DEPLOYMENT, KEY, POD, Harness, condition, play
from tradingbot_operator import UNREADABLE
from tradingbot_operator.bots.reconcile import BLOCKED_RETRY, STOP_RETRY, reconcile
from tradingbot_operator.bots.stops.ladder import DELETE_DEPLOYMENT_AFTER, DELETE_PODS_AFTER
from tradingbot_operator.cluster.client import KubernetesError

STEPS = (
    ("apply", "Deployment"),
    ("merge/scale", "Deployment"),
    ("delete", "Deployment"),
    ("delete", "Pod"),
)


async def paused(*refused: tuple[str, str]) -> Harness:
    """Return a bot that runs and is paused while those requests are refused."""
    harness = Harness()
    await harness.run()
    harness.edit(spec={"paused": True})
    for verb, kind in refused:
        harness.refuse(verb, kind, f"a policy refuses {verb} of {kind}")
    harness.cluster.writes.clear()
    return harness


def steps(harness: Harness) -> list[tuple[str, str]]:
    """Return the writes of the ladder so far."""
    return [(verb, kind) for verb, kind, _ in harness.cluster.writes if (verb, kind) in STEPS]


@pytest.mark.parametrize("refused", range(len(STEPS) + 1))
def test_each_step_is_tried_when_the_one_before_is_refused(refused: int) -> None:
    async def scenario() -> None:
        harness = await paused(*STEPS[:refused])
        await harness.reconcile()
        assert steps(harness) == list(STEPS[: refused + 1])
        harness.controllers()
        wants = DEPLOYMENT in harness.cluster.objects and harness.replicas
        assert bool(wants) == (refused >= 3)
        assert (POD in harness.cluster.objects) == (refused >= 3)

    play(scenario)


@pytest.mark.parametrize(
    "error",
    [
        KubernetesError(500, "InternalError", "failed calling webhook"),
        KubernetesError(0, "Unreachable", "no answer"),
        KubernetesError(409, "Conflict", "the object has been modified"),
        KubernetesError(429, "TooManyRequests", "too many requests"),
    ],
    ids=lambda error: error.reason,
)
def test_a_step_that_fails_for_any_reason_is_followed_by_the_next(error: KubernetesError) -> None:
    async def scenario() -> None:
        harness = await paused()
        harness.fail("apply", "Deployment", error)
        await harness.reconcile()
        assert (harness.replicas, steps(harness)) == (0, list(STEPS[:2]))

    play(scenario)


def test_a_stop_that_every_step_refuses_is_reported_with_what_was_said() -> None:
    async def scenario() -> None:
        harness = await paused(*STEPS)
        assert await harness.reconcile() == STOP_RETRY
        assert (harness.phase, condition(harness, "StopBlocked")) == (
            "Stopping",
            ("Unknown", "Stopping"),
        )
        assert ("Warning", "StopBlocked") not in harness.cluster.events()
        harness.now = NOW + timedelta(seconds=15)
        assert await harness.reconcile() == BLOCKED_RETRY
        assert condition(harness, "StopBlocked") == ("True", "Refused")
        (said,) = [event for event in harness.cluster.posted if event["reason"] == "StopBlocked"]
        for verb, kind in STEPS:
            assert f"a policy refuses {verb} of {kind}" in said["message"]
        assert [memory.blocked for memory in harness.context.memories.values()] == [True]
        harness.cluster.faults = []
        await harness.run()
        assert (harness.phase, condition(harness, "StopBlocked")) == (
            "Paused",
            ("False", "Stopped"),
        )
        assert ("Normal", "StopCompleted") in harness.cluster.events()
        assert not any(memory.blocked for memory in harness.context.memories.values())

    play(scenario)


def test_replicas_that_others_change_back_end_with_the_deletion_of_the_deployment() -> None:
    async def scenario() -> None:
        harness = await paused()
        apply, scale = harness.cluster.apply, harness.cluster.scale

        async def undone_apply(manifest, *, new=False):  # type: ignore[no-untyped-def]
            await apply(manifest, new=new)
            harness.cluster.edit(*DEPLOYMENT, spec={"replicas": 1})
            return harness.cluster.objects[DEPLOYMENT]

        async def undone_scale(kind, namespace, name, replicas):  # type: ignore[no-untyped-def]
            answer = await scale(kind, namespace, name, replicas)
            return {**answer, "spec": {"replicas": 1}}

        harness.cluster.apply = undone_apply  # type: ignore[method-assign]
        harness.cluster.scale = undone_scale  # type: ignore[method-assign]
        await harness.reconcile()
        assert DEPLOYMENT not in harness.cluster.objects

    play(scenario)


def test_a_deployment_that_was_deleted_for_a_stop_is_not_made_again_in_the_same_pass() -> None:
    async def scenario() -> None:
        harness = await paused(*STEPS[:2])
        await harness.reconcile()
        assert DEPLOYMENT not in harness.cluster.objects
        harness.controllers()
        harness.cluster.faults = []
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Paused", 0)

    play(scenario)


def test_a_deployment_that_can_not_be_read_is_stopped_by_the_ladder() -> None:
    async def scenario() -> None:
        harness = await paused(("apply", "Deployment"))
        harness.cluster.tell(harness.context.store)
        live = harness.cluster.objects[DEPLOYMENT]
        kept = ("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences")
        meta = {part: live["metadata"][part] for part in kept}
        stub = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
        harness.context.store.put({**stub, UNREADABLE: "nested too deeply"})
        await reconcile(harness.context, KEY)
        assert (harness.replicas, steps(harness)) == (0, list(STEPS[:2]))

    play(scenario)


def test_pods_that_stay_are_deleted_after_a_while_and_then_their_deployment() -> None:
    async def scenario() -> None:
        harness = await paused()
        await harness.reconcile()
        assert steps(harness) == [STEPS[0]]
        for seconds, expected in (
            (DELETE_PODS_AFTER - 1, []),
            (DELETE_PODS_AFTER, [("delete", "Pod")]),
            (DELETE_DEPLOYMENT_AFTER, [("delete", "Deployment"), ("delete", "Pod")]),
        ):
            harness.cluster.writes.clear()
            harness.refuse("delete", "Pod")
            harness.now = NOW + timedelta(seconds=seconds)
            await harness.reconcile()
            assert steps(harness) == expected, seconds

    play(scenario)


def test_a_pod_that_is_being_deleted_is_waited_for_and_not_deleted_again() -> None:
    async def scenario() -> None:
        harness = await paused()
        await harness.reconcile()
        harness.pod_terminating()
        harness.cluster.writes.clear()
        harness.now = NOW + timedelta(seconds=20)
        await harness.reconcile()
        assert steps(harness) == []
        assert condition(harness, "StopBlocked") == ("Unknown", "Stopping")

    play(scenario)


@pytest.mark.parametrize("kind", ["ConfigMap", "Service"])
@pytest.mark.parametrize("verb", ["get", "apply"])
def test_a_stop_depends_on_no_other_child(verb: str, kind: str) -> None:
    async def scenario() -> None:
        harness = await paused()
        name = "arb-config" if kind == "ConfigMap" else "arb"
        harness.cluster.edit(kind, "desk", name, metadata={"labels": None})
        harness.refuse(verb, kind)
        await harness.reconcile()
        harness.controllers()
        assert harness.replicas == 0
        assert condition(harness, "ChildrenApplied") == ("False", "Refused")

    play(scenario)


def test_a_stop_does_not_depend_on_who_owns_the_replica_set() -> None:
    async def scenario() -> None:
        harness = await paused(("get", "ReplicaSet"))
        harness.context = harness.started()
        harness.cluster.tell(harness.context.store)
        await reconcile(harness.context, KEY)
        assert (harness.replicas, harness.phase) == (0, "Stopping")

    play(scenario)


def test_a_bot_without_labels_on_any_child_is_known_by_its_pod() -> None:
    async def scenario() -> None:
        harness = await paused(
            ("apply", "ConfigMap"), ("apply", "Deployment"), ("apply", "Service")
        )
        for kind, name in (("ConfigMap", "arb-config"), ("Deployment", "arb"), ("Service", "arb")):
            harness.cluster.edit(kind, "desk", name, metadata={"labels": None})
        harness.context = harness.started()
        await harness.reconcile()
        assert harness.replicas == 0

    play(scenario)


def test_a_bot_whose_deployment_can_not_be_read_is_stopped() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.objects[DEPLOYMENT][UNREADABLE] = "nested too deeply"
        await harness.reconcile()
        assert harness.replicas == 0
        del harness.cluster.objects[DEPLOYMENT][UNREADABLE]
        harness.controllers()
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)
