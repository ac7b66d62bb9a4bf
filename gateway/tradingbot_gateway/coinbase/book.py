"""A book that is kept from the channel `level2`: a snapshot, then levels that changed. Pure."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradingbot_gateway.markets import Depth, Levels

LEVELS = 20
_SIDES = {"bid": -1, "offer": 1}


class _Side:
    """One side, best first. Bids are sorted by their negative price."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._order: list[Decimal] = []
        self._sizes: dict[Decimal, Decimal] = {}

    def set(self, price: Decimal, size: Decimal) -> None:
        key = price * self._sign
        if size:
            if key not in self._sizes:
                insort(self._order, key)
            self._sizes[key] = size
        elif self._sizes.pop(key, None) is not None:
            del self._order[bisect_left(self._order, key)]

    def best(self) -> Levels:
        return tuple((key * self._sign, self._sizes[key]) for key in self._order[:LEVELS])


class Book:
    """The book of one product."""

    def __init__(self) -> None:
        self._sides = {name: _Side(sign) for name, sign in _SIDES.items()}

    def update(self, updates: Iterable[Mapping[str, str]]) -> None:
        """Take levels of an event; a size of 0 removes one. Raises KeyError, ArithmeticError."""
        for each in updates:
            side = self._sides[each["side"]]
            side.set(Decimal(each["price_level"]), Decimal(each["new_quantity"]))

    def depth(self, time: int) -> Depth:
        """Return the best levels, as received at `time`."""
        return Depth(self._sides["bid"].best(), self._sides["offer"].best(), time)
