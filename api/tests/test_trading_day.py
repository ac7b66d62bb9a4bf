"""Trading days: against a computation by minute, on special days of zones, across edits."""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_trading_hours import furthest_clocks, schedule, utc
from tradingbot_api.schedule import minute_of_day
from tradingbot_api.trading_day import TradingDay, calendar_day, trading_day

HOUR = timedelta(hours=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # moves by half an hour
    "Pacific/Kiritimati",  # +14
    "Etc/GMT+12",  # -12
    "America/Santiago",  # changes at midnight: 00:00 is skipped
    "America/Havana",  # 00:00 comes twice
    "Asia/Kathmandu",
)
starts = st.sampled_from(("00:00", "00:30", "01:30", "02:00", "02:30", "03:00", "17:00", "23:59"))
instants = st.datetimes(
    datetime(2023, 1, 10),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2027, 12, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def first_shown(zone: str, day: date, clock_time: str) -> datetime:
    """Return the first minute at which the clocks have reached that time of that day."""
    first = day - timedelta(days=2)
    wanted = datetime(day.year, day.month, day.day) + timedelta(minutes=minute_of_day(clock_time))  # noqa: DTZ001
    minutes = bisect_left(furthest_clocks(zone, first), wanted)
    return datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(minutes=minutes)


@settings(deadline=None, max_examples=50)  # the clocks of three weeks are computed each time
@given(st.sampled_from(ZONES), starts, instants)
@example("America/Santiago", "00:00", utc("2024-09-08T04:00"))
@example("America/Havana", "00:00", utc("2024-11-03T04:30"))
def test_a_day_lasts_from_its_start_to_that_of_the_next_date(
    zone: str, start: str, now: datetime
) -> None:
    found = calendar_day(schedule(timeZone=zone, dayStart=start), now)
    assert first_shown(zone, found.date, start) <= now < found.ends
    assert found.ends == first_shown(zone, found.date + timedelta(days=1), start)


@pytest.mark.parametrize(
    ("zone", "start", "now", "day", "ends"),
    [
        # 23 hours: New York goes forward on 10 March 2024.
        ("America/New_York", "00:00", "2024-03-10T12:00", "2024-03-10", "2024-03-11T04:00"),
        # 25 hours: and back on 3 November.
        ("America/New_York", "00:00", "2024-11-03T12:00", "2024-11-03", "2024-11-04T05:00"),
        # 02:30 is skipped: the day begins at 03:00 EDT, 07:00 UTC.
        ("America/New_York", "02:30", "2024-03-10T06:59", "2024-03-09", "2024-03-10T07:00"),
        ("America/New_York", "02:30", "2024-03-10T07:00", "2024-03-10", "2024-03-11T06:30"),
        # 01:30 comes twice: the day begins the first time, 05:30 UTC.
        ("America/New_York", "01:30", "2024-11-03T05:29", "2024-11-02", "2024-11-03T05:30"),
        ("America/New_York", "01:30", "2024-11-03T06:30", "2024-11-03", "2024-11-04T06:30"),
        # A minute past midnight the clocks went back to the day before: midnight had been.
        ("America/St_Johns", "00:00", "2010-11-07T02:45", "2010-11-07", "2010-11-08T03:30"),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", "00:00", "2011-12-30T09:59", "2011-12-29", "2011-12-30T10:00"),
        ("Pacific/Apia", "00:00", "2011-12-30T10:00", "2011-12-31", "2011-12-31T10:00"),
        ("Pacific/Kiritimati", "00:00", "2024-06-01T10:00", "2024-06-02", "2024-06-02T10:00"),
        ("Etc/GMT+12", "00:00", "2024-06-01T11:59", "2024-05-31", "2024-06-01T12:00"),
        ("UTC", "17:00", "2024-06-01T16:59", "2024-05-31", "2024-06-01T17:00"),
    ],
)
def test_odd_days_begin_and_end_where_they_should(
    zone: str, start: str, now: str, day: str, ends: str
) -> None:
    found = calendar_day(schedule(timeZone=zone, dayStart=start), utc(now))
    assert found == TradingDay(date.fromisoformat(day), utc(ends))


@given(
    st.lists(st.tuples(st.sampled_from(ZONES), starts, instants), min_size=2, max_size=6),
)
def test_a_day_never_goes_backwards_whatever_the_clock_and_the_edits_do(
    steps: list[tuple[str, str, datetime]],
) -> None:
    day = None
    for zone, start, now in steps:
        after = trading_day(schedule(timeZone=zone, dayStart=start), now, day)
        if day is not None:
            assert after.date >= day.date
            assert after.ends >= day.ends
            assert (after == day) == (now < day.ends)
        assert now < after.ends
        day = after


@given(st.sampled_from(ZONES), starts, instants, st.integers(0, 90))
def test_an_operator_that_was_down_over_boundaries_finds_the_day_that_it_is(
    zone: str, start: str, now: datetime, hours_later: int
) -> None:
    subject = schedule(timeZone=zone, dayStart=start)
    later = now + hours_later * HOUR
    assert trading_day(subject, later, calendar_day(subject, now)) == calendar_day(subject, later)


def test_an_edit_of_the_calendar_counts_from_the_next_boundary() -> None:
    before = calendar_day(schedule(timeZone="UTC"), utc("2024-06-01T12:00"))
    edited = schedule(timeZone="Asia/Tokyo")  # where 2 June has begun at 15:00 UTC
    assert trading_day(edited, utc("2024-06-01T23:59"), before) == before
    after = trading_day(edited, utc("2024-06-02T00:00"), before)
    assert after == TradingDay(date(2024, 6, 2), utc("2024-06-02T15:00"))


def test_a_zone_where_the_date_is_no_later_prolongs_the_day() -> None:
    before = calendar_day(schedule(timeZone="Pacific/Kiritimati"), utc("2024-06-01T12:00"))
    assert before == TradingDay(date(2024, 6, 2), utc("2024-06-02T10:00"))
    edited = schedule(timeZone="Etc/GMT+12")
    after = trading_day(edited, utc("2024-06-02T10:00"), before)  # 1 June, 22:00 there
    assert after == TradingDay(date(2024, 6, 2), utc("2024-06-03T12:00"))
    assert trading_day(edited, after.ends, after).date == date(2024, 6, 3)
