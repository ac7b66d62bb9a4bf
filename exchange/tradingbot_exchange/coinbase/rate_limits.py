"""Requests per second: 30 of a key, 10 of an address without one."""

from collections import OrderedDict
from dataclasses import dataclass

PRIVATE_PER_SECOND = 30
PUBLIC_PER_SECOND = 10

_REMEMBERED = 10_000
"""Keys and addresses whose use is known. The one that asked longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit, after a request. `reset` is in seconds from now."""

    limit: int
    remaining: int
    reset: int
    allowed: bool

    def headers(self) -> dict[str, str]:
        """Return the headers that every answer has."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(self.reset),
        }


class PerSecond:
    """Counts requests in whole seconds. A refused request counts as well."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def take(self, who: str, *, now_ms: int) -> Allowance:
        """Count a request of `who`."""
        second = now_ms // 1000
        started, used = self._used.pop(who, (second, 0))
        if started != second:
            used = 0
        used += 1
        self._used[who] = (second, used)
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return Allowance(self._limit, max(self._limit - used, 0), 1, used <= self._limit)
