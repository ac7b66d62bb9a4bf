"""Requests that wait for a change, without a thread.

A view that has nothing to answer yet asks for time; the server drops the answer, waits, and lets
the application answer again. Under another server, the first answer is sent.

A change of this process wakes those who wait at once. For changes of other replicas, the database
is asked while anyone waits. Notifications of the database would come earlier, but would need a
connection for them alone, which no pooler between allows, and a look after each time it was lost.
"""

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import peewee

from tradingbot_registry.refusals import RefusedError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often the database is asked for changes of other replicas."""

KEY = "tradingbot_registry.long_poll"


@dataclass
class LongPoll:
    """What the server offers to a request, and what the request asks for."""

    seconds: int = 0
    after: int = 0
    """Number of the last change that the answer knows."""


def wait_for_change(environ: MutableMapping[str, Any], seconds: int, *, after: int) -> None:
    """Ask the server to answer this request again after a change, or after so many seconds.

    `after` is the number of the last change that the answer of now knows.
    """
    offered = environ.get(KEY)
    if isinstance(offered, LongPoll):
        offered.seconds, offered.after = seconds, after


def will_be_answered_again(environ: MutableMapping[str, Any]) -> bool:
    """Whether the answer to this request is dropped."""
    offered = environ.get(KEY)
    return isinstance(offered, LongPoll) and offered.seconds > 0


class Changes:
    """Lets coroutines of one event loop wait for what threads note and other replicas write.

    `last_change` asks the database for the number of the last change; None: nobody else writes.
    """

    def __init__(self, last_change: Callable[[], int] | None = None) -> None:
        self._waiting: list[LongPoll] = []
        self._number = 0
        self._next = asyncio.Event()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_change = last_change
        self._looking: asyncio.Task[None] | None = None
        # Its own thread: all others may wait for a writer.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="changes")

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def number_in(self, loop: asyncio.AbstractEventLoop) -> int:
        """Return the number of the last change noted, to wait for the next one in this loop."""
        self._loop = loop
        return self._number

    def note(self) -> None:
        """Note a change. Any thread may do so."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def stop(self) -> None:
        """End all waiting, in the thread of the loop."""
        self._stopped = True
        self.note()

    def _wake(self) -> None:
        self._number += 1
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def wait(self, seen: int, poll: LongPoll, receive: Any) -> bool:
        """Return after a change since `seen`, or after a time; False if the client has gone."""
        if self._number != seen or self._stopped:
            return True
        self._waiting.append(poll)
        if self._last_change is not None and self._looking is None:
            self._looking = asyncio.create_task(self._look(self._last_change))
        change, gone = asyncio.ensure_future(self._next.wait()), asyncio.ensure_future(receive())
        try:
            done, _ = await asyncio.wait(
                {change, gone}, timeout=poll.seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._waiting.remove(poll)
            change.cancel()
            gone.cancel()
        return gone not in done

    async def _look(self, last_change: Callable[[], int]) -> None:
        """While anyone waits, ask the database for a change that they do not know."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    last = await loop.run_in_executor(self._thread, last_change)
                except (peewee.PeeweeException, RefusedError):
                    # Those who wait find out when they are answered.
                    log.debug("the database can't be asked for changes", exc_info=True)
                    continue
                if any(poll.after != last for poll in self._waiting):
                    self._wake()
        finally:
            self._looking = None
