"""Hostile bots do not slow the polls of other namespaces; in fake time."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import in_fake_time
from poller_harness import (
    DEAD,
    EVERY,
    FLOOD,
    A,
    Answer,
    PollerHarness,
    at,
    fresh,
    harness_of,
    watching,
)
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.risk import polling
from tradingbot_operator.risk.limits import FORGIVE_SECONDS, MOST_STRIKES, Places, Strikes
from tradingbot_operator.risk.polling import PENALTY_PAUSE


def hostile(harness: PollerHarness, number: int, answer: Answer, *, namespaces: int = 1) -> None:
    for index in range(number):
        name = f"evil-{index}"
        harness.bots.answers[name] = answer
        harness.poller.subscribe(NamespacedName(f"evil-{index % namespaces}", name), watching())


@pytest.mark.parametrize("namespaces", [1, 9])
@pytest.mark.parametrize("answer", [lambda _: None, lambda _: DEAD, lambda _: FLOOD])
def test_hundreds_of_hostile_bots_delay_no_poll_of_another_namespace(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, namespaces: int
) -> None:
    monkeypatch.setattr(polling, "MAX_CONCURRENT", 40)
    harness = PollerHarness()
    hostile(harness, 500, answer, namespaces=namespaces)
    harness.bots.answers["a"] = fresh
    harness.bots.answers["b"] = lambda _: None
    for name in ("a", "b"):
        harness.poller.subscribe(NamespacedName("desk", name), watching())
    harness.run(31)
    assert harness.bots.most <= 40
    assert harness.bots.times("a") == [0, 5, 10, 15, 20, 25, 30]
    assert harness.bots.times("b") == [0, 7, 19]  # one that hangs, as ever


def test_one_namespace_alone_has_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_CONCURRENT", 40)
    harness = PollerHarness()
    hostile(harness, 100, lambda _: None)
    harness.run(1)
    assert harness.bots.most == 40


@given(
    st.integers(8, 60),
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=200),
)
def test_whatever_others_have_taken_a_namespace_that_has_no_place_gets_one(
    total: int, acts: list[tuple[str, bool]]
) -> None:
    places, taken = Places(total), Counter[str]()
    for namespace in "abcd":
        places.enter(namespace)
    for namespace, takes in acts:
        if takes:
            taken[namespace] += places.take(namespace)
        elif taken[namespace]:
            places.give_back(namespace)
            taken[namespace] -= 1
        assert taken.total() <= total
    for namespace in "abcd":
        assert taken[namespace] or places.take(namespace)


def test_a_full_house_has_a_place_for_each_namespace_that_has_taken_none() -> None:
    places = Places(40)
    for namespace in ("evil", "a", "b", "c"):
        places.enter(namespace)
    assert sum(places.take("evil") for _ in range(100)) == 25
    for namespace in ("a", "b", "c"):
        assert sum(places.take(namespace) for _ in range(100)) == 5
    places.give_back("a")
    assert not places.take("evil")
    assert places.take("a")


# Bots that misbehave


def gaps(times: list[float]) -> list[float]:
    return at([later - time for time, later in pairwise(times)])


def test_a_bot_that_floods_is_asked_less_and_less_often() -> None:
    harness = harness_of(lambda _: FLOOD)
    harness.run(400)
    waits = gaps(harness.bots.times("a"))
    assert waits[:2] == [10, 19.54]  # a little of the first strike is forgotten
    assert waits[2:5] == [20, 40, 60]
    assert set(waits[5:]) == {60}


def test_one_that_answers_well_in_between_stays_backed_off_but_its_reports_have_no_gap() -> None:
    turn = 0

    def every_other(_: float) -> object:
        nonlocal turn
        turn += 1
        return FLOOD if turn % 2 else fresh()

    harness = harness_of(every_other)  # type: ignore[arg-type]
    harness.run(600)
    assert max(gaps(harness.bots.times("a"))) == PENALTY_PAUSE
    assert set(gaps(harness.bots.times("a"))[5:]) == {PENALTY_PAUSE}


def test_it_is_forgiven_slowly_and_in_the_end() -> None:
    harness = harness_of(lambda time: FLOOD if time < 100 else fresh())

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(400)
            assert harness.poller.counts().backed_off == 1
            await asyncio.sleep(FORGIVE_SECONDS * MOST_STRIKES)
            assert harness.poller.counts().backed_off == 0

    in_fake_time(main())
    waits = gaps(harness.bots.times("a"))
    assert max(waits[8:]) == PENALTY_PAUSE
    assert waits[-1] == EVERY


def test_to_be_paused_and_resumed_does_not_win_it_its_place_back() -> None:
    harness = harness_of(lambda time: FLOOD if time < 30 else fresh())

    async def main() -> None:
        async with harness.polling():
            await asyncio.sleep(35)
            harness.poller.unsubscribe(A)
            await asyncio.sleep(1)
            harness.poller.subscribe(A, watching())
            await asyncio.sleep(60)

    in_fake_time(main())
    again = [time for time in harness.bots.times("a") if time > 35]
    assert max(gaps(again)) > 2 * EVERY


def test_a_bot_that_is_slow_to_start_is_asked_as_often_as_ever_once_it_answers() -> None:
    harness = harness_of(lambda time: DEAD if time < 20 else fresh())
    harness.run(49)
    assert harness.bots.times("a") == [0, 5, 15, 35, 40, 45]


def test_strikes_are_counted_up_to_a_limit_and_forgotten_one_by_one() -> None:
    strikes = Strikes()
    for _ in range(100):
        strikes.add(A, 0)
    assert strikes.of(A, 0) == MOST_STRIKES
    assert strikes.of(A, FORGIVE_SECONDS) == MOST_STRIKES - 1
    assert strikes.of(NamespacedName("desk", "b"), 0) == 0
    assert strikes.of(A, FORGIVE_SECONDS * MOST_STRIKES) == 0
    assert strikes._strikes == {}


def test_strikes_of_bots_that_are_long_gone_take_no_memory() -> None:
    strikes = Strikes()
    for number in range(30_000):
        strikes.add(NamespacedName("evil", str(number)), number)
    assert len(strikes._strikes) < 10_500
