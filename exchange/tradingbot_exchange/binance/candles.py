"""Binance's candles: its intervals, of which weeks begin on Monday and months on the first."""

import time as clock
from calendar import timegm
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby

from tradingbot_exchange.binance.symbols import amount
from tradingbot_exchange.venue import Candle, Venue

_SECOND = 1000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
DAY = 24 * _HOUR
_WEEK = 7 * DAY
_FIRST_MONDAY = 4 * DAY
"""1970-01-05, in milliseconds."""

_UNITS = {"s": _SECOND, "m": _MINUTE, "h": _HOUR, "d": DAY}
_LONGEST_MONTH = 31 * DAY
UNKNOWN_VOLUME = amount(Decimal(0))
"""Volume that takers bought: the venue does not record it."""


def length(interval: str) -> int:
    """Return the length of an interval in milliseconds; of a month, the longest."""
    if interval == "1M":
        return _LONGEST_MONTH
    if interval == "1w":
        return _WEEK
    return int(interval[:-1]) * _UNITS[interval[-1]]


def start_of(interval: str, time: int) -> int:
    """Return when the candle of a time begins, in milliseconds since the epoch."""
    if interval == "1w":
        return (time - _FIRST_MONDAY) // _WEEK * _WEEK + _FIRST_MONDAY
    if interval == "1M":
        date = clock.gmtime(time // _SECOND)
        return timegm((date.tm_year, date.tm_mon, 1, 0, 0, 0)) * _SECOND
    step = length(interval)
    return time // step * step


def end_of(interval: str, start: int) -> int:
    """Return the last millisecond of the candle that begins at `start`."""
    if interval == "1M":
        return start_of(interval, start + _LONGEST_MONTH + DAY) - 1
    return start + length(interval) - 1


def candles(
    venue: Venue,
    symbol: str,
    interval: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
) -> list[Candle]:
    """Return up to `limit` candles, oldest first.

    They are the oldest ones that begin at or after `start`, if this is given, or else the newest.
    """
    until = venue.market_time() if end is None else min(end, venue.market_time())
    if start is not None:
        if start > until:  # perhaps in a year that no calendar has
            return []
        return _between(venue, symbol, interval, start, until)[:limit]
    first = start_of(interval, until) - (limit - 1) * length(interval)
    return _between(venue, symbol, interval, max(first, 0), until)[-limit:]


def _between(venue: Venue, symbol: str, interval: str, start: int, end: int) -> list[Candle]:
    if interval != "1M":
        return venue.candles(symbol, length(interval), start=start, end=end)
    first = start_of(interval, start)
    days = venue.candles(symbol, DAY, start=first, end=end)
    merged = [
        _merged(begin, list(group))
        for begin, group in groupby(days, key=lambda day: start_of(interval, day.start))
    ]
    return [candle for candle in merged if candle.start >= start]


def _merged(start: int, parts: Sequence[Candle]) -> Candle:
    return replace(
        parts[0],
        start=start,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum((part.volume for part in parts), Decimal(0)),
        quote_volume=sum((part.quote_volume for part in parts), Decimal(0)),
        trades=sum(part.trades for part in parts),
    )


def kline(candle: Candle, interval: str) -> list[object]:
    """Return a candle in the 12 columns of `klines`. What takers bought is not known, and 0."""
    return [
        candle.start,
        amount(candle.open),
        amount(candle.high),
        amount(candle.low),
        amount(candle.close),
        amount(candle.volume),
        end_of(interval, candle.start),
        amount(candle.quote_volume),
        candle.trades,
        UNKNOWN_VOLUME,
        UNKNOWN_VOLUME,
        "0",
    ]
