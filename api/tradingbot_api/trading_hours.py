"""Whether a bot's schedule is open: pure functions of a schedule and an instant.

Windows are spans between instants, computed from calendar dates in the schedule's zone. A start
that a clock change skips is the first instant after the gap; of a start that it repeats, the first
occurrence counts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tradingbot_api.schedule import DAYS, minute_of_day
from tradingbot_api.tradingbot import Schedule

AHEAD = 16
"""Days of windows that are computed: a clock change can skip a weekly window once, not twice."""

ALWAYS = timedelta(days=15)
"""Windows without a gap for so long have none at all."""

FAR = datetime(9990, 1, 1, tzinfo=UTC)
"""Nothing is computed beyond: the calendar of datetime ends soon after."""

Span = tuple[datetime, datetime]
"""First instant, and first instant after the end."""


@dataclass(frozen=True)
class Hours:
    """Whether a schedule is open, and when that changes next (None: not in the known future)."""

    open: bool
    next_transition: datetime | None


def instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """Return the UTC instant at which the clocks of `zone` show `minute` of `day`."""
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # In a gap. fold=1 uses the offset after it, so the change lies between the two instants: find
    # it by bisection.
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
    """Return the state of `schedule` at `now` (aware)."""
    zone = ZoneInfo(schedule.time_zone)
    blackouts = _blackouts(schedule)
    window = _holding(now, _windows(schedule, zone, now))
    if window is None or _holding(now, blackouts) is not None:
        return Hours(False, _opening(schedule, zone, blackouts, now))
    closings = [begin for begin, _ in blackouts if begin > now]
    if window[1] - now < ALWAYS:
        closings.append(window[1])
    return Hours(True, min(closings, default=None))


def _opening(
    schedule: Schedule, zone: ZoneInfo, blackouts: list[Span], now: datetime
) -> datetime | None:
    """Return the first open instant after `now`, at which the schedule is closed."""
    at = now
    while at < FAR:
        blackout = _holding(at, blackouts)
        if blackout is not None:
            at = blackout[1]
            continue
        windows = _windows(schedule, zone, at)
        if _holding(at, windows) is not None:
            return at
        following = min((begin for begin, _ in windows if begin > at), default=None)
        if following is None:
            return None
        at = following
    return None


def _holding(at: datetime, spans: list[Span]) -> Span | None:
    return next((span for span in spans if span[0] <= at < span[1]), None)


def _blackouts(schedule: Schedule) -> list[Span]:
    return _merged((_utc(blackout.from_), _utc(blackout.to)) for blackout in schedule.blackouts)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _windows(schedule: Schedule, zone: ZoneInfo, now: datetime) -> list[Span]:
    """Return the open windows from two days before `now` to some weeks after it."""
    if not schedule.windows:
        return [(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))]
    return _merged(_starting_around(schedule, zone, now.astimezone(zone).date()))


def _starting_around(schedule: Schedule, zone: ZoneInfo, today: date) -> Iterator[Span]:
    for offset in range(-2, AHEAD + 1):
        day = today + timedelta(days=offset)
        for window in schedule.windows:
            if DAYS[day.weekday()] in window.days:
                start, end = minute_of_day(window.start), minute_of_day(window.end)
                last = day + timedelta(days=1) if end <= start else day
                yield instant(day, start, zone), instant(last, end, zone)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Merge spans into spans that neither overlap nor touch, in order."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged
