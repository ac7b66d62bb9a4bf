"""The order of starting and stopping: the lease is acquired first and released last."""

import asyncio
from typing import Any

import pytest
from lease_cluster import Leases, contender
from operator_harness import in_fake_time
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.leadership.election import Election, LeaseLostError, NoElection
from tradingbot_operator.leadership.lease import Timing
from tradingbot_operator.leadership.lifecycle import DRAIN_SECONDS, WriteGate, lead


class Story:
    """An operator whose work takes `seconds` each time, and a record of its steps."""

    def __init__(self, cluster: Leases, *, seconds: float = 1.0, alone: bool = False) -> None:
        self.cluster = cluster
        self.gate = WriteGate()
        self.ready, self.stop = asyncio.Event(), asyncio.Event()
        self.done: list[str] = []
        self.holder_at_end: list[str] = []
        self.leading: list[bool] = []
        self.election: Election = NoElection() if alone else contender(cluster, "a")
        self._piece = self.gate.through(self._one)
        self._seconds = seconds

    async def _one(self, name: str) -> None:
        try:
            await asyncio.sleep(self._seconds)
            self.done.append(name)
        finally:
            self.holder_at_end.append(self.cluster.holder)

    async def work(self) -> None:
        for number in range(10**6):
            await self._piece(str(number))

    def begin(self) -> "asyncio.Task[None]":
        return asyncio.create_task(
            lead(
                self.election,
                self.work,
                gate=self.gate,
                ready=self.ready,
                stop=self.stop,
                leading=self.leading.append,
            )
        )


def test_work_begins_with_the_lease_and_not_before() -> None:
    async def main() -> None:
        story = Story(Leases())
        running = story.begin()
        await asyncio.sleep(100)
        assert story.cluster.requests == [], (
            "one that knows nothing yet does not stand for election"
        )
        story.ready.set()
        await asyncio.sleep(9)
        assert story.leading == []
        await asyncio.sleep(5)
        assert story.leading == [True]
        assert story.done
        running.cancel()

    in_fake_time(main())


def test_what_is_in_hand_is_finished_before_the_lease_is_released() -> None:
    async def main() -> None:
        story = Story(Leases(), seconds=3)
        story.ready.set()
        running = story.begin()
        await asyncio.sleep(20)
        finished = len(story.done)
        story.stop.set()
        await running
        assert len(story.done) == finished + 1
        assert story.holder_at_end[-1] == "a"
        assert story.cluster.holder == ""
        assert story.leading == [True, False]

    in_fake_time(main())


def test_work_that_does_not_end_is_cut_short_and_the_lease_left_to_run_out() -> None:
    async def main() -> None:
        story = Story(Leases(), seconds=3600)
        story.ready.set()
        running = story.begin()
        await asyncio.sleep(20)
        begun = asyncio.get_running_loop().time()
        story.stop.set()
        await running
        assert asyncio.get_running_loop().time() - begun == pytest.approx(DRAIN_SECONDS)
        assert story.cluster.holder == "a"
        assert story.done == []

    in_fake_time(main())


def test_losing_the_lease_ends_all_work_at_once_with_that_error() -> None:
    async def main() -> None:
        story = Story(Leases(), seconds=3600)
        story.ready.set()
        running = story.begin()
        await asyncio.sleep(20)
        story.cluster.edit(holderIdentity="b")
        with pytest.raises(LeaseLostError):
            await running
        assert len(story.holder_at_end) == 1
        assert story.cluster.holder == "b"
        assert story.leading == [True, False]

    in_fake_time(main())


def test_losing_the_lease_while_stopping_is_an_error_too() -> None:
    async def main() -> None:
        story = Story(Leases(), seconds=4)
        story.ready.set()
        running = story.begin()
        await asyncio.sleep(14)
        story.cluster.fault = lambda _: KubernetesError(0, "Unreachable", "away")
        await asyncio.sleep(4)
        story.stop.set()
        with pytest.raises(LeaseLostError):
            await running

    in_fake_time(main())


@pytest.mark.parametrize("ready", [False, True])
def test_a_standby_that_is_told_to_stop_ends_at_once(ready: bool) -> None:
    async def main() -> None:
        cluster = Leases()
        leader = contender(cluster, "leader")
        await leader.acquire()
        story = Story(cluster)
        if ready:
            story.ready.set()
        running = story.begin()
        await asyncio.sleep(5)
        begun = asyncio.get_running_loop().time()
        story.stop.set()
        await running
        assert asyncio.get_running_loop().time() - begun < 0.1
        assert cluster.holder == "leader"
        assert story.leading == []

    in_fake_time(main())


def test_a_fault_in_the_work_is_raised() -> None:
    async def main() -> None:
        story = Story(Leases(), alone=True)

        async def fail() -> None:
            raise ZeroDivisionError

        story.work = fail  # type: ignore[method-assign]
        story.ready.set()
        with pytest.raises(ZeroDivisionError):
            await story.begin()

    in_fake_time(main())


def test_one_that_is_alone_works_at_once() -> None:
    async def main() -> None:
        story = Story(Leases(), alone=True)
        story.ready.set()
        running = story.begin()
        await asyncio.sleep(1.5)
        assert story.done == ["0"]
        story.stop.set()
        await running
        assert story.cluster.requests == []

    in_fake_time(main())


def test_a_closed_gate_lets_nothing_in() -> None:
    async def main() -> None:
        gate = WriteGate()
        passed: list[Any] = []

        async def work(key: str) -> None:
            passed.append(key)

        assert await gate.close(0)
        waiting = asyncio.create_task(gate.through(work)("a"))
        await asyncio.sleep(10)
        assert passed == []
        waiting.cancel()

    in_fake_time(main())


def test_a_write_with_the_default_lease_ends_before_the_drain_does() -> None:
    assert Timing(10).write < DRAIN_SECONDS
