"""What is refused, and instruments that are not possible."""

from dataclasses import replace
from decimal import Decimal

import pytest
from engine_samples import BTC, BUY, COARSE, SELL, D, funded, order, refusal
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    NewOrder,
    OrderType,
    Reason,
    RefusedError,
    TimeInForce,
)

IOC, FOK, GTD = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD
TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT_LIMIT


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (order(BUY, "1", "30000", symbol="X-Y"), Reason.UNKNOWN_SYMBOL),
        (order(BUY, "1", "0.001"), Reason.PRICE_RANGE),
        (order(BUY, "1", "-5"), Reason.PRICE_RANGE),
        (order(BUY, "1", "1000000.01"), Reason.PRICE_RANGE),
        (order(BUY, "1", "1E+999999"), Reason.PRICE_RANGE),
        (order(BUY, "1", "30000.001"), Reason.PRICE_TICK),
        (order(BUY, "1", "30000." + "0" * 40 + "1"), Reason.PRICE_TICK),
        (order(BUY, "1", "NaN"), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "sNaN"), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "Infinity"), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", stop="29999.999"), Reason.PRICE_TICK),
        (order(BUY, "0.000001", "30000"), Reason.QUANTITY_RANGE),
        (order(BUY, "0", "30000"), Reason.QUANTITY_RANGE),
        (order(BUY, "-1", "30000"), Reason.QUANTITY_RANGE),
        (order(BUY, "9000.00001", "30000"), Reason.QUANTITY_RANGE),
        (order(BUY, "1.000001", "30000"), Reason.QUANTITY_STEP),
        (order(BUY, "NaN", "30000"), Reason.BAD_PARAMETERS),
        (order(BUY, "0.00016", "30000"), Reason.MIN_NOTIONAL),
        (order(BUY, "0.0001", stop="31000"), Reason.MIN_NOTIONAL),
        (order(SELL, "0.0001"), Reason.MIN_NOTIONAL),
        (order(BUY, quote="4.99"), Reason.MIN_NOTIONAL),
        (order(BUY, quote="-5"), Reason.QUANTITY_RANGE),
        (order(BUY, quote="NaN"), Reason.BAD_PARAMETERS),
        (order(BUY, quote="5.000000001"), Reason.QUANTITY_STEP),
        (order(BUY, quote="1E+500"), Reason.QUANTITY_STEP),
        (order(BUY, "1", "54000.01"), Reason.PRICE_FAR_FROM_MARKET),
        (order(SELL, "1", "5999.99"), Reason.PRICE_FAR_FROM_MARKET),
        (order(SELL, "1", "5999.99", stop="7000"), Reason.PRICE_FAR_FROM_MARKET),
        (order(BUY, "40", "30000"), Reason.INSUFFICIENT_BALANCE),
        (order(BUY, "40"), Reason.INSUFFICIENT_BALANCE),
        (order(BUY, quote="1000000.01"), Reason.INSUFFICIENT_BALANCE),
        (order(SELL, "10.00001", "30000"), Reason.INSUFFICIENT_BALANCE),
        (order(SELL, "10.00001"), Reason.INSUFFICIENT_BALANCE),
        (order(SELL, "10.00001", stop="29000"), Reason.INSUFFICIENT_BALANCE),
        (order(SELL, quote="400000"), Reason.INSUFFICIENT_BALANCE),
        (order(BUY, price="30000"), Reason.BAD_PARAMETERS),
        (order(BUY, "1", quote="5"), Reason.BAD_PARAMETERS),
        (order(BUY, price="30000", quote="100"), Reason.BAD_PARAMETERS),
        (order(BUY, "1", type=OrderType.LIMIT), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", type=OrderType.MARKET), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", type=TAKE_PROFIT_LIMIT), Reason.BAD_PARAMETERS),
        (order(BUY, "1", stop="30000", type=OrderType.LIMIT), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", tif=GTD), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", tif=GTD, expires_at=1), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", expires_at=99), Reason.BAD_PARAMETERS),
        (order(BUY, "1", tif=GTD, expires_at=99), Reason.BAD_PARAMETERS),
        (order(BUY, "1", "30000", post_only=True, tif=IOC), Reason.BAD_PARAMETERS),
        (order(BUY, "1", post_only=True), Reason.BAD_PARAMETERS),
        (order(BUY, quote="100", tif=FOK), Reason.BAD_PARAMETERS),
    ],
)
def test_an_order_is_refused(request_: NewOrder, reason: Reason) -> None:
    engine = funded("ada", "bob", base="100")
    engine.deposit("ada", "BTC", D(-90), now=0)
    engine.trade_through("BTC-USDT", D(30000), now=0)
    engine.submit("bob", order(BUY, "20", "29900"), now=0)
    engine.submit("bob", order(SELL, "50", "30000"), now=1)
    assert refusal(engine, "ada", request_) is reason
    with pytest.raises(RefusedError, match=reason):
        engine.check("ada", request_)


def test_an_unknown_account_is_refused() -> None:
    engine = funded("ada")
    assert refusal(engine, "eve", order(BUY, "1", "30000")) is Reason.UNKNOWN_ACCOUNT


def test_a_client_id_is_free_again_once_its_order_has_ended() -> None:
    engine = funded("ada")
    request = order(BUY, "1", "30000", client_id="x")
    first, _ = engine.submit("ada", request, now=1)
    assert refusal(engine, "ada", request) is Reason.DUPLICATE_CLIENT_ID
    engine.cancel("ada", first.id, now=2)
    engine.submit("ada", request, now=3)


def test_open_orders_and_stops_are_limited_and_orders_that_can_not_rest_are_not() -> None:
    engine = funded("ada", "bob", instrument=COARSE, quote="1000")
    engine.trade_through("A-B", D("2.5"), now=0)
    stop = order(SELL, "0.1", "2", stop="2", symbol="A-B")
    for _ in range(3):
        engine.submit("ada", stop, now=1)
    assert refusal(engine, "ada", stop) is Reason.TOO_MANY_STOPS
    limit = order(SELL, "0.1", "3", symbol="A-B")
    for _ in range(3):
        engine.submit("ada", limit, now=1)
    assert refusal(engine, "ada", limit) is Reason.TOO_MANY_ORDERS
    assert refusal(engine, "ada", stop) is Reason.TOO_MANY_ORDERS
    engine.submit("ada", order(SELL, "0.1", symbol="A-B"), now=1)
    engine.submit("ada", order(SELL, "0.1", "3", symbol="A-B", tif=IOC), now=1)
    oldest = engine.open_orders("ada")[0]
    engine.replace("ada", oldest.id, limit, now=2)


def test_the_band_begins_with_the_first_trade_and_ignores_the_harmless_side() -> None:
    engine = funded("ada", base="1000")
    first, _ = engine.submit("ada", order(BUY, "1", "900000"), now=1)
    engine.cancel("ada", first.id, now=1)
    engine.trade_through("BTC-USDT", D(30000), now=1)
    engine.submit("ada", order(BUY, "1", "54000"), now=1)
    engine.submit("ada", order(BUY, "1", "100"), now=1)
    engine.cancel("ada", 2, now=1)
    engine.submit("ada", order(SELL, "1", "900000"), now=1)
    engine.submit("ada", order(SELL, "1", "6000"), now=1)


@pytest.mark.parametrize(
    ("limit", "stop", "reason"),
    [
        (order(SELL, "1", "31000"), order(SELL, "2", "28000", stop="29000"), "BAD_PARAMETERS"),
        (order(SELL, "1", "31000"), order(BUY, "1", "28000", stop="29000"), "BAD_PARAMETERS"),
        (order(SELL, "1", "31000"), order(SELL, "1", "29000"), "BAD_PARAMETERS"),
        (order(SELL, "1", stop="29000"), order(SELL, "1", stop="29000"), "BAD_PARAMETERS"),
        (order(SELL, "1", "31000", tif=IOC), order(SELL, "1", stop="29000"), "BAD_PARAMETERS"),
        (order(SELL, "11", "31000"), order(SELL, "11", stop="29000"), "INSUFFICIENT_BALANCE"),
        (
            order(SELL, "1", "31000", client_id="a"),
            order(SELL, "1", stop="29000", client_id="a"),
            "DUPLICATE_CLIENT_ID",
        ),
        (
            order(SELL, "1", "30500", post_only=True),
            order(SELL, "1", stop="29000"),
            "WOULD_TAKE",
        ),
    ],
)
def test_a_list_is_refused(limit: NewOrder, stop: NewOrder, reason: str) -> None:
    engine = funded("ada", "bob")
    engine.trade_through("BTC-USDT", D(30000), now=0)
    engine.submit("bob", order(BUY, "1", "30500"), now=0)
    before = engine.snapshot()
    with pytest.raises(RefusedError, match=reason):
        engine.submit_oco("ada", limit, stop, client_id="", now=1)
    assert engine.snapshot() == before


def test_a_list_can_not_have_the_client_id_of_another_open_list() -> None:
    engine = funded("ada")
    legs = order(SELL, "1", "31000"), order(SELL, "1", stop="29000")
    engine.submit_oco("ada", *legs, client_id="L", now=1)
    with pytest.raises(RefusedError, match="DUPLICATE_CLIENT_ID"):
        engine.submit_oco("ada", *legs, client_id="L", now=1)


def test_orders_of_a_list_and_waiting_ones_can_not_be_edited() -> None:
    engine = funded("ada")
    engine.trade_through("BTC-USDT", D(30000), now=0)
    legs = order(SELL, "1", "31000"), order(SELL, "1", stop="29000")
    listed, _ = engine.submit_oco("ada", *legs, client_id="L", now=1)
    waiting, _ = engine.submit("ada", order(SELL, "1", "28000", stop="29000"), now=1)
    for number in (*listed.orders, waiting.id):
        with pytest.raises(RefusedError, match="BAD_PARAMETERS"):
            engine.edit("ada", number, price=D(31000), quantity=D("0.5"), now=2)


@pytest.mark.parametrize(
    "fields",
    [
        {"tick": Decimal(0)},
        {"tick": Decimal("NaN")},
        {"tick": Decimal("0.00001")},
        {"lot": Decimal("0.000000001")},
        {"min_quantity": Decimal(-1)},
        {"max_price": Decimal("Infinity")},
        {"max_price": Decimal("100.005")},
        {"maker_fee": Decimal(1)},
        {"taker_fee": Decimal("-0.1")},
        {"base": "USDT"},
    ],
    ids=str,
)
def test_an_impossible_instrument_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="BTC-USDT: "):
        Engine([replace(BTC, **fields)])  # type: ignore[arg-type]


def test_a_symbol_is_given_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Engine([BTC, BTC])
