"""Decides when requests are answered: small ones together, large ones one at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tradingbot_webhooks.http.messages import Answer

logger = logging.getLogger(__name__)

LARGE_BODY = 32 << 10
"""Bytes. A smaller review is answered within some milliseconds, whatever it holds."""

LONGEST_PAUSE = 0.25
"""Seconds for others after a large request."""

Soon = Callable[[Callable[[], None]], object]
Later = Callable[[float, Callable[[], None]], object]


class Asking(Protocol):
    """A connection with a request that is complete."""

    def decide(self) -> None:
        """Decide on the answer."""

    def deliver(self) -> None:
        """Write it."""

    def abort(self) -> None:
        """End at once."""


class EventLoopBatch:
    """The connections with a request that arrived in this turn of the event loop.

    Receiving, deciding and writing are each done for all of them in a row. A system call leaves
    the processor's caches cold, and an answer wakes its client: one after the other, with both
    between any two decisions, takes half as long again.
    """

    def __init__(self, soon: Soon | None = None) -> None:
        """`soon` calls a function at the end of the turn: as the running event loop does."""
        self._soon = soon
        self._asked: list[Asking] = []

    def add(self, connection: Asking) -> None:
        """Have its request answered before the turn ends."""
        self._asked.append(connection)
        if len(self._asked) == 1:
            soon = self._soon or asyncio.get_running_loop().call_soon
            soon(self._answer)

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        for connection in asked:
            connection.decide()
        for connection in asked:
            try:
                connection.deliver()
            except Exception:  # one client's end is not that of the others
                logger.exception("an answer could not be written")
                connection.abort()


@dataclass(frozen=True, slots=True)
class _Turn:
    decide: Callable[[], Answer]
    answer: asyncio.Future[Answer]


class Backlog:
    """Large requests. One is decided at a time, addresses take turns, and after each one the event
    loop is left to everybody else for as long as it took."""

    def __init__(
        self, later: Later | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`later` calls a function after some seconds: as the running event loop does."""
        self._later = later
        self._clock = clock
        self._waiting: dict[str, deque[_Turn]] = {}
        self._scheduled = False

    def answer(self, address: str, decide: Callable[[], Answer]) -> asyncio.Future[Answer]:
        """Return the result of `decide`, which is called when it is the turn of the address."""
        turn = _Turn(decide, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(address, deque()).append(turn)
        if not self._scheduled:
            self._schedule(0.0)
        return turn.answer

    def _schedule(self, seconds: float) -> None:
        self._scheduled = True
        later = self._later or asyncio.get_running_loop().call_later
        later(seconds, self._next)

    def _next(self) -> None:
        self._scheduled = False
        address = next(iter(self._waiting))
        waiting = self._waiting.pop(address)
        turn = waiting.popleft()
        if waiting:
            self._waiting[address] = waiting  # behind all other addresses
        began = self._clock()
        try:
            turn.answer.set_result(turn.decide())
        except Exception as error:
            turn.answer.set_exception(error)
        if self._waiting:
            self._schedule(min(self._clock() - began, LONGEST_PAUSE))
