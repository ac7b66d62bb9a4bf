"""ccxt pro: market streams, and orders and events over the WebSocket API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import ccxt
import ccxt.pro
import pytest

from conftest import Exchange

SYMBOL = "BTC/USDT"
SECONDS = 15


@asynccontextmanager
async def connected(exchange: Exchange) -> AsyncIterator[Any]:
    client = ccxt.pro.binance(
        {
            "apiKey": exchange.key,
            "secret": exchange.secret,
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
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
            },
        }
    )
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def run(exchange: Exchange, scene: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        async with connected(exchange) as client, asyncio.timeout(SECONDS * 3):
            await scene(client)

    asyncio.run(play())


async def soon(awaited: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaited, SECONDS)


async def low_price(client: Any) -> float:
    last = (await client.fetch_ticker(SYMBOL))["last"]
    return float(client.price_to_precision(SYMBOL, last * 0.8))


def test_tickers_trades_and_best_prices_are_streamed(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        ticker = await soon(client.watch_ticker(SYMBOL))
        assert ticker["last"] > 0
        trades = await soon(client.watch_trades(SYMBOL))
        assert trades[-1]["price"] > 0
        best = (await soon(client.watch_bids_asks([SYMBOL])))[SYMBOL]
        assert best["bid"] < best["ask"]

    run(exchange, scene)


def test_candles_are_streamed(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        candles = await soon(client.watch_ohlcv(SYMBOL, "1m"))
        assert candles[-1][1] > 0
        seconds = await soon(client.watch_ohlcv(SYMBOL, "1s"))
        later = await soon(client.watch_ohlcv(SYMBOL, "1s"))
        assert later[-1][0] >= seconds[-1][0]

    run(exchange, scene)


def test_a_streamed_book_equals_the_queried_one(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        async with asyncio.timeout(SECONDS):
            for _ in range(5):
                book = await client.watch_order_book(SYMBOL)
                assert book["bids"][0][0] < book["asks"][0][0]
            while True:
                # The book moves: compare when both have seen the same change.
                queried = await client.fetch_order_book(SYMBOL, 20)
                streamed = await client.watch_order_book(SYMBOL)
                if streamed["nonce"] == queried["nonce"]:
                    break
                again = await client.fetch_order_book(SYMBOL, 20)
                if streamed["nonce"] == again["nonce"]:
                    queried = again
                    break
            assert streamed["bids"][:20] == queried["bids"]
            assert streamed["asks"][:20] == queried["asks"]

    run(exchange, scene)


def test_orders_trades_and_balances_are_reported(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        watching = asyncio.create_task(soon(client.watch_orders(SYMBOL)))
        balance = asyncio.create_task(soon(client.watch_balance()))
        trade = asyncio.create_task(soon(client.watch_my_trades(SYMBOL)))
        async with asyncio.timeout(SECONDS):
            while not (watching.done() and balance.done() and trade.done()):
                order = await client.create_order(SYMBOL, "market", "buy", 0.001)
                await asyncio.wait([watching, balance, trade], timeout=1)
        assert (await watching)[-1]["symbol"] == SYMBOL
        assert (await trade)[-1]["amount"] == 0.001
        assert (await balance)["BTC"]["total"] > 0
        filled = await client.fetch_order(order["id"], SYMBOL)
        assert filled["status"] == "closed"

    run(exchange, scene)


def test_an_order_of_the_websocket_api_rests_and_is_canceled(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        price = await low_price(client)
        order = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
        assert order["status"] == "open"
        assert (await client.fetch_order_ws(order["id"], SYMBOL))["status"] == "open"
        assert [each["id"] for each in await client.fetch_open_orders_ws(SYMBOL)] == [order["id"]]
        edited = await client.edit_order_ws(order["id"], SYMBOL, "limit", "buy", 0.02, price)
        assert edited["amount"] == 0.02
        await client.cancel_order_ws(edited["id"], SYMBOL)
        assert (await client.fetch_order(edited["id"], SYMBOL))["status"] == "canceled"
        await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
        await client.cancel_all_orders_ws(SYMBOL)
        assert await client.fetch_open_orders_ws(SYMBOL) == []

    run(exchange, scene)


def test_the_websocket_api_answers_queries(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        # ccxt parses this answer as one of futures, so only `info` has the balances.
        assert (await client.fetch_balance_ws())["info"]["balances"]
        assert len(await client.fetch_ohlcv_ws(SYMBOL, "1m", limit=5)) == 5
        assert await client.fetch_trades_ws(SYMBOL)
        await client.create_order_ws(SYMBOL, "market", "buy", 0.001)
        assert await client.fetch_my_trades_ws(SYMBOL)
        assert await client.fetch_orders_ws(SYMBOL)

    run(exchange, scene)


def test_errors_of_the_websocket_api_are_those_of_rest(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        price = await low_price(client)
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order_ws(SYMBOL, "limit", "buy", 5000, price)
        # Over the WebSocket API ccxt reads the code alone; over REST this is an InvalidOrder.
        with pytest.raises(ccxt.BadRequest, match="PRICE_FILTER"):
            await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price * 100)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order_ws("123456789", SYMBOL)

    run(exchange, scene)


@pytest.mark.parametrize(
    ("fault", "raised", "orders"),
    [
        ({"type": "reject"}, ccxt.InsufficientFunds, 0),
        ({"type": "server-error", "status": 500}, ccxt.OperationFailed, 0),
        ({"type": "server-error", "status": 500, "executed": True}, ccxt.OperationFailed, 1),
        ({"type": "rate-limit"}, ccxt.RateLimitExceeded, 0),
        ({"type": "ban"}, ccxt.RateLimitExceeded, 0),
        ({"type": "drop-request"}, ccxt.NetworkError, 0),
        ({"type": "lose-answer"}, ccxt.NetworkError, 1),
        ({"type": "double-request"}, None, 1),
        ({"type": "double-answer"}, None, 1),
        ({"type": "latency", "delay": "300ms", "times": 1}, None, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_fault_of_an_order_of_the_websocket_api_raises(
    exchange: Exchange, fault: dict[str, Any], raised: type[Exception] | None, orders: int
) -> None:
    async def scene(client: Any) -> None:
        price = await low_price(client)
        await client.fetch_open_orders_ws(SYMBOL)  # connected
        exchange.add_fault(match="POST /api/v3/order", **fault)
        met = None
        try:
            await soon(client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price))
        except ccxt.BaseError as error:
            met = type(error)
        assert met is raised
        assert len(await client.fetch_open_orders(SYMBOL)) == orders
        await client.fetch_open_orders_ws(SYMBOL)  # on a new connection, if that one was closed
        if orders:  # one at most: ccxt sends a client id, which is taken the second time
            await client.cancel_all_orders(SYMBOL)

    run(exchange, scene)
    assert exchange.active_faults() == []


def test_a_deposit_changes_the_watched_balance(exchange: Exchange) -> None:
    async def scene(client: Any) -> None:
        before = (await client.fetch_balance())["ETH"]["total"]
        total = None
        async with asyncio.timeout(SECONDS):
            while total is None:  # ccxt knows no total after an event with a difference alone
                watching = asyncio.create_task(client.watch_balance())
                while not watching.done():
                    # The subscription takes a moment, and only later deposits are seen.
                    await asyncio.to_thread(exchange.deposit, "ETH", "3")
                    await asyncio.wait([watching], timeout=0.5)
                total = (await watching)["ETH"]["total"]
        assert total > before

    run(exchange, scene)
