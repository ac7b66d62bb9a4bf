"""Orders over the wire: their life, their figures, and what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from coinbase_harness import BRACKET, START, Client, names, quiet_venue, run
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.failures import FAILURES
from tradingbot_exchange.coinbase.order_requests import STOP_DOWN, STOP_UP
from tradingbot_exchange.coinbase.trading import MAX_CANCELS
from tradingbot_exchange.engine.types import Order, OrderList, Reason, Side

ENDINGS = {
    Reason.UNKNOWN_ORDER,
    Reason.UNFILLED_IOC,
    Reason.UNFILLED_FOK,
    Reason.OCO_TRIGGERED,
    Reason.REACHED_END_TIME,
    Reason.BY_USER,
    Reason.REPLACED,
}
"""Reasons why an order ends, or that are answered elsewhere: they refuse no new order."""


def test_every_refusal_of_the_engine_has_a_name() -> None:
    assert FAILURES.keys() == set(Reason) - ENDINGS


def test_an_order_that_rests_has_all_the_members_of_the_documentation() -> None:
    async def scenario(client: Client) -> None:
        answer = await client.order("limit_limit_gtc", base_size="1", limit_price="98.50")
        assert answer["success"]
        success = answer["success_response"]
        assert (success["product_id"], success["side"]) == ("BTC-USD", "BUY")
        assert success["client_order_id"] == "order 1"
        shown = await client.shown(success["order_id"])
        assert shown == {
            "order_id": success["order_id"],
            "product_id": "BTC-USD",
            "user_id": shown["user_id"],
            "order_configuration": {
                "limit_limit_gtc": {"base_size": "1", "limit_price": "98.5", "post_only": False}
            },
            "side": "BUY",
            "client_order_id": "order 1",
            "status": "OPEN",
            "time_in_force": "GOOD_UNTIL_CANCELLED",
            "created_time": "2027-01-15T08:00:01.000Z",
            "completion_percentage": "0",
            "filled_size": "0",
            "average_filled_price": "0",
            "fee": "",
            "number_of_fills": "0",
            "filled_value": "0",
            "pending_cancel": False,
            "size_in_quote": False,
            "total_fees": "0",
            "size_inclusive_of_fees": False,
            "total_value_after_fees": "0",
            "trigger_status": "INVALID_ORDER_TYPE",
            "order_type": "LIMIT",
            "reject_reason": "REJECT_REASON_UNSPECIFIED",
            "settled": False,
            "product_type": "SPOT",
            "reject_message": "",
            "cancel_message": "",
            "order_placement_source": "RETAIL_ADVANCED",
            "outstanding_hold_amount": "99.091",
            "is_liquidation": False,
            "last_fill_time": None,
            "edit_history": [],
            "leverage": "",
            "margin_type": "UNKNOWN_MARGIN_TYPE",
            "retail_portfolio_id": shown["retail_portfolio_id"],
            "originating_order_id": "",
            "attached_order_id": "",
            "attached_order_configuration": None,
        }

    run(scenario, quiet_venue())


def test_a_purchase_is_charged_in_the_quote_asset_and_its_fill_names_the_order() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("sor_limit_ioc", base_size="2", limit_price="101")
        shown = await client.shown(order_id)
        assert shown["status"] == "FILLED"
        assert shown["filled_value"] == "202"
        assert shown["total_fees"] == "1.212"
        assert shown["total_value_after_fees"] == "203.212"
        assert shown["average_filled_price"] == "101"
        assert shown["settled"] is True
        assert shown["outstanding_hold_amount"] == "0"
        fills = (await client.get("orders/historical/fills"))["fills"]
        assert fills == [
            {
                "entry_id": fills[0]["entry_id"],
                "trade_id": fills[0]["trade_id"],
                "order_id": order_id,
                "trade_time": "2027-01-15T08:00:01.000Z",
                "trade_type": "FILL",
                "price": "101",
                "size": "2",
                "commission": "1.212",
                "product_id": "BTC-USD",
                "sequence_timestamp": "2027-01-15T08:00:01.000Z",
                "liquidity_indicator": "TAKER",
                "size_in_quote": False,
                "user_id": shown["user_id"],
                "side": "BUY",
                "retail_portfolio_id": shown["retail_portfolio_id"],
            }
        ]
        assert shown["last_fill_time"] == "2027-01-15T08:00:01.000Z"
        accounts = (await client.get("accounts"))["accounts"]
        money = {each["currency"]: each["available_balance"]["value"] for each in accounts}
        assert money["BTC"] == "12"
        assert money["USD"] == "9796.788"

    run(scenario, quiet_venue())


def test_a_market_order_can_be_sized_in_the_quote_asset() -> None:
    async def scenario(client: Client) -> None:
        shown = await client.shown(await client.placed("market_market_ioc", quote_size="500"))
        assert shown["order_configuration"] == {"market_market_ioc": {"quote_size": "500"}}
        assert (shown["status"], shown["order_type"]) == ("FILLED", "MARKET")
        assert shown["size_in_quote"] is True
        assert shown["completion_percentage"] == "100"
        assert Decimal(shown["total_value_after_fees"]) <= 500
        assert Decimal(shown["total_value_after_fees"]) > 499

    run(scenario, quiet_venue())


def test_the_same_client_order_id_returns_the_first_order() -> None:
    async def scenario(client: Client) -> None:
        first = await client.order("market_market_ioc", client_id="once", quote_size="100")
        again = await client.order("market_market_ioc", client_id="once", quote_size="100")
        other = await client.order(
            "limit_limit_gtc", "SELL", client_id="once", base_size="1", limit_price="105"
        )
        assert first["success_response"] == again["success_response"] == other["success_response"]
        assert len((await client.get("orders/historical/batch"))["orders"]) == 1
        bracket = {"base_size": "1", "limit_price": "110", "stop_trigger_price": "90"}
        pair = await client.order("trigger_bracket_gtc", "SELL", client_id="two", **bracket)
        again = await client.order("trigger_bracket_gtc", "SELL", client_id="two", **bracket)
        assert pair["success_response"] == again["success_response"]
        assert len((await client.get("orders/historical/batch"))["orders"]) == 2

    run(scenario, quiet_venue())


def test_an_order_that_is_not_filled_at_once_is_cancelled_with_a_message() -> None:
    async def scenario(client: Client) -> None:
        for form in ("sor_limit_ioc", "limit_limit_fok"):
            shown = await client.shown(await client.placed(form, base_size="1", limit_price="100"))
            assert shown["status"] == "CANCELLED"
            assert shown["cancel_message"]

    run(scenario, quiet_venue())


def test_an_order_ends_at_its_end_time() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed(
            "limit_limit_gtd", base_size="1", limit_price="98", end_time="2027-01-15T08:01:00Z"
        )
        assert (await client.shown(order_id))["status"] == "OPEN"
        client.venue.time = START + 60_000
        shown = await client.shown(order_id)
        assert (shown["status"], shown["time_in_force"]) == ("EXPIRED", "GOOD_UNTIL_DATE_TIME")

    run(scenario, quiet_venue())


def test_a_stop_waits_triggers_and_fills() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed(
            "stop_limit_stop_limit_gtc",
            "SELL",
            base_size="1",
            limit_price="94",
            stop_price="95",
            stop_direction=STOP_DOWN,
        )
        shown = await client.shown(order_id)
        assert (shown["status"], shown["trigger_status"]) == ("OPEN", "STOP_PENDING")
        assert shown["order_type"] == "STOP_LIMIT"
        client.venue.trade_at("95")
        client.venue.quote(Side.BUY, "94.5", "10")
        client.venue.trade_at("95")
        shown = await client.shown(order_id)
        assert (shown["status"], shown["trigger_status"]) == ("FILLED", "STOP_TRIGGERED")

    run(scenario, quiet_venue())


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("SELL", {"base_size": "11", "limit_price": "101"}, "INSUFFICIENT_FUND", "INSUFFICIENT_FUND"),
    ("BUY", {"base_size": "1", "limit_price": "98.001"}, "INVALID_PRICE_PRECISION", ""),
    ("BUY", {"base_size": "1.00001", "limit_price": "98"}, "INVALID_SIZE_PRECISION", ""),
    ("BUY", {"base_size": "101", "limit_price": "98"}, "UNKNOWN_FAILURE_REASON", "TOO_LARGE"),
    ("BUY", {"base_size": "0.00001", "limit_price": "98"}, "UNKNOWN_FAILURE_REASON", "TOO_SMALL"),
    ("BUY", {"base_size": "0.001", "limit_price": "98"}, "UNKNOWN_FAILURE_REASON", "QUOTE_SIZE"),
    ("BUY", {"base_size": "1", "limit_price": "2000000"}, "INVALID_LIMIT_PRICE", ""),
    ("BUY", {"base_size": "1", "limit_price": "500"}, "LIMIT_PRICE_TOO_FAR_FROM_MARKET", ""),
    (
        "BUY",
        {"base_size": "1", "limit_price": "101", "post_only": True},
        "INVALID_LIMIT_PRICE_POST_ONLY",
        "",
    ),
]


@pytest.mark.parametrize(("side", "members", "error", "preview"), REFUSED)
def test_a_refused_order_is_answered_by_200_and_names(
    side: str, members: dict[str, Any], error: str, preview: str
) -> None:
    async def scenario(client: Client) -> None:
        answer = await client.order("limit_limit_gtc", side, **members)
        assert answer["success"] is False
        response = answer["error_response"]
        assert response["error"] == response["new_order_failure_reason"] == error
        assert response["preview_failure_reason"].startswith("PREVIEW_")
        assert (preview or error) in response["preview_failure_reason"]
        assert response["error_details"]
        body = {
            "product_id": "BTC-USD",
            "side": side,
            "order_configuration": {"limit_limit_gtc": members},
        }
        preview_answer = await client.post("orders/preview", body)
        assert preview_answer["errs"] == [response["preview_failure_reason"]]
        assert (await client.get("orders/historical/batch"))["orders"] == []

    run(scenario, quiet_venue())


@pytest.mark.parametrize(
    ("side", "direction", "stop", "name"),
    [
        ("SELL", STOP_DOWN, "105", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
        ("BUY", STOP_UP, "95", "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE"),
        ("SELL", STOP_UP, "95", "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE"),
        ("BUY", STOP_DOWN, "105", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
    ],
)
def test_a_stop_that_was_already_reached_is_refused_by_the_side_it_is_on(
    side: str, direction: str, stop: str, name: str
) -> None:
    async def scenario(client: Client) -> None:
        answer = await client.order(
            "stop_limit_stop_limit_gtc",
            side,
            base_size="1",
            limit_price=stop,
            stop_price=stop,
            stop_direction=direction,
        )
        assert answer["error_response"]["preview_failure_reason"] == name

    run(scenario, quiet_venue())


def test_other_refusals_have_their_names() -> None:
    async def scenario(client: Client) -> None:
        wrong = await client.order(
            "trigger_bracket_gtc",
            "SELL",
            base_size="1",
            limit_price="90",
            stop_trigger_price="110",
        )
        assert wrong["error_response"]["error"] == "INVALID_BRACKET_PRICES"
        past = await client.order(
            "limit_limit_gtd", base_size="1", limit_price="98", end_time="2020-01-01T00:00:00Z"
        )
        assert past["error_response"]["error"] == "END_TIME_IS_IN_THE_PAST"
        client.venue.engine.halt("BTC-USD", halted=True)
        halted = await client.order("limit_limit_gtc", base_size="1", limit_price="98")
        assert halted["error_response"]["error"] == "PRODUCT_TRADING_HALTED"
        body = {
            "client_order_id": "x",
            "product_id": "XXX-USD",
            "side": "BUY",
            "order_configuration": {"market_market_ioc": {"quote_size": "1"}},
        }
        unknown = await client.post("orders", body)
        assert unknown["error_response"]["error"] == "INVALID_PRODUCT_ID"
        body |= {"product_id": "BTC-USD", "retail_portfolio_id": "another"}
        other = await client.post("orders", body)
        assert other["error_response"]["message"] == "the key is for another portfolio"
        closed = await client.post("orders/close_position", {"product_id": "BTC-USD"})
        assert closed["error_response"]["error"] == "CANNOT_CLOSE_ZERO_POSITION"

    run(scenario, quiet_venue())


def test_a_body_that_can_not_be_read_is_answered_by_400() -> None:
    async def scenario(client: Client) -> None:
        answer = await client.send("POST", f"{V3}/orders", b"{")
        assert answer.status == 400
        assert answer.json() == {
            "error": "INVALID_ARGUMENT",
            "error_details": "the body is not JSON",
            "message": "the body is not JSON",
        }

    run(scenario, quiet_venue())


def test_a_preview_computes_what_an_order_would_cost() -> None:
    async def scenario(client: Client) -> None:
        body = {
            "product_id": "BTC-USD",
            "side": "BUY",
            "order_configuration": {"market_market_ioc": {"quote_size": "202"}},
        }
        answer = await client.post("orders/preview", body)
        assert answer["errs"] == []
        assert (answer["base_size"], answer["best_bid"], answer["best_ask"]) == ("2", "99", "101")
        assert answer["commission_total"] == "1.212"
        bracket = {"trigger_bracket_gtc": BRACKET}
        answer = await client.post(
            "orders/preview", body | {"side": "SELL", "order_configuration": bracket}
        )
        assert (answer["errs"], answer["quote_size"]) == ([], "110")

    run(scenario, quiet_venue())


def test_ids_follow_from_the_engine_and_survive_a_restart() -> None:
    venue, found = quiet_venue(), []

    async def first(client: Client) -> None:
        found.append(await client.placed("limit_limit_gtc", base_size="1", limit_price="98"))
        found.append(await client.placed("trigger_bracket_gtc", "SELL", **BRACKET))

    async def second(client: Client) -> None:
        orders = (await client.get("orders/historical/batch"))["orders"]
        assert names(orders, "order_id") == found[::-1]
        results = (await client.post("orders/batch_cancel", {"order_ids": found}))["results"]
        assert names(results, "success") == [True, True]

    run(first, venue)
    run(second, venue)
    again, same = quiet_venue(), list(found)
    found.clear()
    run(first, again)
    assert found == same


def test_a_cancel_of_thousands_of_unknown_ids_reads_the_orders_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    venue = quiet_venue()
    read: list[str] = []
    engine = venue.engine
    orders, lists = engine.orders, engine.order_lists

    def read_orders(account: str) -> list[Order]:
        read.append("orders")
        return orders(account)

    def read_lists(account: str) -> list[OrderList]:
        read.append("lists")
        return lists(account)

    monkeypatch.setattr(engine, "orders", read_orders)
    monkeypatch.setattr(engine, "order_lists", read_lists)

    async def scenario(client: Client) -> None:
        unknown = [str(number) for number in range(MAX_CANCELS - 1)]
        placed = await client.placed("limit_limit_gtc", base_size="1", limit_price="98")
        read.clear()
        body = {"order_ids": [*unknown, placed]}
        results = (await client.post("orders/batch_cancel", body))["results"]
        assert names(results, "success") == [False] * (MAX_CANCELS - 1) + [True]
        assert sorted(read) == ["lists", "orders"]
        body["order_ids"].append("one too many")
        answer = await client.send("POST", f"{V3}/orders/batch_cancel", body)
        assert answer.status == 400
        assert f"at most {MAX_CANCELS}" in answer.json()["message"]
        later = await client.placed("trigger_bracket_gtc", "SELL", **BRACKET)
        assert (await client.shown(later))["status"] == "OPEN"

    run(scenario, venue)
