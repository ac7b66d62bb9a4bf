"""The daily loss halt: what triggers it, what does not, and when it ends."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import NOW, bot, children_of, observed, report
from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import TradingBotSpec
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.registry_sync import RegistryState
from tradingbot_operator.bots.status.bot_status import bot_status
from tradingbot_operator.bots.status.transitions import transitions
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import (
    FRESH,
    PollState,
    ReportedFigures,
    Risk,
    RiskTerms,
    StoredRisk,
    assess,
    exceeded,
    fingerprint,
    risk_status,
)

REGISTRY = RegistryState("True", Reason.SYNCED, "Synced")
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BEGUN = NOW - HOUR


def spec(limit: str = "200", **schedule: Any) -> TradingBotSpec:
    risk = {"dailyLossLimit": limit, "maxPositionSize": "1000"}
    found = bot({"riskManagement": risk, "schedule": schedule}).spec
    assert found is not None
    return found


def seen(pnl: str = "0", *, at: datetime = NOW, **fields: Any) -> PollState:
    return PollState(report(pnl, at=at, **fields), received=at)


NOTHING = StoredRisk()


def judged(
    what: PollState,
    stored: StoredRisk = NOTHING,
    *,
    now: datetime = NOW,
    of: TradingBotSpec | None = None,
) -> Risk:
    return assess(RiskTerms.of(of or spec()), stored, what, now, figures_every=MINUTE)


def written(risk: Risk) -> StoredRisk:
    """Return what another operator reads from the status."""
    return StoredRisk.read({"risk": risk_status(risk)})


def halted() -> StoredRisk:
    risk = judged(seen("-200"))
    assert risk.halt is not None
    return written(risk)


@pytest.mark.parametrize("loss", ["-200", "-200.00000001", "-200.0", "-999999999999999"])
def test_a_loss_of_the_limit_or_more_halts(loss: str) -> None:
    risk = judged(seen(loss))
    assert risk.halt is not None
    assert risk.halt.since == NOW
    assert risk.halt.reason == f"DailyLossLimit: dayPnL {loss} reached the limit of 200"


@pytest.mark.parametrize("pnl", ["-199.99999999", "0", "-0", "200", "999"])
def test_less_than_the_limit_does_not_halt(pnl: str) -> None:
    assert judged(seen(pnl)).halt is None


@given(
    st.decimals(-1000, 1000, places=8, allow_nan=False),
    st.decimals("0.00000001", 1000, places=8, allow_nan=False),
)
def test_exactly_losses_from_the_limit_on_halt(pnl: Decimal, limit: Decimal) -> None:
    risk = judged(seen(f"{pnl:f}"), of=spec(f"{limit:f}"))
    assert (risk.halt is not None) == (pnl + limit <= 0)


@given(st.decimals(-1000, 1000, places=2), st.integers(0, 12 * 3600 - 1), st.integers(1, 10_000))
def test_nothing_that_is_reported_or_edited_ends_a_halt_within_its_day(
    pnl: Decimal, seconds: int, limit: int
) -> None:
    at = NOW + seconds * SECOND
    risk = judged(seen(f"{pnl:f}", at=at), halted(), now=at, of=spec(str(limit)))
    assert risk.halt == halted().halt


def test_a_halt_survives_without_any_report() -> None:
    assert judged(PollState(), halted()).halt is not None


def test_a_halt_ends_at_the_boundary_and_the_old_loss_does_not_trip_it_again() -> None:
    midnight = NOW.replace(hour=0) + timedelta(days=1)
    latched = halted()
    assert judged(PollState(), latched, now=midnight - SECOND).halt is not None
    late = seen("-200", at=midnight - SECOND)
    after = judged(late, latched, now=midnight + SECOND)
    assert (after.halt, after.report, after.figures) == (None, None, None)
    assert "reports trading day 2026-03-04, and this is 2026-03-05" in after.problem


def test_an_operator_that_was_down_for_days_resumes_once() -> None:
    later = NOW + timedelta(days=3)
    resumed = judged(PollState(), halted(), now=later)
    assert resumed.halt is None
    assert judged(PollState(), written(resumed), now=later + HOUR).halt is None
    assert resumed.day.date == date(2026, 3, 7)


def test_a_clock_that_steps_back_does_not_end_a_halt_and_one_day_is_not_halted_twice() -> None:
    latched = halted()
    yesterday = NOW - timedelta(days=1)
    assert judged(PollState(), latched, now=yesterday).halt == latched.halt
    tomorrow = judged(PollState(), latched, now=NOW + timedelta(days=1))
    back = judged(PollState(), written(tomorrow), now=NOW)
    assert (back.halt, back.day) == (None, tomorrow.day)


def test_an_edit_of_the_calendar_does_not_end_a_halt_before_its_boundary() -> None:
    tokyo = spec(timeZone="Asia/Tokyo")  # midnight is at 15:00 UTC
    assert judged(PollState(), halted(), now=NOW + 4 * HOUR, of=tokyo).halt is not None
    assert judged(PollState(), halted(), now=NOW + 12 * HOUR, of=tokyo).halt is None


def test_a_bot_restarted_after_an_edit_of_the_calendar_is_believed_its_new_day() -> None:
    before = written(judged(PollState()))
    now = NOW + 4 * HOUR
    tokyo = spec(timeZone="Asia/Tokyo")
    what = seen("-200", at=now, tradingDay="2026-03-05")
    assert judged(what, before, now=now, of=tokyo).halt is not None
    assert judged(what, before, now=now).halt is None


@pytest.mark.parametrize(("age", "counts"), [(0, True), (30, True), (31, False), (-30, True)])
def test_a_report_counts_for_thirty_seconds(age: int, counts: bool) -> None:
    risk = judged(seen("-200", at=NOW), now=NOW + age * SECOND)
    assert (risk.halt is not None, risk.report is not None) == (counts, counts)


def test_a_report_from_the_future_counts_as_none() -> None:
    risk = judged(seen("-200", at=NOW + FRESH + SECOND))
    assert (risk.halt, risk.report) == (None, None)
    assert "compare the clocks" in risk.problem


def test_no_report_is_never_read_as_zero() -> None:
    stored = StoredRisk(figures=ReportedFigures("-150", 2, "900", NOW - HOUR))
    risk = judged(PollState(problem="connection refused"), stored)
    assert risk.figures == stored.figures
    assert (risk.open_positions, risk.problem) == (None, "connection refused")


def test_what_is_written_is_read_back() -> None:
    stored = halted()
    assert stored.day is not None
    assert stored.day.ends == NOW.replace(hour=0) + timedelta(days=1)
    assert stored.figures == ReportedFigures("-200", 0, "0", NOW)


def test_a_latch_whose_day_can_not_be_read_holds_for_today() -> None:
    stored = replace(halted(), day=None)
    assert judged(PollState(), stored).halt is not None


def test_figures_are_written_at_intervals_and_those_of_a_halt_at_once() -> None:
    stored = written(judged(seen("-10")))
    soon, later = NOW + 20 * SECOND, NOW + 60 * SECOND
    assert judged(seen("-20", at=soon), stored, now=soon).figures == stored.figures
    assert judged(seen("-20", at=later), stored, now=later).figures == ReportedFigures(
        "-20", 0, "0", later
    )
    assert judged(seen("-10", at=later), stored, now=later).figures == stored.figures
    tripped = judged(seen("-300", at=soon), stored, now=soon)
    assert tripped.figures == ReportedFigures("-300", 0, "0", soon)


def test_a_bot_that_becomes_flat_or_stops_being_flat_is_written_at_once() -> None:
    stored = written(judged(seen("-10", openPositions=1)))
    assert judged(seen("-11"), stored).figures == ReportedFigures("-11", 0, "0", NOW)


def changed(one: PollState, other: PollState, *, later: timedelta = SECOND) -> bool:
    stored = written(judged(one))

    def means(what: PollState, now: datetime) -> object:
        return fingerprint(judged(what, stored, now=now), BEGUN, now)

    return means(one, NOW) != means(other, NOW + later)


def test_a_report_that_says_nothing_new_means_nothing_new() -> None:
    assert not changed(seen("-10"), seen("-11", at=NOW + SECOND))
    assert changed(seen("-10"), seen("-11", at=NOW + MINUTE), later=MINUTE)


@pytest.mark.parametrize(
    "other",
    [
        seen("-200"),
        seen("-10", openPositions=1),
        seen("-10", configHash="ffffffffffffffff"),
        PollState(report("-10", at=NOW - HOUR), received=NOW - HOUR),
        seen("-10", tradingDay="2026-03-03"),
    ],
)
def test_what_a_reconcile_acts_on_means_something_new(other: PollState) -> None:
    assert changed(seen("-10"), other)


def test_each_part_of_the_meaning_means_something() -> None:
    risk = judged(seen("-200"))
    assert fingerprint(replace(risk, halt=None), BEGUN, NOW) != fingerprint(risk, BEGUN, NOW)
    never = judged(PollState(problem="connection refused"))
    begun = NOW - 29 * SECOND
    assert fingerprint(never, begun, NOW) != fingerprint(never, begun, NOW + SECOND)


def test_silence_of_a_bot_that_was_heard_counts_at_once_and_else_after_a_while() -> None:
    heard = judged(PollState(report(at=NOW - MINUTE), received=NOW - MINUTE))
    assert heard.is_silent(BEGUN, NOW)
    never = judged(PollState(problem="connection refused"))
    assert not never.is_silent(NOW - 29 * SECOND, NOW)
    assert never.is_silent(NOW - 30 * SECOND, NOW)
    assert not judged(seen()).is_silent(BEGUN, NOW)


# ---- the limits that the image has to keep: maxPositionSize 1000, maxOpenPositions 1


@pytest.mark.parametrize(
    ("positions", "exposure", "limits"),
    [
        (0, "0", []),
        (1, "1000", []),
        (1, "1000.00000001", ["maxPositionSize"]),
        (2, "999", ["maxOpenPositions"]),
        (3, "2500", ["maxOpenPositions", "maxPositionSize"]),
    ],
)
def test_figures_above_a_limit_exceed_it(positions: int, exposure: str, limits: list[str]) -> None:
    risk = judged(seen(openPositions=positions, exposure=exposure))
    assert list(exceeded(RiskTerms.of(spec()), risk.figures)) == limits
    assert len(risk.exceeded) == len(limits)


def test_what_is_exceeded_has_the_figures_and_the_limits() -> None:
    assert judged(seen(openPositions=3, exposure="2500")).exceeded == (
        "3 open positions, and maxOpenPositions is 1",
        "exposure 2500, and maxPositionSize 1000 x maxOpenPositions 1 is 1000",
    )


def test_figures_that_cross_a_limit_are_written_at_once_and_known_to_another_operator() -> None:
    within = written(judged(seen(openPositions=1, exposure="900")))
    small = judged(seen(at=NOW + SECOND, openPositions=1, exposure="950"), within)
    assert small.figures == within.figures, "written once a minute"
    above = judged(seen(at=NOW + SECOND, openPositions=1, exposure="1001"), within)
    assert above.exceeded
    assert judged(PollState(), written(above)).exceeded == above.exceeded
    after = judged(seen(at=NOW + 2 * SECOND, openPositions=1, exposure="999"), written(above))
    assert after.exceeded == ()


def test_figures_of_another_day_or_that_no_one_can_read_exceed_nothing() -> None:
    above = written(judged(seen(exposure="5000")))
    assert judged(PollState(), above, now=NOW + 24 * HOUR).exceeded == ()
    for text in ("", "much", "NaN", "Infinity"):
        assert above.figures is not None
        unreadable = replace(above, figures=replace(above.figures, exposure=text))
        assert judged(PollState(), unreadable).exceeded == ()


def status_with(risk: Risk) -> JsonObject:
    found = observed(children_of(bot()), risk=risk)
    return bot_status(bot(), plan(bot(), found, NOW), found, REGISTRY, NOW)


def test_a_bot_above_its_limits_has_a_condition_and_one_warning_and_runs_on() -> None:
    within, above = status_with(judged(seen())), status_with(judged(seen(openPositions=2)))
    added = [one for one in above["conditions"] if one["type"] == "LimitExceeded"]
    assert [(one["status"], one["reason"]) for one in added] == [("True", "AboveLimit")]
    assert "LimitExceeded" not in {one["type"] for one in within["conditions"]}
    assert list(transitions(within, above)) == [("Warning", "LimitExceeded", added[0]["message"])]
    assert list(transitions(above, above)) == list(transitions(above, within)) == []
    assert above["phase"] == within["phase"] == "Running"
