"""Prices from a CSV file of candles.

The header is `time,symbol,open,high,low,close,volume`, in any order. `time` is RFC 3339 or
milliseconds since the epoch, the start of the candle. All rows have one interval; each symbol's
rows ascend, and may have gaps, in which the price stays.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from math import gcd
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tradingbot_exchange.documents import printable
from tradingbot_exchange.errors import MarketFileError
from tradingbot_exchange.market.prices import STEP_MS, Span

COLUMNS = ("time", "symbol", "open", "high", "low", "close", "volume")
MAX_ROWS = 1_000_000
_DIGITS = 15
_LIMIT = Decimal("1e12")
_LEAST = Decimal("1e-12")
"""The lowest price: figures computed from lower ones could overflow."""
_LATEST = 253_402_300_799_000
"""The end of the year 9999."""


class Row(NamedTuple):
    """One candle of the file. `time` is in milliseconds since the epoch."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class CandleFile:
    """The candles by symbol. `interval` is in milliseconds."""

    interval: int
    rows: Mapping[str, Sequence[Row]]

    @property
    def first(self) -> int:
        """The time at which every symbol has a price."""
        return max(rows[0].time for rows in self.rows.values())

    @property
    def end(self) -> int:
        """When the last candle ends."""
        return max(rows[-1].time for rows in self.rows.values()) + self.interval


class ReplayedPrices:
    """The prices of a file. The file's time `origin` is step 0."""

    def __init__(self, file: CandleFile, *, origin: int) -> None:
        self._file = file
        self._origin = origin
        self._times = {symbol: [row.time for row in rows] for symbol, rows in file.rows.items()}

    def price(self, symbol: str, step: int) -> Decimal:
        """Return the price at `step`. Before the first row, it is the first row's; after the last
        one, the last close. Raises KeyError for another symbol."""
        time = self._origin + step * STEP_MS
        rows = self._file.rows[symbol]
        place = bisect_right(self._times[symbol], time) - 1
        if place < 0:
            return rows[0].open
        row = rows[place]
        return _within(row, min(time - row.time, self._file.interval), self._file.interval)

    def regime(self, step: int) -> str:
        """Return `replay`, or `ended` after the last row."""
        return "ended" if self._origin + step * STEP_MS >= self._file.end else "replay"

    def span(self, symbol: str, first: int, last: int) -> Span:
        """Return the prices between two steps: the file's own candles where they are whole."""
        start, end = self._origin + first * STEP_MS, self._origin + last * STEP_MS
        times, rows = self._times[symbol], self._file.rows[symbol]
        still = self.price(symbol, first)
        whole: Span | None = None
        for row in rows[max(bisect_right(times, start) - 1, 0) : bisect_right(times, end - 1)]:
            part = self._part(row, start, end)
            if part is not None:
                whole = part if whole is None else _joined(whole, part)
        return whole or Span(still, still, still, still, Decimal(0))

    def _part(self, row: Row, start: int, end: int) -> Span | None:
        """Return what of a row is in [start, end)."""
        interval = self._file.interval
        begin, finish = max(row.time, start), min(row.time + interval, end)
        if begin >= finish:
            return None
        if finish - begin == interval:
            return Span(row.open, row.high, row.low, row.close, row.volume)
        moments = (*_some(range(begin, finish, STEP_MS)), finish)
        prices = [_within(row, moment - row.time, interval) for moment in moments]
        volume = row.volume * (finish - begin) / interval
        return Span(prices[0], max(prices), min(prices), prices[-1], volume)


def read_candles(path: Path, *, symbols: Sequence[str]) -> CandleFile:
    """Read a file. Raises MarketFileError, with the line, for what it can't use."""
    found: dict[str, list[Row]] = {}
    for line, symbol, row in _lines(path, symbols):
        rows = found.setdefault(symbol, [])
        if rows and row.time <= rows[-1].time:
            raise MarketFileError(
                f"{path}:{line}: {symbol} has this time or a later one before; sort the"
                " rows by time"
            )
        rows.append(row)
    if not found:
        raise MarketFileError(f"{path}: has no candles after the header")
    if missing := [symbol for symbol in symbols if symbol not in found]:
        raise MarketFileError(f"{path}: has no candles of {', '.join(missing)}")
    return CandleFile(_interval(path, found), found)


def candles(path: Path, *, symbols: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Return symbol and candle of each row, read as they are needed. Raises as `read_candles`."""
    return ((symbol, row) for _, symbol, row in _lines(path, symbols))


def _lines(path: Path, symbols: Sequence[str]) -> Iterator[tuple[int, str, Row]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _rows(path, file, symbols)
    except OSError as error:
        raise MarketFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MarketFileError(f"{path}: is not UTF-8 text") from error
    except csv.Error as error:
        raise MarketFileError(f"{path}: is not CSV: {error}") from error


def _rows(
    path: Path, lines: Iterator[str], symbols: Sequence[str]
) -> Iterator[tuple[int, str, Row]]:
    reader = csv.reader(lines, strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    if sorted(header) != sorted(COLUMNS):
        raise MarketFileError(f"{path}:1: the header must be {','.join(COLUMNS)}")
    in_order = itemgetter(*(header.index(name) for name in COLUMNS))
    for count, cells in enumerate(reader):
        line = reader.line_num
        if not cells:
            continue
        if count >= MAX_ROWS:
            raise MarketFileError(f"{path}:{line}: more than {MAX_ROWS} rows")
        if len(cells) != len(COLUMNS):
            raise MarketFileError(f"{path}:{line}: {len(cells)} values, expected {len(COLUMNS)}")
        time, symbol, *numbers = map(str.strip, in_order(cells))
        if symbol not in symbols:
            raise MarketFileError(
                f"{path}:{line}: unknown symbol '{printable(symbol)}'; supported:"
                f" {', '.join(symbols)}"
            )
        try:
            yield line, symbol, _row(time, numbers)
        except ValueError as error:
            raise MarketFileError(f"{path}:{line}: {error}") from error


def _row(time: str, numbers: Sequence[str]) -> Row:
    start = parse_time(time)
    try:
        opening, high, low, close, volume = map(Decimal, numbers)
        if (
            _LEAST <= low <= opening <= high < _LIMIT
            and low <= close <= high
            and 0 <= volume < _LIMIT
        ):
            return Row(start, opening, high, low, close, volume)
    except InvalidOperation:  # not a number, or NaN
        pass
    raise _mistake(numbers)


def _mistake(numbers: Sequence[str]) -> ValueError:
    """Return what is wrong with the figures of a row, of which something is."""
    values = []
    for name, text in zip(COLUMNS[2:], numbers, strict=True):
        try:
            value = Decimal(text)
        except InvalidOperation:
            return ValueError(f"{name} '{printable(text)}' is not a number")
        if not value.is_finite() or not -_LIMIT < value < _LIMIT:
            return ValueError(f"{name} '{printable(text)}' is not a number below 1e12")
        values.append(value)
    *prices, _ = values
    _, high, low, _ = prices
    if min(prices) <= 0:
        return ValueError("prices must be greater than 0")
    if min(prices) < _LEAST:
        return ValueError("prices must be at least 1e-12")
    if high != max(prices) or low != min(prices):
        return ValueError("high must be the highest and low the lowest of the four prices")
    return ValueError("volume must not be negative")


def parse_time(text: str) -> int:
    if text.isascii() and text.isdigit():
        time = int(text) if len(text) <= _DIGITS else _LATEST + 1
        if time > _LATEST:
            raise ValueError(f"time '{printable(text)}' is not in milliseconds since the epoch")
        return time
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time '{printable(text)}' is neither RFC 3339 nor milliseconds") from None
    if moment.tzinfo is None:
        raise ValueError(f"time '{printable(text)}' has no offset; append Z for UTC")
    time = round(moment.timestamp() * 1000)
    if not 0 <= time <= _LATEST:
        raise ValueError(f"time '{printable(text)}' is before 1970 or after 9999, in UTC")
    return time


def _interval(path: Path, found: Mapping[str, Sequence[Row]]) -> int:
    interval = 0
    for rows in found.values():
        for before, after in pairwise(rows):
            interval = gcd(interval, after.time - before.time)
    smallest = min(
        (b.time - a.time for rows in found.values() for a, b in pairwise(rows)), default=60_000
    )
    if interval not in {0, smallest} or smallest % 1000:
        raise MarketFileError(
            f"{path}: the times of the rows do not have one interval of whole seconds"
        )
    return smallest


def _within(row: Row, elapsed: int, interval: int) -> Decimal:
    """Return the price within a candle: open, the nearer extreme of the two, the other one, close.

    A rising candle is assumed to touch its low first.
    """
    first, second = (row.low, row.high) if row.close >= row.open else (row.high, row.low)
    points = (row.open, first, second, row.close)
    leg, place = divmod(elapsed * 3, interval)
    if leg >= len(points) - 1:
        return row.close
    return points[leg] + (points[leg + 1] - points[leg]) * place / interval


def _joined(first: Span, second: Span) -> Span:
    return Span(
        first.open,
        max(first.high, second.high),
        min(first.low, second.low),
        second.close,
        first.volume + second.volume,
    )


def _some(steps: range) -> Sequence[int]:
    """Return at most 64 of the steps, the first one included. None: the first."""
    return steps[:: max(1, len(steps) // 64)] or [steps.start]
