"""A gateway that answers nothing: its pod is replaced in Live, after a bounded time."""

from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_harness import merged
from reconcile_harness import POD, Harness, play
from test_operator_gateway import LIVE, WITH_IMAGE
from tradingbot_api.model import JsonObject
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


def test_a_silence_before_the_start_of_the_pod_is_not_the_pods() -> None:
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
