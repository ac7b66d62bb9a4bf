"""From standing by to acting, and back out: the order in which an operator starts and stops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tradingbot_operator.leader_election import Election

logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Result = TypeVar("Result")

DRAIN_SECONDS = 5.0
"""For what is in hand when the operator is told to stop; longer than a write may take."""


class Gate:
    """Work goes through it, until it is closed; then what is inside may finish."""

    def __init__(self) -> None:
        self._inside = 0
        self._open = True
        self._empty = asyncio.Event()
        self._empty.set()

    def through(
        self, work: Callable[[Key], Awaitable[Result]]
    ) -> Callable[[Key], Coroutine[Any, Any, Result]]:
        """`work`, which at a closed gate waits until it is cancelled."""

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
        """Let nothing in any more; whether all that was inside has ended within so long."""
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
    gate: Gate,
    ready: asyncio.Event,
    stop: asyncio.Event,
    leading: Callable[[bool], object],
) -> None:
    """Once `ready`, wait for the lease, `work` while it is held, and give it up at `stop`.

    All that `work` does to the world must go through `gate`: the lease is released only when
    nothing is left inside that could still write. Raises LeaseLostError, and what `work` raises.
    """
    if not await _unless(stop, _turn(election, ready)):
        await election.release()  # the last request may have brought it
        return
    leading(True)
    keeping = asyncio.create_task(election.keep())
    working = asyncio.create_task(work())
    stopping = asyncio.create_task(stop.wait())
    draining = None
    try:
        await _first(keeping, working, stopping)
        draining = asyncio.create_task(gate.close(DRAIN_SECONDS))
        await _first(keeping, working, draining)
    finally:
        tasks = [one for one in (keeping, working, stopping, draining) if one is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        leading(False)
    if draining.result():
        await election.release()
    else:
        logger.warning("work was cut short, so the lease is left to run out")


async def _turn(election: Election, ready: asyncio.Event) -> None:
    await ready.wait()
    await election.acquire()


async def _unless(stop: asyncio.Event, coroutine: Coroutine[Any, Any, None]) -> bool:
    """Whether the coroutine came to its end before `stop`, which cancels it."""
    task = asyncio.create_task(coroutine)
    stopping = asyncio.create_task(stop.wait())
    try:
        await _first(task, stopping)
        return task.done() and not stop.is_set()
    finally:
        for one in (task, stopping):
            one.cancel()
        await asyncio.wait((task, stopping))


async def _first(*tasks: asyncio.Task[Any]) -> None:
    """Return when one of the tasks has ended; raises what it has raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
