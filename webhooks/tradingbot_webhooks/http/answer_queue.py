"""Answers the requests of one connection, in the order in which they came.

Four states, of the request whose turn it is:

    IDLE --complete--> DUE --decided and written--> IDLE
                        |                             ^
                        +--the answer takes time--> AWAITED

    CLOSED: the last answer was written, or the client has gone

A request is DUE until the current turn of the event loop ends (`batch`). The answer takes time if
the request is large, or if the application returns an awaitable. Requests behind it wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, Protocol

from tradingbot_webhooks.http.batch import LARGE_BODY
from tradingbot_webhooks.http.body_budget import BodyBudget
from tradingbot_webhooks.http.messages import Answer, Head, refusal
from tradingbot_webhooks.http.shared import Request, Shared

logger = logging.getLogger(__name__)


class AnswerState(Enum):
    """Where the request is whose turn it is."""

    IDLE = auto()
    """There is none."""
    DUE = auto()
    """It is complete. Its answer is decided before the turn of the event loop ends."""
    AWAITED = auto()
    """Its answer depends on something else than this turn of the event loop."""
    CLOSED = auto()
    """No request is answered any more."""


_IDLE: Final = AnswerState.IDLE
_DUE: Final = AnswerState.DUE
_AWAITED: Final = AnswerState.AWAITED
_CLOSED: Final = AnswerState.CLOSED
_BAD_REQUEST: Final = HTTPStatus.BAD_REQUEST.value
# See `request_reader` for the reason.


class Sender(Protocol):
    """The connection, as its queue of answers sees it."""

    transport: asyncio.Transport

    def pause_reading(self) -> None:
        """React to a request that must wait."""

    def await_answer(self) -> None:
        """React to an answer that takes time."""

    def proceed(self) -> None:
        """React to a written answer that is not the last."""

    def close(self) -> None:
        """React to the last answer, after it is written."""

    def abort(self) -> None:
        """React to an answer that could not be written."""


class AnswerQueue:
    """The answering half of a connection."""

    def __init__(self, shared: Shared, address: str, budget: BodyBudget, sender: Sender) -> None:
        self.state = _IDLE
        self.write_paused = False
        """The client does not read its answers."""
        self.waiting: deque[Request] = deque()
        """The requests behind the one whose turn it is."""
        self.is_served = False
        """A request was answered without an HTTP error."""
        self._shared = shared
        self._address = address
        self._budget = budget
        self._sender = sender
        self._current: Request | None = None

    @property
    def is_blocked(self) -> bool:
        """Whether something must happen before the next request is decided."""
        return self.state is not _IDLE or self.write_paused

    @property
    def is_answering(self) -> bool:
        """Whether a request is complete and not answered yet."""
        return self.state is _DUE or self.state is _AWAITED

    def add(self, request: Request) -> None:
        """Make `request` due, or let it wait for those before it."""
        if self.state is not _IDLE or self.write_paused:
            self.waiting.append(request)
            self._sender.pause_reading()
            return
        self._current = request
        self.state = _DUE
        self._shared.batch.add(self)

    def decide(self) -> None:
        """Decide on the answer of the request that is due."""
        request = self._current
        if self.state is not _DUE or request is None:  # the client has gone
            return
        if request.answer is not None or request.head is None:
            self._budget.release(len(request.body))
        elif len(request.body) > LARGE_BODY:
            request.answer = self._shared.backlog.answer(
                self._address, lambda: self._decided_late(request)
            )
        else:
            request.answer = self._decided(request, request.head)

    def deliver(self) -> None:
        """Write the answer that was decided on, or wait for it."""
        request = self._current
        if self.state is not _DUE or request is None:
            return
        answer = request.answer or refusal(400)
        if isinstance(answer, Answer):
            self._write(answer, request)
            return
        self.state = _AWAITED
        self._sender.await_answer()
        asyncio.ensure_future(answer).add_done_callback(
            lambda done: self._deliver_late(done, request)
        )

    def abort(self) -> None:
        """End the connection at once."""
        self._sender.abort()

    def close(self) -> None:
        """Answer nothing more."""
        self.state = _CLOSED
        self._current = None
        self.waiting.clear()

    def detach(self) -> None:
        """Break the cycle of references with the connection."""
        self.close()
        del self._sender

    def _decided(self, request: Request, head: Head) -> Answer | Awaitable[Answer]:
        self._budget.release(len(request.body))
        try:
            return self._shared.application.answer(head, request.body, since=request.since)
        except Exception:
            logger.exception("a request failed")
            return refusal(500)

    def _decided_late(self, request: Request) -> Answer:
        if self._current is not request or request.head is None:
            return refusal(503)  # the client has gone: nobody reads this
        answer = self._decided(request, request.head)
        return answer if isinstance(answer, Answer) else refusal(500)

    def _deliver_late(self, task: asyncio.Future[Answer], request: Request) -> None:
        if task.cancelled():
            answer = refusal(503)
        elif (failure := task.exception()) is not None:
            logger.error("a request failed", exc_info=failure)
            answer = refusal(500)
        else:
            answer = task.result()
        if self.state is not _CLOSED:
            self._write(answer, request)

    def _write(self, answer: Answer, request: Request) -> None:
        self._current = None
        self.state = _IDLE
        close = answer.close or request.close or self._shared.draining
        if answer.code >= _BAD_REQUEST:
            self._shared.application.refused(answer.code)
        else:
            self.is_served = True
        without_body = request.head is not None and request.head.method == b"HEAD"
        sender = self._sender
        sender.transport.write(answer.encoded(close=close, without_body=without_body))
        if close:
            sender.close()
        else:
            sender.proceed()
