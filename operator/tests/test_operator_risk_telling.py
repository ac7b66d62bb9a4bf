"""What the poller knows of the bots, and what it tells, in a loop of fake time."""

import asyncio
import logging
from collections.abc import Hashable
from datetime import datetime, timedelta

import pytest
from operator_harness import NOW, in_fake_time
from risk_bots import report
from risk_desk import (
    BAD,
    BUSY,
    DEAD,
    A,
    Answer,
    B,
    clock,
    desk_of,
    fresh,
    positions,
    staleness,
    watching,
)
from tradingbot_api.contract import RiskReport
from tradingbot_operator.risk import Seen
from tradingbot_operator.risk_client import NoReportError
from tradingbot_operator.risk_poller import LOOK_SECONDS


def test_what_it_says_is_known_with_the_time_at_which_it_came() -> None:
    desk = desk_of(fresh)
    assert desk.poller.seen(A) == Seen()
    desk.run(6)
    assert desk.poller.seen(A) == Seen(
        report(NOW + timedelta(seconds=5)), NOW + timedelta(seconds=5)
    )
    assert desk.poller.seen(B) == Seen()


@pytest.mark.parametrize("problem", [DEAD, BUSY, BAD])
def test_a_poll_that_fails_leaves_the_last_report_and_says_why(problem: NoReportError) -> None:
    desk = desk_of(lambda time: fresh() if time < 1 else problem)
    desk.run(6)
    assert desk.poller.seen(A) == Seen(report(NOW), NOW, str(problem))


def test_a_poll_that_succeeds_clears_the_problem() -> None:
    desk = desk_of(lambda time: BUSY if time < 1 else fresh())
    desk.run(6)
    assert desk.poller.seen(A).problem == ""


def test_a_change_of_meaning_is_told_once() -> None:
    desk = desk_of(
        lambda time: report(clock(), openPositions=0 if time < 9 else 1),
        watch=watching(positions, known=0),
    )
    desk.run(60)
    assert desk.changes == [("a", 10)]


def test_a_figure_that_means_nothing_new_is_not_told() -> None:
    desk = desk_of(
        lambda time: report(clock(), dayPnL=str(time)), watch=watching(positions, known=1)
    )
    desk.run(60)
    assert desk.changes == []


def test_the_first_report_is_told_and_a_change_back_too() -> None:
    desk = desk_of(
        lambda time: report(clock(), openPositions=int(time == 5)),
        watch=watching(positions),
    )
    desk.run(60)
    assert desk.changes == [("a", 0), ("a", 5), ("a", 10)]


def test_what_a_reconcile_has_acted_on_is_compared_with_from_then_on() -> None:
    desk = desk_of(fresh, watch=watching(positions, known=1))

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(6)
            desk.poller.watch(A, watching(positions, known="stale"))
            assert desk.poller.seen(A).report is not None
            await asyncio.sleep(6)

    in_fake_time(main())
    assert desk.bots.times("a") == [0, 5, 10]
    assert desk.changes == [("a", 10)]


def test_a_report_that_grows_old_without_a_poll_is_told() -> None:
    desk = desk_of(
        lambda time: fresh() if time < 1 else DEAD, watch=watching(staleness, known=False)
    )
    desk.run(200)
    ((name, time),) = desk.changes
    assert (name, desk.bots.times("a")[:4]) == ("a", [0, 5, 10, 20])
    assert 30 < time <= 30 + LOOK_SECONDS
    assert time not in desk.bots.times("a")


def test_a_bot_may_be_dropped_by_what_is_told_of_it() -> None:
    desk = desk_of(fresh, watch=watching(positions))
    desk.poller._changed = desk.poller.drop
    desk.run(30)
    assert desk.bots.times("a") == [0]


def test_a_defect_with_one_bot_is_logged_and_ends_the_polling_of_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(time: float) -> RiskReport:
        raise KeyError(time)

    def senseless(_: Seen, now: datetime) -> Hashable:
        raise ValueError(now)

    desk = desk_of(broken, fresh)
    desk.poller.watch(("desk", "c"), watching(senseless))
    with caplog.at_level(logging.ERROR):
        desk.run(11)
    for name in "abc":
        assert desk.bots.times(name) == [0, 5, 10]
    assert len(caplog.records) == 6
    assert desk.poller.seen(A).problem != ""


def test_it_counts_polls_by_result_and_tells_how_it_goes() -> None:
    hang: Answer = lambda _: None  # noqa: E731
    desk = desk_of(fresh, lambda _: DEAD, hang, lambda _: BUSY, lambda _: BAD)

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(4)
            counts = desk.poller.counts()
            assert counts.results == dict.fromkeys(
                ("ok", "unreachable", "timeout", "http_error", "invalid"), 1
            )
            assert (counts.bots, counts.backed_off, counts.oldest) == (5, 0, 4)
            await asyncio.sleep(10)
            counts = desk.poller.counts()
            assert counts.results == {
                **dict.fromkeys(("ok", "http_error", "invalid"), 3),
                **dict.fromkeys(("unreachable", "timeout"), 2),
            }
            assert (counts.bots, counts.backed_off, counts.oldest) == (5, 2, 9)

    in_fake_time(main())
    assert desk.poller.counts().oldest == 0
