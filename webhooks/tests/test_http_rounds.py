"""Large requests are decided one at a time, addresses take turns, and others have as much time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from http_harness import LIMITS, Harness, post, run
from tradingbot_webhooks.http.batch import LARGE_BODY, LONGEST_PAUSE, Backlog
from tradingbot_webhooks.http.messages import Answer, refusal


@dataclass
class Loop:
    """Calls what is due when it is told to, and keeps how long that was to wait."""

    now: float = 0.0
    due: list[Callable[[], None]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.waits.append(seconds)
        self.due.append(call)

    def work(self, seconds: float) -> Answer:
        self.now += seconds
        return Answer(200, b"%.2f" % self.now)


def backlog_of(loop: Loop) -> Backlog:
    return Backlog(loop.later, lambda: loop.now)


def test_addresses_take_turns_and_others_get_as_much_time_as_each_took() -> None:
    def scenario() -> Iterator[None]:
        loop = Loop()
        backlog = backlog_of(loop)
        order: list[str] = []

        def decide(name: str) -> Answer:
            order.append(name)
            return loop.work(0.1)

        for name in ("a1", "a2", "a3", "b1"):
            backlog.answer(name[0], lambda name=name: decide(name))  # type: ignore[misc]
        while loop.due:
            (call,) = loop.due  # never two
            loop.due.clear()
            call()
            yield
        assert order == ["a1", "b1", "a2", "a3"]
        assert [round(wait, 6) for wait in loop.waits] == [0.0, 0.1, 0.1, 0.1]

    run(scenario)


def test_the_pause_has_an_end_and_a_failure_is_that_of_one() -> None:
    def scenario() -> Iterator[None]:
        loop = Loop()
        backlog = backlog_of(loop)
        slow = backlog.answer("a", lambda: loop.work(10.0))
        broken = backlog.answer("b", lambda: Answer(1 // 0, b""))
        last = backlog.answer("c", lambda: refusal(400))
        while loop.due:
            loop.due.pop()()
            yield
        assert loop.waits == [0.0, LONGEST_PAUSE, 0.0]
        assert (slow.result().code, last.result().code) == (200, 400)
        assert isinstance(broken.exception(), ZeroDivisionError)

    run(scenario)


def test_small_requests_are_answered_before_a_large_one_that_came_first() -> None:
    async def scenario() -> None:
        limits = replace(LIMITS, max_body=2 * LARGE_BODY, max_buffered=4 * LARGE_BODY)
        harness = Harness(limits=limits)
        loop = Loop()
        harness.server._shared.backlog = backlog_of(loop)
        (large, large_wire), (small, small_wire) = harness.client("a"), harness.client("b")
        large.data_received(post(b"x" * (LARGE_BODY + 1)) + post(b"next"))
        small.data_received(post(b"y"))
        assert (large_wire.codes(), small_wire.codes()) == ([], [200])
        assert harness.held == LARGE_BODY + 1 + 4
        loop.due.pop()()
        await asyncio.sleep(0)
        assert large_wire.codes() == [200, 200]
        assert harness.held == 0

    asyncio.run(scenario())


def test_of_a_client_that_has_gone_nothing_is_decided() -> None:
    async def scenario() -> None:
        harness = Harness(
            limits=replace(LIMITS, max_body=2 * LARGE_BODY, max_buffered=4 * LARGE_BODY)
        )
        loop = Loop()
        harness.server._shared.backlog = backlog_of(loop)
        connection, wire = harness.client("a")
        connection.data_received(post(b"x" * (LARGE_BODY + 1), b"/broken"))
        connection.evict()
        loop.due.pop()()
        await asyncio.sleep(0)
        assert (wire.written, wire.ended) == (b"", "aborted")

    asyncio.run(scenario())
