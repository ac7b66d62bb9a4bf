"""Limits that keep one namespace, or a bot that misbehaves, from slowing the polls of others."""

from collections import Counter
from dataclasses import dataclass, field

from tradingbot_api.namespaced_name import NamespacedName


class Places:
    """Limits the number of concurrent polls.

    Half of the places are open to all namespaces; the other half is reserved, in equal parts for
    each namespace that has bots. So the bots of one namespace can use all open places, and none
    that is reserved for another namespace. Each namespace gets at least one reserved place.

    Example: 8 places, bots in namespaces a and b. Each has 2 reserved places, and 4 are open: a can
    use up to 6, and b always gets its 2.
    """

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._bots: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        self._all_taken = 0

    def enter(self, namespace: str) -> None:
        """Add a bot of the namespace."""
        self._bots[namespace] += 1

    def leave(self, namespace: str) -> None:
        """Remove a bot of the namespace."""
        self._bots[namespace] -= 1
        if not self._bots[namespace]:
            del self._bots[namespace]

    def take(self, namespace: str) -> bool:
        """Take a place for a poll in the namespace. Return False if none is free."""
        if self._all_taken >= self._total:
            return False
        reserved = max(1, self._total // 2 // max(1, len(self._bots)))
        if self._taken[namespace] >= reserved:
            unreserved = self._total - reserved * len(self._bots)
            beyond = sum(max(0, taken - reserved) for taken in self._taken.values())
            if beyond >= unreserved:
                return False
        self._taken[namespace] += 1
        self._all_taken += 1
        return True

    def give_back(self, namespace: str) -> None:
        """Return a place."""
        self._all_taken -= 1
        self._taken[namespace] -= 1
        if not self._taken[namespace]:
            del self._taken[namespace]


FORGIVE_SECONDS = 300.0
MOST_STRIKES = 6
REMEMBERED = 10_000


@dataclass
class Strikes:
    """Counts how often a bot exceeded the limits of a poll lately.

    One strike expires in five minutes, also while the bot is not polled: neither a good answer in
    between nor a restart of the bot shortens that.
    """

    _strikes: dict[NamespacedName, tuple[float, float]] = field(default_factory=dict)
    """The number of strikes, and the time of that number."""

    def add(self, key: NamespacedName, now: float) -> None:
        """Add a strike."""
        self._strikes[key] = (min(self.of(key, now) + 1, MOST_STRIKES), now)
        if len(self._strikes) > REMEMBERED:
            for other in list(self._strikes):
                self.of(other, now)

    def of(self, key: NamespacedName, now: float) -> float:
        """Return the number of strikes that have not expired, which may be a fraction."""
        count, since = self._strikes.get(key, (0.0, now))
        count -= (now - since) / FORGIVE_SECONDS
        if count <= 0:
            self._strikes.pop(key, None)
        return max(count, 0.0)
