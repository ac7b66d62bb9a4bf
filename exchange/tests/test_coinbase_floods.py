"""Floods of a client of the simulated Coinbase: orders over the limit, and a long history."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from coinbase_harness import Answer, Client, quiet_venue, run
from tradingbot_exchange.coinbase import history
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.order_views import OrderView
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.rate_limits import PRIVATE_PER_SECOND
from tradingbot_exchange.engine.types import NewOrder, Order, OrderType, Side

FLOOD = 150


def buy(number: int) -> dict[str, Any]:
    return {
        "client_order_id": f"flood {number}",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"base_size": "0.01"}},
    }


def test_a_flood_of_orders_is_limited_and_every_balance_stays_exact() -> None:
    venue = quiet_venue()
    before = {asset: venue.engine.total(asset) for asset in ("USD", "BTC")}
    had = venue.engine.balances("alice")["USD"].free

    async def scenario(client: Client) -> None:
        async def send(number: int, key: str) -> Answer:
            return await client.send("POST", f"{V3}/orders", buy(number), key=key)

        flood = [send(number, "ed") for number in range(FLOOD)]
        *answers, other = await asyncio.gather(*flood, send(FLOOD, "bob"))
        statuses = [answer.status for answer in answers]
        assert statuses.count(200) == PRIVATE_PER_SECOND
        assert statuses.count(429) == FLOOD - PRIVATE_PER_SECOND
        assert other.json()["success"]
        balances = venue.engine.balances("alice")
        cost = Decimal("0.01") * 101 * Decimal("1.006")
        assert balances["USD"].free == had - PRIVATE_PER_SECOND * cost
        assert balances["USD"].held == 0
        assert {asset: venue.engine.total(asset) for asset in before} == before

    run(scenario, venue)


def test_a_page_of_a_long_history_does_not_write_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    venue, written = quiet_venue(), []
    order = NewOrder(
        symbol="BTC-USD", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01")
    )
    for _ in range(300):
        venue.apply(lambda engine, now: engine.submit("alice", order, now=now))

    def counted(name: str) -> None:
        write = getattr(history, name)

        def count(*arguments: Any) -> Any:
            written.append(name)
            return write(*arguments)

        monkeypatch.setattr(history, name, count)

    counted("fill_object")
    counted("order_object")
    view, viewed = Orders.view, []

    def count_views(orders: Orders, order: Order) -> OrderView:
        viewed.append(order.id)
        return view(orders, order)

    monkeypatch.setattr(Orders, "view", count_views)

    async def scenario(client: Client) -> None:
        for path, member in (("fills", "fills"), ("batch", "orders")):
            cursor, found = "", []
            for _ in range(3):
                written.clear()
                viewed.clear()
                page = await client.get(f"orders/historical/{path}?limit=4&cursor={cursor}")
                assert len(written) == 4
                assert len(viewed) < 20
                cursor = page["cursor"]
                found += [each["order_id"] for each in page[member]]
            assert len(set(found)) == 12

    run(scenario, venue)
