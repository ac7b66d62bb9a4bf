"""The halt for a daily loss, in memory: persist, stop, resume, and failures in between."""

from contextlib import suppress
from datetime import timedelta

import pytest
from fake_cluster import Fault
from operator_harness import NOW, SECRET
from reconcile_harness import (
    BOT,
    CONFIG_MAP,
    DEPLOYMENT,
    SERVER_ERROR,
    SERVICE,
    Harness,
    condition,
    drifted,
    play,
    risk,
    trading,
)
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.risk.daily_loss import PollState

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
MIDNIGHT = NOW.replace(hour=0) + timedelta(days=1)


async def halted() -> Harness:
    harness = await trading()
    harness.reported("-200")
    await harness.run()
    assert (harness.phase, harness.replicas) == ("Halted", 0)
    return harness


def reasons(harness: Harness) -> list[str]:
    return [reason for _, reason in harness.cluster.events()]


def test_a_loss_of_the_limit_stops_the_bot_for_the_rest_of_the_day() -> None:
    async def scenario() -> None:
        harness = await halted()
        assert risk(harness) == {
            "tradingDay": "2026-03-04",
            "dayEndsAt": "2026-03-05T00:00:00Z",
            "dayPnL": "-200",
            "openPositions": 0,
            "exposure": "0",
            "reportedAt": "2026-03-04T12:00:00Z",
            "haltedSince": "2026-03-04T12:00:00Z",
            "haltReason": "DailyLossLimit: dayPnL -200 reached the limit of 200",
            "resumesAt": "2026-03-05T00:00:00Z",
        }
        assert condition(harness, "RiskHalted") == ("True", "DailyLossLimit")
        assert condition(harness, "Ready") == ("True", "Halted")
        assert condition(harness, "Trading") == ("False", "NotRunning")
        assert reasons(harness) == ["Created", "Halted"]
        assert harness.context.metrics.halts._value.get() == 1  # type: ignore[attr-defined]

    play(scenario)


def test_the_latch_is_written_before_the_bot_is_stopped() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported("-200")
        harness.cluster.writes.clear()
        seen: list[JsonObject] = []
        harness.meanwhile("apply", "Deployment", lambda: seen.append(risk(harness)))
        await harness.reconcile()
        assert harness.cluster.writes[0] == ("merge/status", "TradingBot", "arb")
        assert seen[0]["haltedSince"] == "2026-03-04T12:00:00Z"

    play(scenario)


def test_a_bot_is_stopped_though_its_latch_can_not_be_written_and_is_not_started_again() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported("-200")
        harness.cluster.faults = [Fault("merge", "TradingBot", SERVER_ERROR, times=9)]
        for _ in range(3):
            with pytest.raises(KubernetesError):
                await harness.reconcile()
            harness.controllers()
            harness.reports.now = PollState()
            assert (harness.replicas, "Halted" in reasons(harness)) == (0, False)
        harness.cluster.faults = []
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)
        assert reasons(harness).count("Halted") == 1

    play(scenario)


@pytest.mark.parametrize("kind", ["Deployment", "TradingBot"])
def test_a_halt_survives_a_crash_at_any_point_after_the_latch(kind: str) -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported("-200")

        def crash() -> None:
            raise RuntimeError("the operator was killed")

        if kind == "TradingBot":  # the second write of the status, after the apply
            harness.meanwhile("apply", "Deployment", lambda: harness.fail("merge", "TradingBot"))
        else:
            harness.meanwhile("apply", "Deployment", crash)
        with pytest.raises((KubernetesError, RuntimeError)):
            await harness.reconcile()
        harness.cluster.faults = []
        harness.reports.now = PollState()
        harness.context = harness.started()
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)
        assert [reason for reason in reasons(harness) if reason != "ReconcileFailed"] == [
            "Created",
            "Halted",
        ]

    play(scenario)


def test_neither_a_new_operator_nor_a_higher_limit_nor_lost_children_resume_it() -> None:
    async def scenario() -> None:
        harness = await halted()
        harness.context = harness.started()
        harness.edit(spec={"riskManagement": {"dailyLossLimit": "900"}})
        for child in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            harness.cluster.drop(*child)
        harness.now = MIDNIGHT - SECOND
        harness.reported("500")
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)
        assert "Resumed" not in reasons(harness)

    play(scenario)


def test_it_resumes_by_itself_at_the_boundary_and_once() -> None:
    async def scenario() -> None:
        harness = await halted()
        harness.now = MIDNIGHT - 10 * SECOND
        assert (await harness.reconcile() or 99) <= 10
        harness.now = MIDNIGHT
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)
        assert risk(harness) == {"tradingDay": "2026-03-05", "dayEndsAt": "2026-03-06T00:00:00Z"}
        assert condition(harness, "RiskHalted") == ("False", "WithinLimit")
        harness.context = harness.started()
        await harness.settle()
        assert reasons(harness) == ["Created", "Halted", "Resumed"]

    play(scenario)


def test_an_operator_that_was_down_at_the_boundary_resumes_it_when_it_is_back() -> None:
    async def scenario() -> None:
        harness = await halted()
        harness.now = MIDNIGHT + 30 * HOUR
        harness.context = harness.started()
        await harness.run()
        assert (harness.phase, risk(harness)["tradingDay"]) == ("Running", "2026-03-06")

    play(scenario)


def test_a_pause_does_not_end_a_halt_and_a_halt_shows_behind_a_pause() -> None:
    async def scenario() -> None:
        harness = await halted()
        harness.edit(spec={"paused": True})
        await harness.settle()
        assert (harness.phase, condition(harness, "RiskHalted")[0]) == ("Paused", "True")
        harness.edit(spec={"paused": False})
        await harness.settle()
        assert (harness.phase, harness.replicas) == ("Halted", 0)
        assert reasons(harness).count("Halted") == 1

    play(scenario)


def test_a_halt_shows_before_missing_credentials_and_closed_hours() -> None:
    async def scenario() -> None:
        harness = await halted()
        harness.cluster.drop("Secret", "desk", SECRET)
        harness.edit(spec={"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}})
        await harness.settle()
        assert (harness.phase, condition(harness, "CredentialsReady")[0]) == ("Halted", "False")

    play(scenario)


def test_a_halt_outlives_a_spec_that_can_not_be_read() -> None:
    async def scenario() -> None:
        harness = await halted()
        good = harness.cluster.objects[BOT]["spec"]["riskManagement"]["dailyLossLimit"]
        harness.edit(spec={"riskManagement": {"dailyLossLimit": "-1"}})
        await harness.settle()
        assert (harness.phase, risk(harness)["haltedSince"]) == ("Failed", "2026-03-04T12:00:00Z")
        harness.edit(spec={"riskManagement": {"dailyLossLimit": good}})
        await harness.settle()
        assert (harness.phase, harness.replicas) == ("Halted", 0)

    play(scenario)


def test_a_halt_comes_through_while_the_secret_can_not_be_read() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported("-200")
        harness.fail("get", "Secret")
        await harness.reconcile()
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)

    play(scenario)


def test_a_loss_below_the_limit_and_a_stale_loss_do_not_halt() -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.reported("-199.99")
        await harness.settle()
        assert harness.phase == "Running"
        harness.reported("-200")
        harness.now += timedelta(seconds=31)
        await harness.settle()
        assert (harness.phase, condition(harness, "RiskReported")) == (
            "Running",
            ("False", "ReportStale"),
        )

    play(scenario)


@pytest.mark.parametrize("mark", ["finalizers", "annotations"])
def test_a_bot_that_nobody_may_mark_as_ours_is_watched_and_halted_all_the_same(mark: str) -> None:
    async def scenario() -> None:
        harness = await trading()
        harness.edit(metadata={mark: None})
        write = harness.cluster.merge

        async def merge(
            kind: str, namespace: str, name: str, patch: JsonObject, *, subresource: str = ""
        ) -> JsonObject:
            if kind == "TradingBot" and not subresource:
                raise KubernetesError(422, "Invalid", "bots must not be updated")
            return await write(kind, namespace, name, patch, subresource=subresource)

        harness.cluster.merge = merge  # type: ignore[method-assign]
        harness.reported("-200")
        for _ in range(3):
            with suppress(KubernetesError):
                await harness.reconcile()
            harness.controllers()
        assert (harness.phase, harness.replicas) == ("Halted", 0)
        assert condition(harness, "RiskHalted") == ("True", "DailyLossLimit")

    play(scenario)


def test_a_loss_halts_a_bot_whose_children_can_not_be_read() -> None:
    async def scenario() -> None:
        harness = await trading()
        drifted(harness, DEPLOYMENT, "unlabelled")
        harness.reported("-200")
        harness.cluster.faults = [Fault("get", "Deployment", SERVER_ERROR)]
        with pytest.raises(KubernetesError):
            await harness.reconcile()
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)

    play(scenario)
