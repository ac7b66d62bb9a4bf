"""When the poller asks whom, in a loop of fake time; and once for real."""

import asyncio
import resource
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from operator_harness import NOW, in_fake_time
from risk_bots import http, raw_serving, report, report_body, request
from risk_desk import (
    BAD,
    BUSY,
    DEAD,
    A,
    Answer,
    B,
    Bots,
    Desk,
    at,
    clock,
    desk_of,
    fresh,
    positions,
    watching,
)
from tradingbot_api.contract import RiskReport
from tradingbot_operator import risk_poller
from tradingbot_operator.risk import Seen
from tradingbot_operator.risk_client import NoReportError
from tradingbot_operator.risk_poller import FILES_FOR_OTHERS, JITTER, RiskPoller
from tradingbot_operator.settings import OperatorSettings


def test_a_bot_is_polled_each_interval_at_a_moment_of_its_own() -> None:
    desk = desk_of(fresh, chance=0.5)
    desk.run(20)
    assert desk.bots.times("a") == [2.5, 7.5, 12.5, 17.5]


def test_a_bot_that_does_not_answer_is_asked_less_and_less_often() -> None:
    desk = desk_of(lambda _: DEAD)
    desk.run(300)
    assert desk.bots.times("a") == [0, 5, 15, 35, 75, 135, 195, 255]


def test_one_that_hangs_too_from_the_end_of_its_time_out_on() -> None:
    desk = desk_of(lambda _: None)
    desk.run(60)
    assert desk.bots.times("a") == [0, 7, 19, 41]


def test_pauses_are_shortened_at_random_so_that_bots_don_t_come_back_together() -> None:
    desk = desk_of(lambda _: DEAD, chance=0.5)
    desk.run(100)
    part = 1 - JITTER / 2
    gaps = [later - time for time, later in zip(*_pairs(desk.bots.times("a")), strict=True)]
    assert at(gaps) == at([5 * part, 10 * part, 20 * part, 40 * part])


def _pairs(times: list[float]) -> tuple[list[float], list[float]]:
    return times[:-1], times[1:]


@pytest.mark.parametrize("answer", [fresh, lambda _: BUSY, lambda _: BAD])
def test_one_answer_of_any_kind_ends_the_back_off(answer: Answer) -> None:
    desk = desk_of(lambda time: DEAD if time < 30 else answer(time))
    desk.run(54)
    assert desk.bots.times("a") == [0, 5, 15, 35, 40, 45, 50]


@pytest.mark.parametrize("answer", [BUSY, BAD])
def test_a_bot_that_answers_with_an_error_is_asked_as_often_as_ever(answer: NoReportError) -> None:
    desk = desk_of(lambda _: answer)
    desk.run(21)
    assert desk.bots.times("a") == [0, 5, 10, 15, 20]


def test_a_fault_of_the_operator_does_not_count_as_a_bots_silence() -> None:
    short = NoReportError("unreachable", "the operator is short: Too many open files")
    desk = desk_of(lambda time: DEAD if time < 1 else short)
    desk.run(21)
    assert desk.bots.times("a") == [0, 5, 10, 15, 20]


def test_bots_that_hang_or_are_dead_delay_no_other() -> None:
    desk = desk_of(fresh)
    for number in range(1000):
        name = f"bad-{number}"
        desk.bots.answers[name] = (lambda _: None) if number % 2 else (lambda _: DEAD)
        desk.poller.watch(("desk", name), watching())
    desk.run(31)
    assert desk.bots.times("a") == [0, 5, 10, 15, 20, 25, 30]


def test_a_thousand_bots_are_all_polled_within_an_interval_and_spread_over_it() -> None:
    desk = Desk()
    chances = iter(number / 1000 for number in range(1000))
    desk.poller._chance = lambda: next(chances)
    for number in range(1000):
        desk.poller.watch(("desk", f"bot-{number}"), watching())
    desk.run(4.9999)
    assert len({name for name, _ in desk.bots.polls}) == len(desk.bots.polls) == 1000
    each_tenth = Counter(int(time * 10) for _, time in desk.bots.polls)
    assert len(each_tenth) == 50
    assert max(each_tenth.values()) <= 21


def test_no_more_polls_run_at_a_time_than_allowed_and_the_rest_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(risk_poller, "MOST_AT_ONCE", 10)
    desk = desk_of(*[lambda _: None] * 15)
    desk.run(5.5)
    assert desk.bots.most == 10
    assert [time for _, time in desk.bots.polls] == [0.0] * 10 + [5.0] * 5


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(FILES_FOR_OTHERS * 2 + 3, True), (6, True), (5, False), (resource.RLIM_INFINITY, True)],
)
def test_connections_are_kept_only_if_there_are_file_descriptors_for_all_bots(
    monkeypatch: pytest.MonkeyPatch, limit: int, kept: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    desk = desk_of(fresh, fresh, fresh)
    desk.run(7)
    assert set(desk.bots.kept) == {kept}


def test_a_bot_that_is_dropped_is_asked_no_more_and_forgotten() -> None:
    desk = desk_of(fresh, fresh, watch=watching(positions, known=1))

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(6)
            desk.poller.drop(A)
            assert desk.poller.seen(A) == Seen()
            await asyncio.sleep(6)

    in_fake_time(main())
    assert desk.bots.times("a") == [0, 5]
    assert desk.bots.times("b") == [0, 5, 10]
    assert [key for key, _, _ in desk.poller.seen_all()] == [B]


def test_a_poll_under_way_ends_with_the_drop_and_tells_nothing() -> None:
    desk = desk_of(lambda _: None, watch=watching(lambda seen, _: seen.problem, known=""))

    async def main() -> int:
        async with desk.polling():
            await asyncio.sleep(1)
            desk.poller.drop(A)
            await asyncio.sleep(0)
            now = desk.bots.now
            await asyncio.sleep(30)
        return now

    assert in_fake_time(main()) == 0
    assert desk.changes == []
    assert desk.bots.times("a") == [0]


def test_one_that_is_watched_again_begins_anew() -> None:
    desk = desk_of(lambda _: None)

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(50)
            desk.poller.drop(A)
            desk.poller.watch(A, watching())
            assert desk.poller.seen(A) == Seen()
            await asyncio.sleep(8)

    in_fake_time(main())
    assert desk.bots.times("a") == [0, 7, 19, 41, 50, 57]


def test_the_end_ends_all_polls_and_it_can_begin_anew() -> None:
    desk = desk_of(fresh, lambda _: None)

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(1)
        assert desk.bots.now == 0
        assert not desk.bots.is_open
        await asyncio.sleep(2)
        async with desk.polling():
            await asyncio.sleep(4)
        await asyncio.sleep(20)

    in_fake_time(main())
    assert desk.bots.times("a") == [0, 3]
    assert desk.bots.times("b") == [0, 3]


def test_a_process_that_stood_still_asks_nobody_for_what_it_missed_nor_all_at_once() -> None:
    desk = desk_of(fresh, chance=0.5)

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(3)
            loop: Any = asyncio.get_running_loop()
            loop._skipping.now += 100
            await asyncio.sleep(10)

    in_fake_time(main())
    assert desk.bots.times("a") == [2.5, 106.75, 111.75]


def test_a_poll_that_is_hardly_late_is_made_and_the_bot_keeps_its_moment() -> None:
    desk = desk_of(fresh, chance=0.5)

    async def main() -> None:
        async with desk.polling():
            await asyncio.sleep(7.4)
            loop: Any = asyncio.get_running_loop()
            loop._skipping.now += 0.5
            await asyncio.sleep(5)

    in_fake_time(main())
    assert at(desk.bots.times("a")) == [2.5, 7.9, 12.5]


def test_the_address_of_a_bot_is_made_from_its_names() -> None:
    urls: list[str] = []

    class Listening(Bots):
        async def report(self, url: str, *, keep: bool) -> RiskReport:
            urls.append(url)
            return await super().report(url, keep=keep)

    poller = RiskPoller(OperatorSettings(), clock=clock, changed=lambda _: None, client=Listening())

    async def main() -> None:
        poller.watch(A, watching())
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(5)
        task.cancel()

    in_fake_time(main())
    assert urls == ["http://a.desk.svc:8080/risk"]


def test_with_real_bots_a_good_one_is_heard_beside_one_that_hangs_and_the_end_closes_all() -> None:
    async def main() -> None:
        heard, hanging, all_closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        connected: set[asyncio.StreamWriter] = set()

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.add(writer)
            with suppress(asyncio.IncompleteReadError):
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
                poller.watch(("desk", name), watching(lambda *_: object()))
            task = asyncio.create_task(poller.run())
            await hanging.wait()
            heard.clear()
            await heard.wait()
            assert poller.seen(("desk", "good")) == Seen(report(), NOW)
            assert poller.seen(("desk", "bad")) == Seen()
            assert connected
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await all_closed.wait()

    asyncio.run(main())
