"""The trading day: a calendar date in the schedule's zone that begins at `dayStart`.

Days are computed from calendar dates, never by adding 24 hours: some have 23 hours, some 25. A
start that a clock change skips is the first instant after the gap; of a start that it repeats, the
first occurrence counts.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from tradingbot_api.schedule import minute_of_day
from tradingbot_api.trading_hours import instant

ONE = timedelta(days=1)


class Calendar(Protocol):
    """The fields of a `Schedule` that define where days begin."""

    @property
    def time_zone(self) -> str:
        """An IANA name."""

    @property
    def day_start(self) -> str:
        """A clock time in that zone, as HH:MM."""


@dataclass(frozen=True)
class TradingDay:
    """A trading day and the instant (UTC) at which the next one begins."""

    date: date
    ends: datetime


def calendar_day(calendar: Calendar, now: datetime) -> TradingDay:
    """Return the day at `now` (aware), by the calendar alone."""
    # Begin a day late: a clock change can move the start of a day to the next date.
    day = now.astimezone(ZoneInfo(calendar.time_zone)).date() + ONE
    while begin(calendar, day) > now:
        day -= ONE
    return TradingDay(day, begin(calendar, day + ONE))


def trading_day(calendar: Calendar, now: datetime, before: TradingDay | None) -> TradingDay:
    """Return the day at `now`, if the last known day was `before`.

    A day never goes backwards, even if the clock does. A new zone or `dayStart` takes effect when
    the present day ends, so that no edit ends a halt early. If the date in the new zone is not
    later than that of `before` by then, the day lasts until it is.
    """
    if before is not None and now < before.ends:
        return before
    today = calendar_day(calendar, now)
    if before is None or today.date > before.date:
        return today
    return TradingDay(before.date, begin(calendar, before.date + ONE))


def begin(calendar: Calendar, day: date) -> datetime:
    """Return the first instant (UTC) of a trading day."""
    return instant(day, minute_of_day(calendar.day_start), ZoneInfo(calendar.time_zone))
