"""A gateway that answers nothing, or does not run: its pod is replaced in Live, after a bounded
time, and nothing that answers in its place counts."""

from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_harness import merged
from reconcile_harness import KEY, POD, Harness, play
from test_operator_gateway import LIVE, WITH_IMAGE
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.pods import SETTLED
from tradingbot_operator.risk.daily_loss import PollState


def guarded(spec: JsonObject | None = None) -> Harness:
    harness = Harness(merged(LIVE, spec or {}))
    harness.context = replace(harness.context, surroundings=WITH_IMAGE)
    return harness


async def run_guarded(harness: Harness) -> None:
    """Run the bot; its pod has a gateway."""
    await harness.settle()
    running = {"state": {"running": {}}, "started": True, "ready": True}
    harness.controllers(initContainerStatuses=[{"name": "gateway", **running}])
    await harness.settle()


def gateway_is(harness: Harness, state: JsonObject, *, restarts: int = 0) -> None:
    """Let the kubelet report another state of the gateway's container."""
    ready = "running" in state
    container = {"state": state, "restartCount": restarts, "started": ready, "ready": ready}
    container["lastState"] = {"terminated": {}} if restarts or not ready else {}
    harness.controllers(initContainerStatuses=[{"name": "gateway", **container}])


def stamp(harness: Harness) -> str:
    return harness.now.strftime("%Y-%m-%dT%H:%M:%SZ")


ENDED: JsonObject = {"terminated": {"exitCode": 137}}
BACKS_OFF: JsonObject = {"waiting": {"reason": "CrashLoopBackOff"}}


def silent(harness: Harness, *, seconds: int) -> None:
    since = harness.now
    harness.now += timedelta(seconds=seconds)
    harness.reports.now = PollState(problem="no answer within 2 s", silent_since=since)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def played() -> None:
        await scenario

    play(played)


def test_a_pod_whose_gateway_is_silent_for_five_minutes_is_replaced_with_an_event() -> None:
    async def scenario() -> None:
        harness = guarded()
        await run_guarded(harness)
        silent(harness, seconds=299)
        after = await harness.reconcile()
        assert POD in harness.cluster.objects
        assert after is not None
        assert after <= 1
        harness.now += timedelta(seconds=1)
        await harness.reconcile()
        assert POD not in harness.cluster.objects
        (event,) = [each for each in harness.cluster.posted if each["reason"] == "GatewaySilent"]
        assert "has not answered since 2026-03-04T12:00:00Z" in event["message"]
        assert harness.replicas == 1

    run(scenario())


@pytest.mark.parametrize(
    "spec",
    [{"mode": "Paper"}, {"riskManagement": {"enforcement": "Bot"}}],
    ids=["Paper", "without a gateway"],
)
def test_other_bots_are_left_alone(spec: JsonObject) -> None:
    async def scenario() -> None:
        harness = guarded(spec)
        await run_guarded(harness)
        silent(harness, seconds=4000)
        await harness.reconcile()
        assert POD in harness.cluster.objects

    run(scenario())


def test_a_gateway_that_answers_with_an_error_is_not_silent() -> None:
    async def scenario() -> None:
        harness = guarded()
        await run_guarded(harness)
        harness.now += timedelta(hours=1)
        harness.reports.now = PollState(problem="its answer has status 503")
        await harness.reconcile()
        assert POD in harness.cluster.objects

    run(scenario())


def test_a_silence_before_the_creation_of_the_pod_is_not_the_pods() -> None:
    async def scenario() -> None:
        harness = guarded()
        await run_guarded(harness)
        since = harness.now - timedelta(hours=1)
        harness.reports.now = PollState(problem="no answer within 2 s", silent_since=since)
        after = await harness.reconcile()
        assert POD in harness.cluster.objects
        assert after is not None
        assert 0 < after <= harness.context.settings.gateway_silence

    run(scenario())


def test_a_pod_without_a_gateway_whose_change_of_enforcement_waits_is_left_alone() -> None:
    async def scenario() -> None:
        harness = guarded()
        await harness.run()
        silent(harness, seconds=4000)
        await harness.reconcile()
        assert POD in harness.cluster.objects

    run(scenario())


@pytest.mark.parametrize("state", [ENDED, BACKS_OFF], ids=["terminated", "waiting"])
def test_while_the_gateway_does_not_run_its_pod_is_asked_for_no_report_and_no_moment(
    state: JsonObject,
) -> None:
    async def scenario() -> None:
        harness = guarded()
        await run_guarded(harness)
        assert not harness.reports.watched[KEY].distrust
        gateway_is(harness, state)
        await harness.settle()
        assert harness.reports.watched[KEY].distrust == "its gateway does not run"
        await harness.grant()
        assert not harness.moments.asked

    run(scenario())


def test_a_restarted_gateway_is_believed_once_it_has_its_ports_or_has_ended() -> None:
    async def scenario() -> None:
        harness = guarded()
        await run_guarded(harness)
        gateway_is(harness, {"running": {"startedAt": stamp(harness)}}, restarts=1)
        after = await harness.reconcile()
        assert after is not None
        assert 0 < after <= SETTLED.total_seconds()
        assert harness.reports.watched[KEY].distrust == "its gateway has just been restarted"
        await harness.grant()
        assert not harness.moments.asked
        harness.now += timedelta(seconds=after)
        await harness.reconcile()
        assert not harness.reports.watched[KEY].distrust
        await harness.grant()
        assert harness.moments.asked

    run(scenario())


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_a_bot_that_ends_itself_does_not_put_off_the_end_of_a_silent_pod(state: str) -> None:
    async def scenario() -> None:
        harness = guarded()
        await run_guarded(harness)
        gateway_is(harness, BACKS_OFF)
        silent(harness, seconds=299)
        states = {"running": {"startedAt": stamp(harness)}, "waiting": {}}
        again = {"name": "bot", "state": {state: states[state]}, "lastState": {"terminated": {}}}
        harness.cluster.edit(*POD, status={"containerStatuses": [again]})
        await harness.reconcile()
        assert KEY in harness.reports.watched
        assert POD in harness.cluster.objects
        harness.now += timedelta(seconds=1)
        await harness.reconcile()
        assert POD not in harness.cluster.objects

    run(scenario())
