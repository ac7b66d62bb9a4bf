"""When schedules are open: against a computation by minute, and on special days of zones."""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tradingbot_api.schedule import DAYS, minute_of_day
from tradingbot_api.trading_hours import Hours, hours, instant
from tradingbot_api.tradingbot import Schedule

MINUTE = timedelta(minutes=1)
BEFORE, AFTER = 4, 16
"""Days around an instant that are computed by minute."""


def schedule(**parts: Any) -> Schedule:
    return Schedule.model_validate(parts)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@cache
def furthest_clocks(zone: str, first: date) -> list[datetime]:
    """Return the latest time shown by clocks of `zone` so far, for each UTC minute from `first`."""
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    info = ZoneInfo(zone)
    shown = (
        (start + minute * MINUTE).astimezone(info).replace(tzinfo=None)
        for minute in range((BEFORE + AFTER) * 24 * 60)
    )
    return list(accumulate(shown, max))


def open_minutes(subject: Schedule, first: date) -> bytearray:
    """Whether each UTC minute from `first` on is open.

    A time of day comes at the first minute at which the clocks have reached it: skipped times at
    the gap's end, repeated ones the first time.
    """
    clocks = furthest_clocks(subject.time_zone, first)
    result = bytearray(len(clocks)) if subject.windows else bytearray(b"\1" * len(clocks))
    for offset in range(-3, BEFORE + AFTER + 1):
        day = datetime(first.year, first.month, first.day) + timedelta(days=offset)  # noqa: DTZ001
        for window in subject.windows:
            if DAYS[day.weekday()] in window.days:
                start, end = minute_of_day(window.start), minute_of_day(window.end)
                end += 24 * 60 if end <= start else 0
                begin = bisect_left(clocks, day + start * MINUTE)
                stop = bisect_left(clocks, day + end * MINUTE)
                result[begin:stop] = b"\1" * (stop - begin)
    origin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    for blackout in subject.blackouts:
        begin, stop = (
            min(max(int((datetime.fromisoformat(edge) - origin) / MINUTE), 0), len(clocks))
            for edge in (blackout.from_, blackout.to)
        )
        result[begin:stop] = bytes(stop - begin)
    return result


clock_times = st.builds(
    "{:02}:{:02}".format, st.integers(0, 23), st.sampled_from((0, 15, 30, 45, 59))
)
windows = st.builds(
    lambda days, span: {"days": days, "start": span[0], "end": span[1]},
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
    st.lists(clock_times, min_size=2, max_size=2, unique=True),
)
ZONES = (
    "UTC",
    "Etc/GMT+12",
    "Pacific/Kiritimati",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
)
CLOCK_CHANGES = (
    utc("2026-03-29T01:00"),
    utc("2026-10-25T01:00"),
    utc("2026-03-08T07:00"),
    utc("2026-11-01T06:00"),
    utc("2026-04-04T15:00"),
    utc("2026-10-03T15:30"),
    utc("2026-02-15T02:00"),
    utc("2026-12-31T23:59"),
)
moments = st.builds(
    lambda change, minutes: change + minutes * MINUTE,
    st.sampled_from(CLOCK_CHANGES),
    st.integers(-3 * 24 * 60, 24 * 60),
)


@st.composite
def blackouts(draw: st.DrawFn, around: datetime) -> list[dict[str, str]]:
    spans = draw(
        st.lists(
            st.tuples(st.integers(-9000, 9000), st.sampled_from((1, 90, 1440, 6000, 200_000))),
            max_size=3,
        )
    )
    return [
        {
            "from": (around + begin * MINUTE).isoformat(),
            "to": (around + (begin + length) * MINUTE).isoformat(),
        }
        for begin, length in spans
    ]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    now = draw(moments)
    parts = {
        "timeZone": draw(st.sampled_from(ZONES)),
        "windows": draw(st.lists(windows, max_size=4)),
        "blackouts": draw(blackouts(now)),
    }
    return schedule(**parts), now


SWALLOWED = schedule(
    timeZone="Europe/Berlin", windows=[{"days": ["Sun"], "start": "02:15", "end": "02:45"}]
)


@settings(max_examples=60, deadline=None)
@given(cases())
@example((SWALLOWED, utc("2026-03-22T02:00")))
def test_a_schedule_is_open_as_a_reckoning_minute_by_minute_says(
    case: tuple[Schedule, datetime],
) -> None:
    subject, now = case
    first = (now - timedelta(days=BEFORE)).date()
    minutes = open_minutes(subject, first)
    index = int((now - datetime(first.year, first.month, first.day, tzinfo=UTC)) / MINUTE)
    is_open = minutes[index]
    flip = minutes.find(1 - is_open, index)
    found = hours(subject, now)
    assert found.open == bool(is_open)
    if flip >= 0:
        assert found.next_transition == now + (flip - index) * MINUTE
    elif found.next_transition is not None:
        assert found.next_transition >= now + (len(minutes) - index) * MINUTE


@settings(deadline=None)
@given(cases())
def test_nothing_changes_between_now_and_the_next_transition_and_there_it_flips(
    case: tuple[Schedule, datetime],
) -> None:
    subject, now = case
    found = hours(subject, now)
    if found.next_transition is None:
        return
    at = found.next_transition
    assert at > now
    assert hours(subject, at).open is not found.open
    for part in (1 / 7, 1 / 2, 6 / 7):
        assert hours(subject, now + (at - now) * part) == found
    assert hours(subject, at - timedelta(microseconds=1)) == found


@settings(max_examples=40, deadline=None)
@given(moments, st.sampled_from(ZONES), clock_times)
def test_an_instant_is_the_first_at_which_the_clocks_have_reached_the_time(
    around: datetime, zone: str, clock_time: str
) -> None:
    first = (around - timedelta(days=BEFORE)).date()
    day = around.date()
    minute = minute_of_day(clock_time)
    wanted = datetime(day.year, day.month, day.day) + minute * MINUTE  # noqa: DTZ001
    index = bisect_left(furthest_clocks(zone, first), wanted)
    origin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    assert instant(day, minute, ZoneInfo(zone)) == origin + index * MINUTE


def test_without_windows_or_blackouts_it_is_open_for_ever() -> None:
    assert hours(schedule(), utc("2026-01-01T00:00")) == Hours(open=True, next_transition=None)


def test_a_start_that_the_clocks_skip_is_the_first_instant_after_the_gap() -> None:
    subject = schedule(timeZone="Europe/Berlin", windows=[{"start": "02:30", "end": "04:00"}])
    found = hours(subject, utc("2026-03-29T00:00"))
    assert found == Hours(open=False, next_transition=utc("2026-03-29T01:00"))
    assert hours(subject, utc("2026-03-29T01:00")).next_transition == utc("2026-03-29T02:00")


def test_a_start_that_the_clocks_repeat_is_the_first_of_the_two() -> None:
    subject = schedule(timeZone="Europe/Berlin", windows=[{"start": "02:30", "end": "04:00"}])
    found = hours(subject, utc("2026-10-25T00:00"))
    assert found.next_transition == utc("2026-10-25T00:30")
    # Two clock hours and a half, of which one passes twice.
    assert hours(subject, utc("2026-10-25T01:15")) == Hours(True, utc("2026-10-25T03:00"))


@pytest.mark.parametrize(
    ("day", "length"), [("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25)]
)
def test_a_day_has_the_hours_that_its_zone_gives_it(day: str, length: int) -> None:
    zone, start = ZoneInfo("Europe/Berlin"), date.fromisoformat(day)
    span = instant(start + timedelta(days=1), 0, zone) - instant(start, 0, zone)
    assert span == timedelta(hours=length)


def test_a_day_that_a_zone_left_out_altogether_is_an_instant() -> None:
    zone = ZoneInfo("Pacific/Apia")
    skipped = date(2011, 12, 30)
    assert instant(skipped, 0, zone) == instant(skipped, 1439, zone) == utc("2011-12-30T10:00")


def test_a_window_runs_past_midnight_and_past_the_end_of_the_week() -> None:
    window = {"days": ["Sun"], "start": "22:00", "end": "02:00"}
    subject = schedule(timeZone="Pacific/Kiritimati", windows=[window])
    # Sunday 22:00 at UTC+14 is Sunday 08:00 UTC.
    opens, closes = utc("2026-03-08T08:00"), utc("2026-03-08T12:00")
    assert hours(subject, opens - MINUTE) == Hours(False, opens)
    assert hours(subject, opens) == Hours(True, closes)
    assert hours(subject, closes) == Hours(False, opens + timedelta(days=7))


def test_windows_that_touch_are_one() -> None:
    parts = [{"start": "08:00", "end": "12:00"}, {"start": "12:00", "end": "16:00"}]
    found = hours(schedule(windows=parts), utc("2026-03-04T09:00"))
    assert found == Hours(True, utc("2026-03-04T16:00"))


def test_windows_that_leave_no_gap_never_close() -> None:
    parts = [{"start": f"{hour:02}:00", "end": f"{(hour + 1) % 24:02}:00"} for hour in range(24)]
    subject = schedule(timeZone="Europe/Berlin", windows=parts)
    assert hours(subject, utc("2026-03-04T09:30")) == Hours(True, None)


def test_a_window_that_the_clocks_swallow_opens_a_week_later() -> None:
    found = hours(SWALLOWED, utc("2026-03-22T02:00"))
    assert found == Hours(False, utc("2026-04-05T00:15"))


def test_a_blackout_of_months_ends_in_the_first_window_after_it() -> None:
    subject = schedule(
        windows=[{"days": ["Mon"], "start": "09:00", "end": "17:00"}],
        blackouts=[{"from": "2026-01-01T00:00:00Z", "to": "2026-09-01T00:00:00Z"}],
    )
    found = hours(subject, utc("2026-01-05T10:00"))
    assert found == Hours(False, utc("2026-09-07T09:00"))


def test_blackouts_that_overlap_or_touch_are_one() -> None:
    spans = [("10:00", "12:00"), ("11:00", "13:00"), ("13:00", "14:00")]
    subject = schedule(
        blackouts=[
            {"from": f"2026-03-04T{begin}:00Z", "to": f"2026-03-04T{end}:00Z"}
            for begin, end in spans
        ]
    )
    assert hours(subject, utc("2026-03-04T10:30")) == Hours(False, utc("2026-03-04T14:00"))


def test_a_blackout_to_the_end_of_time_never_opens_again() -> None:
    edges = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}
    for windows_too in ([], [{"start": "09:00", "end": "17:00"}]):
        subject = schedule(blackouts=[edges], windows=windows_too)
        assert hours(subject, utc("2026-03-04T10:00")) == Hours(False, None)
