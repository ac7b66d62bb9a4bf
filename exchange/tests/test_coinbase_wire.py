"""Numbers and times, as text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.coinbase.wire import instant, number, parse_instant, parse_number, ratio


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12
    )
)
def test_a_number_reads_back_as_itself_and_has_no_exponent(value: Decimal) -> None:
    text = number(value)
    assert parse_number(text) == value
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+3", "1000"),
        ("-0.000", "0"),
        ("0.00000001", "0.00000001"),
        ("1.500", "1.5"),
        ("100", "100"),
    ],
)
def test_a_number_is_written_in_full_without_zeros_at_its_end(value: str, text: str) -> None:
    assert number(Decimal(value)) == text


@given(st.integers(min_value=0, max_value=4 * 10**12))
def test_a_time_reads_back_as_itself(milliseconds: int) -> None:
    assert parse_instant(instant(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1970-01-01T00:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_needs_a_zone_and_may_have_nanoseconds(text: str, milliseconds: int | None) -> None:
    assert parse_instant(text) == milliseconds


def test_a_ratio_of_nothing_is_nothing() -> None:
    assert ratio(Decimal(1), Decimal(0)) == 0
    assert ratio(Decimal(1), Decimal(3)) == Decimal("0.3333333333333333")
