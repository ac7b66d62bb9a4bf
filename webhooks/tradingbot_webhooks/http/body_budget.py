"""How many bytes of request bodies a connection holds, and how many of them count for the room."""

from __future__ import annotations

from tradingbot_webhooks.http.room import Limits, Room


class BodyBudget:
    """The bytes that one connection holds.

    The first `Limits.small_body` bytes are free. Those above are charged to the room, whose sum is
    bounded by `Limits.max_buffered`.
    """

    __slots__ = ("_limits", "_room", "charged", "held")

    def __init__(self, limits: Limits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self.held = 0
        self.charged = 0

    def has_room(self, size: int) -> bool:
        """Return whether a body of `size` bytes is within all limits."""
        limits = self._limits
        return size <= limits.max_body and (
            self.held + size <= limits.small_body
            or self._room.charged + size <= limits.max_buffered
        )

    def hold(self, size: int) -> None:
        """Add bytes that were received."""
        self.held += size
        small = self._limits.small_body
        if self.held > small:
            self._charge(self.held - small)

    def release(self, size: int) -> None:
        """Subtract bytes that are no longer needed."""
        self.held -= size
        if self.charged:
            self._charge(max(0, self.held - self._limits.small_body))

    def release_all(self) -> None:
        """Subtract everything: the connection has ended."""
        self.release(self.held)

    def _charge(self, size: int) -> None:
        self._room.charged += size - self.charged
        self.charged = size
