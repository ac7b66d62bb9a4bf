"""The trading day: a calendar date in the schedule's zone that begins at `dayStart`.

Days are found by calendar date, never by adding 24 hours: some have 23 and some 25. A start that a
clock change skips is the first instant after the gap, one that it repeats the first occurrence.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tradingbot_api.schedule import minute_of_day
from tradingbot_api.tradingbot import Schedule

from tradingbot_operator.hours import instant

ONE = timedelta(days=1)


@dataclass(frozen=True)
class TradingDay:
    """A trading day and the instant (UTC) at which the next one begins."""

    date: date
    ends: datetime


def calendar_day(schedule: Schedule, now: datetime) -> TradingDay:
    """The day that the clocks of the schedule's zone show at `now` (aware)."""
    # A start that is moved by a clock change may be on the date after the one it is named for.
    day = now.astimezone(ZoneInfo(schedule.time_zone)).date() + ONE
    while _begin(schedule, day) > now:
        day -= ONE
    return TradingDay(day, _begin(schedule, day + ONE))


def trading_day(schedule: Schedule, now: datetime, before: TradingDay | None) -> TradingDay:
    """The day at `now`, if the last one known was `before`.

    It never goes backwards, whatever the clock does; and a new zone or `dayStart` counts from the
    next boundary, so that no edit cuts a day short. If the date in a new zone is not a later one by
    then, the day lasts until it is.
    """
    if before is not None and now < before.ends:
        return before
    today = calendar_day(schedule, now)
    if before is None or today.date > before.date:
        return today
    return TradingDay(before.date, _begin(schedule, before.date + ONE))


def _begin(schedule: Schedule, day: date) -> datetime:
    return instant(day, minute_of_day(schedule.day_start), ZoneInfo(schedule.time_zone))
