"""Money and percentages: what is a number here, and what becomes of YAML's own numbers."""

import json
from decimal import Decimal

import pytest
from admission_cases import BOT, NOW, changed
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_api.admission.fields import decimal_text
from tradingbot_api.admission.review import KINDS, defaulted, review

SPEC = KINDS["TradingBot"].spec_parser
MAX_POSITION = "spec.riskManagement.maxPositionSize"
FORM = (
    'must be a decimal number in plain text such as "1000" or "2.5", with at most 15 digits'
    " before the point and 8 after it"
)


def errors_of(value: object) -> list[str]:
    bot = defaulted("TradingBot", changed(BOT, {MAX_POSITION: value}))
    return [error.message for error in review("TradingBot", bot, now=NOW).errors]


@pytest.mark.parametrize(
    "text",
    ["1", "1000", "0.5", "00012", "0.00000001", "1.10", "999999999999999.99999999"],
)
def test_plain_decimal_text_is_a_number(text: str) -> None:
    assert errors_of(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1 ", " 1", "1\n", "\t1", "1 000", "1_000", "1,5", "1.", ".5", "1.2.3"),
        *("+1", "-1", "\N{MINUS SIGN}1", "1e3", "1E3", "0x10", "1/2", "10 %", "$5", "five"),
        *("NaN", "nan", "Infinity", "inf", "-inf", "null", "true"),
        *("\u0661\u0662", "\u0967\u0968", "\uff11\uff12", "1\u00b2", "1\u200b", "1\u0000"),
        *("1" * 16, "0." + "1" * 9, "9" * 15 + "." + "9" * 9, "9" * 5000),
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    (message,) = errors_of(text)

    assert message.endswith(FORM)


@pytest.mark.parametrize(
    "value",
    [True, False, [], {}, ["1"], {"value": "1"}, -1, -0.5, float("nan"), float("inf")],
    ids=repr,
)
def test_what_is_no_positive_number_is_refused(value: object) -> None:
    (message,) = errors_of(value)

    assert message.endswith(FORM)


@pytest.mark.parametrize(
    ("literal", "stored"),
    [
        ("1000", 1000),
        ("2.5", "2.5"),
        ("2.50", "2.5"),
        ("1000.0", "1000"),
        ("1e3", "1000"),
        ("1E-7", "0.0000001"),
        ("0.1", "0.1"),
        ("123456789012345", 123456789012345),
        ("99999999999999.9", "99999999999999.9"),
    ],
)
def test_an_unquoted_fraction_becomes_text_and_a_whole_number_stays_as_it_is(
    literal: str, stored: object
) -> None:
    bot = defaulted("TradingBot", changed(BOT, {MAX_POSITION: json.loads(literal)}))

    assert bot["spec"]["riskManagement"]["maxPositionSize"] == stored
    assert type(bot["spec"]["riskManagement"]["maxPositionSize"]) is type(stored)
    assert review("TradingBot", bot, now=NOW).allowed


@given(st.integers(min_value=1, max_value=10**15 - 1))
def test_a_whole_number_and_its_text_are_the_same_value(number: int) -> None:
    bots = [changed(BOT, {MAX_POSITION: value}) for value in (number, str(number))]

    one, other = (SPEC.validate_python(defaulted("TradingBot", bot)["spec"]) for bot in bots)

    assert one == other
    assert one.risk_management.max_position_size == str(number)


@pytest.mark.parametrize(
    "literal",
    ["1e400", "-1e400", "1e15", "1234567890123456", "0.1234567891", "1e-9", "1e308", "5e-324"],
)
def test_an_unquoted_number_that_does_not_fit_is_refused(literal: str) -> None:
    (message,) = errors_of(json.loads(literal))

    assert message.endswith(FORM)


def test_a_number_of_thousands_of_digits_is_refused_without_being_printed() -> None:
    assert errors_of(10**5000) == [f"Invalid value: (a huge number): {FORM}"]


@pytest.mark.parametrize("value", [0, 0.0, -0.0, "0", "0.00000000", "000"])
def test_zero_is_refused(value: object) -> None:
    (message,) = errors_of(value)

    assert "must be greater than 0" in message or message.endswith(FORM)


@given(st.floats())
def test_the_text_of_a_fraction_is_that_fraction(number: float) -> None:
    text = decimal_text(number)

    if isinstance(text, str):
        assert Decimal(text) == Decimal(repr(number))
        assert text.replace(".", "", 1).isdecimal()
        assert "." not in text or not text.endswith(("0", "."))
    else:
        assert text is number


@given(st.decimals(min_value=0, max_value=10**15, places=8, allow_nan=False).map("{:f}".format))
def test_a_stop_is_compared_as_a_decimal_and_never_as_a_float(text: str) -> None:
    bot = changed(BOT, {"spec.riskManagement.stopLossPercentage": text})

    verdict = review("TradingBot", defaulted("TradingBot", bot), now=NOW)

    assert verdict.allowed == (
        0 < Decimal(text) < 100 and len(text.split(".", maxsplit=1)[0]) <= 15
    )
