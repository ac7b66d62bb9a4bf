"""The state that the poller keeps of bots, and its notifications, in fake time."""

import asyncio
import logging
from collections.abc import Hashable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from operator_harness import NOW, in_fake_time
from poller_harness import (
    BAD,
    BUSY,
    DEAD,
    A,
    Answer,
    B,
    clock,
    fresh,
    harness_of,
    positions,
    staleness,
    watching,
)
from risk_bots import report
from tradingbot_api.contract import RiskReport
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.risk.answer import NoReportError
from tradingbot_operator.risk.daily_loss import PollState
from tradingbot_operator.risk.polling import RECHECK_SECONDS


def test_what_it_says_is_known_with_the_time_at_which_it_came() -> None:
    harness = harness_of(fresh)
    assert harness.poller.state(A) == PollState()
    harness.run(6)
    assert harness.poller.state(A) == PollState(
        report(NOW + timedelta(seconds=5)), NOW + timedelta(seconds=5)
    )
    assert harness.poller.state(B) == PollState()


SHORT = NoReportError("unreachable", "the operator is short of resources: Too many open files")


@pytest.mark.parametrize("problem", [DEAD, BUSY, BAD, SHORT])
def test_a_poll_that_fails_leaves_the_last_report_and_says_why(problem: NoReportError) -> None:
    harness = harness_of(lambda time: fresh() if time < 1 else problem)
    harness.run(6)
    found = harness.poller.state(A)
    assert replace(found, silent_since=None) == PollState(report(NOW), NOW, str(problem))
    assert (found.silent_since is not None) is problem.silent


def test_a_silence_counts_again_from_the_next_poll_after_a_jump_of_the_clock() -> None:
    harness = harness_of(lambda _: DEAD)
    harness.run(6)
    before = harness.poller.state(A)
    assert before.silent_since is not None
    harness.poller.restart_silences()
    assert harness.poller.state(A) == replace(before, silent_since=None)


def test_a_poll_that_succeeds_clears_the_problem() -> None:
    harness = harness_of(lambda time: BUSY if time < 1 else fresh())
    harness.run(6)
    assert harness.poller.state(A).problem == ""


def test_a_change_of_meaning_is_told_once() -> None:
    harness = harness_of(
        lambda time: report(clock(), openPositions=0 if time < 9 else 1),
        watch=watching(positions, known=0),
    )
    harness.run(60)
    assert harness.changes == [("a", 10)]


def test_a_figure_that_means_nothing_new_is_not_told() -> None:
    harness = harness_of(
        lambda time: report(clock(), dayPnL=str(time)), watch=watching(positions, known=1)
    )
    harness.run(60)
    assert harness.changes == []


def test_the_first_report_is_told_and_a_change_back_too() -> None:
    harness = harness_of(
        lambda time: report(clock(), openPositions=int(time == 5)),
        watch=watching(positions),
    )
    harness.run(60)
    assert harness.changes == [("a", 0), ("a", 5), ("a", 10)]


def test_what_a_reconcile_has_acted_on_is_compared_with_from_then_on() -> None:
    harness = harness_of(fresh, watch=watching(positions, known=1))

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(6)
            harness.poller.subscribe(A, watching(positions, known="stale"))
            assert harness.poller.state(A).report is not None
            await asyncio.sleep(6)

    in_fake_time(main())
    assert harness.bots.times("a") == [0, 5, 10]
    assert harness.changes == [("a", 10)]


def test_a_report_that_grows_old_without_a_poll_is_told() -> None:
    harness = harness_of(
        lambda time: fresh() if time < 1 else DEAD, watch=watching(staleness, known=False)
    )
    harness.run(200)
    ((name, time),) = harness.changes
    assert (name, harness.bots.times("a")[:4]) == ("a", [0, 5, 10, 20])
    assert 30 <= time <= 30 + RECHECK_SECONDS
    assert time not in harness.bots.times("a")


def test_a_bot_may_be_dropped_by_what_is_told_of_it() -> None:
    harness = harness_of(fresh, watch=watching(positions))
    harness.poller._changed = harness.poller.unsubscribe
    harness.run(30)
    assert harness.bots.times("a") == [0]


def test_a_defect_with_one_bot_is_logged_and_ends_the_polling_of_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(time: float) -> RiskReport:
        raise KeyError(time)

    def senseless(_: PollState, now: datetime) -> Hashable:
        raise ValueError(now)

    harness = harness_of(broken, fresh)
    harness.poller.subscribe(NamespacedName("desk", "c"), watching(senseless))
    with caplog.at_level(logging.ERROR):
        harness.run(11)
    for name in "abc":
        assert harness.bots.times(name) == [0, 5, 10]
    assert len(caplog.records) == 6
    assert harness.poller.state(A).problem != ""


def test_it_counts_polls_by_result_and_tells_how_it_goes() -> None:
    hang: Answer = lambda _: None  # noqa: E731
    harness = harness_of(fresh, lambda _: DEAD, hang, lambda _: BUSY, lambda _: BAD)

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(4)
            counts = harness.poller.counts()
            assert counts.results == dict.fromkeys(
                ("ok", "unreachable", "timeout", "http_error", "invalid"), 1
            )
            assert (counts.bots, counts.backed_off, round(counts.oldest)) == (5, 0, 4)
            await asyncio.sleep(10)
            counts = harness.poller.counts()
            assert counts.results == {
                **dict.fromkeys(("ok", "http_error", "invalid"), 3),
                **dict.fromkeys(("unreachable", "timeout"), 2),
            }
            assert (counts.bots, counts.backed_off, round(counts.oldest)) == (5, 2, 9)

    in_fake_time(main())
    assert harness.poller.counts().oldest == 0
