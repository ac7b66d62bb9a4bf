"""Settings that fit, and those that do not; errors of a dialect that has none of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from tradingbot_exchange.engine.types import Reason
from tradingbot_exchange.faults.errors import PlainErrors
from tradingbot_exchange.settings import ExchangeSettings


def settings(**values: Any) -> ExchangeSettings:
    return ExchangeSettings(**({"dialect": "binance"} | values))


def test_every_dialect_has_a_dollar_to_begin_with() -> None:
    assert settings().balances() == {"USDT": 10000}
    assert settings(dialect="coinbase").balances() == {"USD": 10000}


def test_balances_and_accounts_are_given_with_commas_or_one_by_one() -> None:
    made = settings(balance=["BTC=1.5,ETH=2", "USDT=3"], account="main, arb ,")
    assert made.balances() == {"BTC": Decimal("1.5"), "ETH": 2, "USDT": 3}
    assert made.account == ("main", "arb")


def test_settings_come_from_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADINGBOT_EXCHANGE_BALANCE", "USDT=5,BTC=1")
    monkeypatch.setenv("TRADINGBOT_EXCHANGE_DIALECT", "coinbase")
    made = ExchangeSettings()  # type: ignore[call-arg]
    assert made.balances() == {"USDT": 5, "BTC": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"balance": "USDT=1,USDT=2"}, "an asset is named twice"),
        ({"balance": "usdt=1"}, "'usdt=1' is not ASSET=AMOUNT"),
        ({"balance": "USDT=-1"}, "must be from 0 to 1e9"),
        ({"balance": "USDT=1e10"}, "must be from 0 to 1e9"),
        ({"balance": "USDT=0.000000001"}, "with 8 places at most"),
        ({"balance": "USDT=ten"}, "'ten' is not an amount"),
        ({"balance": "A" * 21 + "=1"}, "is longer than 20 characters"),
        ({"balance": 5}, "valid tuple"),
        ({"account": "main,main"}, "an account is named twice"),
        ({"account": ""}, "at least 1 item"),
        ({"account": ".house"}, "'.house' must be up to 64 letters, digits and dashes"),
        ({"seed": -1}, "greater than or equal to 0"),
        (
            {"host": "0.0.0.0", "port": 9, "control_port": 9},
            "--port and --control-port must differ",
        ),
        ({"host": "localhost", "port": 9, "control_port": 9}, "must differ"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        settings(**values)


def test_another_address_may_have_the_same_port() -> None:
    assert settings(host="192.0.2.1", port=9, control_port=9).port == 9


def test_a_dialect_without_errors_of_its_own_answers_in_plain_json() -> None:
    plain = PlainErrors()
    answers = [
        plain.rate_limited(7), plain.banned(8), plain.server_error(502),
        plain.rejected(Reason.MIN_NOTIONAL),
    ]  # fmt: skip
    assert [a.status for a in answers] == [429, 418, 502, 400]
    assert [a.headers.get("Retry-After") for a in answers] == ["7", "8", None, None]
    assert answers[3].text == '{"error": "MIN_NOTIONAL"}'
