"""When the poller polls which bot, in fake time; and once for real."""

import asyncio
import resource
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from operator_harness import NOW, cancelled, in_fake_time
from poller_harness import (
    BAD,
    BUSY,
    DEAD,
    A,
    Answer,
    B,
    PollerHarness,
    at,
    fresh,
    harness_of,
    positions,
    watching,
)
from risk_bots import http, raw_serving, report, report_body, request
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.risk import polling
from tradingbot_operator.risk.answer import NoReportError
from tradingbot_operator.risk.daily_loss import PollState
from tradingbot_operator.risk.poller import RiskPoller
from tradingbot_operator.risk.polling import FILES_FOR_OTHERS, JITTER
from tradingbot_operator.settings import OperatorSettings


def test_a_bot_is_polled_each_interval_at_a_moment_of_its_own() -> None:
    harness = harness_of(fresh, chance=0.5)
    harness.run(20)
    assert harness.bots.times("a") == [2.5, 7.5, 12.5, 17.5]


def test_a_bot_that_does_not_answer_is_asked_less_and_less_often() -> None:
    harness = harness_of(lambda _: DEAD)
    harness.run(300)
    assert harness.bots.times("a") == [0, 5, 15, 35, 75, 135, 195, 255]


def test_one_that_hangs_too_from_the_end_of_its_time_out_on() -> None:
    harness = harness_of(lambda _: None)
    harness.run(60)
    assert harness.bots.times("a") == [0, 7, 19, 41]


def test_pauses_are_shortened_at_random_so_that_bots_don_t_come_back_together() -> None:
    harness = harness_of(lambda _: DEAD, chance=0.5)
    harness.run(100)
    part = 1 - JITTER / 2
    gaps = [later - time for time, later in zip(*_pairs(harness.bots.times("a")), strict=True)]
    assert at(gaps) == at([5 * part, 10 * part, 20 * part, 40 * part])


def _pairs(times: list[float]) -> tuple[list[float], list[float]]:
    return times[:-1], times[1:]


@pytest.mark.parametrize("answer", [fresh, lambda _: BUSY, lambda _: BAD])
def test_one_answer_of_any_kind_ends_the_back_off(answer: Answer) -> None:
    harness = harness_of(lambda time: DEAD if time < 30 else answer(time))
    harness.run(54)
    assert harness.bots.times("a") == [0, 5, 15, 35, 40, 45, 50]


@pytest.mark.parametrize("answer", [BUSY, BAD])
def test_a_bot_that_answers_with_an_error_is_asked_as_often_as_ever(answer: NoReportError) -> None:
    harness = harness_of(lambda _: answer)
    harness.run(21)
    assert harness.bots.times("a") == [0, 5, 10, 15, 20]


def test_a_fault_of_the_operator_does_not_count_as_a_bots_silence() -> None:
    short = NoReportError("unreachable", "the operator is short of resources: Too many open files")
    harness = harness_of(lambda time: DEAD if time < 1 else short)
    harness.run(21)
    assert harness.bots.times("a") == [0, 5, 10, 15, 20]


def test_bots_that_hang_or_are_dead_delay_no_other() -> None:
    harness = harness_of(fresh)
    for number in range(1000):
        name = f"bad-{number}"
        harness.bots.answers[name] = (lambda _: None) if number % 2 else (lambda _: DEAD)
        harness.poller.subscribe(NamespacedName("desk", name), watching())
    harness.run(31)
    assert harness.bots.times("a") == [0, 5, 10, 15, 20, 25, 30]


def test_a_thousand_bots_are_all_polled_within_an_interval_and_spread_over_it() -> None:
    harness = PollerHarness()
    chances = iter(number / 1000 for number in range(1000))
    harness.poller._pace = replace(harness.poller._pace, chance=lambda: next(chances))
    for number in range(1000):
        harness.poller.subscribe(NamespacedName("desk", f"bot-{number}"), watching())
    harness.run(4.9999)
    assert len({name for name, _ in harness.bots.polls}) == len(harness.bots.polls) == 1000
    each_tenth = Counter(int(time * 10) for _, time in harness.bots.polls)
    assert len(each_tenth) == 50
    assert max(each_tenth.values()) <= 21


def test_no_more_polls_run_at_a_time_than_allowed_and_the_rest_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "MAX_CONCURRENT", 10)
    harness = harness_of(*[lambda _: None] * 15)
    harness.run(5.5)
    assert harness.bots.most == 10
    assert [time for _, time in harness.bots.polls] == [0.0] * 10 + [5.0] * 5


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(FILES_FOR_OTHERS * 2 + 3, True), (6, True), (5, False), (resource.RLIM_INFINITY, True)],
)
def test_connections_are_kept_only_if_there_are_file_descriptors_for_all_bots(
    monkeypatch: pytest.MonkeyPatch, limit: int, kept: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    harness = harness_of(fresh, fresh, fresh)
    harness.run(7)
    assert set(harness.bots.kept) == {kept}


def test_a_bot_that_is_dropped_is_asked_no_more_and_forgotten() -> None:
    harness = harness_of(fresh, fresh, watch=watching(positions, known=1))

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(6)
            harness.poller.unsubscribe(A)
            assert harness.poller.state(A) == PollState()
            await asyncio.sleep(6)

    in_fake_time(main())
    assert harness.bots.times("a") == [0, 5]
    assert harness.bots.times("b") == [0, 5, 10]
    assert [key for key, _, _ in harness.poller.states()] == [B]


def test_a_poll_under_way_ends_with_the_drop_and_tells_nothing() -> None:
    harness = harness_of(lambda _: None, watch=watching(lambda seen, _: seen.problem, known=""))

    async def main() -> int:
        async with harness.polling():
            await asyncio.sleep(1)
            harness.poller.unsubscribe(A)
            await asyncio.sleep(0.01)
            now = harness.bots.now
            await asyncio.sleep(30)
        return now

    assert in_fake_time(main()) == 0
    assert harness.changes == []
    assert harness.bots.times("a") == [0]


def test_one_that_is_watched_again_begins_anew() -> None:
    harness = harness_of(lambda _: None)

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(50)
            harness.poller.unsubscribe(A)
            harness.poller.subscribe(A, watching())
            assert harness.poller.state(A) == PollState()
            await asyncio.sleep(8)

    in_fake_time(main())
    assert harness.bots.times("a") == [0, 7, 19, 41, 50, 57]


def test_the_end_ends_all_polls_and_it_can_begin_anew() -> None:
    harness = harness_of(fresh, lambda _: None)

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(1)
        assert harness.bots.now == 0
        assert not harness.bots.open
        await asyncio.sleep(2)
        async with harness.polling():
            await asyncio.sleep(4)
        await asyncio.sleep(20)

    in_fake_time(main())
    assert harness.bots.times("a") == [0, 3]
    assert harness.bots.times("b") == [0, 3]


def test_a_process_that_stood_still_asks_nobody_for_what_it_missed_nor_all_at_once() -> None:
    harness = harness_of(fresh, chance=0.5)

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(3)
            loop: Any = asyncio.get_running_loop()
            loop._skipping.now += 100
            await asyncio.sleep(10)

    in_fake_time(main())
    assert harness.bots.times("a") == [2.5, 106.75, 111.75]


def test_a_poll_that_is_hardly_late_is_made_and_the_bot_keeps_its_moment() -> None:
    harness = harness_of(fresh, chance=0.5)

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(7.4)
            loop: Any = asyncio.get_running_loop()
            loop._skipping.now += 0.5
            await asyncio.sleep(5)

    in_fake_time(main())
    assert at(harness.bots.times("a")) == [2.5, 7.9, 12.5]


def test_with_real_bots_a_good_one_is_heard_beside_one_that_hangs_and_the_end_closes_all() -> None:
    async def main() -> None:
        heard, hanging, all_closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        connected: set[asyncio.StreamWriter] = set()

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.add(writer)
            # A connection that is closed before its last answer was read is reset.
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    if b"/bad" in (await request(reader)).splitlines()[0]:
                        hanging.set()
                    else:
                        writer.write(http(report_body()))
            connected.remove(writer)
            if not connected:
                all_closed.set()

        async with raw_serving(bot) as url:
            settings = OperatorSettings(
                risk_url=f"{url}/{{namespace}}/{{name}}", risk_interval=0.02, risk_timeout=30
            )
            poller = RiskPoller(settings, clock=lambda: NOW, changed=lambda _: heard.set())
            for name in ("bad", "good"):
                poller.subscribe(NamespacedName("desk", name), watching(lambda *_: object()))
            task = asyncio.create_task(poller.run())
            await hanging.wait()
            heard.clear()
            await heard.wait()
            assert poller.state(NamespacedName("desk", "good")) == PollState(report(), NOW)
            assert poller.state(NamespacedName("desk", "bad")) == PollState()
            assert connected
            await cancelled(task)
            await all_closed.wait()

    asyncio.run(main())
