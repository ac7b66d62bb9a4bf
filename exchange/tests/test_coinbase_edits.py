"""Changes of orders over the wire: brackets, batches of cancels and edits."""

import pytest
from coinbase_harness import BRACKET, Client, names, quiet_venue, run
from tradingbot_exchange.engine.types import Side


def test_a_bracket_is_one_order_with_one_hold() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("trigger_bracket_gtc", "SELL", **BRACKET)
        orders = (await client.get("orders/historical/batch?order_status=OPEN"))["orders"]
        assert names(orders, "order_id") == [order_id]
        assert orders[0]["order_type"] == "BRACKET"
        assert orders[0]["order_configuration"] == {"trigger_bracket_gtc": BRACKET}
        assert orders[0]["outstanding_hold_amount"] == "1"
        accounts = (await client.get("accounts"))["accounts"]
        held = {each["currency"]: each["hold"]["value"] for each in accounts}
        assert held["BTC"] == "1"

    run(scenario, quiet_venue())


@pytest.mark.parametrize(
    ("price", "value", "trigger"),
    [("111", "110", "STOP_PENDING"), ("89", "85.5", "STOP_TRIGGERED")],
)
def test_a_bracket_takes_its_profit_or_stops_its_loss(price: str, value: str, trigger: str) -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("trigger_bracket_gtc", "SELL", **BRACKET)
        client.venue.trade_at(price)
        if trigger == "STOP_TRIGGERED":
            shown = await client.shown(order_id)
            assert (shown["status"], shown["trigger_status"]) == ("OPEN", trigger)
            client.venue.quote(Side.BUY, "86", "10")
        shown = await client.shown(order_id)
        assert (shown["status"], shown["filled_size"]) == ("FILLED", "1")
        assert (shown["filled_value"], shown["trigger_status"]) == (value, trigger)
        assert shown["cancel_message"] == ""
        assert len((await client.get("orders/historical/batch"))["orders"]) == 1
        fills = (await client.get(f"orders/historical/fills?order_ids={order_id}"))["fills"]
        assert names(fills, "order_id") == [order_id]

    run(scenario, quiet_venue())


def test_cancelling_a_bracket_ends_both_of_its_orders() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("trigger_bracket_gtc", "SELL", **BRACKET)
        answer = await client.post("orders/batch_cancel", {"order_ids": [order_id]})
        assert answer["results"][0]["success"]
        shown = await client.shown(order_id)
        assert (shown["status"], shown["cancel_message"]) == ("CANCELLED", "User requested cancel")
        assert (await client.get("orders/historical/batch?order_status=OPEN"))["orders"] == []

    run(scenario, quiet_venue())


def test_a_batch_of_cancels_has_a_result_for_each() -> None:
    async def scenario(client: Client) -> None:
        rests = await client.placed("limit_limit_gtc", base_size="1", limit_price="98")
        filled = await client.placed("market_market_ioc", base_size="1")
        ended = await client.placed("sor_limit_ioc", base_size="1", limit_price="98")
        ids = [rests, rests, filled, ended, "nonsense"]
        results = (await client.post("orders/batch_cancel", {"order_ids": ids}))["results"]
        assert names(results, "order_id") == ids
        assert names(results, "success") == [True, False, False, False, False]
        assert names(results, "failure_reason") == [
            "UNKNOWN_CANCEL_FAILURE_REASON",
            "DUPLICATE_CANCEL_REQUEST",
            "ORDER_IS_FULLY_FILLED",
            "INVALID_CANCEL_REQUEST",
            "UNKNOWN_CANCEL_ORDER",
        ]
        assert (await client.shown(rests))["cancel_message"] == "User requested cancel"

    run(scenario, quiet_venue())


def test_an_edit_keeps_the_id_and_changes_price_and_size() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("limit_limit_gtc", base_size="1", limit_price="98")
        wanted = {"order_id": order_id, "price": "97", "size": "2"}
        preview = await client.post("orders/edit_preview", wanted)
        assert (preview["errors"], preview["quote_size"]) == ([], "194")
        answer = await client.post("orders/edit", wanted)
        assert answer == {
            "success": True,
            "success_response": {"order_id": order_id},
            "errors": [],
        }
        configuration = (await client.shown(order_id))["order_configuration"]
        assert configuration["limit_limit_gtc"]["limit_price"] == "97"
        assert configuration["limit_limit_gtc"]["base_size"] == "2"

    run(scenario, quiet_venue())


def test_an_edit_that_is_not_possible_says_why() -> None:
    async def scenario(client: Client) -> None:
        gtc = await client.placed("limit_limit_gtc", base_size="1", limit_price="98")
        gtd = await client.placed(
            "limit_limit_gtd", base_size="1", limit_price="98", end_time="2030-01-01T00:00:00Z"
        )
        filled = await client.placed("market_market_ioc", base_size="1")
        expected = [
            ({"order_id": "nonsense", "price": "1"}, "ORDER_NOT_FOUND"),
            ({"order_id": filled, "price": "1"}, "ONLY_OPEN_ORDERS_CAN_BE_EDITED"),
            ({"order_id": gtd, "price": "97"}, "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"),
            ({"order_id": gtc, "price": "98"}, "EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST"),
            ({"order_id": gtc, "price": "97.001"}, "INVALID_EDITED_PRICE"),
            ({"order_id": gtc, "size": "0.00001"}, "INVALID_EDITED_SIZE"),
            ({"order_id": gtc, "size": "100", "price": "99"}, "INSUFFICIENT_FUND"),
        ]
        for body, reason in expected:
            answer = await client.post("orders/edit", body)
            assert not answer["success"], body
            named = answer["errors"][0]
            assert reason in str(named), (body, named)
            assert (
                answer["error_response"]["edit_order_failure_reason"]
                == (named["edit_failure_reason"])
            )
        preview = await client.post("orders/edit_preview", {"order_id": gtd, "price": "97"})
        assert preview["errors"][0]["edit_failure_reason"] == "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"

    run(scenario, quiet_venue())


def test_an_edit_below_what_is_filled_is_refused() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("limit_limit_gtc", base_size="5", limit_price="100")
        client.venue.quote(Side.SELL, "100", "2")
        answer = await client.post("orders/edit", {"order_id": order_id, "size": "2"})
        assert answer["errors"][0]["edit_failure_reason"] == "CANNOT_EDIT_TO_BELOW_FILLED_SIZE"
        shown = await client.shown(order_id)
        assert (shown["status"], shown["completion_percentage"]) == ("OPEN", "40")
        assert shown["outstanding_hold_amount"] == "301.8"

    run(scenario, quiet_venue())
