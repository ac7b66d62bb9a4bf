"""The risk report: what is one, what is none, and that the published schema says the same."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from objects import json_values
from pydantic import ValidationError
from tradingbot_api.contract import RiskReport

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "risk-v1.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
WIRE = {
    "tradingDay": "2026-11-24",
    "dayPnL": "-12.5",
    "openPositions": 1,
    "exposure": "950",
    "configHash": "3f1c0de9a2b45678",
    "time": "2026-11-24T19:00:00+01:00",
}
NEITHER_SCHEMA_NOR_PATTERN_CAN_SAY = [
    ("tradingDay", "2026-02-30"),
    ("tradingDay", "0000-01-01"),
    ("time", "2026-02-30T00:00:00Z"),
    ("time", "0001-01-01T00:00:00+02:00"),
    # To JSON Schema this is an integer.
    ("openPositions", 1.0),
]

money = st.decimals(
    min_value=Decimal(-999999999999999),
    max_value=Decimal(999999999999999),
    places=8,
    allow_nan=False,
)
reports = st.fixed_dictionaries(
    {
        "trading_day": st.dates(),
        "day_pnl": money,
        "open_positions": st.integers(0, 1_000_000),
        "exposure": money.map(abs),
        "config_hash": st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
        "time": st.datetimes(
            min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
            max_value=datetime(9999, 12, 30),  # noqa: DTZ001
            timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
        ),
    }
)


def read(report: Any) -> RiskReport:
    return RiskReport.model_validate_json(json.dumps(report).encode())


def is_report(report: Any) -> bool:
    try:
        read(report)
    except ValidationError:
        return False
    return True


def test_a_report_is_read_with_exact_decimals_and_its_time_in_utc() -> None:
    report = read(WIRE)

    assert report.trading_day == date(2026, 11, 24)
    assert (report.day_pnl, report.exposure) == (Decimal("-12.5"), Decimal(950))
    assert (report.open_positions, report.config_hash) == (1, "3f1c0de9a2b45678")
    assert report.time == datetime(2026, 11, 24, 18, tzinfo=UTC)
    assert report.time.tzinfo is UTC


@pytest.mark.parametrize("field", WIRE)
def test_no_field_may_be_missing_or_null(field: str) -> None:
    for report in ({k: v for k, v in WIRE.items() if k != field}, {**WIRE, field: None}):
        assert not is_report(report)
        assert not VALIDATOR.is_valid(report)


@pytest.mark.parametrize("field", ["dayPnL", "exposure"])
@pytest.mark.parametrize(
    "value",
    [
        *(-12.5, 950, 0, True, [], {}, float("nan"), float("inf")),
        *("", "NaN", "Infinity", "-Infinity", "sNaN", "1e3", "1E3", "+1", "1.", ".5", "1,5", "1_0"),
        *(" 1", "1 ", "1\n", "--1", "-", "0x10", "١", "１", "1.123456789", "1" * 16, "- 1"),  # noqa: RUF001
    ],
)
def test_money_that_is_no_plain_decimal_text_is_refused(field: str, value: object) -> None:
    assert not is_report({**WIRE, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("exposure", value) for value in ("-1", "-0")),
        *(("openPositions", value) for value in (-1, 1_000_001, 10**30, True, "1", 1.5, 1e400)),
        *(("configHash", value) for value in ("", "a" * 65, "a b", "a\n", "größe", "a/b", 1)),
        *(("time", value) for value in ("", "2026-11-24", "2026-11-24T18:00:00", 1795543200, True)),
        *(("time", value) for value in ("2026-11-24 18:00:00Z", "2026-11-24T18:00Z")),
        *(("time", value) for value in ("2026-11-24T24:00:00Z", "2026-11-24T23:59:60Z")),
        *(
            ("tradingDay", value)
            for value in ("", "24.11.2026", "20261124", "2026-W48-2", 20261124)
        ),
        *(("tradingDay", value) for value in ("2026-11-24T00:00:00Z", "2026-1-1", "2026-11-24\n")),
        *NEITHER_SCHEMA_NOR_PATTERN_CAN_SAY,
    ],
)
def test_a_value_of_another_form_is_refused(field: str, value: object) -> None:
    assert not is_report({**WIRE, field: value})


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"{}", b"{", b"\xff\xfe", json.dumps(WIRE).encode()[:-1]),
        *(b"[" * 60_000, b'{"x":' * 10_000, json.dumps(WIRE).encode() + b"x"),
        b'{"openPositions":' + b"9" * 60_000 + b"}",
    ],
)
def test_what_is_no_report_at_all_is_a_validation_error_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(ValidationError):
        RiskReport.model_validate_json(body)


def test_an_error_does_not_repeat_what_the_bot_said() -> None:
    with pytest.raises(ValidationError) as caught:
        read({**WIRE, "dayPnL": "my-secret-key"})

    assert "my-secret-key" not in str(caught.value)


@given(st.dictionaries(st.text().filter(lambda key: key not in WIRE), json_values, max_size=3))
def test_fields_that_a_newer_bot_adds_are_ignored(added: dict[str, Any]) -> None:
    assert read({**added, **WIRE}) == read(WIRE)


@given(reports)
def test_a_report_written_and_read_again_is_the_same(fields: dict[str, Any]) -> None:
    report = RiskReport.model_validate(fields, by_name=True)

    text = report.model_dump_json(by_alias=True)

    assert RiskReport.model_validate_json(text) == report
    assert VALIDATOR.is_valid(json.loads(text))


@given(st.sampled_from(sorted(WIRE)), json_values | st.text("-0123456789.:TZ+W", max_size=30))
def test_the_schema_and_the_operator_agree_on_what_a_report_is(field: str, value: Any) -> None:
    report = {**WIRE, field: value}
    if isinstance(value, float) and value.is_integer():
        return

    if is_report(report):
        assert VALIDATOR.is_valid(report)
    elif VALIDATOR.is_valid(report):
        # A pattern can't count the days of a month.
        assert field in {"tradingDay", "time"}
