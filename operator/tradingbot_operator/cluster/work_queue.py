"""A queue of keys to work on: the heart of a level-triggered controller.

A key that is added many times before its turn is worked on once. A key that is added while it is
being worked on is worked on again, and never by two workers at a time. A key whose work fails comes
back after a pause that doubles each time, so that a failing object never delays another.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 60.0


class WorkQueue(Generic[Key]):
    """Keys, each due now or later.

    `work` returns the seconds after which the key must be worked on again, or None. An exception of
    a `transient` type is logged in one line, any other with its traceback.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Key], Awaitable[float | None]],
        *,
        transient: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name = name
        self._work = work
        self._transient = transient
        self._due: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._wakeup = asyncio.Semaphore(0)
        self.on_done: Callable[[str, float], None] = lambda _result, _seconds: None

    def __len__(self) -> int:
        """Return the number of keys that are due and not being worked on."""
        return len(self._due)

    def add(self, key: Key) -> None:
        """Make `key` due now."""
        self._cancel_timer(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._due.append(key)
            self._wakeup.release()

    def add_after(self, key: Key, seconds: float) -> None:
        """Make `key` due in `seconds`, unless it is due sooner already."""
        due = asyncio.get_running_loop().time() + seconds
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_at(due, self.add, key)

    def forget(self, key: Key) -> None:
        """Drop the timer and the failures of a key whose object is gone."""
        self._cancel_timer(key)
        self._failures.pop(key, None)

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            await self._wakeup.acquire()
            key = self._due.popleft()
            self._waiting.discard(key)
            self._working.add(key)
            try:
                await self._work_on(key)
            finally:
                self._working.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _work_on(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        result = "success"
        try:
            after = await self._work(key)
        except Exception as error:
            result = "error"
            after = self._pause_after_failure(key)
            context = {"key": str(key), "retry_seconds": after}
            if isinstance(error, self._transient):
                logger.warning("%s %s: %s", self.name, key, error, extra=context)
            else:
                logger.exception("%s %s failed", self.name, key, extra=context)
        else:
            self._failures.pop(key, None)
        if after is not None:
            self.add_after(key, after)
        self.on_done(result, loop.time() - begun)

    def _pause_after_failure(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE))

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
