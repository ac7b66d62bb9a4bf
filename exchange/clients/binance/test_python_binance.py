"""python-binance, sync, async and its streams, against a simulated Binance."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from binance.async_client import AsyncClient
from binance.client import Client
from binance.exceptions import BinanceAPIException
from binance.ws.streams import BinanceSocketManager

from conftest import Exchange

SYMBOL = "BTCUSDT"
SECONDS = 15


def redirected(base: type, exchange: Exchange) -> type:
    """A client class whose addresses are the exchange's. Its constructor sends a request."""
    return type(
        base.__name__,
        (base,),
        {
            "API_URL": exchange.url + "/api",
            "MARGIN_API_URL": exchange.url + "/sapi",
            "WS_API_URL": exchange.ws_url + "/ws-api/v3",
        },
    )


@pytest.fixture
def client(exchange: Exchange) -> Any:
    client = redirected(Client, exchange)(exchange.key, exchange.secret)
    yield client
    for order in client.get_open_orders(symbol=SYMBOL):
        client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    client.close_connection()


def price(client: Any, factor: float) -> str:
    last = float(client.get_symbol_ticker(symbol=SYMBOL)["price"])
    return f"{last * factor:.2f}"


def test_general_and_market_data(client: Any) -> None:
    assert client.ping() == {}
    assert client.get_server_time()["serverTime"] > 0
    assert client.get_symbol_info(SYMBOL)["status"] == "TRADING"
    assert len(client.get_all_tickers()) == 3
    assert client.get_orderbook_ticker(symbol=SYMBOL)["bidPrice"]
    assert client.get_order_book(symbol=SYMBOL, limit=5)["bids"]
    assert client.get_recent_trades(symbol=SYMBOL)
    assert client.get_aggregate_trades(symbol=SYMBOL)
    assert len(client.get_klines(symbol=SYMBOL, interval="1m", limit=3)) == 3
    assert client.get_historical_klines(SYMBOL, "1h", "5 hours ago UTC")
    assert client.get_avg_price(symbol=SYMBOL)["mins"] == 5
    assert client.get_ticker(symbol=SYMBOL)["count"] >= 0
    assert client.get_system_status()["status"] == 0


def test_trades_are_read_from_an_id_or_a_time(client: Any) -> None:
    newest = client.get_aggregate_trades(symbol=SYMBOL)
    some = newest[len(newest) // 2]
    from_id = client.get_aggregate_trades(symbol=SYMBOL, fromId=some["a"], limit=1)
    assert from_id == [some]
    since = client.get_aggregate_trades(symbol=SYMBOL, startTime=some["T"], limit=1000)
    assert since[0]["T"] >= some["T"]
    assert some in since
    until = client.get_aggregate_trades(symbol=SYMBOL, endTime=some["T"], limit=1000)
    assert some in until
    assert all(trade["T"] <= some["T"] for trade in until)


def test_account_and_fees(client: Any) -> None:
    account = client.get_account()
    assert account["canTrade"]
    assert float(client.get_asset_balance("USDT")["free"]) > 0
    assert client.get_trade_fee(symbol=SYMBOL)[0]["makerCommission"] == "0.001"
    assert client.get_account_status()["data"] == "Normal"
    assert client.get_account_api_permissions()["enableReading"]


def test_a_limit_order_is_placed_found_and_canceled(client: Any) -> None:
    order = client.order_limit_buy(symbol=SYMBOL, quantity="0.01", price=price(client, 0.8))
    assert order["status"] == "NEW"
    assert order["clientOrderId"].startswith("x-HNA2TXFJ")
    assert client.get_order(symbol=SYMBOL, orderId=order["orderId"])["status"] == "NEW"
    assert len(client.get_open_orders(symbol=SYMBOL)) == 1
    canceled = client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    assert canceled["status"] == "CANCELED"
    assert canceled["origClientOrderId"] == order["clientOrderId"]
    assert canceled["clientOrderId"] != order["clientOrderId"]


def test_a_market_order_is_filled(client: Any) -> None:
    order = client.order_market_buy(symbol=SYMBOL, quantity="0.01")
    assert order["status"] == "FILLED"
    assert sum(float(fill["qty"]) for fill in order["fills"]) == pytest.approx(0.01)
    trades = client.get_my_trades(symbol=SYMBOL, orderId=order["orderId"])
    assert {trade["id"] for trade in trades} == {fill["tradeId"] for fill in order["fills"]}
    assert client.get_all_orders(symbol=SYMBOL)[-1]["orderId"] == order["orderId"]


def test_a_test_order_places_nothing(client: Any) -> None:
    parameters = {
        "symbol": SYMBOL,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": price(client, 0.8),
    }
    assert client.create_test_order(**parameters) == {}
    assert client.get_open_orders(symbol=SYMBOL) == []


def test_an_oco_ends_together(client: Any) -> None:
    oco = client.create_oco_order(
        symbol=SYMBOL,
        side="SELL",
        quantity="0.01",
        aboveType="LIMIT_MAKER",
        abovePrice=price(client, 1.1),
        belowType="STOP_LOSS",
        belowStopPrice=price(client, 0.9),
    )
    assert [report["type"] for report in oco["orderReports"]] == ["STOP_LOSS", "LIMIT_MAKER"]
    assert client.get_open_oco_orders()[0]["orderListId"] == oco["orderListId"]
    first, second = (order["orderId"] for order in oco["orders"])
    client.cancel_order(symbol=SYMBOL, orderId=second)
    assert client.get_order(symbol=SYMBOL, orderId=first)["status"] == "CANCELED"


def test_the_old_arguments_of_an_oco_are_refused(client: Any) -> None:
    with pytest.raises(BinanceAPIException) as raised:
        client.order_oco_sell(
            symbol=SYMBOL,
            quantity="0.01",
            price=price(client, 1.1),
            stopPrice=price(client, 0.9),
        )
    assert raised.value.code == -1102


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"quantity": "5000"}, -2010, 400),
        ({"price": "1.001"}, -1013, 400),
        ({"symbol": "NOSUCH"}, -1121, 400),
    ],
)
def test_errors_have_code_text_and_status(
    client: Any, changes: dict[str, str], code: int, status: int
) -> None:
    order = {"symbol": SYMBOL, "quantity": "0.01", "price": price(client, 0.8)} | changes
    with pytest.raises(BinanceAPIException) as raised:
        client.order_limit_buy(**order)
    assert (raised.value.code, raised.value.status_code) == (code, status)


def test_a_wrong_secret_is_refused(exchange: Exchange) -> None:
    client = redirected(Client, exchange)(exchange.key, "wrong")
    with pytest.raises(BinanceAPIException) as raised:
        client.get_account()
    assert raised.value.code == -1022


@asynccontextmanager
async def connected(exchange: Exchange) -> AsyncIterator[Any]:
    client = await redirected(AsyncClient, exchange).create(exchange.key, exchange.secret)
    try:
        yield client
    finally:
        await client.close_connection()


def run(exchange: Exchange, scene: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        async with connected(exchange) as client, asyncio.timeout(SECONDS * 2):
            await scene(client)

    asyncio.run(play())


def sockets(client: Any, exchange: Exchange) -> Any:
    manager = BinanceSocketManager(client)
    manager.STREAM_URL = exchange.ws_url + "/"
    return manager


def test_the_async_client_trades(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        order = await client.order_market_buy(symbol=SYMBOL, quantity="0.01")
        assert order["status"] == "FILLED"
        found = await client.get_order(symbol=SYMBOL, orderId=order["orderId"])
        assert found["executedQty"] == "0.01000000"
        with pytest.raises(BinanceAPIException):
            await client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])

    run(exchange, scene)


def test_market_streams_are_received(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        manager = sockets(client, exchange)
        async with manager.kline_socket(SYMBOL, interval="1m") as stream:
            message = await asyncio.wait_for(stream.recv(), SECONDS)
        assert message["e"] == "kline"
        assert message["k"]["i"] == "1m"
        async with manager.depth_socket(SYMBOL, depth="5") as stream:
            assert len((await asyncio.wait_for(stream.recv(), SECONDS))["bids"]) == 5
        names = ["btcusdt@trade", "ethusdt@bookTicker"]
        async with manager.multiplex_socket(names) as stream:
            assert (await asyncio.wait_for(stream.recv(), SECONDS))["stream"] in names

    run(exchange, scene)


def test_orders_and_events_share_the_websocket_api(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        manager = sockets(client, exchange)
        async with manager.user_socket() as stream:
            last = (await client.get_symbol_ticker(symbol=SYMBOL))["price"]
            placed = await client.ws_create_order(
                symbol=SYMBOL,
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                quantity="0.01",
                price=f"{float(last) * 0.8:.2f}",
            )
            events = [await event_of(stream, "executionReport", placed["orderId"])]
            canceled = await client.ws_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
            events.append(await event_of(stream, "executionReport", placed["orderId"]))
        assert [event["x"] for event in events] == ["NEW", "CANCELED"]
        assert events[1]["c"] == canceled["clientOrderId"]
        assert events[1]["C"] == placed["clientOrderId"]

    async def event_of(stream: Any, kind: str, order_id: int) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await stream.recv()
                event = message.get("event", message)
                if event.get("e") == kind and event.get("i") == order_id:
                    return event

    run(exchange, scene)


def test_errors_of_the_websocket_api_raise(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        with pytest.raises(BinanceAPIException) as raised:
            await client.ws_create_order(
                symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.000001"
            )
        assert raised.value.code == -1013
        account = await client.ws_get_account()
        assert account["accountType"] == "SPOT"

    run(exchange, scene)
