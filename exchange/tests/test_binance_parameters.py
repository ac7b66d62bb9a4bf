"""Reading parameters, and Binance's errors for wrong ones."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.parameters import (
    Kind,
    Parameter,
    Schema,
    decode,
    sent_by_json,
    sent_by_rest,
)

SCHEMA = Schema(
    (
        Parameter("symbol", Kind.SYMBOL, mandatory=True),
        Parameter("symbols", Kind.SYMBOLS),
        Parameter("side", Kind.ENUM, choices=("BUY", "SELL")),
        Parameter("timeInForce", Kind.ENUM, choices=("GTC",)),
        Parameter("newOrderRespType", Kind.ENUM, choices=("ACK",)),
        Parameter("quantity", Kind.DECIMAL),
        Parameter("recvWindow", Kind.WINDOW),
        Parameter("orderId", Kind.LONG),
        Parameter("startTime", Kind.TIME),
        Parameter("limit", Kind.LONG, limit=1000),
        Parameter("flag", Kind.BOOLEAN),
        Parameter("newClientOrderId", Kind.CLIENT_ID),
    )
)


def read(**sent: str) -> object:
    return SCHEMA.read({"symbol": "BTCUSDT", **sent})


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        ({"symbol": ""}, -1102, "Mandatory parameter 'symbol' was not sent"),
        ({"symbol": "btcusdt"}, -1100, "legal range is '^[A-Z0-9-_.]{1,20}$'"),
        ({"side": "buy"}, -1117, "Invalid side."),
        ({"side": ""}, -1105, "Parameter 'side' was empty."),
        ({"timeInForce": "GTD"}, -1115, "Invalid timeInForce."),
        ({"newOrderRespType": "ALL"}, -1130, "Data sent for parameter 'newOrderRespType'"),
        ({"quantity": "1,5"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "-1"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "1e5"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "0.000000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"quantity": "1234567890123"}, -1108, "Parameter 'quantity' overflowed."),
        ({"recvWindow": "1.0001"}, -1111, "Parameter 'recvWindow' has too much precision."),
        ({"orderId": "x"}, -1100, "legal range is '^[0-9]{1,20}$'"),
        ({"orderId": "9223372036854775808"}, -1108, "Parameter 'orderId' overflowed."),
        ({"flag": "yes"}, -1100, "legal range is '^(true|false)$'"),
        ({"newClientOrderId": "a" * 37}, -1100, "'newClientOrderId'"),
        ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'"),
        ({"symbols": "BTCUSDT"}, -1100, "'symbols'"),
        ({"symbols": '["A","A"]'}, -1151, "Symbol is present multiple times in the list."),
        ({"stopLoss": "1"}, -1104, "read '1' parameter(s) but was sent '2'."),
    ],
)
def test_a_wrong_value_has_the_documented_error(sent: dict[str, str], code: int, text: str) -> None:
    with pytest.raises(ApiError) as raised:
        read(**sent)
    assert raised.value.code == code
    assert text in raised.value.message


def test_parameters_of_a_call_without_any_are_too_many() -> None:
    with pytest.raises(ApiError, match="expected '0' and received '1'") as raised:
        Schema(()).read({"a": "1"})
    assert raised.value.code == -1101


def test_values_are_typed() -> None:
    values = SCHEMA.read(
        {
            "symbol": "BTCUSDT",
            "quantity": "0.100000000000",
            "orderId": "12",
            "startTime": "1700000000000123",
            "limit": "5000",
            "flag": "true",
            "symbols": '["BTCUSDT","ETHUSDT"]',
        }
    )
    assert values.decimal("quantity") == Decimal("0.1")
    assert values.number("orderId") == 12
    assert values.number("startTime") == 1_700_000_000_000
    assert values.limit(500) == 1000
    assert values.flag("flag")
    assert values.symbols() == ("BTCUSDT", "ETHUSDT")


def test_the_query_counts_where_the_body_says_otherwise() -> None:
    assert sent_by_rest(b"a=1&b=2", b"b=3&c=4") == {"a": "1", "b": "2", "c": "4"}


def test_a_parameter_that_is_sent_twice_in_one_place_is_refused() -> None:
    with pytest.raises(ApiError, match="Duplicate values") as raised:
        decode(b"a=1&a=1")
    assert raised.value.code == -1101


def test_values_are_percent_decoded() -> None:
    assert decode(b"symbols=%5B%22A%22%5D&x=a+b") == {"symbols": '["A"]', "x": "a b"}


def test_json_values_become_the_text_that_is_signed() -> None:
    sent = sent_by_json({"a": 1, "b": True, "c": "x", "d": ["A", "B"], "e": "1.10"})
    assert sent == {"a": "1", "b": "true", "c": "x", "d": '["A","B"]', "e": "1.10"}


def test_a_json_null_is_an_empty_parameter() -> None:
    with pytest.raises(ApiError, match="Parameter 'a' was empty"):
        sent_by_json({"a": None})


def code_of(call: Callable[[], object]) -> int:
    """Return the code of the call's error, or 0. Other errors pass through."""
    try:
        call()
    except ApiError as error:
        return error.code
    return 0


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_parameters_or_an_error_of_the_exchange(query: bytes, body: bytes) -> None:
    assert code_of(lambda: SCHEMA.read(sent_by_rest(query, body))) in {0, -1101, -1102, -1104}


@given(st.sampled_from([each.name for each in SCHEMA.parameters]), st.text(max_size=30))
def test_any_text_is_a_value_or_an_error_of_the_exchange(name: str, text: str) -> None:
    assert -1200 < code_of(lambda: SCHEMA.read({"symbol": "BTCUSDT", name: text})) <= 0
