"""Windows of a week, as minutes: the arithmetic that admission and the operator share.

A window belongs to the day it starts on; one whose end is not after its start runs past midnight,
and one that starts on Sunday then runs into Monday.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Literal, get_args

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: tuple[Day, ...] = get_args(Day)
MINUTES_A_DAY = 24 * 60
MINUTES_A_WEEK = 7 * MINUTES_A_DAY
CLOCK_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"

_DAY_BEGINS: dict[str, int] = {day: number * MINUTES_A_DAY for number, day in enumerate(DAYS)}
_MINUTES = {f"{n // 60:02}:{n % 60:02}": n for n in range(MINUTES_A_DAY)}


def minute_of_day(clock_time: str) -> int:
    """Minutes since midnight of `HH:MM`; ValueError if it is not a clock time."""
    minute = _MINUTES.get(clock_time)
    if minute is None:
        raise ValueError(f"not a time of day: {clock_time!r}")
    return minute


def week_intervals(days: Iterable[str], start: str, end: str) -> list[tuple[int, int]]:
    """Return the half-open minute intervals of the week that a window covers; Monday 00:00 is 0."""
    first, last = minute_of_day(start), minute_of_day(end)
    length = (last - first) % MINUTES_A_DAY
    intervals = []
    for day in days:
        begin = _DAY_BEGINS[day] + first
        stop = begin + length
        if stop > MINUTES_A_WEEK:
            intervals += [(begin, MINUTES_A_WEEK), (0, stop - MINUTES_A_WEEK)]
        else:
            intervals.append((begin, stop))
    return intervals


def overlapping(windows: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Return the pairs of indexes, the lower first, of windows that share a minute of the week.

    Every window that overlaps an earlier span is in some pair; not every pair is listed.
    """
    spans = sorted(
        (begin, end, index)
        for index, window in enumerate(windows)
        for begin, end in window
        if begin < end
    )
    pairs = set()
    reach, owner = 0, -1
    for begin, end, index in spans:
        if begin < reach and index != owner:
            pairs.add((min(owner, index), max(owner, index)))
        if end > reach:
            reach, owner = end, index
    return sorted(pairs)


@cache
def time_zones() -> frozenset[str]:
    """Return the accepted IANA names: those of the `tzdata` package, the same on every machine.

    The system's own database may hold more (`posixrules`, `right/UTC`) or be missing.
    """
    zones = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(zones.split())
