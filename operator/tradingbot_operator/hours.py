"""When a bot's schedule is open: pure functions of a schedule and an instant.

Windows are spans between instants, found by calendar date in the schedule's zone: a start that a
clock change skips is the first instant after the gap, one that it repeats is the first occurrence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tradingbot_api.schedule import DAYS, minute_of_day
from tradingbot_api.tradingbot import Schedule

SEARCH_STEPS = 2000
"""Boundaries looked at for the next transition: more than 50 windows have in two weeks."""


@dataclass(frozen=True)
class Hours:
    """Whether a schedule is open, and when that changes next (None: not in the foreseeable)."""

    open: bool
    next_transition: datetime | None


def instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the clocks of `zone` show `minute` of `day`."""
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # In a gap: fold=1 reckons with the offset after it, so the change lies between the two.
    before = local.replace(fold=1).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    while moment - before > timedelta(seconds=1):
        middle = before + (moment - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            moment = middle
    return moment.replace(microsecond=0)


def hours(schedule: Schedule, now: datetime) -> Hours:
    """The state of `schedule` at `now` (aware)."""
    zone = ZoneInfo(schedule.time_zone)
    is_open = _is_open(schedule, zone, now)
    at = now
    for _ in range(SEARCH_STEPS):
        boundary = _next_boundary(schedule, zone, at)
        if boundary is None:
            return Hours(is_open, None)
        if _is_open(schedule, zone, boundary) != is_open:
            return Hours(is_open, boundary)
        at = boundary
    return Hours(is_open, at)


def _is_open(schedule: Schedule, zone: ZoneInfo, now: datetime) -> bool:
    if any(begin <= now < end for begin, end in _blackouts(schedule)):
        return False
    if not schedule.windows:
        return True
    return any(begin <= now < end for begin, end in _windows(schedule, zone, now, ahead=1))


def _next_boundary(schedule: Schedule, zone: ZoneInfo, now: datetime) -> datetime | None:
    blackouts = _blackouts(schedule)
    inside = [end for begin, end in blackouts if begin <= now < end]
    if inside:
        return max(inside)
    edges = [edge for span in blackouts for edge in span]
    edges += [edge for span in _windows(schedule, zone, now, ahead=8) for edge in span]
    return min((edge for edge in edges if edge > now), default=None)


def _blackouts(schedule: Schedule) -> list[tuple[datetime, datetime]]:
    return [
        (
            datetime.fromisoformat(one.from_).astimezone(UTC),
            datetime.fromisoformat(one.to).astimezone(UTC),
        )
        for one in schedule.blackouts
    ]


def _windows(
    schedule: Schedule, zone: ZoneInfo, now: datetime, *, ahead: int
) -> Iterator[tuple[datetime, datetime]]:
    """The windows that start from two days before `now` to `ahead` days after it."""
    today = now.astimezone(zone).date()
    for offset in range(-2, ahead + 1):
        day = today + timedelta(days=offset)
        for window in schedule.windows:
            if DAYS[day.weekday()] in window.days:
                start, end = minute_of_day(window.start), minute_of_day(window.end)
                last = day + timedelta(days=1) if end <= start else day
                yield instant(day, start, zone), instant(last, end, zone)
