"""Coinbase's words and the core's: pure translations, the list of calls, what a bot sees."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tradingbot_exchange.coinbase.calls import CALLS, V3, Access
from tradingbot_exchange.engine.types import OrderType, Side
from tradingbot_gateway.coinbase.addresses import addresses
from tradingbot_gateway.coinbase.book import LEVELS, Book
from tradingbot_gateway.coinbase.calls import ALLOWED, Treatment, find
from tradingbot_gateway.coinbase.instruments import read_instrument
from tradingbot_gateway.coinbase.numbering import GapError, Numbering
from tradingbot_gateway.coinbase.requests import read_submission
from tradingbot_gateway.coinbase.translation import (
    Tag,
    exchange_orders,
    exchange_trade,
    of_one_order,
    own_body,
    totals,
)
from tradingbot_gateway.coinbase.views import in_account, of_the_bot
from tradingbot_gateway.errors import SettingError
from tradingbot_gateway.risk.events import End
from tradingbot_gateway.risk.types import Order

D = Decimal
TAG = Tag.of("trading", "tested")
BRACKET = {"base_size": "0.01", "limit_price": "63000", "stop_trigger_price": "58000"}


def request(form: str, *, client_id: str = "mine", side: str = "SELL", **members: Any) -> Any:
    return read_submission(
        {
            "client_order_id": client_id,
            "product_id": "BTC-USD",
            "side": side,
            "order_configuration": {form: members},
        },
        TAG,
    )


def test_what_is_sent_is_what_was_judged() -> None:
    sent = read_submission(
        {
            "client_order_id": "mine",
            "product_id": "BTC-USD",
            "side": "BUY",
            "order_configuration": {"market_market_ioc": {"quote_size": "10"}},
            "preview_id": "of-another-order",
            "self_trade_prevention_id": "own",
        },
        TAG,
    ).body
    assert sent == {
        "client_order_id": TAG.marked("mine"),
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"quote_size": "10"}},
        "self_trade_prevention_id": "own",
    }


def view(form: str, client_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "order_id": "an-id",
        "client_order_id": client_id,
        "product_id": "BTC-USD",
        "side": "SELL",
        "status": "OPEN",
        "filled_size": "0",
        "created_time": "2026-11-30T16:00:00.123456789Z",
        "order_configuration": {form: changes.pop("members")},
        **changes,
    }


# Calls


def test_every_call_that_changes_something_is_judged_or_is_a_cancel() -> None:
    writes = {each.path: each.treatment for each in ALLOWED if each.method != "GET"}
    assert writes == {
        f"{V3}/orders": Treatment.ORDER,
        f"{V3}/orders/batch_cancel": Treatment.CANCEL,
        f"{V3}/orders/preview": Treatment.PREVIEW,
        f"{V3}/orders/edit_preview": Treatment.PREVIEW,
    }


def test_what_is_passed_without_a_signature_needs_none() -> None:
    public = {each.path for each in CALLS if each.access is Access.PUBLIC}
    assert {each.path for each in ALLOWED if not each.signed} == public


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{V3}/orders/historical/batch", True),
        (f"{V3}/orders/historical/0a-9", True),
        (f"{V3}/orders/historical/", False),
        (f"{V3}/orders/historical/a/b", False),
        (f"{V3}/orders/historical/a%2Fb", False),
        (f"{V3}/orders/historical/..", False),
        (f"{V3}/orders/historical/a\n", False),
    ],
)
def test_a_path_is_taken_as_it_was_sent(path: str, *, found: bool) -> None:
    assert (find("GET", path) is not None) == found


# Client ids


def test_the_mark_of_a_bot_is_its_own_and_can_be_taken_off() -> None:
    other = Tag.of("trading", "other")
    assert TAG == Tag.of("trading", "tested") != other
    assert TAG.original(TAG.marked("x")) == "x"
    assert other.original(TAG.marked("x")) is None
    assert TAG.original("a-persons") is None


# The bot's orders


def test_a_bracket_is_two_orders_of_which_the_stop_counts_with_its_limit() -> None:
    made = request("trigger_bracket_gtc", **BRACKET)
    profit, stop = made.request.orders
    assert (made.request.group, profit.client_id, stop.client_id) == ("mine", "mine", "mine/stop")
    assert (profit.type, profit.price) == (OrderType.LIMIT, D(63000))
    assert (stop.type, stop.stop_price, stop.price) == (OrderType.STOP_LIMIT, D(58000), D(55100))
    assert made.body["client_order_id"] == TAG.marked("mine")


@pytest.mark.parametrize(
    ("form", "ends"),
    [("sor_limit_ioc", True), ("limit_limit_fok", True), ("limit_limit_gtc", False)],
)
def test_what_fills_at_once_is_waited_for(form: str, *, ends: bool) -> None:
    made = request(form, side="BUY", base_size="0.01", limit_price="60000")
    assert made.ends_at_once is ends
    assert made.request.orders[0].quantity == D("0.01")


# What the exchange shows


def test_a_bracket_of_the_exchange_is_the_two_orders_that_were_sent() -> None:
    (profit, stop) = request("trigger_bracket_gtc", **BRACKET).request.orders
    shown = view("trigger_bracket_gtc", TAG.marked("mine"), members=BRACKET, filled_size="0.004")
    first, second = exchange_orders(shown, TAG)
    assert (first.order, second.order) == (profit, stop)
    assert (first.exchange_id, second.exchange_id) == ("an-id", "")
    assert (first.executed, second.executed) == (D("0.004"), 0)
    assert first.created == 1_796_054_400_123


def test_own_protection_is_read_as_the_core_has_placed_it() -> None:
    orders = (
        Order(
            client_id="tbgw-1-0-0",
            symbol="BTC-USD",
            side=Side.SELL,
            type=OrderType.LIMIT,
            quantity=D("0.010"),
            price=D(63000),
        ),
        Order(
            client_id="tbgw-1-0-1",
            symbol="BTC-USD",
            side=Side.SELL,
            type=OrderType.STOP_MARKET,
            quantity=D("0.010"),
            stop_price=D(58000),
        ),
    )
    body = own_body(orders, "tbgw-1-0", TAG)
    assert body["order_configuration"] == {"trigger_bracket_gtc": BRACKET}
    shown = view("trigger_bracket_gtc", str(body["client_order_id"]), members=BRACKET)
    assert tuple(each.order for each in exchange_orders(shown, TAG)) == orders


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("OPEN", None),
        ("FILLED", End.FILLED),
        ("CANCELLED", End.CANCELED),
        ("EXPIRED", End.EXPIRED),
        ("CANCEL_QUEUED", None),
    ],
)
def test_statuses(status: str, end: End | None) -> None:
    members = {"base_size": "0.01", "limit_price": "1", "post_only": False}
    shown = view("limit_limit_gtc", TAG.marked("x"), members=members, status=status)
    (order,) = exchange_orders(shown, TAG)
    assert order.ended is end


@pytest.mark.parametrize(
    ("side", "direction", "kind"),
    [
        ("SELL", "STOP_DIRECTION_STOP_DOWN", OrderType.STOP_LIMIT),
        ("SELL", "STOP_DIRECTION_STOP_UP", OrderType.TAKE_PROFIT_LIMIT),
        ("BUY", "STOP_DIRECTION_STOP_UP", OrderType.STOP_LIMIT),
    ],
)
def test_stops_are_read_as_they_were_sent(side: str, direction: str, kind: OrderType) -> None:
    members = {
        "base_size": "0.01",
        "limit_price": "100",
        "stop_price": "100",
        "stop_direction": direction,
    }
    (sent,) = request("stop_limit_stop_limit_gtc", side=side, **members).request.orders
    shown = view("stop_limit_stop_limit_gtc", TAG.marked("mine"), members=members, side=side)
    assert (exchange_orders(shown, TAG)[0].order, sent.type) == (sent, kind)


def test_a_market_order_by_quote_size_keeps_it() -> None:
    members = {"quote_size": "500", "base_size": "0.008"}
    shown = view("market_market_ioc", TAG.marked("x"), members=members, size_in_quote=True)
    (order,) = exchange_orders(shown, TAG)
    assert (order.order.quantity, order.order.quote_quantity) == (None, D(500))


def test_a_fill_in_the_quote_asset_is_counted_in_the_base_asset() -> None:
    fill = {
        "entry_id": "e",
        "order_id": "an-id",
        "product_id": "BTC-USD",
        "price": "60000",
        "size": "600.00000001",
        "size_in_quote": True,
        "commission": "3.6",
        "trade_time": "2026-11-30T16:00:00Z",
    }
    trade = exchange_trade(fill, "BTC-USD", D("0.00000001"))
    assert (trade.quantity, trade.fee, trade.fee_asset) == (D("0.01"), D("3.6"), "USD")


@pytest.mark.parametrize(
    ("executed", "known", "counted"),
    [
        ("0.03", (), ["0.01", "0.02"]),
        ("0.03000002", (), ["0.01", "0.02000002"]),
        ("0.02999999", ("2",), ["0.00999999", "0.02"]),
        ("0.03000001", ("1", "2"), ["0.01", "0.02"]),
        ("0.03000003", (), ["0.01", "0.02"]),  # another fill is still to come
    ],
)
def test_fills_in_the_quote_asset_are_what_their_order_has_filled(
    executed: str, known: tuple[str, ...], counted: list[str]
) -> None:
    lot = D("0.00000001")
    trades = [
        exchange_trade(
            {
                "entry_id": number,
                "order_id": "an-id",
                "product_id": "BTC-USD",
                "price": "60000",
                "size": size,
                "size_in_quote": True,
                "commission": "0",
                "trade_time": "2026-11-30T16:00:00Z",
            },
            "BTC-USD",
            lot,
        )
        for number, size in (("1", "600"), ("2", "1200"))
    ]
    found = of_one_order(trades, D(executed), lot, known=known)
    assert [trade.quantity for trade in found] == [D(each) for each in counted]


def test_orders_of_others_are_none_of_the_bots() -> None:
    members = {"base_size": "0.01", "limit_price": "1"}
    assert exchange_orders(view("limit_limit_gtc", "a-persons", members=members), TAG) == ()


def test_a_future_is_not_traded() -> None:
    product = {
        "product_id": "BTC-USD",
        "base_currency_id": "BTC",
        "quote_currency_id": "USD",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "quote_min_size": "1",
    }
    found = read_instrument(product)
    assert found is not None
    assert (found.tick, found.fee_in_quote) == (D("0.01"), True)
    assert read_instrument({**product, "product_type": "FUTURE"}) is None
    assert read_instrument({**product, "product_id": "BTC-PERP-INTX"}) is None


# What the bot sees


def test_holds_of_the_gateway_count_as_available() -> None:
    account = {
        "currency": "BTC",
        "available_balance": {"value": "1", "currency": "BTC"},
        "hold": {"value": "0.03", "currency": "BTC"},
    }
    shown = in_account(account, {"BTC": D("0.01")})
    assert (shown["available_balance"]["value"], shown["hold"]["value"]) == ("1.01", "0.02")
    assert in_account(account, {}) is account
    assert totals([account, account]) == {"BTC": D("2.06")}


def test_protection_is_shown_once_it_has_traded() -> None:
    own = {"client_order_id": TAG.marked("tbgw-1-0"), "filled_size": "0"}
    bots, others = {"client_order_id": TAG.marked("x")}, {"client_order_id": "a-persons"}
    assert of_the_bot([own, bots, others], TAG) == [{"client_order_id": "x"}, others]
    assert len(of_the_bot([{**own, "filled_size": "0.1"}], TAG)) == 1


# Streams


def test_a_book_is_kept_from_its_changes() -> None:
    book = Book()
    levels = [("bid", 99, 1), ("offer", 101, 2), ("bid", 100, 3), ("offer", 102, 4)]
    levels += [("bid", 50 - number, 1) for number in range(LEVELS)]
    book.update(
        {"side": side, "price_level": str(price), "new_quantity": str(size)}
        for side, price, size in levels
    )
    depth = book.depth(7)
    assert (depth.bids[:2], depth.asks, depth.time) == (
        ((100, 3), (99, 1)),
        ((101, 2), (102, 4)),
        7,
    )
    assert len(depth.bids) == LEVELS
    book.update([{"side": "bid", "price_level": "100.0", "new_quantity": "0"}])
    book.update([{"side": "bid", "price_level": "98.5", "new_quantity": "0"}])
    book.update([{"side": "offer", "price_level": "101", "new_quantity": "9"}])
    assert (book.depth(8).bids[0], book.depth(8).asks[0]) == ((99, 1), (101, 9))


def test_a_message_that_is_missing_is_noticed() -> None:
    numbering = Numbering()
    for number in (5, 6, 7):
        numbering.check({"sequence_num": number})
    for bad in ({"sequence_num": 9}, {"sequence_num": 7}, {"type": "error"}):
        with pytest.raises(GapError):
            numbering.check(bad)


# Addresses


def test_websockets_are_elsewhere_for_the_real_exchange_alone() -> None:
    real = addresses(None)
    assert (real.rest, real.host) == ("https://api.coinbase.com", "api.coinbase.com")
    assert real.user.startswith("wss://advanced-trade-ws-user.")
    local = addresses("http://127.0.0.1:80/")
    assert (local.market, local.user, local.host) == (
        "ws://127.0.0.1:80",
        "ws://127.0.0.1:80",
        "127.0.0.1:80",
    )
    for bad in ("ftp://x", "http://x/path", "http://x?y"):
        with pytest.raises(SettingError):
            addresses(bad)
