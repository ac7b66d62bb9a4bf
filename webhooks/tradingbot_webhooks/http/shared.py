"""The state that all connections of a server share, and the requests that wait in each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from tradingbot_webhooks.http.batch import Backlog, EventLoopBatch
from tradingbot_webhooks.http.heads import KnownHeads
from tradingbot_webhooks.http.messages import Answer, Application, Head
from tradingbot_webhooks.http.room import Limits, Occupant, Room


class Client(Occupant, Protocol):
    """The part of a connection that the server uses."""

    def expire(self) -> None:
        """Act on a deadline that has passed."""

    def finish(self) -> None:
        """End after the requests that have begun are answered."""

    def abort(self) -> None:
        """End immediately."""


@dataclass
class Shared:
    """The state that all connections of a server share."""

    application: Application
    limits: Limits
    clock: Callable[[], float]
    batch: EventLoopBatch
    backlog: Backlog
    room: Room
    heads: KnownHeads = field(default_factory=KnownHeads)
    connections: set[Client] = field(default_factory=set)
    draining: bool = False
    """Whether every answer ends its connection, so that the client opens one to another server."""
    stopping: bool = False
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection has ended."""

    def lost(self, connection: Client) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        self.room.leave(connection)
        if not self.connections:
            self.empty.set()


@dataclass(slots=True)
class Request:
    """A request that is complete, or was refused."""

    head: Head | None
    body: bytes
    close: bool
    answer: Answer | Awaitable[Answer] | None = None
    """Set at once if the request is refused."""
    since: float = field(default_factory=time.perf_counter)
