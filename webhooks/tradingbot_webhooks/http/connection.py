"""One HTTP/1.1 connection: what connects its reader, its answers and its time limits.

A connection is two state machines and two flags:

| | states | module |
|---|---|---|
| reading | IDLE, RECEIVING, CLOSED | `request_reader` |
| answering | IDLE, DUE, AWAITED, CLOSED | `answer_queue` |
| `AnswerQueue.write_paused` | the client does not read its answers | set by the transport |
| `_reading_paused` | the client is not read from, since it must wait | set here |

Most requests come in one piece and are answered in the same turn of the event loop, with no task,
no timer and no copy between. Example: the API server sends a review over a kept connection.

1. `data_received`: reading IDLE, the head is known, so reading stays IDLE; answering becomes DUE,
   and the connection joins the batch of this turn.
2. The batch calls `decide`: the application returns the answer.
3. The batch calls `deliver`: the answer is written, answering is IDLE, and the deadline is that of
   an idle connection.

If a second request came in step 1, it waits in the queue with reading paused, and becomes due in
step 3, in a batch of its own.
"""

from __future__ import annotations

import asyncio
import math

from tradingbot_webhooks.http.answer_queue import AnswerQueue, AnswerState
from tradingbot_webhooks.http.body_budget import BodyBudget
from tradingbot_webhooks.http.request_reader import RequestReader
from tradingbot_webhooks.http.room import Occupant, Standing
from tradingbot_webhooks.http.shared import Shared

FRESH_GRACE = 1.0
"""Seconds that a connection without a request yet gets when the server stops."""


class Connection(asyncio.Protocol):
    """From the end of the TLS handshake to the end of the connection."""

    deadline: float
    """When `expire` is due, on the clock of the server."""

    def __init__(self, shared: Shared, address: str, handshake: Occupant | None = None) -> None:
        """`handshake` leaves the room when this connection enters it."""
        self.address = address
        self._shared = shared
        self._handshake = handshake
        self._budget = BodyBudget(shared.limits, shared.room)
        self._answers = AnswerQueue(shared, address, self._budget, self)
        self._reader = RequestReader(shared, self._budget, self._answers, self)
        self._reading_paused = False
        self._is_proven = False

    # Called by the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        shared = self._shared
        shared.connections.add(self)
        if self._handshake is not None:
            shared.room.leave(self._handshake)
            self._handshake = None
        shared.room.enter(self)
        self._is_proven = bool(transport.get_extra_info("peercert"))
        self._set_deadline(FRESH_GRACE if shared.stopping else shared.limits.request_timeout)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._forget()
        self._reader.detach()
        self._answers.detach()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    def eof_received(self) -> None:
        """Answer what waits: the client sends no more, and the transport ends before the batch."""
        while self._answers.state is AnswerState.DUE:
            self._answers.decide()
            self._answers.deliver()

    def pause_writing(self) -> None:
        self._answers.write_paused = True
        self.pause_reading()
        self._set_deadline(self._shared.limits.request_timeout)

    def resume_writing(self) -> None:
        self._answers.write_paused = False
        self.proceed()

    # Called by the reader.

    def on_request_begin(self) -> None:
        if not self._answers.is_blocked:
            self._set_deadline(self._shared.limits.request_timeout)

    def on_expect_continue(self) -> None:
        self._send_continue()

    # Called by the queue of answers.

    def await_answer(self) -> None:
        """Wait without a time limit: it is not the client that is slow."""
        self.pause_reading()
        self.deadline = math.inf

    def proceed(self) -> None:
        """Answer the next waiting request; if there is none, read on."""
        answers, reader = self._answers, self._reader
        if answers.is_blocked:
            return
        if answers.waiting:
            answers.add(answers.waiting.popleft())
            return
        limits = self._shared.limits
        if reader.is_receiving:
            self._set_deadline(limits.request_timeout)
            self._send_continue()
        else:
            self._set_deadline(limits.keep_alive)
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def pause_reading(self) -> None:
        """Do not read from a client that must wait."""
        if not self._reading_paused and self._answers.state is not AnswerState.CLOSED:
            self._reading_paused = True
            self.transport.pause_reading()

    def close(self) -> None:
        """Send what is written, then end."""
        self._reader.close()
        self._answers.close()
        self._set_deadline(self._shared.limits.request_timeout)
        self.transport.close()

    # Called by the server.

    def expire(self) -> None:
        """Act on the deadline: the client is too slow, or has nothing more to ask."""
        self.deadline = math.inf
        if self._answers.state is AnswerState.CLOSED or self._answers.write_paused:
            self.transport.abort()
        elif self._answers.is_answering:
            return
        elif self._reader.is_receiving:
            self._reader.refuse(408)
        else:
            self.close()

    def finish(self) -> None:
        """End, but answer requests that have begun, or are about to on a new connection."""
        if self._answers.is_blocked or self._reader.is_receiving:
            return
        if self._reader.is_fresh:
            self.deadline = min(self.deadline, self._shared.clock() + FRESH_GRACE)
        else:
            self.close()

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    # Called by the room.

    @property
    def charged(self) -> int:
        """Bytes that count in `Limits.max_buffered`."""
        return self._budget.charged

    @property
    def standing(self) -> Standing:
        """What the client has shown so far."""
        answers, reader = self._answers, self._reader
        if self._is_proven:
            return Standing.PROVEN
        if answers.write_paused or answers.state is AnswerState.CLOSED:
            return Standing.NOT_READING
        if answers.is_served:
            return Standing.SERVED
        is_new = reader.is_fresh or reader.is_receiving
        return Standing.NEW if is_new else Standing.ASKED

    @property
    def is_answered(self) -> bool:
        """Whether a request is complete and not answered yet."""
        return self._answers.is_answering

    @property
    def is_receiving(self) -> bool:
        """Whether a request has begun and is not complete."""
        return self._reader.is_receiving

    def evict(self) -> None:
        """End at once, and release the bytes now: the transport takes a turn to end."""
        self.transport.abort()
        self._forget()

    def _send_continue(self) -> None:
        """Tell a client that waits for it to send the body, unless an earlier answer is due."""
        if self._reader.expects_continue and not self._answers.is_blocked:
            self._reader.expects_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _forget(self) -> None:
        self._reader.close()
        self._answers.close()
        self._budget.release_all()
        self._shared.lost(self)

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = self._shared.clock() + seconds
