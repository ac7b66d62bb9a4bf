"""Orders and fills over the wire: what lists show, and to whom."""

from typing import Any

import pytest
from coinbase_harness import Client, names, quiet_venue, run
from tradingbot_exchange.coinbase.calls import V3


def test_orders_are_filtered_and_paged_newest_first() -> None:
    async def scenario(client: Client) -> None:
        buys = [
            await client.placed("limit_limit_gtc", base_size="1", limit_price=f"9{digit}")
            for digit in range(5)
        ]
        sale = await client.placed("market_market_ioc", "SELL", base_size="1")
        newest_first = [sale, *reversed(buys)]

        async def ids(query: str) -> list[str]:
            answer = await client.get(f"orders/historical/batch?{query}")
            return names(answer["orders"], "order_id")

        assert await ids("") == newest_first
        assert await ids("order_status=OPEN") == newest_first[1:]
        assert await ids("order_status=FILLED&order_status=CANCELLED") == [sale]
        assert await ids(f"order_ids={buys[0]}&order_ids={sale}") == [sale, buys[0]]
        assert await ids("order_side=SELL") == [sale]
        assert await ids("order_types=MARKET") == [sale]
        assert await ids("time_in_forces=IMMEDIATE_OR_CANCEL") == [sale]
        assert await ids("product_ids=ETH-USD") == []
        assert await ids("product_id=BTC-USD&limit=1") == [sale]
        assert await ids("asset_filters=BTC") == newest_first
        assert await ids("product_type=FUTURE") == []
        assert await ids("retail_portfolio_id=another") == []
        assert await ids("start_date=2027-01-15T08:00:05Z") == newest_first[:2]
        assert await ids("end_date=2027-01-15T08:00:02%2B00:00") == [buys[0]]
        assert (await ids("sort_by=LAST_FILL_TIME"))[0] == sale
        assert await ids("unknown=1") == newest_first
        seen, cursor = [], ""
        while True:
            page = await client.get(f"orders/historical/batch?limit=4&cursor={cursor}")
            seen += names(page["orders"], "order_id")
            cursor = page["cursor"]
            if not page["has_next"]:
                break
        assert (seen, cursor) == (newest_first, "")

    run(scenario, quiet_venue())


def test_fills_are_filtered_and_paged_newest_first() -> None:
    async def scenario(client: Client) -> None:
        for _ in range(3):
            await client.placed("market_market_ioc", base_size="1")

        async def fills(query: str) -> list[Any]:
            return list((await client.get(f"orders/historical/fills?{query}"))["fills"])

        all_of_them = await fills("")
        assert len(all_of_them) == 3
        first = all_of_them[-1]
        assert await fills(f"order_ids={first['order_id']}") == [first]
        assert await fills(f"trade_ids={first['trade_id']}") == [first]
        assert await fills("product_ids=ETH-USD") == []
        assert await fills("retail_portfolio_id=another") == []
        assert await fills(f"end_sequence_timestamp={all_of_them[1]['trade_time']}") == [first]
        assert (
            await fills(f"start_sequence_timestamp={all_of_them[0]['trade_time']}")
            == (all_of_them[:1])
        )
        page = await client.get("orders/historical/fills?limit=2&sort_by=PRICE")
        assert page["fills"] == all_of_them[:2]
        rest = await client.get(f"orders/historical/fills?limit=2&cursor={page['cursor']}")
        assert (rest["fills"], rest["cursor"]) == (all_of_them[2:], "")

    run(scenario, quiet_venue())


@pytest.mark.parametrize(
    "query",
    [
        "batch?order_status=open",
        "batch?order_status=OPEN&order_status=FILLED",
        "batch?limit=many",
        "batch?limit=1001",
        "batch?cursor=nowhere",
        "batch?start_date=yesterday",
        "fills?cursor=nowhere",
        "fills?limit=%C2%B2",
    ],
)
def test_a_query_that_can_not_be_read_is_answered_by_400(query: str) -> None:
    async def scenario(client: Client) -> None:
        answer = await client.send("GET", f"{V3}/orders/historical/{query}")
        assert (answer.status, answer.json()["error"]) == (400, "INVALID_ARGUMENT")

    run(scenario, quiet_venue())


def test_nobody_sees_or_cancels_the_orders_of_another_account() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("limit_limit_gtc", base_size="1", limit_price="98")
        answer = await client.send("GET", f"{V3}/orders/historical/{order_id}", key="bob")
        assert answer.status == 404
        assert answer.json()["error_details"] == "order with this orderID was not found"
        cancel = await client.post("orders/batch_cancel", {"order_ids": [order_id]}, key="bob")
        assert cancel["results"][0]["failure_reason"] == "UNKNOWN_CANCEL_ORDER"
        assert (await client.get("orders/historical/batch", key="bob"))["orders"] == []

    run(scenario, quiet_venue())
