"""python-binance trades through the gateway, over REST and over one socket."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from binance.async_client import AsyncClient
from binance.client import Client
from binance.exceptions import BinanceAPIException
from binance.ws.streams import BinanceSocketManager
from served import Served, wait_until

from conftest import KEY, SECRET, SYMBOL

SECONDS = 30


def redirected(base: type, exchange: Served) -> type:
    addresses = {
        "API_URL": exchange.url + "/api",
        "MARGIN_API_URL": exchange.url + "/sapi",
        "WS_API_URL": exchange.ws_url + "/ws-api/v3",
    }
    return type(base.__name__, (base,), addresses)


@pytest.fixture
def client(exchange: Served) -> Iterator[Any]:
    client = redirected(Client, exchange)(KEY, SECRET)
    yield client
    for order in client.get_open_orders(symbol=SYMBOL):
        client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    held = float(exchange.balance("BTC"))
    if held >= 0.0001:
        client.order_market_sell(symbol=SYMBOL, quantity=f"{int(held * 1e5) / 1e5:.5f}")
    client.close_connection()


def test_a_round_trip(client: Any, exchange: Served) -> None:
    bought = client.order_market_buy(symbol=SYMBOL, quantity="0.01")
    assert bought["status"] == "FILLED"
    wait_until(lambda: exchange.statement()["openOrders"] == 2)
    assert client.get_open_orders(symbol=SYMBOL) == []
    assert client.order_market_sell(symbol=SYMBOL, quantity="0.00999")["status"] == "FILLED"
    assert client.get_all_orders(symbol=SYMBOL)[-1]["side"] == "SELL"


def test_a_refusal_has_code_text_and_status(client: Any) -> None:
    with pytest.raises(BinanceAPIException, match="maxPositionSize is 2000") as raised:
        client.order_market_buy(symbol=SYMBOL, quantity="1")
    assert (raised.value.code, raised.value.status_code) == (-2010, 400)


def test_orders_and_events_share_one_socket(client: Any, exchange: Served) -> None:
    async def play() -> None:
        made = await redirected(AsyncClient, exchange).create(KEY, SECRET)
        manager = BinanceSocketManager(made)
        manager.STREAM_URL = exchange.ws_url + "/"
        try:
            async with manager.user_socket() as stream:
                placed = await made.ws_create_order(
                    symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.011"
                )
                assert placed["status"] == "FILLED"
                await report_of(stream, placed["orderId"])
                with pytest.raises(BinanceAPIException, match="maxPositionSize"):
                    await made.ws_create_order(
                        symbol=SYMBOL, side="BUY", type="MARKET", quantity="1"
                    )
            async with manager.depth_socket(SYMBOL, depth="5") as stream:
                assert (await asyncio.wait_for(stream.recv(), SECONDS))["bids"]
        finally:
            await made.close_connection()

    asyncio.run(play())


async def report_of(stream: Any, order_id: int) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            message = await stream.recv()
            event = message.get("event", message)
            if event.get("e") == "executionReport" and event.get("i") == order_id:
                return
