"""ccxt's WebSocket calls against a simulated Coinbase."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import ccxt.pro
import pytest

from conftest import Exchange, Key

SYMBOL = "BTC/USD"
DEADLINE_SECONDS = 60


def run(exchange: Exchange, key: Key | None, scenario: Callable[[Any], Awaitable[None]]) -> None:
    """Run a scenario with a client, with a deadline."""

    async def all_of_it() -> None:
        given = {} if key is None else {"apiKey": key.name, "secret": key.secret}
        urls = {"api": {"rest": exchange.url, "ws": exchange.ws_url}}
        client = ccxt.pro.coinbase({**given, "urls": urls})
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await scenario(client)
        finally:
            await client.close()

    asyncio.run(all_of_it())


def test_tickers_are_watched(exchange: Exchange) -> None:
    async def scenario(client: Any) -> None:
        ticker = await client.watch_ticker(SYMBOL)
        assert ticker["bid"] < ticker["ask"]
        assert (await client.watch_ticker(SYMBOL))["last"] > 0
        tickers = await client.watch_tickers(["ETH/USD"])
        assert tickers["ETH/USD"]["last"] > 0

    run(exchange, None, scenario)


def test_trades_are_watched(exchange: Exchange) -> None:
    async def scenario(client: Any) -> None:
        trades = await client.watch_trades(SYMBOL)
        assert trades[-1]["symbol"] == SYMBOL
        newer = await client.watch_trades_for_symbols([SYMBOL])
        assert newer[-1]["timestamp"] >= trades[-1]["timestamp"]

    run(exchange, None, scenario)


def test_the_watched_book_is_the_book(exchange: Exchange) -> None:
    async def scenario(client: Any) -> None:
        for _ in range(20):
            watched = await client.watch_order_book(SYMBOL)
        assert watched["bids"][0][0] < watched["asks"][0][0]
        exchange.add_fault(type="halt")  # the market stands still, so that both are of one moment
        await asyncio.sleep(0)
        fetched = await client.fetch_order_book(SYMBOL)
        for side in ("bids", "asks"):
            while watched[side][0] != fetched[side][0]:
                watched = await client.watch_order_book(SYMBOL)
            best = 10
            assert [tuple(level) for level in watched[side][:best]] == [
                tuple(level) for level in fetched[side][:best]
            ]

    try:
        run(exchange, None, scenario)
    finally:
        exchange.end_faults()


@pytest.mark.parametrize("kind", ["ec", "legacy"])
def test_own_orders_are_watched(exchange: Exchange, kind: str) -> None:
    async def scenario(client: Any) -> None:
        ticker = await client.fetch_ticker(SYMBOL)
        resting = await client.create_order(
            SYMBOL, "limit", "buy", 0.01, round(ticker["last"] * 0.9)
        )
        orders = await client.watch_orders(SYMBOL)
        assert (orders[-1]["id"], orders[-1]["status"]) == (resting["id"], "open")
        await client.cancel_order(resting["id"])
        orders = await client.watch_orders(SYMBOL)
        assert (orders[-1]["id"], orders[-1]["status"]) == (resting["id"], "canceled")
        sold = await client.create_order(SYMBOL, "market", "sell", 0.01)
        orders = await client.watch_orders(SYMBOL)
        assert (orders[-1]["id"], orders[-1]["status"]) == (sold["id"], "closed")
        assert orders[-1]["filled"] == 0.01

    run(exchange, getattr(exchange, kind), scenario)


def test_own_orders_can_not_be_watched_with_an_ed25519_key(exchange: Exchange) -> None:
    """ccxt signs WebSocket messages with ES256 alone, and fails on the key."""

    async def scenario(client: Any) -> None:
        with pytest.raises(Exception, match="base16"):
            await client.watch_orders(SYMBOL)

    run(exchange, exchange.ed, scenario)


def test_unwatching_ends_the_messages(exchange: Exchange) -> None:
    async def scenario(client: Any) -> None:
        await client.watch_ticker(SYMBOL)
        await client.un_watch_ticker(SYMBOL)
        assert client.tickers == {}

    run(exchange, None, scenario)


async def watch_until_it_fails(client: Any) -> None:
    while True:
        await client.watch_ticker(SYMBOL)


def test_streams_that_are_cut_come_back(exchange: Exchange) -> None:
    async def scenario(client: Any) -> None:
        await client.watch_ticker(SYMBOL)
        exchange.add_fault(type="cut-streams")
        with pytest.raises(ccxt.NetworkError):
            await watch_until_it_fails(client)
        assert (await client.watch_ticker(SYMBOL))["last"] > 0

    run(exchange, None, scenario)
