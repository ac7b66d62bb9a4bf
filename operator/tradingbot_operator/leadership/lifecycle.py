"""The order in which an operator starts and stops to lead.

    start   wait until ready --> acquire the lease --> work
    stop    close the gate --> wait for the work inside --> cancel the rest --> release the lease

The lease is released only when nothing is left that could write. If it can't be, it is left to
expire, which takes longer and is as safe.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tradingbot_operator.leadership.election import Election

logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Result = TypeVar("Result")

DRAIN_SECONDS = 5.0
"""For the work that is under way when the operator stops; longer than a write may take."""


class WriteGate:
    """Lets work in until it is closed; work that is inside then may finish."""

    def __init__(self) -> None:
        self._inside = 0
        self._open = True
        self._empty = asyncio.Event()
        self._empty.set()

    def through(
        self, work: Callable[[Key], Awaitable[Result]]
    ) -> Callable[[Key], Coroutine[Any, Any, Result]]:
        """Return `work` behind this gate. At a closed gate it waits until it is cancelled."""

        async def passing(key: Key) -> Result:
            if not self._open:
                await asyncio.Event().wait()
            self._inside += 1
            self._empty.clear()
            try:
                return await work(key)
            finally:
                self._inside -= 1
                if not self._inside:
                    self._empty.set()

        return passing

    async def close(self, seconds: float) -> bool:
        """Let no more work in. Return whether all work inside has ended within `seconds`."""
        self._open = False
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


async def lead(
    election: Election,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    gate: WriteGate,
    ready: asyncio.Event,
    stop: asyncio.Event,
    leading: Callable[[bool], object],
) -> None:
    """When `ready`, acquire the lease, `work` while it is held, and release it at `stop`.

    Everything that writes in `work` must go through `gate`. `leading` is called with True and
    False. Raises LeaseLostError, and any exception of `work`.
    """
    if not await _completes_before(stop, _turn(election, ready)):
        await election.release()  # the last request may have acquired it unnoticed
        return
    leading(True)
    renewing = asyncio.create_task(election.renew_until_lost())
    working = asyncio.create_task(work())
    stopping = asyncio.create_task(stop.wait())
    draining = None
    try:
        await _first(renewing, working, stopping)
        draining = asyncio.create_task(gate.close(DRAIN_SECONDS))
        await _first(renewing, working, draining)
    finally:
        tasks = [task for task in (renewing, working, stopping, draining) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        leading(False)
    if draining.result():
        await election.release()
    else:
        logger.warning("Work was cut short, so the lease is left to expire")


async def _turn(election: Election, ready: asyncio.Event) -> None:
    await ready.wait()
    await election.acquire()


async def _completes_before(stop: asyncio.Event, coroutine: Coroutine[Any, Any, None]) -> bool:
    """Return whether the coroutine has completed before `stop`, which cancels it."""
    task = asyncio.create_task(coroutine)
    stopping = asyncio.create_task(stop.wait())
    try:
        await _first(task, stopping)
        return task.done() and not stop.is_set()
    finally:
        for pending in (task, stopping):
            pending.cancel()
        await asyncio.wait((task, stopping))


async def _first(*tasks: asyncio.Task[Any]) -> None:
    """Return when one of the tasks has ended. Raises its exception."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
