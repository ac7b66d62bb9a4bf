"""The limits of a server, and which client it drops when it is full.

Without a client certificate, no client can prove that it is the API server. So the server decides
by what a connection has done: it drops unused connections first, the oldest before the others,
because the API server sends its request within milliseconds and has many connections from one
address. Of the used connections, it first drops those of the address that has the most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Standing(IntEnum):
    """What a connection has done so far. The server drops the lowest first."""

    NOT_READING = 0
    """The client does not read its answers, or the connection is about to end."""
    HANDSHAKE = 1
    """The TLS handshake is not complete."""
    NEW = 2
    """The client has sent no complete request."""
    ASKED = 3
    SERVED = 4
    """The server has answered 200: to a valid AdmissionReview, or to a probe."""
    PROVEN = 5
    """The client has a certificate of the configured authority."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits for clients. Times are in seconds."""

    request_timeout: float
    """The time for a request to arrive, for the first request of a new connection, and for a client
    to read its answers."""
    keep_alive: float
    drain_timeout: float
    max_connections: int
    """The number of connections, including those in their handshake."""
    max_body: int
    max_buffered: int
    """Bytes of bodies that all connections hold, above `small_body` of each."""
    small_body: int = 64 << 10
    """Bytes that every connection may hold in any case, so that large requests of some clients
    never take the room for small requests of others."""

    @property
    def max_per_address(self) -> int:
        """Return the number of connections of one address: half, so that others find room."""
        return max(1, self.max_connections // 2)

    @property
    def handshakes(self) -> int:
        """Return how many handshakes rank with unused connections instead of below them.

        If all ranked below, a server full of idle connections would end each handshake of the API
        server for the next client.
        """
        return self.max_connections // 8


class Occupant(Protocol):
    """A connection, or a handshake that may become one."""

    address: str
    deadline: float
    """Of two in the same state, the one with the earlier deadline entered it first."""

    @property
    def charged(self) -> int:
        """Return the bytes that count for `Limits.max_buffered`."""

    @property
    def standing(self) -> Standing:
        """Return what the connection has done so far."""

    @property
    def is_answered(self) -> bool:
        """Return whether a complete request waits for its answer."""

    @property
    def is_receiving(self) -> bool:
        """Return whether a part of a request has arrived."""

    def evict(self) -> None:
        """End the connection at once, and leave the room."""


class Room:
    """The connections of a server, and the bytes that each holds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._occupants: set[Occupant] = set()
        self._addresses: Counter[str] = Counter()
        self.charged = 0
        self.evicted = 0
        """The number of connections that were dropped for others."""

    def __len__(self) -> int:
        return len(self._occupants)

    def enter(self, occupant: Occupant) -> None:
        """Count a connection, even if the server is full."""
        self._occupants.add(occupant)
        self._addresses[occupant.address] += 1

    def leave(self, occupant: Occupant) -> None:
        """Forget a connection that has ended; do nothing if it is already forgotten."""
        if occupant not in self._occupants:
            return
        self._occupants.discard(occupant)
        self._addresses[occupant.address] -= 1
        if not self._addresses[occupant.address]:
            del self._addresses[occupant.address]

    def make_room(self, address: str) -> bool:
        """Drop a connection if the server is full for `address`.

        Returns False if none can be dropped, because all wait for an answer.
        """
        if self._addresses[address] >= self._limits.max_per_address:
            return self._drop(member for member in self._occupants if member.address == address)
        if len(self._occupants) >= self._limits.max_connections:
            return self._drop(self._occupants)
        return True

    def drop_one(self) -> bool:
        """Drop a connection, because no file descriptor is left."""
        return self._drop(self._occupants)

    def fits(self, occupant: Occupant) -> bool:
        """Return whether all bytes are within the limit, after dropping others where needed.

        Returns False if the server must refuse `occupant`.
        """
        while self.charged > self._limits.max_buffered:
            held: Counter[str] = Counter()
            for member in self._occupants:
                held[member.address] += member.charged
            first = min(
                (member for member in self._occupants if member.charged),
                key=lambda member: (
                    member.standing,
                    -held[member.address],
                    member.is_answered,
                    member.deadline,
                ),
                default=occupant,
            )
            if (first.standing, held[first.address]) == (
                occupant.standing,
                held[occupant.address],
            ):
                return False  # the newer one has no precedence
            first.evict()
            self.evicted += 1
        return True

    def _drop(self, candidates: Iterable[Occupant]) -> bool:
        under_way = sum(member.standing is Standing.HANDSHAKE for member in self._occupants)
        few = under_way <= self._limits.handshakes
        first = min(
            (member for member in candidates if not member.is_answered),
            key=lambda member: self._order(member, few_handshakes=few),
            default=None,
        )
        if first is None:
            return False
        first.evict()
        self.evicted += 1
        return True

    def _order(self, member: Occupant, *, few_handshakes: bool) -> tuple[int, bool, int, float]:
        """Return the sort key of a connection; the lowest is dropped first."""
        standing = member.standing
        if standing is Standing.HANDSHAKE and few_handshakes:
            standing = Standing.NEW
        if standing in {Standing.HANDSHAKE, Standing.NEW}:
            return standing, False, 0, member.deadline
        return standing, member.is_receiving, -self._addresses[member.address], member.deadline
