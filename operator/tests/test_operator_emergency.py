"""A reconcile that fails for any reason still stops a bot that must not run, and reports it."""

from datetime import timedelta
from typing import Any

import pytest
from operator_harness import NOW
from reconcile_harness import (
    BOT,
    DEPLOYMENT,
    KEY,
    POD,
    Harness,
    condition,
    play,
    trading,
)
from tradingbot_api.model import JsonObject
from tradingbot_operator import UNREADABLE
from tradingbot_operator.bots.reconcile import reconcile
from tradingbot_operator.cluster.client import KubernetesError

STOPS: dict[str, JsonObject] = {
    "Paused": {"spec": {"paused": True}},
    "InvalidSpec": {"spec": {"mode": "Dream"}},
    "OffHours": {"spec": {"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}}},
    "Terminating": {"metadata": {"deletionTimestamp": "2026-03-04T12:00:00Z"}},
    "Halted": {
        "status": {
            "risk": {
                "tradingDay": "2026-03-04",
                "dayEndsAt": "2026-03-05T00:00:00Z",
                "haltedSince": "2026-03-04T11:00:00Z",
            }
        }
    },
}


class OutOfReasonError(Exception):
    """An error that no reconcile expects."""


async def broken(monkeypatch: pytest.MonkeyPatch, **patch: Any) -> Harness:
    """Return a bot that runs, and let every plan fail."""
    harness = await trading()

    def fails(*_: object, **__: object) -> None:
        raise OutOfReasonError("the parameter secret is 0xC0FFEE")

    monkeypatch.setattr("tradingbot_operator.bots.reconcile.plan", fails)
    monkeypatch.setattr("tradingbot_operator.bots.stops.cleanup.has_stopped", fails)
    harness.edit(**patch)
    harness.cluster.writes.clear()
    harness.cluster.posted.clear()
    return harness


@pytest.mark.parametrize("reason", STOPS)
def test_a_bot_that_must_not_run_is_stopped_though_its_reconcile_fails(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS[reason])
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        assert harness.replicas == 0
        assert condition(harness, "Ready") == ("False", "ReconcileFailed")
        assert condition(harness, "Reconciling") == ("True", "ReconcileFailed")
        assert harness.phase == ("Terminating" if reason == "Terminating" else "Stopping")
        (event,) = [
            event for event in harness.cluster.posted if event["reason"] == "ReconcileFailed"
        ]
        assert f"({reason})" in event["message"]
        # The text of an exception may quote the object.
        assert "OutOfReasonError" in event["message"]
        assert "0xC0FFEE" not in event["message"]

    play(scenario)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("reason", STOPS)
def test_the_end_of_the_stop_is_reported_and_then_nothing_more(
    reason: str, restarted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS[reason])
        for _ in range(3):
            with pytest.raises(OutOfReasonError):
                await harness.reconcile()
            harness.controllers()
            if restarted:
                harness.context = harness.started()
        phases = {"InvalidSpec": "Failed"}
        assert harness.phase == phases.get(reason, reason)
        assert condition(harness, "Trading") == ("False", "NotRunning")
        assert condition(harness, "StopBlocked") == ("False", "Stopped")
        harness.cluster.writes.clear()
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        assert harness.cluster.writes == []

    play(scenario)


def test_a_bot_that_may_run_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch)
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        assert (harness.replicas, harness.cluster.writes, harness.cluster.posted) == (1, [], [])

    play(scenario)


def test_the_same_failure_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS["Paused"])
        harness.refuse("merge", "Deployment")
        harness.refuse("merge/scale", "Deployment")
        harness.refuse("delete", "Deployment")
        harness.refuse("delete", "Pod")
        for _ in range(3):
            with pytest.raises(OutOfReasonError):
                await harness.reconcile()
        assert harness.cluster.events() == [("Warning", "ReconcileFailed")]

    play(scenario)


def test_a_stop_that_stays_blocked_is_told_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS["Paused"])
        for verb in ("merge", "merge/scale", "delete"):
            harness.refuse(verb, "Deployment", f"a policy refuses {verb}")
        harness.refuse("delete", "Pod")
        for seconds in (0, 15):
            harness.now = NOW + timedelta(seconds=seconds)
            with pytest.raises(OutOfReasonError):
                await harness.reconcile()
        assert condition(harness, "StopBlocked") == ("True", "Refused")
        assert condition(harness, "Ready")[0] == "False"
        assert condition(harness, "Stalled") == ("True", "Refused")
        assert condition(harness, "Trading") == ("True", "Available")
        assert ("Warning", "StopBlocked") in harness.cluster.events()
        assert [memory.blocked for memory in harness.context.memories.values()] == [True]
        harness.cluster.faults = []
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        harness.controllers()
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        assert not any(memory.blocked for memory in harness.context.memories.values())

    play(scenario)


def test_a_status_that_can_not_be_written_does_not_keep_the_bot_running_or_the_event_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS["Paused"])
        harness.refuse("merge/status", "TradingBot")
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        assert harness.replicas == 0
        assert harness.cluster.events() == [("Warning", "ReconcileFailed")]

    play(scenario)


def test_a_deployment_that_can_not_be_read_is_told_of_and_its_pods_are_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS["Paused"])
        harness.cluster.edit(*DEPLOYMENT, metadata={"labels": None})
        harness.refuse("get", "Deployment", "deployments are forbidden")
        for seconds in (0, 6):
            harness.now = NOW + timedelta(seconds=seconds)
            with pytest.raises(KubernetesError):
                await harness.reconcile()
        assert POD not in harness.cluster.objects
        assert "deployments are forbidden" in harness.cluster.posted[0]["message"]

    play(scenario)


def test_somebody_else_s_deployment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        harness = await broken(monkeypatch, **STOPS["Paused"])
        theirs = [{"kind": "Thing", "uid": "uid-thing", "controller": True}]
        harness.cluster.edit(*DEPLOYMENT, metadata={"ownerReferences": theirs})
        before = harness.cluster.objects[DEPLOYMENT]
        with pytest.raises(OutOfReasonError):
            await harness.reconcile()
        assert harness.cluster.objects[DEPLOYMENT] == before
        assert POD in harness.cluster.objects

    play(scenario)


def test_credentials_that_are_nested_too_deeply_hold_up_no_stop() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        annotations = {"trading.io/credentials": "[" * 100_000}
        harness.cluster.edit(*DEPLOYMENT, metadata={"annotations": annotations})
        harness.edit(spec={"paused": True})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Paused", 0)

    play(scenario)


GARBAGE: tuple[Any, ...] = (
    {"risk": "garbage"},
    {"risk": {"openPositions": "many", "reportedAt": "2026-03-04T12:00:00Z"}},
    {"conditions": "garbage"},
    {"conditions": ["garbage", 7]},
    {"conditions": [{"type": 7, "lastTransitionTime": []}]},
    {"phase": ["garbage"]},
    "garbage",
)


@pytest.mark.parametrize("status", GARBAGE, ids=str)
@pytest.mark.parametrize("paused", [False, True])
def test_garbage_in_the_status_is_replaced_and_holds_nothing_up(status: Any, paused: bool) -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.cluster.objects[BOT]["status"] = status
        harness.edit(spec={"paused": paused})
        harness.context = harness.started()
        await harness.run()
        assert (harness.phase, harness.replicas) == (("Paused", 0) if paused else ("Running", 1))
        assert condition(harness, "StopBlocked")[0] == "False"

    play(scenario)


def test_a_bot_that_can_not_be_read_is_stopped_and_told_of_once() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.cluster.tell(harness.context.store)
        meta = dict(harness.cluster.objects[BOT]["metadata"])
        stub = {"apiVersion": "trading.io/v1", "kind": "TradingBot", UNREADABLE: "too deep"}
        harness.cluster.posted.clear()
        for _ in range(4):
            # The answers to writes of its status can't be parsed either.
            version = harness.cluster.objects[BOT]["metadata"]["resourceVersion"]
            harness.context.store.put({**stub, "metadata": {**meta, "resourceVersion": version}})
            await reconcile(harness.context, KEY)
            harness.controllers()
            for pod in list(harness.context.store.keys("Pod")):
                if POD not in harness.cluster.objects:
                    gone = harness.context.store.get("Pod", *pod)
                    assert gone is not None
                    harness.context.store.remove(gone)
        assert harness.replicas == 0
        assert condition(harness, "Ready") == ("False", "Unreadable")
        assert harness.phase == "Failed"
        told = [event for event in harness.cluster.events() if event[1] == "Unreadable"]
        assert told == [("Warning", "Unreadable")]
        assert ("Normal", "Created") not in harness.cluster.events()

    play(scenario)
