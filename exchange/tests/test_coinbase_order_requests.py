"""Bodies of order requests: what is read, what is refused, and with which error."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from coinbase_harness import instrument
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.coinbase.engine_orders import (
    engine_bracket,
    engine_order,
    form_of,
    order_configuration,
    request_configuration,
)
from tradingbot_exchange.coinbase.errors import InvalidArgumentError
from tradingbot_exchange.coinbase.failures import OrderFailedError
from tradingbot_exchange.coinbase.order_requests import (
    FORMS,
    STOP_DOWN,
    STOP_UP,
    parse_cancel,
    parse_edit,
    parse_json,
    parse_order,
    parse_preview,
)
from tradingbot_exchange.coinbase.wire import instant
from tradingbot_exchange.engine.types import (
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

LIMIT = {"base_size": "1", "limit_price": "100"}


def body(configuration: object, **changes: object) -> dict[str, object]:
    """Return the body of an order."""
    members = {
        "client_order_id": "mine",
        "product_id": "BTC-USD",
        "side": "SELL",
        "order_configuration": configuration,
    } | changes
    return {name: value for name, value in members.items() if value is not ...}


NUMBERS = st.decimals(min_value="0.00000001", max_value=10**9, places=8).filter(bool)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[str, Mapping[str, Any]]:
    """Return an order configuration of any kind."""
    name = draw(st.sampled_from(sorted(FORMS)))
    form = FORMS[name]
    members: dict[str, Any] = {}
    for member in sorted(form.required | form.optional):
        if member == "post_only":
            members[member] = draw(st.booleans())
        elif member == "stop_direction":
            members[member] = draw(st.sampled_from([STOP_UP, STOP_DOWN]))
        elif member == "end_time":
            members[member] = instant(draw(st.integers(0, 4 * 10**12)))
        else:
            members[member] = f"{draw(NUMBERS).normalize():f}"
    if name == "market_market_ioc":
        del members[draw(st.sampled_from(["base_size", "quote_size"]))]
    return name, members


@given(configurations())
def test_a_configuration_is_written_as_it_was_read(
    configuration: tuple[str, Mapping[str, Any]],
) -> None:
    name, members = configuration
    request = parse_order(body({name: members}))
    assert request_configuration(request.configuration) == {name: members}


@given(configurations(), st.sampled_from(list(Side)))
def test_a_configuration_survives_the_engine(
    configuration: tuple[str, Mapping[str, Any]], side: Side
) -> None:
    name, members = configuration
    request = parse_order(body({name: members}, side=side.value))
    stop = None
    try:
        if request.configuration.bracket:
            pair = engine_bracket(request, instrument("BTC-USD"))
            first, stop = kept(pair.limit), kept(pair.stop)
        else:
            first = kept(engine_order(request))
    except OrderFailedError:
        return  # a stop with its limit on the wrong side
    assert order_configuration(first, stop) == {name: members}


def kept(order: NewOrder) -> Order:
    """Return an order as the engine keeps it."""
    return Order(
        id=1,
        account="alice",
        request=order,
        status=OrderStatus.OPEN,
        quantity=order.quantity or Decimal(0),
        created=0,
        updated=0,
    )


@pytest.mark.parametrize(
    ("name", "type_", "in_force"),
    [
        ("market_market_ioc", OrderType.MARKET, TimeInForce.IOC),
        ("sor_limit_ioc", OrderType.LIMIT, TimeInForce.IOC),
        ("limit_limit_gtc", OrderType.LIMIT, TimeInForce.GTC),
        ("limit_limit_gtd", OrderType.LIMIT, TimeInForce.GTD),
        ("limit_limit_fok", OrderType.LIMIT, TimeInForce.FOK),
        ("stop_limit_stop_limit_gtc", OrderType.STOP_LIMIT, TimeInForce.GTC),
        ("stop_limit_stop_limit_gtd", OrderType.TAKE_PROFIT_LIMIT, TimeInForce.GTD),
    ],
)
def test_orders_without_configuration_name_are_shown_as_their_like(
    name: str, type_: OrderType, in_force: TimeInForce
) -> None:
    price = None if type_ is OrderType.MARKET else Decimal(1)
    order = NewOrder(
        symbol="BTC-USD",
        side=Side.BUY,
        type=type_,
        time_in_force=in_force,
        quantity=Decimal(1),
        price=price,
        stop_price=Decimal(1) if name.startswith("stop") else None,
    )
    assert form_of(kept(order)) == name


@pytest.mark.parametrize(
    ("side", "direction", "limit", "expected"),
    [
        ("SELL", STOP_DOWN, "100", OrderType.STOP_LIMIT),
        ("SELL", STOP_UP, "90", OrderType.TAKE_PROFIT_LIMIT),
        ("SELL", STOP_UP, "110", OrderType.TAKE_PROFIT_LIMIT),
        ("BUY", STOP_UP, "100", OrderType.STOP_LIMIT),
        ("BUY", STOP_DOWN, "90", OrderType.TAKE_PROFIT_LIMIT),
    ],
)
def test_the_direction_decides_between_stop_loss_and_take_profit(
    side: str, direction: str, limit: str, expected: OrderType
) -> None:
    stop = LIMIT | {"limit_price": limit, "stop_price": "100", "stop_direction": direction}
    order = engine_order(parse_order(body({"stop_limit_stop_limit_gtc": stop}, side=side)))
    assert order.type is expected


@pytest.mark.parametrize(
    ("side", "direction", "limit", "name"),
    [
        ("SELL", STOP_DOWN, "100.01", "PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE"),
        ("BUY", STOP_UP, "99.99", "PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE"),
    ],
)
def test_a_stop_loss_whose_limit_it_would_jump_over_is_refused(
    side: str, direction: str, limit: str, name: str
) -> None:
    stop = LIMIT | {"limit_price": limit, "stop_price": "100", "stop_direction": direction}
    with pytest.raises(OrderFailedError, match=name):
        engine_order(parse_order(body({"stop_limit_stop_limit_gtc": stop}, side=side)))


@pytest.mark.parametrize(
    ("side", "trigger", "limit"),
    [("SELL", "90.01", "85.5"), ("BUY", "90.01", "94.52"), ("SELL", "0.01", "0.01")],
)
def test_the_stop_of_a_bracket_is_five_percent_beyond_its_trigger(
    side: str, trigger: str, limit: str
) -> None:
    bracket = {"base_size": "1", "limit_price": "110", "stop_trigger_price": trigger}
    request = parse_order(body({"trigger_bracket_gtc": bracket}, side=side))
    pair = engine_bracket(request, instrument("BTC-USD"))
    assert pair.stop.price == Decimal(limit)
    assert pair.stop.stop_price == Decimal(trigger)
    assert pair.limit.price == Decimal(110)


GTC = {"limit_limit_gtc": LIMIT}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (body(GTC, client_order_id=""), "client_order_id is required"),
        (body(GTC, client_order_id=...), "client_order_id is required"),
        (body(GTC, client_order_id=7), "client_order_id is text"),
        (body(GTC, client_order_id="x" * 129), "client_order_id is text"),
        (body(GTC, product_id=...), "product_id is required"),
        (body(GTC, product_id=["BTC-USD"]), "product_id is required"),
        (body(GTC, side="buy"), "side must be"),
        (body(GTC, side=...), "side is required"),
        (body(GTC, stopLoss={"triggerPrice": 90}), "unknown field 'stopLoss'"),
        (body(GTC, takeProfit={}), "unknown field 'takeProfit'"),
        (body(GTC, is_max=True), "unknown field 'is_max'"),
        (body(None), "order_configuration must be"),
        (body([]), "order_configuration must be"),
        (body({}), "exactly one member"),
        (body({"limit_limit_gtc": None}), "exactly one member"),
        (body(GTC | {"limit_limit_fok": LIMIT}), "exactly one member"),
        (body({"limit_gtc": LIMIT}), "unknown field 'limit_gtc'"),
        (body({"limit_limit_gtc": "x"}), "unknown field"),
        (body({"limit_limit_gtc": LIMIT | {"stop_price": "1"}}), "unknown field 'stop_price'"),
        (body({"limit_limit_gtc": {"base_size": "1"}}), "limit_price is required"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": 1}}), "base_size must be a decimal"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": "1e3"}}), "base_size must be a decimal"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": "NaN"}}), "base_size must be a decimal"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": " 1"}}), "base_size must be a decimal"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": "\u0661"}}), "base_size must be a decimal"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": "9" * 5000}}), "base_size must be"),
        (body({"limit_limit_gtc": LIMIT | {"base_size": "0"}}), "base_size must be positive"),
        (body({"limit_limit_gtc": LIMIT | {"limit_price": "-1"}}), "limit_price must be positive"),
        (body({"limit_limit_gtc": LIMIT | {"post_only": "true"}}), "post_only must be"),
        (body({"limit_limit_gtd": LIMIT | {"end_time": "soon"}}), "end_time must be"),
        (body({"limit_limit_gtd": LIMIT | {"end_time": "2030-01-01T00:00:00"}}), "end_time must"),
        (body({"limit_limit_gtd": LIMIT | {"end_time": 1}}), "end_time must be"),
        (body({"market_market_ioc": {}}), "one of base_size and quote_size"),
        (
            body({"market_market_ioc": {"base_size": "1", "quote_size": "1"}}),
            "one of base_size and quote_size",
        ),
        (
            body({"stop_limit_stop_limit_gtc": LIMIT | {"stop_price": "1"}}),
            "stop_direction is required",
        ),
        (
            body(
                {"stop_limit_stop_limit_gtc": LIMIT | {"stop_price": "1", "stop_direction": "UP"}}
            ),
            "stop_direction must be",
        ),
    ],
)
def test_a_body_that_can_not_be_read_says_which_member_is_wrong(
    bad: Mapping[str, object], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        parse_order(bad)


@pytest.mark.parametrize(
    ("refused", "name"),
    [
        (
            body(GTC, attached_order_configuration={"trigger_bracket_gtc": {}}),
            "PREVIEW_ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
        ),
        (body(GTC, leverage="2"), "PREVIEW_INVALID_LEVERAGE"),
        (body(GTC, margin_type="CROSS"), "PREVIEW_INVALID_LEVERAGE"),
        (
            body({"limit_limit_gtc": LIMIT | {"reduce_only": True}}),
            "PREVIEW_REDUCE_ONLY_NOT_ALLOWED_ON_SPOT_PRODUCTS",
        ),
        (body({"twap_limit_gtd": {}}), "PREVIEW_INVALID_ORDER_CONFIG"),
    ],
)
def test_what_the_exchange_has_and_this_one_has_not_is_refused_by_name(
    refused: Mapping[str, object], name: str
) -> None:
    with pytest.raises(OrderFailedError, match=name):
        parse_order(refused)


def test_members_without_effect_are_accepted() -> None:
    request = parse_order(
        body(
            {"limit_limit_gtc": LIMIT | {"reduce_only": False}},
            leverage="1",
            margin_type="",
            self_trade_prevention_id="s",
            preview_id="p",
            attached_order_configuration=None,
        )
    )
    assert request.configuration.post_only is False


def test_a_preview_needs_no_client_order_id() -> None:
    assert parse_preview(body(GTC, client_order_id=...)).client_order_id == ""


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"1", b"null", b'{"a": NaN}', b"[" * 100_000, b"\xff"]
)
def test_a_body_that_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_json(data)


def test_no_body_has_no_members() -> None:
    assert parse_json(b" ") == {}


def test_an_edit_may_leave_out_price_or_size() -> None:
    edit = parse_edit({"order_id": "x", "price": "", "size": "2"})
    assert (edit.price, edit.size) == (None, Decimal(2))


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"order_id": ""},
        {"order_id": "x", "price": 1},
        {"order_id": "x", "size": "-1"},
        {"order_id": "x", "stop_price": "1"},
    ],
)
def test_an_edit_that_can_not_be_read_is_refused(bad: Mapping[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_edit(bad)


@pytest.mark.parametrize(
    "bad", [{}, {"order_ids": []}, {"order_ids": "x"}, {"order_ids": [1]}, {"order_id": "x"}]
)
def test_a_cancel_that_can_not_be_read_is_refused(bad: Mapping[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_cancel(bad)
