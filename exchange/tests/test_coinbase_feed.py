"""WebSockets: what each channel tells."""

import pytest
from coinbase_harness import (
    Client,
    names,
    quiet_venue,
    run,
    token,
)
from tradingbot_exchange.engine.types import Side


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_a_subscription_is_confirmed_and_numbered(path: str) -> None:
    async def scenario(client: Client) -> None:
        async with client.socket(path) as socket:
            await socket.subscribe("ticker", "BTC-USD")
            message = await socket.next()
            assert message == {
                "channel": "subscriptions",
                "client_id": "",
                "timestamp": "2027-01-15T08:00:00.000Z",
                "sequence_num": 0,
                "events": [{"subscriptions": {"ticker": ["BTC-USD"]}}],
            }
            assert (await socket.next())["sequence_num"] == 1

    run(scenario, quiet_venue())


def test_the_ticker_tells_the_market_and_follows_each_trade() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.subscribe("ticker", "BTC-USD")
            snapshot = await socket.told("ticker")
            assert snapshot == {
                "type": "snapshot",
                "tickers": [
                    {
                        "type": "ticker",
                        "product_id": "BTC-USD",
                        "price": "100",
                        "volume_24_h": "0",
                        "low_24_h": "100",
                        "high_24_h": "100",
                        "low_52_w": "100",
                        "high_52_w": "100",
                        "price_percent_chg_24_h": "0",
                        "best_bid": "99",
                        "best_bid_quantity": "50",
                        "best_ask": "101",
                        "best_ask_quantity": "50",
                    }
                ],
            }
            await client.placed("market_market_ioc", base_size="1")
            update = await socket.told("ticker")
            assert (update["type"], update["tickers"][0]["price"]) == ("update", "101")

    run(scenario, quiet_venue())


def test_a_book_is_a_snapshot_and_its_changes() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.subscribe("level2", "BTC-USD")
            confirmed = await socket.told("subscriptions")
            assert confirmed == {"subscriptions": {"level2": ["BTC-USD"]}}
            snapshot = await socket.told("l2_data")
            assert (snapshot["type"], snapshot["product_id"]) == ("snapshot", "BTC-USD")
            assert names(snapshot["updates"], "side") == ["bid", "offer"]
            order = client.venue.quote(Side.BUY, "98", "2")
            update = await socket.told("l2_data")
            assert update["updates"] == [
                {
                    "side": "bid",
                    "event_time": "2027-01-15T08:00:00.000Z",
                    "price_level": "98",
                    "new_quantity": "2",
                }
            ]
            client.venue.apply(lambda engine, now: engine.cancel("maker", order.id, now=now))
            update = await socket.told("l2_data")
            assert update["updates"][0]["new_quantity"] == "0"

    run(scenario, quiet_venue())


def test_the_book_that_updates_build_is_the_book() -> None:
    async def scenario(client: Client) -> None:
        levels: dict[tuple[str, str], str] = {}
        async with client.socket() as socket:
            await socket.subscribe("level2", "BTC-USD")
            snapshot = await socket.told("l2_data")
            updates = list(snapshot["updates"])
            for price in ("97", "98", "96"):
                client.venue.quote(Side.BUY, price, "1")
            client.venue.trade_at("97.5")
            client.venue.quote(Side.SELL, "95", "1.5")
            for _ in range(5):
                updates += (await socket.told("l2_data"))["updates"]
        for each in updates:
            levels[each["side"], each["price_level"]] = each["new_quantity"]
        bids = {price: size for (side, price), size in levels.items() if side == "bid"}
        book = (await client.get("product_book?product_id=BTC-USD"))["pricebook"]
        assert {price: size for price, size in bids.items() if size != "0"} == {
            each["price"]: each["size"] for each in book["bids"]
        }

    run(scenario, quiet_venue())


def test_trades_are_told_newest_first_with_the_maker_s_side() -> None:
    async def scenario(client: Client) -> None:
        client.venue.quote(Side.SELL, "100.50", "1")
        await client.placed("market_market_ioc", base_size="1")
        async with client.socket() as socket:
            await socket.subscribe("market_trades", "BTC-USD")
            snapshot = await socket.told("market_trades")
            assert (snapshot["type"], len(snapshot["trades"])) == ("snapshot", 1)
            client.venue.quote(Side.SELL, "100.50", "1")
            await client.placed("market_market_ioc", base_size="2")
            update = await socket.told("market_trades")
            assert names(update["trades"], "price") == ["101", "100.5"]
            assert set(names(update["trades"], "side")) == {"SELL"}
            assert set(update["trades"][0]) == {
                "trade_id", "product_id", "price", "size", "time", "side",
            }  # fmt: skip

    run(scenario, quiet_venue())


def test_candles_status_and_batches_are_told_by_the_clock() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.subscribe("candles", "BTC-USD")
            assert (await socket.told("candles"))["type"] == "snapshot"
            await socket.subscribe("status")
            products = (await socket.told("status"))["products"]
            assert {each["id"] for each in products} == {"BTC-USD", "ETH-USD", "ETH-BTC"}
            await socket.subscribe("ticker_batch", "BTC-USD", "ETH-USD")
            snapshot = await socket.told("ticker_batch")
            assert len(snapshot["tickers"]) == 2
            assert "best_bid" not in snapshot["tickers"][0]
            await socket.subscribe("heartbeats")
            first = await socket.told("heartbeats")
            second = await socket.told("heartbeats")
            assert second["heartbeat_counter"] == first["heartbeat_counter"] + 1
            assert first["current_time"].startswith("2027-01-15 08:00:00.000")
            assert (await socket.told("candles"))["type"] == "update"
            assert (await socket.told("ticker_batch"))["type"] == "update"

    run(scenario, quiet_venue())


def test_the_user_channel_tells_open_orders_and_each_change() -> None:
    async def scenario(client: Client) -> None:
        order_id = await client.placed("limit_limit_gtc", base_size="2", limit_price="98")
        async with client.socket() as socket:
            await socket.subscribe("user", "BTC-USD", jwt=token())
            snapshot = await socket.told("user")
            assert snapshot["type"] == "snapshot"
            order = snapshot["orders"][0]
            assert order["order_id"] == order_id
            assert (order["order_side"], order["order_type"]) == ("BUY", "Limit")
            assert (order["status"], order["leaves_quantity"]) == ("OPEN", "2")
            assert (order["limit_price"], order["client_order_id"]) == ("98", "order 1")
            client.venue.quote(Side.SELL, "98", "1")
            update = await socket.told("user")
            assert names(update["orders"], "cumulative_quantity") == ["1"]
            assert update["orders"][0]["completion_percentage"] == "50"
            await client.post("orders/batch_cancel", {"order_ids": [order_id]})
            update = await socket.told("user")
            assert names(update["orders"], "status") == ["CANCELLED"]
            assert update["orders"][0]["cancel_reason"] == "User requested cancel"
            assert update["positions"] == {
                "perpetual_futures_positions": [],
                "expiring_futures_positions": [],
            }

    run(scenario, quiet_venue())


def test_a_bracket_is_one_order_on_the_user_channel() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.subscribe("user", jwt=token("ed"))
            assert (await socket.told("user"))["orders"] == []
            order_id = await client.placed(
                "trigger_bracket_gtc",
                "SELL",
                base_size="1",
                limit_price="110",
                stop_trigger_price="90",
            )
            placed = (await socket.told("user"))["orders"]
            assert names(placed, "order_id") == [order_id]
            assert (placed[0]["order_type"], placed[0]["stop_price"]) == ("Bracket", "90")
            client.venue.trade_at("111")
            filled = (await socket.told("user"))["orders"]
            assert names(filled, "order_id") == [order_id]
            assert (filled[0]["status"], filled[0]["cancel_reason"]) == ("FILLED", "")

    run(scenario, quiet_venue())


def test_open_orders_come_in_messages_of_fifty() -> None:
    async def scenario(client: Client) -> None:
        for _ in range(51):
            await client.placed("limit_limit_gtc", base_size="0.1", limit_price="98")
        async with client.socket() as socket:
            await socket.subscribe("user", jwt=token(now_s=client.venue.time // 1000))
            assert len((await socket.told("user"))["orders"]) == 50
            assert len((await socket.told("user"))["orders"]) == 1

    run(scenario, quiet_venue())


def test_nobody_hears_of_the_orders_of_another_account_or_product() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as bob, client.socket() as alice:
            await bob.subscribe("user", jwt=token("bob"))
            await alice.subscribe("user", "ETH-USD", jwt=token())
            assert (await bob.told("user"))["type"] == "snapshot"
            assert (await alice.told("user"))["type"] == "snapshot"
            await client.placed("limit_limit_gtc", base_size="1", limit_price="98")
            for socket in (bob, alice):
                await socket.subscribe("ticker", "BTC-USD")
                assert (await socket.next())["channel"] == "subscriptions"
                assert (await socket.next())["channel"] == "ticker"

    run(scenario, quiet_venue())
