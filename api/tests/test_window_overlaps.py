"""Windows of the week: minutes covered and overlaps found, against counting minute by minute."""

import pytest
from admission_cases import BOT, NOW, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_api.admission.review import defaulted, review
from tradingbot_api.schedule import (
    DAYS,
    MINUTES_A_DAY,
    MINUTES_A_WEEK,
    minute_of_day,
    overlapping,
    week_intervals,
)

Window = tuple[frozenset[str], str, str]

clock_times = st.integers(0, MINUTES_A_DAY - 1).map(lambda m: f"{m // 60:02}:{m % 60:02}")
windows = st.tuples(
    st.frozensets(st.sampled_from(DAYS), min_size=1), clock_times, clock_times
).filter(lambda window: window[1] != window[2])


def minutes(window: Window) -> set[int]:
    """Every minute of the week that a window covers, one by one."""
    days, start, end = window
    length = (minute_of_day(end) - minute_of_day(start)) % MINUTES_A_DAY
    return {
        (DAYS.index(day) * MINUTES_A_DAY + minute_of_day(start) + minute) % MINUTES_A_WEEK
        for day in days
        for minute in range(length)
    }


def overlaps(*many: tuple[list[str], str, str]) -> list[str]:
    bot = changed(
        BOT,
        {"spec.schedule.windows": [{"days": d, "start": s, "end": e} for d, s, e in many]},
    )
    verdict = review("TradingBot", defaulted("TradingBot", bot), now=NOW)
    return [str(error) for error in verdict.errors]


@given(windows)
def test_the_intervals_of_a_window_are_the_minutes_it_covers(window: Window) -> None:
    covered = [minute for begin, end in week_intervals(*window) for minute in range(begin, end)]

    assert sorted(covered) == sorted(minutes(window))


@settings(max_examples=50)
@given(st.lists(windows, max_size=6))
def test_windows_overlap_exactly_when_they_share_a_minute(many: list[Window]) -> None:
    covered = [minutes(window) for window in many]
    shared = {
        (earlier, other)
        for other in range(len(many))
        for earlier in range(other)
        if covered[earlier] & covered[other]
    }

    found = overlapping([week_intervals(*window) for window in many])

    assert set(found) <= shared
    assert bool(found) == bool(shared)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((["Mon"], "09:00", "10:00"), (["Mon"], "10:00", "11:00")),
        ((["Mon"], "22:00", "02:00"), (["Tue"], "02:00", "03:00")),
        ((["Sun"], "22:00", "02:00"), (["Mon"], "02:00", "03:00")),
        ((["Sun"], "22:00", "00:00"), (["Mon"], "00:00", "03:00")),
        ((["Mon"], "22:00", "02:00"), (["Mon"], "01:00", "02:00")),
    ],
)
def test_windows_that_only_touch_are_allowed(
    first: tuple[list[str], str, str], second: tuple[list[str], str, str]
) -> None:
    assert overlaps(first, second) == []
    assert overlaps(second, first) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((["Mon"], "09:00", "10:00"), (["Mon"], "09:59", "11:00")),
        ((["Mon", "Wed"], "09:00", "17:00"), (["Tue", "Wed"], "12:00", "13:00")),
        ((["Mon"], "22:00", "02:00"), (["Tue"], "01:59", "03:00")),
        ((["Sun"], "22:00", "02:00"), (["Mon"], "01:59", "03:00")),
        ((["Mon"], "00:00", "23:59"), (["Sun"], "23:59", "00:01")),
        ((["Mon"], "09:00", "10:00"), (["Mon"], "09:00", "10:00")),
    ],
)
def test_windows_that_share_a_minute_are_refused_in_either_order(
    first: tuple[list[str], str, str], second: tuple[list[str], str, str]
) -> None:
    for window, other in ((first, second), (second, first)):
        assert overlaps(window, other) == [
            f'spec.schedule.windows[1]: Invalid value: "{other[1]}-{other[2]}": overlaps windows[0]'
        ]


def test_each_of_three_windows_that_overlap_is_named() -> None:
    day = ["Mon"]

    found = overlaps((day, "09:00", "17:00"), (day, "10:00", "11:00"), (day, "12:00", "13:00"))

    assert [error.split(":")[0] for error in found] == [
        "spec.schedule.windows[1]",
        "spec.schedule.windows[2]",
    ]


@pytest.mark.parametrize("text", ["", "9:00", "24:00", "09:60", "09:00\n", "09:00:00", "noon"])
def test_what_is_no_time_of_day_has_no_minute(text: str) -> None:
    with pytest.raises(ValueError, match="not a time of day"):
        minute_of_day(text)
