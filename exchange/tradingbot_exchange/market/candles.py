"""Candles: recorded from trades since the start of the exchange, computed from prices before."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from tradingbot_exchange.engine.types import Trade
from tradingbot_exchange.venue import Candle

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
_WEEK = 7 * DAY
_MONDAY = 4 * DAY
"""The first Monday after the epoch, which was a Thursday."""

KEPT = {SECOND: 7_200, MINUTE: 10_080, HOUR: 8_760}
"""Candles kept by interval: two hours of seconds, a week of minutes, a year of hours."""

MAX_CANDLES = 1_500
"""Candles in one answer."""

HISTORY = 1_500 * DAY
"""How long before its start an exchange has prices."""

_CACHED = 20_000


def bucket(time: int, interval: int) -> int:
    """Return the start of the candle that `time` is in. Weeks begin on Monday."""
    offset = _MONDAY if interval % _WEEK == 0 else 0
    return (time - offset) // interval * interval + offset


class RecordedCandles:
    """Candles of one symbol, from its trades. Memory is bounded by KEPT."""

    def __init__(self) -> None:
        self._kept: dict[int, deque[Candle]] = {
            interval: deque(maxlen=count) for interval, count in KEPT.items()
        }

    def add(self, trade: Trade) -> None:
        """Count a trade. Trades come in the order of their time."""
        for interval, kept in self._kept.items():
            start = bucket(trade.time, interval)
            if kept and kept[-1].start >= start:
                kept[-1] = _with(kept[-1], trade)
            else:
                kept.append(_of(trade, start))

    def between(self, interval: int, start: int, end: int) -> Iterator[Candle]:
        """Iterate over candles of `interval` that begin in [start, end], those with trades only."""
        base = next(b for b in reversed(KEPT) if interval % b == 0)
        whole: Candle | None = None
        for candle in _since(self._kept[base], start):
            begin = bucket(candle.start, interval)
            if begin > end:
                break
            if whole is not None and whole.start == begin:
                whole = joined(whole, candle)
                continue
            if whole is not None:
                yield whole
            whole = replace(candle, start=begin)
        if whole is not None:
            yield whole

    def rows_since(self, time: int) -> Iterator[tuple[int, int, list[str]]]:
        """Iterate over the candles that trades since `time` have changed: interval, start, row."""
        for interval, kept in self._kept.items():
            for candle in _since(kept, bucket(time, interval)):
                yield interval, candle.start, _row(candle)

    def restore(self, rows: Mapping[int, Iterable[list[str]]]) -> None:
        """Take the rows by interval, oldest first."""
        for interval, kept in self._kept.items():
            kept.clear()
            kept.extend(_candle(row) for row in rows.get(interval, ()))


class CandleHistory:
    """Candles of one symbol before the start, computed once each.

    `compute(start, end)` makes the candle of [start, end) in milliseconds since the epoch.
    """

    def __init__(self, compute: Callable[[int, int], Candle]) -> None:
        self._compute = compute
        self._cache: OrderedDict[tuple[int, int], Candle] = OrderedDict()

    def get(self, start: int, end: int) -> Candle:
        """Return a candle of [start, end)."""
        key = (start, end)
        candle = self._cache.get(key)
        if candle is None:
            candle = self._cache[key] = self._compute(start, end)
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return candle


class Candles:
    """All candles of one symbol of an exchange that began at `begin`."""

    def __init__(self, history: CandleHistory, *, begin: int) -> None:
        self._history = history
        self._begin = begin
        self.recorded = RecordedCandles()

    def between(self, interval: int, *, start: int, end: int, now: int) -> list[Candle]:
        """Return the candles that begin in [start, end], oldest first, MAX_CANDLES at most.

        An interval without trades has the last price, and volume 0. Raises ValueError for an
        interval that is not a multiple of a second.
        """
        if interval <= 0 or interval % SECOND:
            raise ValueError(f"a candle's interval is a multiple of 1000 ms, not {interval}")
        first = bucket(max(start, self._begin - HISTORY) + interval - 1, interval)
        last = min(end, now, first + (MAX_CANDLES - 1) * interval)
        if last < first:
            return []
        result = [
            self._history.get(begin, min(begin + interval, self._begin))
            for begin in range(first, min(last + 1, self._begin), interval)
        ]
        live = max(first, bucket(self._begin, interval))
        if live > last:
            return result
        traded = {c.start: c for c in self.recorded.between(interval, live, last)}
        for begin in range(live, last + 1, interval):
            candle = traded.get(begin)
            if begin < self._begin and result:
                # The exchange began within this candle.
                result[-1] = result[-1] if candle is None else joined(result[-1], candle)
                continue
            result.append(candle or self._still(result, begin, interval))
        return result

    def _still(self, before: list[Candle], begin: int, interval: int) -> Candle:
        """Return the candle of an interval without trades."""
        close = before[-1].close if before else self._close_before(begin, interval)
        none = Decimal(0)
        return Candle(
            start=begin, open=close, high=close, low=close, close=close,
            volume=none, quote_volume=none, trades=0,
        )  # fmt: skip

    def _close_before(self, begin: int, interval: int) -> Decimal:
        close = None
        for candle in self.recorded.between(interval, self._begin, begin - 1):
            close = candle.close
        return (
            self._history.get(self._begin - SECOND, self._begin).close if close is None else close
        )


def joined(first: Candle, second: Candle) -> Candle:
    """Return the candle of both, of which `second` is the later one."""
    return Candle(
        start=first.start,
        open=first.open,
        high=max(first.high, second.high),
        low=min(first.low, second.low),
        close=second.close,
        volume=first.volume + second.volume,
        quote_volume=first.quote_volume + second.quote_volume,
        trades=first.trades + second.trades,
    )


def _of(trade: Trade, start: int) -> Candle:
    return Candle(
        start=start, open=trade.price, high=trade.price, low=trade.price, close=trade.price,
        volume=trade.quantity, quote_volume=trade.price * trade.quantity, trades=1,
    )  # fmt: skip


def _with(candle: Candle, trade: Trade) -> Candle:
    return joined(candle, _of(trade, candle.start))


def _since(kept: deque[Candle], start: int) -> Iterator[Candle]:
    """Iterate over the candles from `start` on. Most requests are for the newest ones."""
    place = len(kept)
    while place and kept[place - 1].start >= start:
        place -= 1
    return (kept[i] for i in range(place, len(kept)))


def _row(candle: Candle) -> list[str]:
    return [
        str(value)
        for value in (
            candle.start, candle.open, candle.high, candle.low, candle.close,
            candle.volume, candle.quote_volume, candle.trades,
        )
    ]  # fmt: skip


def _candle(row: list[str]) -> Candle:
    prices = [Decimal(value) for value in row[1:7]]
    return Candle(
        start=int(row[0]), open=prices[0], high=prices[1], low=prices[2], close=prices[3],
        volume=prices[4], quote_volume=prices[5], trades=int(row[7]),
    )  # fmt: skip
