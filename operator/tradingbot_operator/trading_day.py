"""The trading day: a calendar date in the schedule's zone that begins at `dayStart`.

Days are found by calendar date, never by adding 24 hours: some have 23 and some 25. A start that a
clock change skips is the first instant after the gap, one that it repeats the first occurrence.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from tradingbot_api.schedule import minute_of_day

from tradingbot_operator.hours import instant

ONE = timedelta(days=1)


class Calendar(Protocol):
    """Where days begin; a `Schedule` says it."""

    @property
    def time_zone(self) -> str:
        """An IANA name."""

    @property
    def day_start(self) -> str:
        """A clock time there, as HH:MM."""


@dataclass(frozen=True)
class TradingDay:
    """A trading day and the instant (UTC) at which the next one begins."""

    date: date
    ends: datetime


def calendar_day(calendar: Calendar, now: datetime) -> TradingDay:
    """The day that the clocks of the calendar's zone show at `now` (aware)."""
    # A start that is moved by a clock change may be on the date after the one it is named for.
    day = now.astimezone(ZoneInfo(calendar.time_zone)).date() + ONE
    while _begin(calendar, day) > now:
        day -= ONE
    return TradingDay(day, _begin(calendar, day + ONE))


def trading_day(calendar: Calendar, now: datetime, before: TradingDay | None) -> TradingDay:
    """The day at `now`, if the last one known was `before`.

    It never goes backwards, whatever the clock does; and a new zone or `dayStart` counts from the
    next boundary, so that no edit cuts a day short. If the date in a new zone is not a later one by
    then, the day lasts until it is.
    """
    if before is not None and now < before.ends:
        return before
    today = calendar_day(calendar, now)
    if before is None or today.date > before.date:
        return today
    return TradingDay(before.date, _begin(calendar, before.date + ONE))


def _begin(calendar: Calendar, day: date) -> datetime:
    return instant(day, minute_of_day(calendar.day_start), ZoneInfo(calendar.time_zone))
