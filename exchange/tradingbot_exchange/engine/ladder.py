"""Orders of one side, by price and then by time.

A side of the book and a set of waiting stops have the same structure: a sorted list of prices, a
level for each price, and in each level a linked list of entries in the order of their arrival.
Adding and removing an order at an existing price takes constant time; a new price takes a binary
search and a move of the prices behind it, of which there are few near the best price.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from tradingbot_exchange.engine.entries import Entry


class PriceLevel:
    """The entries at one price, oldest first. `lots` is the sum of what they still want."""

    __slots__ = ("head", "key", "lots", "price", "tail")

    def __init__(self, price: int, key: int, entry: Entry) -> None:
        self.price: Final = price
        self.key: Final = key
        self.lots = 0
        self.head = entry
        self.tail = entry

    def __iter__(self) -> Iterator[Entry]:
        """Iterate from the oldest entry to the newest."""
        entry: Entry | None = self.head
        while entry is not None:
            yield entry
            entry = entry.next


class Ladder:
    """Levels of entries, best first: highest first for bids, lowest first for asks.

    `changed` has the lots of each level as they were before the current call, for a BookEvent. It
    stays empty for stops (`public=False`), which nobody sees.
    """

    __slots__ = ("_keys", "_levels", "_public", "_sign", "changed")

    def __init__(self, *, highest_first: bool, public: bool = True) -> None:
        self._public: Final = public
        # Keys are ascending, and the best one is the last: there a list grows and shrinks cheaply.
        self._sign: Final = 1 if highest_first else -1
        self._keys: list[int] = []
        self._levels: dict[int, PriceLevel] = {}
        self.changed: dict[int, int] = {}

    def key(self, price: int) -> int:
        """Return the rank of a price: higher is better."""
        return price * self._sign

    @property
    def best(self) -> PriceLevel | None:
        """The level that is matched first."""
        return self._levels[self._keys[-1]] if self._keys else None

    def level(self, price: int) -> PriceLevel | None:
        """Return the level of a price."""
        return self._levels.get(price * self._sign)

    def __iter__(self) -> Iterator[PriceLevel]:
        """Iterate from the best level to the worst. Don't change the ladder meanwhile."""
        levels = self._levels
        for key in reversed(self._keys):
            yield levels[key]

    def append(self, entry: Entry, price: int) -> None:
        """Add an entry as the newest one of its price."""
        key = price * self._sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = PriceLevel(price, key, entry)
            keys = self._keys
            if not keys or key > keys[-1]:
                keys.append(key)
            else:
                keys.insert(bisect_left(keys, key), key)
        else:
            entry.previous = level.tail
            level.tail.next = level.tail = entry
        if self._public:
            self.changed.setdefault(price, level.lots)
        level.lots += entry.lots
        entry.level = level

    def reduce(self, entry: Entry, lots: int) -> None:
        """Lower what an entry wants; its place stays."""
        level = _level_of(entry)
        if self._public:
            self.changed.setdefault(level.price, level.lots)
        entry.lots -= lots
        level.lots -= lots

    def remove(self, entry: Entry) -> None:
        """Remove an entry from its level, and the level if it is empty."""
        level = _level_of(entry)
        if self._public:
            self.changed.setdefault(level.price, level.lots)
        level.lots -= entry.lots
        before, after = entry.previous, entry.next
        entry.level = entry.previous = entry.next = None
        if before is None and after is None:
            del self._levels[level.key]
            keys = self._keys
            if keys[-1] == level.key:
                keys.pop()
            else:
                del keys[bisect_left(keys, level.key)]
            return
        if before is None:
            level.head = after or level.head
        else:
            before.next = after
        if after is None:
            level.tail = before or level.tail
        else:
            after.previous = before

    def changes(self) -> list[tuple[int, int]]:
        """Return prices and lots of the levels that the current call changed, and forget them."""
        levels, sign = self._levels, self._sign
        result = []
        for price, before in self.changed.items():
            level = levels.get(price * sign)
            lots = 0 if level is None else level.lots
            if lots != before:
                result.append((price, lots))
        self.changed = {}
        return result


def _level_of(entry: Entry) -> PriceLevel:
    if entry.level is None:
        raise LookupError(f"order {entry.order.id} is in no ladder")
    return entry.level
