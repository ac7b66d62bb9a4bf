"""Two event loops in two threads: work in one does not delay the other."""

import asyncio
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hostile_bots import flooding
from operator_harness import NOW, cancelled
from poller_harness import watching
from risk_bots import http, raw_serving, report, report_body, request
from tradingbot_api.contract import RiskReport
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_operator.risk.daily_loss import PollState
from tradingbot_operator.risk.own_thread import MAX_BATCH, Mailbox, run_in_thread
from tradingbot_operator.risk.poller import RiskPoller
from tradingbot_operator.settings import OperatorSettings

TICK = 0.01


async def worst_delay(seconds: float) -> float:
    """Return the maximum delay of a timer that fires each TICK in the running loop."""
    worst, end = 0.0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        await asyncio.sleep(TICK)
        worst = max(worst, time.monotonic() - now - TICK)
    return worst


async def until(condition: Callable[[], bool], *, seconds: float = STUCK_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(TICK)


def poller_of(url: str, **settings: Any) -> RiskPoller:
    return RiskPoller(
        OperatorSettings(risk_url=url, **settings), clock=lambda: NOW, changed=lambda _: None
    )


# Beside hostile bots

SECONDS = 4.0
EVERY = 0.1


def test_hostile_bots_hold_up_neither_the_loop_beside_them_nor_honest_bots() -> None:
    """Bounded generously, since the machine may be busy with other tests: before polls had a thread
    and bounds, a dozen such bots made the loop late by more than a second each time."""
    polls: dict[str, list[float]] = {}

    async def honest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await request(reader)).split()[1].decode()
            polls.setdefault(path, []).append(time.monotonic())
            writer.write(http(report_body()))

    async def main() -> tuple[float, float]:
        async with raw_serving(honest) as url:
            port = int(url.split(":")[2].partition("/")[0])
            poller = poller_of(f"http://{{ip}}:{port}/{{namespace}}/{{name}}", risk_interval=EVERY)
            for number in range(12):
                poller.subscribe(NamespacedName("evil", str(number)), watching(address="127.0.0.2"))
            for number in range(5):
                poller.subscribe(
                    NamespacedName(f"desk-{number}", "arb"), watching(address="127.0.0.1")
                )
            with flooding("127.0.0.2", port):
                task, cpu = asyncio.create_task(poller.run()), time.process_time()
                late = await worst_delay(SECONDS)
                cpu = time.process_time() - cpu
                await cancelled(task)
            assert set(poller.counts().results) == {"ok", "excessive"}
            return late, cpu

    late, cpu = asyncio.run(main())
    assert late < 0.5
    assert cpu < 0.5 * SECONDS
    assert len(polls) == 5
    for times in polls.values():
        assert len(times) > 0.6 * SECONDS / EVERY
        assert max(later - time for time, later in pairwise(times)) < 1.0


def test_a_thread_that_is_blocked_by_one_bot_does_not_block_the_operators_loop() -> None:
    """Like a parser that takes seconds for an answer."""
    blocked = threading.Event()

    class Blocking:
        notice = None

        async def report(self, *, keep: bool) -> RiskReport:
            blocked.set()
            time.sleep(1.0)  # noqa: ASYNC251
            return report()

        def close(self) -> None: ...

    async def main() -> None:
        poller = RiskPoller(
            OperatorSettings(risk_url="http://127.0.0.1/{name}", risk_interval=0.01),
            clock=lambda: NOW,
            changed=lambda _: None,
            peer=lambda _: Blocking(),
        )
        poller.subscribe(NamespacedName("desk", "a"), watching())
        task = asyncio.create_task(poller.run())
        await until(blocked.is_set)
        assert await worst_delay(0.8) < 0.4
        await until(lambda: poller.state(NamespacedName("desk", "a")).report is not None)
        await cancelled(task)

    asyncio.run(main())


def test_a_report_comes_to_the_operators_own_thread() -> None:
    threads = set()

    async def main() -> None:
        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await request(reader):
                writer.write(http(report_body()))

        def means(seen: PollState, _: object) -> object:
            threads.add(threading.current_thread())
            return seen.report

        async with raw_serving(bot) as url:
            poller = poller_of(url.replace("/risk", "/{name}"), risk_interval=0.05)
            poller.subscribe(NamespacedName("desk", "a"), watching(means))
            task = asyncio.create_task(poller.run())
            await until(lambda: poller.state(NamespacedName("desk", "a")).report == report())
            (own,) = (thread for thread in threading.enumerate() if thread.name == "own-loop")
            await cancelled(task)
            # The task ends with the last statement of the thread, a moment before the thread.
            await until(lambda: not own.is_alive())

    asyncio.run(main())
    assert threads == {threading.main_thread()}


def test_gauges_can_be_read_from_another_thread_while_bots_come_and_go() -> None:
    async def main() -> None:
        poller = poller_of("http://127.0.0.1:9/{name}", risk_interval=0.01, risk_timeout=0.1)
        done, errors = threading.Event(), []

        def read() -> None:
            try:
                while not done.is_set():
                    poller.counts()
                    assert all(key.namespace == "desk" for key, _, _ in poller.states())
            except Exception as error:
                errors.append(error)

        task = asyncio.create_task(poller.run())
        reader = threading.Thread(target=read)
        reader.start()
        for number in range(3000):
            poller.subscribe(NamespacedName("desk", str(number)), watching())
            if number > 50:
                poller.unsubscribe(NamespacedName("desk", str(number - 50)))
            if number % 100 == 0:
                await asyncio.sleep(0)
        done.set()
        reader.join()
        await cancelled(task)
        assert errors == []

    asyncio.run(main())


# The thread


def test_a_failure_in_the_thread_is_raised_where_it_was_started() -> None:
    async def broken() -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        asyncio.run(run_in_thread(broken))


def test_the_end_of_the_coroutine_is_the_end_of_the_thread() -> None:
    async def short() -> None:
        assert threading.current_thread() is not threading.main_thread()

    asyncio.run(run_in_thread(short))


def test_to_cancel_it_cancels_the_coroutine_and_waits_for_its_end() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def long() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    async def main() -> None:
        task = asyncio.create_task(run_in_thread(long))
        await until(begun.is_set)
        await cancelled(task)
        assert ended.is_set()

    asyncio.run(main())


# The mailbox


def test_what_many_threads_put_arrives_once_and_in_order_of_each() -> None:
    got: list[tuple[int, int]] = []

    async def main() -> None:
        mailbox: Mailbox[tuple[int, int]] = Mailbox(got.append)
        mailbox.put((-1, 0))  # before it is open

        def work(number: int) -> None:
            for count in range(2000):
                mailbox.put((number, count))

        mailbox.open()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        await until(lambda: len(got) >= 8001)
        for thread in threads:
            thread.join()
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert len(got) == 8001
    assert got[0] == (-1, 0)
    for number in range(4):
        assert [count for who, count in got if who == number] == list(range(2000))


def test_a_great_many_messages_leave_turns_to_others() -> None:
    async def main() -> list[int]:
        got: list[int] = []
        mailbox = Mailbox(got.append)
        for number in range(10 * MAX_BATCH):
            mailbox.put(number)
        mailbox.open()
        seen = []
        while len(got) < 10 * MAX_BATCH:
            seen.append(len(got))
            await asyncio.sleep(0)
        return seen

    assert len(asyncio.run(main())) >= 10


def test_a_mailbox_that_is_closed_delivers_nothing_and_one_whose_loop_is_gone_neither() -> None:
    got: list[int] = []
    mailbox = Mailbox(got.append, gather=0.01)

    async def main() -> None:
        mailbox.open()
        mailbox.put(1)
        mailbox.close()
        await asyncio.sleep(0.05)
        mailbox.open()

    asyncio.run(main())
    mailbox.put(2)
    assert got == []
