"""Reconciles with faults: changes by others in between, and writes that fail."""

import copy
from datetime import timedelta

import pytest
from operator_harness import NOW, SECRET
from reconcile_harness import (
    BOT,
    CONFIG_MAP,
    CREDENTIALS,
    DEPLOYMENT,
    FORBIDDEN,
    KEY,
    SERVICE,
    Harness,
    condition,
    play,
    trading,
)
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.reconcile import STOP_RETRY, ChildRefusedError, reconcile
from tradingbot_operator.cluster.client import KubernetesError


def test_a_settled_bot_is_not_written_to_and_neither_is_it_by_a_new_operator() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        assert harness.phase == "Running"
        harness.cluster.writes.clear()
        harness.cluster.reads.clear()
        harness.context = harness.started()
        await harness.reconcile()
        assert harness.cluster.writes == []
        # Children come from the cache; only the Secret is read, by its name.
        assert harness.cluster.reads == [("get", "Secret", SECRET)]

    play(scenario)


def test_the_finalizer_is_there_before_any_child() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(metadata={"finalizers": None})
        await harness.reconcile()
        assert harness.cluster.writes[0] == ("merge", "TradingBot", "arb")
        assert harness.cluster.objects[BOT]["metadata"]["finalizers"] == ["trading.io/cleanup"]

    play(scenario)


def test_an_edit_between_the_read_and_the_finalizer_is_a_conflict_and_no_edit_is_lost() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(metadata={"finalizers": None})
        harness.meanwhile(
            "merge", "TradingBot", lambda: harness.edit(metadata={"finalizers": ["theirs"]})
        )
        with pytest.raises(KubernetesError) as caught:
            await harness.reconcile()
        assert caught.value.is_conflict
        await harness.settle()
        assert harness.cluster.objects[BOT]["metadata"]["finalizers"] == [
            "theirs",
            "trading.io/cleanup",
        ]

    play(scenario)


STEPS = [
    ("get", "Secret"),
    ("apply", "ConfigMap"),
    ("apply", "Deployment"),
    ("apply", "Service"),
    ("merge", "TradingBot"),
]


@pytest.mark.parametrize(("verb", "kind"), STEPS)
def test_a_failure_at_any_step_is_made_up_for_by_the_next_pass(verb: str, kind: str) -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.fail(verb, kind)
        with pytest.raises((KubernetesError, ChildRefusedError), match="etcd"):
            await harness.reconcile()
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)
        told = [("Warning", "ChildRefused")] if verb == "apply" else []
        assert harness.cluster.events() == [("Normal", "Created"), *told]

    play(scenario)


def test_an_event_that_can_not_be_posted_holds_nothing_up() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.fail("create", "Event")
        await harness.run()
        assert harness.phase == "Running"

    play(scenario)


def test_an_edit_that_comes_during_a_pass_is_kept_and_acted_on_in_the_next() -> None:
    async def scenario() -> None:
        harness = Harness()
        change = {"riskManagement": {"dailyLossLimit": "150"}}
        harness.meanwhile("apply", "Service", lambda: harness.edit(spec=change))
        await harness.settle()
        assert harness.bot_json["risk"]["dailyLossLimit"] == "150"
        assert (
            harness.cluster.objects[BOT]["status"]["configHash"] == harness.bot_json["configHash"]
        )

    play(scenario)


def test_a_pass_on_an_old_reading_does_not_undo_what_is_newer() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        old = copy.deepcopy(harness.cluster.objects[DEPLOYMENT])
        harness.edit(spec={"paused": True})
        await harness.reconcile()
        harness.context.store.put(old)
        harness.cluster.writes.clear()
        await reconcile(harness.context, KEY)
        assert harness.cluster.writes == []

    play(scenario)


@pytest.mark.parametrize("key", [CONFIG_MAP, DEPLOYMENT, SERVICE], ids=lambda key: key[0])
def test_a_child_of_somebody_else_is_never_touched(key: tuple[str, str, str]) -> None:
    async def scenario() -> None:
        harness = Harness()
        kind, namespace, name = key
        meta = {"name": name, "namespace": namespace}
        harness.cluster.put({"apiVersion": "v1", "kind": kind, "metadata": meta})
        before = copy.deepcopy(harness.cluster.objects[key])
        assert await harness.reconcile() == 15
        assert harness.phase == "Failed"
        assert harness.cluster.objects[key] == before
        assert harness.cluster.events() == [("Normal", "Created"), ("Warning", "NameConflict")]
        harness.cluster.drop(*key)
        await harness.run()
        assert harness.phase == "Running"

    play(scenario)


def test_a_new_bot_asks_for_none_of_its_children() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.reconcile()
        assert harness.cluster.reads == [("get", "Secret", SECRET)]
        applied = [kind for verb, kind, _ in harness.cluster.writes if verb == "apply"]
        assert applied == ["ConfigMap", "Service", "Deployment"]

    play(scenario)


def test_one_whose_children_all_lost_their_labels_is_not_taken_for_new() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported(openPositions=1)
        await harness.settle()
        for key in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            harness.cluster.edit(*key, metadata={"labels": None})
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        harness.context.running.clear()
        await harness.reconcile()
        assert condition(harness, "RolloutPending")[0] == "True"
        assert harness.bot_json["strategy"]["image"].endswith(":1.0")
        (container,) = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(":1.0")

    play(scenario)


def test_a_pause_holds_though_a_child_can_not_be_had() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.edit(*SERVICE, metadata={"ownerReferences": None, "labels": None})
        harness.edit(spec={"paused": True})
        await harness.reconcile()
        assert (harness.phase, harness.replicas) == ("Stopping", 0)
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Failed", 0)

    play(scenario)


@pytest.mark.parametrize(
    "spec",
    [{"paused": True}, {"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}}],
    ids=str,
)
def test_a_bot_is_stopped_though_its_secret_can_not_be_read(spec: JsonObject) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(spec=spec)
        harness.fail("get", "Secret", FORBIDDEN)
        await harness.reconcile()
        assert harness.replicas == 0
        (found,) = [
            condition
            for condition in harness.cluster.objects[BOT]["status"]["conditions"]
            if condition["type"] == "CredentialsReady"
        ]
        assert (found["status"], found["reason"]) == ("Unknown", "NotRead")

    play(scenario)


def test_a_running_bot_is_left_as_it_is_when_its_secret_can_not_be_read() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.fail("get", "Secret", FORBIDDEN)
        with pytest.raises(KubernetesError):
            await harness.reconcile()
        assert (harness.phase, harness.replicas, harness.cluster.writes) == ("Running", 1, [])

    play(scenario)


def test_a_stop_reaches_the_deployment_though_the_config_map_can_not_be_written() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(spec={"paused": True, "riskManagement": {"dailyLossLimit": "150"}})
        harness.fail("apply", "ConfigMap")
        assert await harness.reconcile() == STOP_RETRY
        assert harness.replicas == 0
        assert condition(harness, "ChildrenApplied") == ("False", "Refused")

    play(scenario)


def test_a_missing_secret_is_looked_for_often_at_first_and_then_less() -> None:
    async def scenario() -> None:
        harness = Harness(secret=False)
        pauses = []
        for seconds in (0, 1, 10, 30, 600):
            harness.now = NOW + timedelta(seconds=seconds)
            pauses.append(await harness.reconcile())
        assert pauses == [1, 1, 2, 6, 15]
        assert (harness.phase, harness.replicas) == ("AwaitingCredentials", 0)
        harness.cluster.put(CREDENTIALS)
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)


def test_no_value_of_the_secret_goes_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.put({**CREDENTIALS, "data": {"api-key": "VkFMVUU="}})
        await harness.run()
        assert harness.phase == "AwaitingCredentials"
        del harness.cluster.objects["Secret", "desk", SECRET]
        everything = f"{harness.cluster.objects}{harness.cluster.posted}{caplog.text}"
        for value in ("VkFMVUU=", "VALUE"):
            assert value not in everything

    caplog.set_level("DEBUG")
    play(scenario)


def test_a_bot_is_looked_at_again_when_its_hours_change() -> None:
    async def scenario() -> None:
        harness = Harness({"schedule": {"windows": [{"start": "12:00", "end": "12:01"}]}})
        harness.now = NOW + timedelta(seconds=50)
        assert await harness.reconcile() == 10
        harness.now = NOW + timedelta(seconds=60)
        until_midnight = 12 * 3600 - 60
        assert await harness.reconcile() == until_midnight
        assert (harness.phase, harness.replicas) == ("OffHours", 0)

    play(scenario)


def test_a_transition_that_is_no_longer_to_come_leaves_the_status() -> None:
    async def scenario() -> None:
        harness = Harness({"schedule": {"windows": [{"start": "12:00", "end": "13:00"}]}})
        await harness.settle()
        assert "nextTransition" in harness.cluster.objects[BOT]["status"]["schedule"]
        harness.edit(spec={"schedule": {"windows": []}})
        await harness.settle()
        assert harness.cluster.objects[BOT]["status"]["schedule"] == {"open": True}

    play(scenario)


def test_a_bot_that_became_invalid_is_stopped_and_waits_for_a_change() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(spec={"mode": "Dream"})
        assert await harness.reconcile() == STOP_RETRY
        harness.controllers()
        assert await harness.reconcile() is None
        assert (harness.phase, harness.replicas) == ("Failed", 0)
        assert "configHash" not in harness.cluster.objects[BOT]["status"]
        harness.edit(spec={"mode": "Paper"})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)
