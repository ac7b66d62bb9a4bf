"""RFC 3339: what is read, what is refused, and that text order is time order."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_registry.rfc3339 import EARLIEST, LATEST, parse, text_of

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
TIMES = st.datetimes(timezones=OFFSETS)


@given(TIMES)
def test_every_time_is_read_and_those_outside_the_calendar_become_its_ends(time: datetime) -> None:
    offset = time.isoformat(timespec="microseconds")
    try:
        expected = time.astimezone(UTC)
    except OverflowError:
        expected = EARLIEST if time.year == 1 else LATEST
    assert parse(offset) == expected


@given(TIMES.map(lambda t: t.replace(tzinfo=UTC)), TIMES.map(lambda t: t.replace(tzinfo=UTC)))
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (text_of(one) < text_of(other)) == (one < other)
    assert parse(text_of(one)) == one
    assert len(text_of(one)) == len(text_of(other))


def test_a_leap_second_is_the_next_second() -> None:
    assert parse("2016-12-31T23:59:60Z") == datetime(2017, 1, 1, tzinfo=UTC)
    assert parse("9999-12-31T23:59:60Z") == LATEST


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(text)
