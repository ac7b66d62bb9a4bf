"""Reconciling against faults: what comes in between, and what fails half-way."""

import copy
from datetime import timedelta

import pytest
from operator_desk import (
    BOT,
    CONFIG_MAP,
    CREDENTIALS,
    DEPLOYMENT,
    FORBIDDEN,
    KEY,
    SERVICE,
    Desk,
    condition,
    play,
    trading,
)
from operator_harness import NOW, SECRET
from tradingbot_api.model import JsonObject
from tradingbot_operator.kube import KubernetesError
from tradingbot_operator.reconcile import reconcile


def test_a_settled_bot_is_not_written_to_and_neither_is_it_by_a_new_operator() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        assert desk.phase == "Running"
        desk.cluster.writes.clear()
        desk.cluster.reads.clear()
        desk.context = desk.started()
        await desk.reconcile()
        assert desk.cluster.writes == []
        # Children are known from the watches; only the Secret is looked up, by its name.
        assert desk.cluster.reads == [("get", "Secret", SECRET)]

    play(scenario)


def test_the_finalizer_is_there_before_any_child() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.edit(metadata={"finalizers": None})
        await desk.reconcile()
        assert desk.cluster.writes[0] == ("merge", "TradingBot", "arb")
        assert desk.cluster.objects[BOT]["metadata"]["finalizers"] == ["trading.io/cleanup"]

    play(scenario)


def test_an_edit_between_the_read_and_the_finalizer_is_a_conflict_and_no_edit_is_lost() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.edit(metadata={"finalizers": None})
        desk.meanwhile(
            "merge", "TradingBot", lambda: desk.edit(metadata={"finalizers": ["theirs"]})
        )
        with pytest.raises(KubernetesError) as caught:
            await desk.reconcile()
        assert caught.value.is_conflict
        await desk.settle()
        assert desk.cluster.objects[BOT]["metadata"]["finalizers"] == [
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
        desk = Desk()
        desk.fail(verb, kind)
        with pytest.raises(KubernetesError, match="etcd"):
            await desk.reconcile()
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Running", 1)
        assert desk.cluster.events() == [("Normal", "Created")]

    play(scenario)


def test_an_event_that_can_not_be_posted_holds_nothing_up() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.fail("create", "Event")
        await desk.run()
        assert desk.phase == "Running"

    play(scenario)


def test_an_edit_that_comes_during_a_pass_is_kept_and_acted_on_in_the_next() -> None:
    async def scenario() -> None:
        desk = Desk()
        change = {"riskManagement": {"dailyLossLimit": "150"}}
        desk.meanwhile("apply", "Service", lambda: desk.edit(spec=change))
        await desk.settle()
        assert desk.bot_json["risk"]["dailyLossLimit"] == "150"
        assert desk.cluster.objects[BOT]["status"]["configHash"] == desk.bot_json["configHash"]

    play(scenario)


def test_a_pass_on_an_old_reading_does_not_undo_what_is_newer() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        old = copy.deepcopy(desk.cluster.objects[DEPLOYMENT])
        desk.edit(spec={"paused": True})
        await desk.reconcile()
        desk.context.store.put(old)
        desk.cluster.writes.clear()
        await reconcile(desk.context, KEY)
        assert desk.cluster.writes == []

    play(scenario)


@pytest.mark.parametrize("key", [CONFIG_MAP, DEPLOYMENT, SERVICE], ids=lambda key: key[0])
def test_a_child_of_somebody_else_is_never_touched(key: tuple[str, str, str]) -> None:
    async def scenario() -> None:
        desk = Desk()
        kind, namespace, name = key
        meta = {"name": name, "namespace": namespace}
        desk.cluster.put({"apiVersion": "v1", "kind": kind, "metadata": meta})
        before = copy.deepcopy(desk.cluster.objects[key])
        assert await desk.reconcile() == 15
        assert desk.phase == "Failed"
        assert desk.cluster.objects[key] == before
        assert desk.cluster.events() == [("Normal", "Created"), ("Warning", "NameConflict")]
        desk.cluster.delete(*key)
        await desk.run()
        assert desk.phase == "Running"

    play(scenario)


def test_a_new_bot_asks_for_none_of_its_children() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.reconcile()
        assert desk.cluster.reads == [("get", "Secret", SECRET)]
        applied = [kind for verb, kind, _ in desk.cluster.writes if verb == "apply"]
        assert applied == ["ConfigMap", "Service", "Deployment"]

    play(scenario)


def test_one_whose_children_all_lost_their_labels_is_not_taken_for_new() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported(openPositions=1)
        await desk.settle()
        for key in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            desk.cluster.edit(*key, metadata={"labels": None})
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        desk.context.running.clear()
        await desk.reconcile()
        assert condition(desk, "RolloutPending")[0] == "True"
        assert desk.bot_json["strategy"]["image"].endswith(":1.0")
        (container,) = desk.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(":1.0")

    play(scenario)


def test_a_pause_holds_though_a_child_can_not_be_had() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.cluster.edit(*SERVICE, metadata={"ownerReferences": None})
        desk.edit(spec={"paused": True})
        await desk.reconcile()
        assert (desk.phase, desk.replicas) == ("Failed", 0)

    play(scenario)


@pytest.mark.parametrize(
    "spec",
    [{"paused": True}, {"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}}],
    ids=str,
)
def test_a_bot_is_stopped_though_its_secret_can_not_be_read(spec: JsonObject) -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.edit(spec=spec)
        desk.fail("get", "Secret", FORBIDDEN)
        await desk.reconcile()
        assert desk.replicas == 0
        (found,) = [
            one
            for one in desk.cluster.objects[BOT]["status"]["conditions"]
            if one["type"] == "CredentialsReady"
        ]
        assert (found["status"], found["reason"]) == ("Unknown", "NotRead")

    play(scenario)


def test_a_running_bot_is_left_as_it_is_when_its_secret_can_not_be_read() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.fail("get", "Secret", FORBIDDEN)
        with pytest.raises(KubernetesError):
            await desk.reconcile()
        assert (desk.phase, desk.replicas, desk.cluster.writes) == ("Running", 1, [])

    play(scenario)


def test_a_stop_reaches_the_deployment_though_the_config_map_can_not_be_written() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.edit(spec={"paused": True, "riskManagement": {"dailyLossLimit": "150"}})
        desk.fail("apply", "ConfigMap")
        with pytest.raises(KubernetesError):
            await desk.reconcile()
        assert desk.replicas == 0

    play(scenario)


def test_a_missing_secret_is_looked_for_often_at_first_and_then_less() -> None:
    async def scenario() -> None:
        desk = Desk(secret=False)
        pauses = []
        for seconds in (0, 1, 10, 30, 600):
            desk.now = NOW + timedelta(seconds=seconds)
            pauses.append(await desk.reconcile())
        assert pauses == [1, 1, 2, 6, 15]
        assert (desk.phase, desk.replicas) == ("AwaitingCredentials", 0)
        desk.cluster.put(CREDENTIALS)
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Running", 1)

    play(scenario)


def test_no_value_of_the_secret_goes_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.cluster.put({**CREDENTIALS, "data": {"api-key": "VkFMVUU="}})
        await desk.settle()
        assert desk.phase == "AwaitingCredentials"
        del desk.cluster.objects["Secret", "desk", SECRET]
        everything = f"{desk.cluster.objects}{desk.cluster.posted}{caplog.text}"
        for value in ("VkFMVUU=", "VALUE"):
            assert value not in everything

    caplog.set_level("DEBUG")
    play(scenario)


def test_a_bot_is_looked_at_again_when_its_hours_change() -> None:
    async def scenario() -> None:
        desk = Desk({"schedule": {"windows": [{"start": "12:00", "end": "12:01"}]}})
        desk.now = NOW + timedelta(seconds=50)
        assert await desk.reconcile() == 10
        desk.now = NOW + timedelta(seconds=60)
        assert await desk.reconcile() == 60
        assert (desk.phase, desk.replicas) == ("OffHours", 0)

    play(scenario)


def test_a_transition_that_is_no_longer_to_come_leaves_the_status() -> None:
    async def scenario() -> None:
        desk = Desk({"schedule": {"windows": [{"start": "12:00", "end": "13:00"}]}})
        await desk.settle()
        assert "nextTransition" in desk.cluster.objects[BOT]["status"]["schedule"]
        desk.edit(spec={"schedule": {"windows": []}})
        await desk.settle()
        assert desk.cluster.objects[BOT]["status"]["schedule"] == {"open": True}

    play(scenario)


def test_a_bot_that_became_invalid_is_stopped_and_waits_for_a_change() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.edit(spec={"mode": "Dream"})
        assert await desk.reconcile() is None
        assert (desk.phase, desk.replicas) == ("Failed", 0)
        assert "configHash" not in desk.cluster.objects[BOT]["status"]
        desk.edit(spec={"mode": "Paper"})
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Running", 1)

    play(scenario)
