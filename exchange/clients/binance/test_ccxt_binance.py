"""ccxt's unified calls, sync and async, against a simulated Binance."""

import asyncio
import inspect
from collections.abc import Awaitable, Iterator
from itertools import pairwise
from typing import Any

import ccxt
import ccxt.async_support
import pytest

from conftest import Exchange

SYMBOL = "BTC/USDT"


def options(exchange: Exchange, **more: Any) -> dict[str, Any]:
    return {
        "apiKey": exchange.key,
        "secret": exchange.secret,
        "enableRateLimit": False,
        "urls": {
            "api": {
                "public": exchange.url + "/api/v3",
                "private": exchange.url + "/api/v3",
                "sapi": exchange.url + "/sapi/v1",
                "ws": {"spot": exchange.ws_url + "/ws"},
            }
        },
        "options": {
            "fetchMarkets": {"types": ["spot"]},
            "fetchOpenOrders": {"warnWithoutSymbol": False},
        },
        **more,
    }


class Client:
    """The sync or the async client behind one interface."""

    def __init__(self, exchange: Exchange, *, asynchronous: bool) -> None:
        self._loop = asyncio.new_event_loop() if asynchronous else None
        module = ccxt.async_support if asynchronous else ccxt
        if self._loop is not None:
            asyncio.set_event_loop(self._loop)
        self._client = module.binance(options(exchange))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            result = found(*arguments, **named)
            return self.wait(result) if inspect.isawaitable(result) else result

        return call

    def wait(self, awaited: Awaitable[Any]) -> Any:
        assert self._loop is not None
        return self._loop.run_until_complete(awaited)

    def end(self) -> None:
        if self._loop is not None:
            self.wait(self._client.close())
            self._loop.close()


@pytest.fixture(scope="module", params=["sync", "async"])
def client(exchange: Exchange, request: pytest.FixtureRequest) -> Iterator[Client]:
    client = Client(exchange, asynchronous=request.param == "async")
    client.load_markets()
    yield client
    client.end()


@pytest.fixture(autouse=True)
def no_open_orders(client: Client) -> Iterator[None]:
    yield
    # By symbol: for all symbols, the call weighs 80, and 6000 are allowed in a minute.
    if client.fetch_open_orders(SYMBOL):
        client.cancel_all_orders(SYMBOL)


def bid(client: Client) -> float:
    """A price at which a buy rests: far below the market, and inside the price band."""
    last = client.fetch_ticker(SYMBOL)["last"]
    return float(client.price_to_precision(SYMBOL, last * 0.8))


def ask(client: Client) -> float:
    last = client.fetch_ticker(SYMBOL)["last"]
    return float(client.price_to_precision(SYMBOL, last * 1.2))


def test_markets_have_precision_limits_and_fees(client: Client) -> None:
    market = client.market(SYMBOL)
    assert market["active"]
    assert market["spot"]
    assert market["precision"]["price"] == 0.01
    assert market["precision"]["amount"] == 0.00001
    assert market["limits"]["cost"]["min"] == 5
    assert set(client.symbols) == {"BTC/USDT", "ETH/USDT", "ETH/BTC"}


def test_balance_has_free_and_used(client: Client) -> None:
    before = client.fetch_balance()["USDT"]
    price = bid(client)
    client.create_order(SYMBOL, "limit", "buy", 0.01, price)
    after = client.fetch_balance()["USDT"]
    assert after["used"] - before["used"] == pytest.approx(0.01 * price)
    assert after["total"] == pytest.approx(before["total"])


def test_a_limit_order_rests_and_is_canceled(client: Client) -> None:
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, bid(client))
    assert order["status"] == "open"
    assert [each["id"] for each in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    client.cancel_order(order["id"], SYMBOL)
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "canceled"


@pytest.mark.parametrize("in_force", ["IOC", "FOK"])
def test_an_order_that_may_not_rest_expires(client: Client, in_force: str) -> None:
    order = client.create_order(
        SYMBOL, "limit", "buy", 0.01, bid(client), {"timeInForce": in_force}
    )
    assert order["status"] == "expired"
    assert order["filled"] == 0


def test_a_post_only_order_rests_or_is_refused(client: Client) -> None:
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, bid(client), {"postOnly": True})
    assert client.fetch_order(order["id"], SYMBOL)["postOnly"]
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        client.create_order(SYMBOL, "limit", "buy", 0.01, ask(client), {"postOnly": True})


def test_market_orders_fill_with_fees_and_trades(client: Client) -> None:
    bought = client.create_order(SYMBOL, "market", "buy", 0.01)
    assert bought["status"] == "closed"
    assert bought["filled"] == 0.01
    assert bought["fee"]["currency"] == "BTC"
    assert bought["fee"]["cost"] == pytest.approx(0.00001)
    trades = client.fetch_order_trades(bought["id"], SYMBOL)
    assert sum(trade["amount"] for trade in trades) == pytest.approx(0.01)
    assert trades[-1] in client.fetch_my_trades(SYMBOL)


def test_a_market_order_by_cost_spends_at_most_that(client: Client) -> None:
    bought = client.create_order(SYMBOL, "market", "buy", None, None, {"cost": 1000})
    assert bought["status"] == "closed"
    assert 990 < bought["cost"] <= 1000


@pytest.mark.parametrize(
    ("parameters", "price_factor", "kind"),
    [
        ({"stopLossPrice": 0.9}, 0.89, "STOP_LOSS_LIMIT"),
        ({"stopLossPrice": 0.9}, None, "STOP_LOSS"),
        ({"takeProfitPrice": 1.1}, 1.1, "TAKE_PROFIT_LIMIT"),
    ],
)
def test_conditional_orders_wait_for_their_price(
    client: Client, parameters: dict[str, float], price_factor: float | None, kind: str
) -> None:
    last = client.fetch_ticker(SYMBOL)["last"]
    price = None if price_factor is None else client.price_to_precision(SYMBOL, last * price_factor)
    triggers = {
        name: client.price_to_precision(SYMBOL, last * factor)
        for name, factor in parameters.items()
    }
    order_type = "market" if price is None else "limit"
    order = client.create_order(SYMBOL, order_type, "sell", 0.01, price, triggers)
    found = client.fetch_order(order["id"], SYMBOL)
    assert found["info"]["type"] == kind
    assert found["status"] == "open"
    assert found["triggerPrice"] == float(next(iter(triggers.values())))


def test_a_stop_that_would_trigger_at_once_is_refused(client: Client) -> None:
    last = client.fetch_ticker(SYMBOL)["last"]
    above = client.price_to_precision(SYMBOL, last * 1.1)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        client.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": above})


def test_attached_stops_are_refused_instead_of_lost(client: Client) -> None:
    with pytest.raises(ccxt.BadRequest, match="-1104"):
        client.create_order(
            SYMBOL, "limit", "buy", 0.01, bid(client), {"stopLoss": {"triggerPrice": 1000}}
        )


def test_an_oco_holds_the_asset_once_and_ends_together(client: Client) -> None:
    last = client.fetch_ticker(SYMBOL)["last"]
    used = client.fetch_balance()["BTC"]["used"]
    oco = client.private_post_orderlist_oco(
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "quantity": "0.01",
            "aboveType": "LIMIT_MAKER",
            "abovePrice": client.price_to_precision(SYMBOL, last * 1.1),
            "belowType": "STOP_LOSS_LIMIT",
            "belowStopPrice": client.price_to_precision(SYMBOL, last * 0.9),
            "belowPrice": client.price_to_precision(SYMBOL, last * 0.89),
            "belowTimeInForce": "GTC",
        }
    )
    assert oco["listOrderStatus"] == "EXECUTING"
    assert client.fetch_balance()["BTC"]["used"] == pytest.approx(used + 0.01)
    first, second = (order["orderId"] for order in oco["orders"])
    client.cancel_order(first, SYMBOL)
    assert client.fetch_order(second, SYMBOL)["status"] == "canceled"


def test_an_edit_cancels_and_places_anew(client: Client) -> None:
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, bid(client))
    edited = client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, bid(client))
    assert edited["amount"] == 0.02
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "canceled"


def test_orders_are_found_and_canceled_by_client_id(client: Client) -> None:
    order = client.create_order(
        SYMBOL, "limit", "buy", 0.01, bid(client), {"clientOrderId": "mine-1"}
    )
    assert order["clientOrderId"] == "mine-1"
    client.cancel_order(None, SYMBOL, {"clientOrderId": "mine-1"})
    found = client.fetch_order(None, SYMBOL, {"clientOrderId": "mine-1"})
    assert found["status"] == "canceled"
    assert found["id"] == order["id"]


def test_all_orders_of_a_symbol_are_canceled_at_once(client: Client) -> None:
    for _ in range(3):
        client.create_order(SYMBOL, "limit", "buy", 0.01, bid(client))
    client.cancel_all_orders(SYMBOL)
    assert client.fetch_open_orders(SYMBOL) == []
    assert [order["status"] for order in client.fetch_orders(SYMBOL)[-3:]] == ["canceled"] * 3


def test_market_data_is_complete(client: Client) -> None:
    candles = client.fetch_ohlcv(SYMBOL, "1m", limit=10)
    assert len(candles) == 10
    assert all(low <= opened <= high for _, opened, high, low, _, _ in candles)
    book = client.fetch_order_book(SYMBOL, 5)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert client.fetch_trades(SYMBOL)
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["bid"] < ticker["ask"]
    assert len(client.fetch_tickers()) == 3
    assert list(client.fetch_tickers([SYMBOL])) == [SYMBOL]
    assert client.fetch_bids_asks([SYMBOL])[SYMBOL]["bid"] > 0
    assert client.fetch_last_prices([SYMBOL])[SYMBOL]["price"] > 0


@pytest.mark.parametrize("interval", ["1s", "1m", "1h", "1d", "1w", "1M"])
def test_every_candle_begins_where_the_one_before_ended(client: Client, interval: str) -> None:
    rows = client.public_get_klines({"symbol": "BTCUSDT", "interval": interval, "limit": 5})
    assert all(int(before[6]) + 1 == int(after[0]) for before, after in pairwise(rows))


def test_candles_since_a_time_are_the_oldest_from_there(client: Client) -> None:
    newest = client.fetch_ohlcv(SYMBOL, "1h", limit=10)
    found = client.fetch_ohlcv(SYMBOL, "1h", since=newest[2][0], limit=3)
    assert [row[0] for row in found] == [row[0] for row in newest[2:5]]


def test_fees_status_currencies_and_time(client: Client) -> None:
    assert client.fetch_trading_fee(SYMBOL)["maker"] == 0.001
    assert client.fetch_trading_fees()[SYMBOL]["taker"] == 0.001
    assert client.fetch_status()["status"] == "ok"
    assert "BTC" in client.fetch_currencies()
    assert client.fetch_time() > 1_600_000_000_000


# Errors


def place(client: Client, **changes: Any) -> Any:
    parameters = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": str(bid(client)),
    }
    parameters |= changes
    return client.private_post_order({k: v for k, v in parameters.items() if v is not None})


@pytest.mark.parametrize(
    ("changes", "expected", "text"),
    [
        ({"price": "50000.001"}, ccxt.InvalidOrder, "PRICE_FILTER"),
        ({"price": "1"}, ccxt.BadRequest, "NOTIONAL"),
        ({"quantity": "0.000001"}, ccxt.InvalidOrder, "LOT_SIZE"),
        ({"price": "900000"}, ccxt.InvalidOrder, "PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "9000"}, ccxt.InsufficientFunds, "insufficient balance"),
        ({"price": None}, ccxt.BadRequest, "-1102"),
        ({"unknown": "1"}, ccxt.BadRequest, "-1104"),
        ({"price": "50000.123456789"}, ccxt.BadRequest, "-1111"),
        ({"symbol": "NOSUCH"}, ccxt.BadSymbol, "-1121"),
        ({"newClientOrderId": "not allowed!"}, ccxt.BadRequest, "-1100"),
        ({"side": "HOLD"}, ccxt.BadRequest, "-1117"),
        ({"type": "ICEBERG"}, ccxt.BadRequest, "-1116"),
        ({"recvWindow": "60001"}, ccxt.BadRequest, "-1102"),
        ({"icebergQty": "0.005"}, ccxt.InvalidOrder, "Iceberg"),
    ],
)
def test_refusals_raise_the_exceptions_of_the_real_exchange(
    client: Client, changes: dict[str, Any], expected: type[Exception], text: str
) -> None:
    with pytest.raises(expected, match=text) as raised:
        place(client, **changes)
    assert raised.type is expected


def test_a_client_id_of_an_open_order_is_refused(client: Client) -> None:
    place(client, newClientOrderId="twice")
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        place(client, newClientOrderId="twice")


def test_too_many_stops_are_refused(client: Client) -> None:
    last = client.fetch_ticker(SYMBOL)["last"]
    stop = client.price_to_precision(SYMBOL, last * 0.9)
    for _ in range(5):
        client.create_order(SYMBOL, "market", "sell", 0.001, None, {"stopLossPrice": stop})
    with pytest.raises(ccxt.BadRequest, match="MAX_NUM_ALGO_ORDERS"):
        client.create_order(SYMBOL, "market", "sell", 0.001, None, {"stopLossPrice": stop})


def test_unknown_orders_are_not_found(client: Client) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        client.fetch_order("123456789", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        client.cancel_order("123456789", SYMBOL)


@pytest.mark.parametrize(
    ("change", "expected", "text"),
    [
        ({"secret": "wrong"}, ccxt.AuthenticationError, "-1022"),
        ({"apiKey": "unknown-key"}, ccxt.AuthenticationError, "-2015"),
        ({"apiKey": "not a key!"}, ccxt.AuthenticationError, "-2014"),
    ],
)
def test_wrong_credentials_are_refused(
    exchange: Exchange, change: dict[str, str], expected: type[Exception], text: str
) -> None:
    client = ccxt.binance(options(exchange, **change))
    with pytest.raises(expected, match=text):
        client.private_get_account()


def test_a_clock_that_is_wrong_is_an_invalid_nonce(exchange: Exchange) -> None:
    client = ccxt.binance(options(exchange))
    client.options["timeDifference"] = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        client.private_get_account()
    client.options["adjustForTimeDifference"] = True
    client.load_time_difference()
    assert client.private_get_account()["canTrade"]


def test_the_used_weight_is_in_every_answer(exchange: Exchange) -> None:
    client = ccxt.binance(options(exchange))
    client.private_get_account()
    before = int(client.last_response_headers["X-Mbx-Used-Weight-1m"])
    client.private_get_account()
    after = int(client.last_response_headers["X-Mbx-Used-Weight-1m"])
    assert after - before == 20 or after == 20
