"""Binance's rate limits: request weight and requests by address, new orders by account.

Intervals begin at multiples of their length (a minute at second 0), and counts begin again with
them. Time is the exchange's, in milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tradingbot_exchange.binance.errors import ApiError

_MINUTE = 60_000
_RAW_INTERVAL = 5 * _MINUTE
_LONGEST_BAN = 3 * 24 * 60 * _MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """How much is allowed. The defaults are those that Binance announced for spot."""

    weight: int = 6000
    """Request weight of an address in a minute."""
    raw_requests: int = 300_000
    """Requests of an address in five minutes."""
    orders_10s: int = 100
    """Unfilled orders of an account in ten seconds."""
    orders_day: int = 200_000
    """Unfilled orders of an account in a day."""
    patience: int = 20
    """Requests after a 429, in the same minute, that turn it into a ban."""
    ban: int = 2 * _MINUTE
    """Length of an address's first ban; each further one doubles it, up to 3 days."""


@dataclass(frozen=True, slots=True)
class OrderInterval:
    """One interval in which orders are counted."""

    name: str
    number: int
    length: int
    """In milliseconds."""

    header: str
    """The header that carries its count."""


ORDER_INTERVALS = (
    OrderInterval("SECOND", 10, 10_000, "X-MBX-ORDER-COUNT-10S"),
    OrderInterval("DAY", 1, 24 * 60 * _MINUTE, "X-MBX-ORDER-COUNT-1D"),
)


@dataclass(slots=True)
class _Address:
    minute: int = -1
    weight: int = 0
    refused: int = 0
    """Requests after the limit was reached, in this minute."""
    raw_interval: int = -1
    raw: int = 0
    banned_until: int = 0
    bans: int = 0


class RequestWeights:
    """What each address has used."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._addresses: dict[str, _Address] = {}

    def admit(self, address: str, *, now: int) -> None:
        """Count one request. Raises ApiError (418, 429) if the address must wait."""
        used = self._current(address, now)
        if now < used.banned_until:
            raise _banned(used.banned_until, now)
        used.raw += 1
        if used.raw > self._limits.raw_requests:
            raise self._refused(used, now, _RAW_INTERVAL, "raw requests", self._limits.raw_requests)
        if used.weight >= self._limits.weight:
            raise self._refused(used, now, _MINUTE, "request weight", self._limits.weight)

    def charge(self, address: str, weight: int, *, now: int) -> None:
        """Add the weight of a request. Raises ApiError (429) if it is more than is left."""
        used = self._current(address, now)
        if used.weight + weight > self._limits.weight:
            used.weight = self._limits.weight
            raise self._refused(used, now, _MINUTE, "request weight", self._limits.weight)
        used.weight += weight

    def add(self, address: str, weight: int, *, now: int) -> None:
        """Add the weight of a request that failed."""
        self._current(address, now).weight += weight

    def used(self, address: str, *, now: int) -> int:
        """Return the weight that the address has used in this minute."""
        return self._current(address, now).weight

    def _current(self, address: str, now: int) -> _Address:
        used = self._addresses.get(address)
        if used is None:
            used = self._addresses[address] = _Address()
        minute = now // _MINUTE
        if used.minute != minute:
            used.minute, used.weight, used.refused = minute, 0, 0
            if used.raw_interval != now // _RAW_INTERVAL:
                used.raw_interval, used.raw = now // _RAW_INTERVAL, 0
        return used

    def _refused(self, used: _Address, now: int, length: int, what: str, limit: int) -> ApiError:
        used.refused += 1
        if used.refused > self._limits.patience:
            used.bans += 1
            longest = min(self._limits.ban * 2 ** (used.bans - 1), _LONGEST_BAN)
            used.banned_until = now + longest
            used.refused = 0
            return _banned(used.banned_until, now)
        per = "1 MINUTE" if length == _MINUTE else "5 MINUTE"
        text = (
            f"Too much {what} used; current limit is {limit} {what} per {per}. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return ApiError(-1003, text, status=429, retry_after=_seconds(length - now % length))


def _banned(until: int, now: int) -> ApiError:
    text = (
        f"Way too much request weight used; IP banned until {until}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return ApiError(-1003, text, status=418, retry_after=_seconds(until - now))


def _seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)


@dataclass(slots=True)
class _Account:
    until: int = 0
    """When the shortest interval ends."""
    starts: list[int] = field(default_factory=lambda: [-1] * len(ORDER_INTERVALS))
    counts: list[int] = field(default_factory=lambda: [0] * len(ORDER_INTERVALS))


class OrderCounts:
    """How many orders each account has placed and not had filled, per interval."""

    def __init__(self, limits: RateLimits) -> None:
        self._most = (limits.orders_10s, limits.orders_day)
        self._accounts: dict[str, _Account] = {}

    def add(self, account: str, orders: int, *, now: int) -> None:
        """Count orders. Raises ApiError (429) and counts nothing if there are too many."""
        counts = self._current(account, now).counts
        for index, most in enumerate(self._most):
            if counts[index] + orders > most:
                raise _too_many_orders(ORDER_INTERVALS[index], most, now)
        for index in range(len(counts)):
            counts[index] += orders

    def give_back(self, account: str, orders: int, *, now: int) -> None:
        """Uncount orders that were refused, or that are filled for the first time."""
        if account not in self._accounts:
            return
        counts = self._current(account, now).counts
        for index, count in enumerate(counts):
            counts[index] = max(0, count - orders)

    def counts(self, account: str, *, now: int) -> Iterator[tuple[OrderInterval, int, int]]:
        """Return each interval, its limit and its count."""
        return zip(ORDER_INTERVALS, self._most, self._current(account, now).counts, strict=True)

    def _current(self, account: str, now: int) -> _Account:
        counted = self._accounts.get(account)
        if counted is None:
            counted = self._accounts[account] = _Account()
        shortest = ORDER_INTERVALS[0].length
        if not counted.until - shortest <= now < counted.until:
            counted.until = (now // shortest + 1) * shortest
            for index, interval in enumerate(ORDER_INTERVALS):
                if counted.starts[index] != now // interval.length:
                    counted.starts[index], counted.counts[index] = now // interval.length, 0
        return counted


def _too_many_orders(interval: OrderInterval, most: int, now: int) -> ApiError:
    return ApiError(
        -1015,
        f"Too many new orders; current limit is {most} orders per"
        f" {interval.number} {interval.name}.",
        status=429,
        retry_after=_seconds(interval.length - now % interval.length),
    )
