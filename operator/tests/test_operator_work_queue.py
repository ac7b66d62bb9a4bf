"""The work queue, in fake time."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import cancelled, in_fake_time
from tradingbot_operator.cluster.work_queue import FIRST_PAUSE, LONGEST_PAUSE, WorkQueue

Queue = WorkQueue[str]


@asynccontextmanager
async def at_work(queue: Queue, workers: int = 1) -> Any:
    task = asyncio.create_task(queue.run(workers))
    try:
        yield
    finally:
        await cancelled(task)


class Log:
    """Work that records when it was done, and returns or raises `then`."""

    def __init__(self, then: Callable[[int], float | None] = lambda _: None) -> None:
        self.done: list[tuple[str, float]] = []
        self._then = then

    async def __call__(self, key: str) -> float | None:
        self.done.append((key, round(asyncio.get_running_loop().time(), 3)))
        return self._then(len(self.done))

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.done]

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.done]


def run_for(seconds: float, queue: Queue, *keys: str, workers: int = 1) -> None:
    async def main() -> None:
        for key in keys:
            queue.add(key)
        async with at_work(queue, workers):
            await asyncio.sleep(seconds)

    in_fake_time(main())


def test_a_key_added_many_times_before_its_turn_is_worked_on_once_in_order() -> None:
    log = Log()
    run_for(1, Queue("q", log), "a", "b", "a", "c", "b")
    assert log.keys == ["a", "b", "c"]


def test_the_depth_is_the_keys_that_are_due() -> None:
    queue = Queue("q", Log())
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    run_for(1, queue)
    assert len(queue) == 0


def test_a_key_added_while_it_is_worked_on_is_worked_on_once_again() -> None:
    seen: list[str] = []

    async def work(key: str) -> None:
        seen.append(key)
        if len(seen) == 1:
            queue.add(key)
            await asyncio.sleep(1)
            queue.add(key)

    queue = Queue("q", work)
    run_for(5, queue, "a", workers=3)
    assert seen == ["a", "a"]


def test_what_is_added_while_working_is_not_kept_waiting_by_the_answer() -> None:
    log = Log()

    async def work(key: str) -> float:
        await log(key)
        if len(log.done) == 1:
            queue.add(key)
        return 100.0

    queue = Queue("q", work)
    run_for(150, queue, "a")
    assert log.times == [0, 0, 100]


def test_a_key_that_fails_while_it_was_added_again_is_tried_again() -> None:
    log = Log()

    async def work(key: str) -> None:
        await log(key)
        if len(log.done) == 1:
            queue.add(key)
            raise ValueError("first")

    queue = Queue("q", work, transient=(ValueError,))
    run_for(5, queue, "a")
    assert log.keys == ["a", "a"]


def test_a_key_comes_back_after_the_seconds_that_its_work_returns() -> None:
    log = Log(lambda times: 10.0 if times < 3 else None)
    run_for(100, Queue("q", log), "a")
    assert log.times == [0, 10, 20]


def test_zero_seconds_is_at_once_and_none_is_never() -> None:
    log = Log(lambda times: 0.0 if times == 1 else None)
    run_for(100, Queue("q", log), "a")
    assert log.times == [0, 0]


def test_an_event_comes_before_the_time_that_was_set_and_replaces_it() -> None:
    log = Log(lambda times: 10.0 if times == 1 else None)

    async def main() -> None:
        queue = Queue("q", log)
        queue.add("a")
        async with at_work(queue):
            await asyncio.sleep(4)
            queue.add("a")
            await asyncio.sleep(50)

    in_fake_time(main())
    assert log.times == [0, 4]


@pytest.mark.parametrize(("seconds", "expected"), [((5, 9), [5]), ((9, 5), [5]), ((5, 5), [5])])
def test_of_two_times_the_earlier_one_holds(
    seconds: tuple[float, float], expected: list[float]
) -> None:
    log = Log()

    async def main() -> None:
        queue = Queue("q", log)
        async with at_work(queue):
            for delay in seconds:
                queue.add_after("a", delay)
            await asyncio.sleep(50)

    in_fake_time(main())
    assert log.times == expected


def failing(_: int) -> None:
    raise ValueError("no")


def test_the_pause_after_a_failure_doubles_up_to_a_cap() -> None:
    log = Log(failing)
    run_for(400, Queue("q", log, transient=(ValueError,)), "a")
    pauses = [round(b - a, 3) for a, b in zip(log.times, log.times[1:], strict=False)]
    doubling = [FIRST_PAUSE * 2**n for n in range(9)]
    assert pauses[:9] == [min(pause, LONGEST_PAUSE) for pause in doubling]
    assert set(pauses[9:]) == {LONGEST_PAUSE}


def test_a_success_starts_the_pauses_anew() -> None:
    def then(times: int) -> float | None:
        if times in {1, 2, 4}:
            raise ValueError("no")
        return 50.0 if times == 3 else None

    log = Log(then)
    run_for(100, Queue("q", log, transient=(ValueError,)), "a")
    assert log.times == [0, 0.2, 0.6, 50.6, 50.8]


def test_a_failing_key_does_not_delay_another() -> None:
    log = Log()

    async def work(key: str) -> None:
        await log(key)
        if key == "bad":
            raise ValueError("no")

    async def main() -> None:
        queue = Queue("q", work, transient=(ValueError,))
        queue.add("bad")
        async with at_work(queue):
            await asyncio.sleep(100)
            queue.add("good")
            await asyncio.sleep(0.1)

    in_fake_time(main())
    assert ("good", 100) in log.done


def test_a_slow_key_holds_up_only_its_own_worker() -> None:
    log = Log()

    async def work(key: str) -> None:
        await log(key)
        if key == "slow":
            await asyncio.sleep(1000)

    run_for(1, Queue("q", work), "slow", "b", "c", workers=2)
    assert log.done == [("slow", 0), ("b", 0), ("c", 0)]


def test_a_failure_that_is_expected_is_one_line_and_any_other_has_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def then(times: int) -> float | None:
        if times == 1:
            raise ValueError("expected")
        if times == 2:
            raise KeyError("a bug")
        return None

    results: list[str] = []
    queue = Queue("q", Log(then), transient=(ValueError,))
    queue.on_done = lambda result, _: results.append(result)
    run_for(10, queue, "a")
    first, second = caplog.records
    assert (first.levelname, first.exc_info, "expected" in first.getMessage()) == (
        "WARNING",
        None,
        True,
    )
    assert second.levelname == "ERROR"
    assert second.exc_info is not None
    assert results == ["error", "error", "success"]


def test_forgetting_a_key_drops_its_time_and_its_failures() -> None:
    log = Log(failing)

    async def main() -> None:
        queue = Queue("q", log, transient=(ValueError,))
        queue.add("a")
        async with at_work(queue):
            await asyncio.sleep(1)
            queue.forget("a")
            await asyncio.sleep(100)
            assert log.times == [0, 0.2, 0.6]
            queue.add("a")
            await asyncio.sleep(0.3)
            assert log.times == [0, 0.2, 0.6, 101, 101.2]

    in_fake_time(main())


def test_cancelling_ends_every_worker_and_the_work_under_way() -> None:
    ended: list[str] = []

    async def work(key: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(key)

    async def main() -> int:
        queue = Queue("q", work)
        for key in ("a", "b", "c"):
            queue.add(key)
        async with at_work(queue, workers=2):
            await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return len(queue)

    assert in_fake_time(main()) == 1
    assert sorted(ended) == ["a", "b"]


Step = tuple[str, str, float]
steps = st.tuples(
    st.sampled_from(("add", "later", "wait")),
    st.sampled_from("abc"),
    st.sampled_from((0.0, 0.1, 0.3, 1.0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25), st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_whatever_happens_no_key_has_two_workers_and_none_is_lost(
    script: list[Step], behaviours: list[int]
) -> None:
    asked: set[str] = set()
    busy: set[str] = set()
    doubled: list[str] = []
    count = 0

    async def work(key: str) -> float | None:
        nonlocal count
        if key in busy:
            doubled.append(key)
        busy.add(key)
        asked.discard(key)
        behaviour, count = behaviours[count % len(behaviours)], count + 1
        try:
            if behaviour == 1:
                await asyncio.sleep(0.2)
            if behaviour == 2 and count < 50:
                raise ValueError("no")
            return 0.5 if behaviour == 3 and count < 50 else None
        finally:
            busy.discard(key)

    async def main() -> None:
        queue = Queue("q", work, transient=(ValueError,))
        async with at_work(queue, workers=2):
            for what, key, seconds in script:
                if what == "wait":
                    await asyncio.sleep(seconds)
                    continue
                asked.add(key)
                if what == "add":
                    queue.add(key)
                else:
                    queue.add_after(key, seconds)
            await asyncio.sleep(500)
        assert not doubled, "two workers on one key"
        assert not asked, "a key that was asked for has never been worked on"
        assert len(queue) == 0
        assert not queue._again
        assert not queue._working

    in_fake_time(main())


def test_work_may_be_given_from_another_key_s_work() -> None:
    log = Log()

    async def work(key: str) -> None:
        await log(key)
        if key == "a":
            queue.add("b")

    queue = Queue("q", work)
    run_for(1, queue, "a")
    assert log.keys == ["a", "b"]
