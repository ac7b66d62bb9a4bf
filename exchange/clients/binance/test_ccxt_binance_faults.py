"""What ccxt raises for each fault of the exchange."""

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest
from test_ccxt_binance import SYMBOL, options

from conftest import Exchange


@pytest.fixture(scope="module")
def client(exchange: Exchange) -> Any:
    client = ccxt.binance(options(exchange, timeout=3000))
    client.load_markets()
    return client


@pytest.fixture(autouse=True)
def no_faults(exchange: Exchange) -> Iterator[None]:
    yield
    exchange.end_faults()


def buy(client: Any) -> Any:
    price = client.price_to_precision(SYMBOL, client.fetch_ticker(SYMBOL)["last"] * 0.8)
    return client.create_order(SYMBOL, "limit", "buy", 0.01, price)


ORDER = "POST /api/v3/order"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"type": "server-error", "status": 500}, ccxt.OperationFailed),
        ({"type": "server-error", "status": 502}, ccxt.ExchangeNotAvailable),
        ({"type": "server-error", "status": 503}, ccxt.ExchangeError),
        ({"type": "server-error", "status": 504}, ccxt.RequestTimeout),
        ({"type": "rate-limit"}, ccxt.DDoSProtection),
        ({"type": "ban"}, ccxt.DDoSProtection),
        ({"type": "drop-request"}, ccxt.NetworkError),
        ({"type": "lose-answer"}, ccxt.NetworkError),
        ({"type": "latency", "delay": "4s"}, ccxt.RequestTimeout),
        ({"type": "reject"}, ccxt.InsufficientFunds),
        ({"type": "reject", "reason": "SYMBOL_HALTED"}, ccxt.MarketClosed),
        ({"type": "reject", "reason": "WOULD_TRIGGER"}, ccxt.OrderImmediatelyFillable),
        ({"type": "reject", "reason": "DUPLICATE_CLIENT_ID"}, ccxt.InvalidOrder),
        ({"type": "reject", "reason": "MIN_NOTIONAL"}, ccxt.BadRequest),
        ({"type": "reject", "reason": "QUANTITY_STEP"}, ccxt.InvalidOrder),
        ({"type": "reject", "reason": "UNKNOWN_SYMBOL"}, ccxt.BadSymbol),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_fault_of_an_order_raises(
    exchange: Exchange, client: Any, fault: dict[str, Any], expected: type[Exception]
) -> None:
    exchange.add_fault(match=ORDER, **fault)
    with pytest.raises(expected) as raised:
        buy(client)
    assert raised.type is expected


def test_an_order_whose_answer_is_lost_exists(exchange: Exchange, client: Any) -> None:
    client.cancel_all_orders(SYMBOL)
    exchange.add_fault(type="lose-answer", match=ORDER)
    with pytest.raises(ccxt.NetworkError):
        buy(client)
    assert len(client.fetch_open_orders(SYMBOL)) == 1


def test_a_halted_symbol_is_inactive_and_refuses_orders(exchange: Exchange, client: Any) -> None:
    exchange.add_fault(type="halt", symbol="BTC-USDT")
    with pytest.raises(ccxt.MarketClosed):
        buy(client)
    assert not ccxt.binance(options(exchange)).load_markets()[SYMBOL]["active"]


def test_a_skewed_clock_is_an_invalid_nonce(exchange: Exchange, client: Any) -> None:
    exchange.add_fault(type="clock-skew", by="1m")
    with pytest.raises(ccxt.InvalidNonce):
        client.private_get_account()
