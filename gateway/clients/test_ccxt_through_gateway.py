"""ccxt, sync and pro, trades through the gateway as if that were the exchange."""

import asyncio
from collections.abc import Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest
from served import Served, wait_until

from conftest import KEY, SECRET

SYMBOL = "BTC/USDT"


def options(exchange: Served) -> dict[str, Any]:
    return {
        "apiKey": KEY,
        "secret": SECRET,
        "enableRateLimit": False,
        "urls": {
            "api": {
                "public": exchange.url + "/api/v3",
                "private": exchange.url + "/api/v3",
                "sapi": exchange.url + "/sapi/v1",
                "ws": {
                    "spot": exchange.ws_url + "/ws",
                    "ws-api": {"spot": exchange.ws_url + "/ws-api/v3"},
                },
            }
        },
        "options": {"fetchMarkets": {"types": ["spot"]}},
    }


@pytest.fixture(scope="module")
def client(exchange: Served) -> Any:
    client = ccxt.binance(options(exchange))
    client.load_markets()
    return client


@pytest.fixture(autouse=True)
def flat(client: Any, exchange: Served) -> Iterator[None]:
    yield
    sell_all(client, exchange)


def sell_all(client: Any, exchange: Served) -> None:
    if client.fetch_open_orders(SYMBOL):
        client.cancel_all_orders(SYMBOL)
    held = float(exchange.balance("BTC"))
    if held >= 0.0001:
        client.create_order(SYMBOL, "market", "sell", client.amount_to_precision(SYMBOL, held))


def test_a_round_trip_with_protection_that_the_client_does_not_see(
    client: Any, exchange: Served
) -> None:
    bought = client.create_order(SYMBOL, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01)
    wait_until(lambda: exchange.statement()["openOrders"] == 2)
    assert client.fetch_open_orders(SYMBOL) == []
    balance = client.fetch_balance()["BTC"]
    assert (balance["used"], balance["free"] > 0.0099) == (0, True)
    sold = client.create_order(SYMBOL, "market", "sell", 0.00999)
    assert sold["status"] == "closed"
    assert exchange.statement()["openOrders"] == 0
    assert client.fetch_order(sold["id"], SYMBOL)["filled"] == 0.00999
    assert len(client.fetch_my_trades(SYMBOL)) >= 2


def test_a_refusal_is_an_invalid_order_and_names_the_limit(client: Any) -> None:
    with pytest.raises(ccxt.InvalidOrder, match=r"maxPositionSize is 2000"):
        client.create_order(SYMBOL, "market", "buy", 1)


def test_a_call_that_is_not_on_the_list_raises(client: Any) -> None:
    with pytest.raises(ccxt.ExchangeError, match="not on its list of calls"):
        client.sapi_post_capital_withdraw_apply({"coin": "BTC", "address": "x", "amount": "1"})


def test_an_order_is_edited_and_canceled(client: Any) -> None:
    price = float(client.fetch_ticker(SYMBOL)["last"])
    low = client.price_to_precision(SYMBOL, price * 0.97)
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    edited = client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.011, low)
    assert [each["id"] for each in client.fetch_open_orders(SYMBOL)] == [edited["id"]]
    client.cancel_order(edited["id"], SYMBOL)
    assert client.fetch_order(edited["id"], SYMBOL)["status"] == "canceled"


def test_an_own_stop_takes_the_place_of_the_gateways(client: Any, exchange: Served) -> None:
    client.create_order(SYMBOL, "market", "buy", 0.012)
    wait_until(lambda: exchange.statement()["openOrders"] == 2)
    price = float(client.fetch_ticker(SYMBOL)["last"])
    stop = client.create_order(
        *(SYMBOL, "limit", "sell", 0.01198),
        client.price_to_precision(SYMBOL, price * 0.93),
        {"stopLossPrice": client.price_to_precision(SYMBOL, price * 0.94)},
    )
    wait_until(lambda: exchange.statement()["openOrders"] == 1)
    assert client.fetch_order(stop["id"], SYMBOL)["status"] == "open"


def test_orders_are_watched_while_they_trade(exchange: Served) -> None:
    async def play() -> None:
        client = ccxt.pro.binance(options(exchange))
        try:
            await client.load_markets()
            watching = asyncio.ensure_future(client.watch_orders(SYMBOL))
            await asyncio.sleep(1)  # ccxt does not say when its subscription is made
            bought = await client.create_order_ws(SYMBOL, "market", "buy", 0.0105)
            orders = await asyncio.wait_for(watching, 30)
            assert bought["id"] in {order["id"] for order in orders}
            with pytest.raises(ccxt.InvalidOrder, match="maxPositionSize"):
                await client.create_order_ws(SYMBOL, "market", "buy", 1)
            assert (await client.watch_ticker(SYMBOL))["last"] > 0
        finally:
            await client.close()

    asyncio.run(play())
