"""Halting for a daily loss, all in memory: latch, stop, resume, and what fails in between."""

from datetime import timedelta

import pytest
from operator_desk import BOT, CONFIG_MAP, DEPLOYMENT, SERVICE, Desk, condition, play, risk, trading
from operator_harness import NOW, SECRET
from tradingbot_api.model import JsonObject
from tradingbot_operator.kube import KubernetesError
from tradingbot_operator.risk import Seen

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
MIDNIGHT = NOW.replace(hour=0) + timedelta(days=1)


async def halted() -> Desk:
    desk = await trading()
    desk.reported("-200")
    await desk.run()
    assert (desk.phase, desk.replicas) == ("Halted", 0)
    return desk


def reasons(desk: Desk) -> list[str]:
    return [reason for _, reason in desk.cluster.events()]


def test_a_loss_of_the_limit_stops_the_bot_for_the_rest_of_the_day() -> None:
    async def scenario() -> None:
        desk = await halted()
        assert risk(desk) == {
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
        assert condition(desk, "RiskHalted") == ("True", "DailyLossLimit")
        assert condition(desk, "Ready") == ("False", "Halted")
        assert reasons(desk) == ["Created", "Halted"]
        assert desk.context.metrics.halts._value.get() == 1  # type: ignore[attr-defined]

    play(scenario)


def test_the_latch_is_written_before_the_bot_is_stopped() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported("-200")
        desk.cluster.writes.clear()
        seen: list[JsonObject] = []
        desk.meanwhile("apply", "Deployment", lambda: seen.append(risk(desk)))
        await desk.reconcile()
        assert desk.cluster.writes[0] == ("merge/status", "TradingBot", "arb")
        assert seen[0]["haltedSince"] == "2026-03-04T12:00:00Z"

    play(scenario)


def test_a_latch_that_can_not_be_written_stops_nothing_until_it_is() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported("-200")
        desk.fail("merge", "TradingBot")
        with pytest.raises(KubernetesError):
            await desk.reconcile()
        assert (desk.replicas, reasons(desk)) == (1, ["Created"])
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Halted", 0)

    play(scenario)


@pytest.mark.parametrize("kind", ["Deployment", "TradingBot"])
def test_a_halt_survives_a_crash_at_any_point_after_the_latch(kind: str) -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported("-200")

        def crash() -> None:
            raise KubernetesError(0, "Unreachable", "the operator was killed")

        if kind == "TradingBot":  # the second write of the status, once all is applied
            desk.meanwhile("apply", "Deployment", lambda: desk.fail("merge", "TradingBot"))
        else:
            desk.meanwhile("apply", "Deployment", crash)
        with pytest.raises(KubernetesError):
            await desk.reconcile()
        desk.cluster.faults = []
        desk.reports.now = Seen()
        desk.context = desk.started()
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Halted", 0)
        assert reasons(desk) == ["Created", "Halted"]

    play(scenario)


def test_neither_a_new_operator_nor_a_higher_limit_nor_lost_children_resume_it() -> None:
    async def scenario() -> None:
        desk = await halted()
        desk.context = desk.started()
        desk.edit(spec={"riskManagement": {"dailyLossLimit": "900"}})
        for child in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            desk.cluster.delete(*child)
        desk.now = MIDNIGHT - SECOND
        desk.reported("500")
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Halted", 0)
        assert "Resumed" not in reasons(desk)

    play(scenario)


def test_it_resumes_by_itself_at_the_boundary_and_once() -> None:
    async def scenario() -> None:
        desk = await halted()
        desk.now = MIDNIGHT - 10 * SECOND
        assert (await desk.reconcile() or 99) <= 10
        desk.now = MIDNIGHT
        await desk.run()
        assert (desk.phase, desk.replicas) == ("Running", 1)
        assert risk(desk) == {"tradingDay": "2026-03-05", "dayEndsAt": "2026-03-06T00:00:00Z"}
        assert condition(desk, "RiskHalted") == ("False", "WithinLimit")
        desk.context = desk.started()
        await desk.settle()
        assert reasons(desk) == ["Created", "Halted", "Resumed"]

    play(scenario)


def test_an_operator_that_was_down_at_the_boundary_resumes_it_when_it_is_back() -> None:
    async def scenario() -> None:
        desk = await halted()
        desk.now = MIDNIGHT + 30 * HOUR
        desk.context = desk.started()
        await desk.run()
        assert (desk.phase, risk(desk)["tradingDay"]) == ("Running", "2026-03-06")

    play(scenario)


def test_a_pause_does_not_end_a_halt_and_a_halt_shows_behind_a_pause() -> None:
    async def scenario() -> None:
        desk = await halted()
        desk.edit(spec={"paused": True})
        await desk.settle()
        assert (desk.phase, condition(desk, "RiskHalted")[0]) == ("Paused", "True")
        desk.edit(spec={"paused": False})
        await desk.settle()
        assert (desk.phase, desk.replicas) == ("Halted", 0)
        assert reasons(desk).count("Halted") == 1

    play(scenario)


def test_a_halt_shows_before_missing_credentials_and_closed_hours() -> None:
    async def scenario() -> None:
        desk = await halted()
        desk.cluster.delete("Secret", "desk", SECRET)
        desk.edit(spec={"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}})
        await desk.settle()
        assert (desk.phase, condition(desk, "CredentialsReady")[0]) == ("Halted", "False")

    play(scenario)


def test_a_halt_outlives_a_spec_that_can_not_be_read() -> None:
    async def scenario() -> None:
        desk = await halted()
        good = desk.cluster.objects[BOT]["spec"]["riskManagement"]["dailyLossLimit"]
        desk.edit(spec={"riskManagement": {"dailyLossLimit": "-1"}})
        await desk.settle()
        assert (desk.phase, risk(desk)["haltedSince"]) == ("Failed", "2026-03-04T12:00:00Z")
        desk.edit(spec={"riskManagement": {"dailyLossLimit": good}})
        await desk.settle()
        assert (desk.phase, desk.replicas) == ("Halted", 0)

    play(scenario)


def test_a_halt_comes_through_while_the_secret_can_not_be_read() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported("-200")
        desk.fail("get", "Secret")
        await desk.reconcile()
        assert (desk.phase, desk.replicas) == ("Halted", 0)

    play(scenario)


def test_a_loss_below_the_limit_and_a_stale_loss_do_not_halt() -> None:
    async def scenario() -> None:
        desk = await trading()
        desk.reported("-199.99")
        await desk.settle()
        assert desk.phase == "Running"
        desk.reported("-200")
        desk.now += timedelta(seconds=31)
        await desk.settle()
        assert (desk.phase, condition(desk, "RiskReported")) == (
            "Running",
            ("False", "ReportStale"),
        )

    play(scenario)
