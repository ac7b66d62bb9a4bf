"""Runs kopf in a thread of its own, which can be abandoned.

Why a thread: when kopf ends, it cancels every task in its event loop, also those of others.

Why one that can be abandoned: kopf may never end. When one of its watches dies, kopf

1. closes its HTTP session, so that its other watches wait for credentials that never come,
2. five seconds later cancels them, together with the tasks that would tell them to pause.

A watch whose pause was cancelled first takes its own cancellation for that pause and goes on
waiting, and kopf waits for the watch. So kopf's end has a limit here. A thread that does not end in
time is left alone: it is a daemon thread, and its callbacks are ignored from then on.

    running --stop()--> stopping --> ended        `ended` is set, the thread is gone
       |                    |
       +-----abandon()------+------> abandoned    the thread may still run, its calls are dropped
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import uvloop

logger = logging.getLogger(__name__)

ORDERLY_SECONDS = 1.0
"""Within which kopf may end by itself."""
CANCELLATIONS, CANCELLATION_SECONDS = 20, 0.1
"""How often the remaining tasks are cancelled, and the seconds that they get each time."""


class WatchSession:
    """A thread that runs `work` in an event loop of its own.

    Its callbacks and its end are reported to the event loop that the session was made in.
    """

    def __init__(self, work: Callable[["WatchSession"], Awaitable[list[str]]]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._abandoned = False
        self._beat = time.monotonic()
        self.ended: asyncio.Future[list[str]] = self._loop.create_future()
        """The watches that have ended; set when one has, or when the session was stopped."""
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether the session must end."""
        return self._stopping.is_set()

    @property
    def silent_seconds(self) -> float:
        """Seconds since its event loop last ran `beat`."""
        return time.monotonic() - self._beat

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the session to end."""
        self._stopping.set()

    def abandon(self) -> None:
        """Stop listening to the session, whether it ends or not."""
        self._abandoned = True
        self.stop()

    def beat(self) -> None:
        """Show that the event loop runs. `work` calls it at least once a second."""
        self._beat = time.monotonic()

    def call(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call back in the loop that the session was made in, unless it has been abandoned."""
        if not self._abandoned:
            self._loop.call_soon_threadsafe(self._call_unless_abandoned, callback, *arguments)

    def _call_unless_abandoned(self, callback: Callable[..., object], *arguments: object) -> None:
        if not self._abandoned:
            callback(*arguments)

    def report(self, ended: list[str]) -> None:
        """Report which watches have ended. To be called before the cleanup."""
        self.call(self._end, ended, None)

    def _run(self) -> None:
        loop = uvloop.new_event_loop()
        try:
            ended, error = loop.run_until_complete(self._work(self)), None
        except Exception as caught:
            ended, error = [], caught
        try:
            self.call(self._end, ended, error)
            loop.close()
        except RuntimeError as late:
            logger.debug("The event loop of the watches was closed: %s", late)

    def _end(self, ended: list[str], error: Exception | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(ended)
        else:
            self.ended.set_exception(error)


async def end_all_tasks(orderly: asyncio.Future[None]) -> None:
    """End `orderly` and all other tasks of this loop, in bounded time.

    One cancellation is not enough: kopf's own code swallows some.
    """
    await asyncio.wait({orderly}, timeout=ORDERLY_SECONDS)
    for _ in range(CANCELLATIONS):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if not others:
            return
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=CANCELLATION_SECONDS)
    logger.warning("Could not cancel %d tasks of kopf", len(asyncio.all_tasks()) - 1)
