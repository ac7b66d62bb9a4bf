"""ccxt's unified calls, sync and async, against a simulated Coinbase."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import ccxt
import ccxt.async_support
import pytest
from ccxt_client import SYMBOL, Client, options
from served import wait_until

from conftest import Exchange, Key


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def connected(exchange: Exchange, request: pytest.FixtureRequest) -> Iterator[Client]:
    client = Client(exchange, exchange.ec, asynchronous=request.param)
    client.load_markets()
    yield client
    client.end()


@pytest.fixture
def client(connected: Client) -> Iterator[Client]:
    """Return a client; afterwards there are no faults and no open orders."""
    yield connected
    connected.exchange.end_faults()
    for order in connected.fetch_open_orders(SYMBOL):
        connected.cancel_order(order["id"])


@pytest.mark.parametrize("kind", ["ec", "ed", "legacy", None])
def test_markets_are_loaded_with_each_kind_of_key(exchange: Exchange, kind: str | None) -> None:
    client = Client(exchange, None if kind is None else getattr(exchange, kind))
    markets = client.load_markets()
    assert set(markets) == {"BTC/USD", "ETH/USD", "ETH/BTC"}
    market = markets[SYMBOL]
    assert market["active"]
    assert market["spot"]
    assert market["precision"]["price"] == 0.01
    assert market["limits"]["cost"]["min"] == 1
    if kind is not None:
        assert (market["maker"], market["taker"]) == (0.004, 0.006)
        assert client.fetch_balance()["total"]["ETH"] == 100


def test_the_market_is_read(client: Client) -> None:
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["bid"] < ticker["ask"]
    assert ticker["last"] > 0
    assert set(client.fetch_tickers()) == {"BTC/USD", "ETH/USD", "ETH/BTC"}
    assert client.fetch_tickers([SYMBOL])[SYMBOL]["last"] > 0
    book = client.fetch_order_book(SYMBOL, 5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] < book["asks"][0][0]
    trades = client.fetch_trades(SYMBOL, limit=3)
    assert [trade["symbol"] for trade in trades] == [SYMBOL] * 3
    assert trades[0]["timestamp"] <= trades[-1]["timestamp"]
    best = client.fetch_bids_asks([SYMBOL])[SYMBOL]
    assert best["bid"] < best["ask"]
    currencies = client.fetch_currencies()
    assert {"BTC", "ETH", "USD"} <= set(currencies)


@pytest.mark.parametrize("timeframe", ["1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d"])
def test_candles_are_read_in_each_granularity(exchange: Exchange, timeframe: str) -> None:
    client = Client(exchange, None)
    candles = client.fetch_ohlcv(SYMBOL, timeframe, limit=10)
    assert 9 <= len(candles) <= 11
    step = client.parse_timeframe(timeframe) * 1000
    assert {later[0] - earlier[0] for earlier, later in pairwise(candles)} == {step}
    for _, first, high, low, last, _ in candles:
        assert low <= min(first, last) <= max(first, last) <= high


def test_time_and_fees_are_read(client: Client) -> None:
    assert abs(client.fetch_time() - time.time() * 1000) < 5_000
    assert abs(client.fetch_time({"method": "v3PublicGetBrokerageTime"}) - time.time() * 1000) < (
        5_000
    )
    assert client.fetch_trading_fees()[SYMBOL]["taker"] == 0.006


def test_balances_are_read_over_both_apis(exchange: Exchange, client: Client) -> None:
    free = client.fetch_balance()["free"]
    assert free["ETH"] == 100
    older = Client(exchange, exchange.ed, options={"fetchBalance": "v2PrivateGetAccounts"})
    assert older.fetch_balance()["total"]["ETH"] == 100
    assert client.fetch_balance({"v3": True})["total"] == client.fetch_balance()["total"]
    paged = client.fetch_balance({"v3": True, "limit": 1})
    assert set(paged["total"]) == {"BTC", "ETH", "USD"}
    accounts = client.fetch_accounts()
    assert {account["code"] for account in accounts} == {"BTC", "ETH", "USD"}
    portfolio = client.fetch_portfolios()[0]
    details = client.fetch_portfolio_details(portfolio["id"])
    assert {each["currency"] for each in details} == {"BTC", "ETH", "USD"}


def test_a_limit_order_rests_is_edited_and_cancelled(client: Client) -> None:
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, client.price(0.9))
    assert order["clientOrderId"].startswith("ccxt-")
    shown = client.shown(order)
    assert (shown["status"], shown["type"], shown["side"]) == ("open", "limit", "buy")
    assert (shown["amount"], shown["filled"], shown["timeInForce"]) == (0.01, 0, "GTC")
    assert [each["id"] for each in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    assert client.held("USD") == pytest.approx(0.01 * shown["price"] * 1.006)
    client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, shown["price"] - 1)
    edited = client.shown(order)
    assert (edited["amount"], edited["price"]) == (0.02, shown["price"] - 1)
    client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.03, None, {"preview": True})
    assert client.shown(order)["amount"] == 0.02
    assert client.cancel_order(order["id"])["id"] == order["id"]
    assert client.shown(order)["status"] == "canceled"
    assert client.held("USD") == 0


def test_a_client_order_id_is_kept_and_makes_orders_idempotent(client: Client) -> None:
    name = f"mine-{time.monotonic_ns()}"
    orders = [
        client.create_order(
            SYMBOL, "limit", "buy", 0.01, client.price(0.9), {"client_order_id": name}
        )
        for _ in range(2)
    ]
    assert [order["clientOrderId"] for order in orders] == [name, name]
    assert len({order["id"] for order in orders}) == 1
    assert len(client.fetch_open_orders(SYMBOL)) == 1


@pytest.mark.parametrize(
    ("factor", "more", "status"),
    [
        (0.9, {"postOnly": True}, "open"),
        (0.9, {"timeInForce": "PO"}, "open"),
        (1.05, {"timeInForce": "IOC"}, "closed"),
        (0.9, {"timeInForce": "IOC"}, "canceled"),
        (1.05, {"timeInForce": "FOK"}, "closed"),
        (0.9, {"timeInForce": "FOK"}, "canceled"),
        (0.9, {"timeInForce": "GTD", "end_time": "2090-01-01T00:00:00Z"}, "open"),
    ],
)
def test_each_time_in_force_does_what_it_says(
    client: Client, factor: float, more: dict[str, Any], status: str
) -> None:
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, client.price(factor), more)
    shown = client.shown(order)
    assert shown["status"] == status
    assert shown["postOnly"] == ("postOnly" in more or more.get("timeInForce") == "PO")


def test_market_orders_fill_and_their_trades_are_found(client: Client) -> None:
    bought = client.shown(client.create_order(SYMBOL, "market", "buy", 0.01, client.price()))
    assert (bought["status"], bought["type"]) == ("closed", "market")
    assert bought["cost"] + float(bought["fee"]["cost"]) <= client.price(1.01) * 0.01
    with_cost = client.create_market_buy_order_with_cost(SYMBOL, 500)
    assert 490 < client.shown(with_cost)["cost"] <= 500
    sold = client.shown(client.create_order(SYMBOL, "market", "sell", 0.01))
    assert (sold["status"], sold["filled"]) == ("closed", 0.01)
    trades = client.fetch_my_trades(SYMBOL)
    trade = trades[-1]
    assert trade["order"] == sold["id"]
    assert (trade["amount"], trade["takerOrMaker"]) == (0.01, "taker")
    assert trade["fee"]["currency"] == "USD"
    assert trade["fee"]["cost"] == pytest.approx(trade["cost"] * 0.006)
    since = client.fetch_my_trades(SYMBOL, trade["timestamp"], 1)
    assert since[0]["timestamp"] >= trade["timestamp"]


@pytest.mark.parametrize(
    ("side", "more", "trigger", "limit"),
    [
        ("sell", "stopLossPrice", 0.9, 0.89),
        ("sell", "takeProfitPrice", 1.1, 1.09),
        ("buy", "stopLossPrice", 1.1, 1.11),
        ("buy", "takeProfitPrice", 0.9, 0.91),
        ("sell", "triggerPrice", 1.1, 1.09),
        ("buy", "stopPrice", 0.9, 0.91),
    ],
)
def test_stops_wait_for_their_price(
    client: Client, side: str, more: str, trigger: float, limit: float
) -> None:
    price = client.price()
    order = client.create_order(
        SYMBOL, "limit", side, 0.01, round(price * limit), {more: round(price * trigger)}
    )
    shown = client.shown(order)
    assert (shown["status"], shown["triggerPrice"]) == ("open", round(price * trigger))
    assert shown["info"]["trigger_status"] == "STOP_PENDING"


def test_a_bracket_is_sent_raw_and_shown_as_one_order(client: Client) -> None:
    price = client.price()
    answer = client.v3_private_post_brokerage_orders(
        {
            "client_order_id": f"bracket-{time.monotonic_ns()}",
            "product_id": "BTC-USD",
            "side": "SELL",
            "order_configuration": {
                "trigger_bracket_gtc": {
                    "base_size": "0.01",
                    "limit_price": str(round(price * 1.1)),
                    "stop_trigger_price": str(round(price * 0.9)),
                }
            },
        }
    )
    order_id = answer["success_response"]["order_id"]
    orders = client.fetch_open_orders(SYMBOL)
    assert [order["id"] for order in orders] == [order_id]
    assert orders[0]["type"] == "BRACKET"
    assert client.held("BTC") == 0.01
    client.cancel_order(order_id)
    assert client.held("BTC") == 0


def test_a_stop_sells_in_a_crash(client: Client) -> None:
    price = client.price()
    order = client.create_order(
        SYMBOL, "limit", "sell", 0.01, round(price * 0.5), {"stopLossPrice": round(price * 0.95)}
    )
    client.exchange.add_fault(type="crash", percent=20, over="1s", hold="2s")
    wait_until(lambda: client.shown(order)["status"] == "closed")
    assert client.shown(order)["average"] <= round(price * 0.95)
    client.exchange.end_faults()


def test_orders_are_listed_by_their_state(client: Client) -> None:
    resting = client.create_order(SYMBOL, "limit", "buy", 0.01, client.price(0.9))
    filled = client.create_order(SYMBOL, "market", "sell", 0.01)
    cancelled = client.create_order(SYMBOL, "limit", "buy", 0.01, client.price(0.9))
    client.cancel_orders([cancelled["id"]])
    everything = {order["id"]: order for order in client.fetch_orders(SYMBOL)}
    assert {resting["id"], filled["id"], cancelled["id"]} <= set(everything)
    assert filled["id"] in {order["id"] for order in client.fetch_closed_orders(SYMBOL)}
    assert cancelled["id"] in {order["id"] for order in client.fetch_canceled_orders(SYMBOL)}
    assert [order["id"] for order in client.fetch_open_orders()] == [resting["id"]]


def raised(call: Callable[[], Any]) -> type[BaseException]:
    """Return the class of the error that a call raises."""
    with pytest.raises(ccxt.BaseError) as caught:
        call()
    return caught.type


def test_refused_orders_raise_what_ccxt_knows_of_them(client: Client) -> None:
    price = client.price()

    def order(side: str, amount: float, factor: float, **more: Any) -> type[BaseException]:
        return raised(
            lambda: client.create_order(SYMBOL, "limit", side, amount, round(price * factor), more)
        )

    assert order("sell", 5_000, 1.1) is ccxt.InsufficientFunds
    assert order("buy", 0.01, 1.1, postOnly=True) is ccxt.ExchangeError
    assert order("sell", 0.01, 1.02, stopLossPrice=round(price * 1.05)) is ccxt.InvalidOrder
    assert order("buy", 0.01, 0.9, stopLoss={"triggerPrice": 1}) is ccxt.BadRequest
    assert order("buy", 0.00001, 0.9) is ccxt.ExchangeError
    assert order("buy", 0.01, 0.9, reduceOnly=True, clientOrderId="x") is ccxt.ExchangeError
    assert client.fetch_open_orders(SYMBOL) == []


def test_other_errors_raise_what_ccxt_knows_of_them(exchange: Exchange, client: Client) -> None:
    assert raised(lambda: client.fetch_order("nonsense")) is ccxt.ExchangeError
    assert raised(lambda: client.cancel_order("nonsense")) is ccxt.BadRequest
    assert (
        raised(lambda: client.fetch_orders(SYMBOL, params={"order_status": "NONE"}))
        is ccxt.BadRequest
    )
    reader = Client(exchange, exchange.reader)
    assert (
        raised(lambda: reader.create_order(SYMBOL, "limit", "buy", 0.01, 1))
        is ccxt.PermissionDenied
    )
    for key in (
        Key(exchange.ec.name, exchange.reader.secret),
        Key("organizations/o/apiKeys/nobody", exchange.ec.secret),
        Key(exchange.ed.name, exchange.ec.secret),
        Key(exchange.legacy.name, "another secret"),
    ):
        stranger = Client(exchange, key)
        assert raised(stranger.fetch_balance) is ccxt.AuthenticationError


def test_too_many_requests_exceed_the_rate_limit(exchange: Exchange) -> None:
    async def storm() -> None:
        """Send many at once: one after the other, a slow machine stays below the limit."""
        key = exchange.spare["ec"].pop()
        client = ccxt.async_support.coinbase(options(exchange, key, enableRateLimit=False))
        try:
            await client.load_markets()
            await asyncio.gather(*(client.fetch_balance() for _ in range(200)))
        finally:
            await client.close()

    assert raised(lambda: asyncio.run(storm())) is ccxt.RateLimitExceeded


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"type": "reject", "reason": "INSUFFICIENT_BALANCE"}, ccxt.InsufficientFunds),
        ({"type": "reject", "reason": "WOULD_TRIGGER"}, ccxt.InvalidOrder),
        ({"type": "reject", "reason": "PRICE_FAR_FROM_MARKET"}, ccxt.ExchangeError),
        ({"type": "server-error", "status": 500}, ccxt.ExchangeError),
        ({"type": "server-error", "status": 503}, ccxt.ExchangeNotAvailable),
        ({"type": "rate-limit"}, ccxt.RateLimitExceeded),
        ({"type": "ban"}, ccxt.RateLimitExceeded),
        ({"type": "drop-request"}, ccxt.NetworkError),
    ],
)
def test_faults_raise_what_the_exchange_s_own_errors_would(
    client: Client, fault: dict[str, Any], expected: type[BaseException]
) -> None:
    price = client.price(0.9)
    client.exchange.add_fault(match="POST /api/v3/brokerage/orders", **fault)
    assert issubclass(
        raised(lambda: client.create_order(SYMBOL, "limit", "buy", 0.01, price)), expected
    )
    assert client.fetch_open_orders(SYMBOL) == []


def test_an_order_whose_answer_is_lost_is_there_and_is_not_doubled_by_its_id(
    client: Client,
) -> None:
    price, more = client.price(0.9), {"client_order_id": f"lost-{time.monotonic_ns()}"}
    client.exchange.add_fault(type="lose-answer", match="POST /api/v3/brokerage/orders")
    assert issubclass(
        raised(lambda: client.create_order(SYMBOL, "limit", "buy", 0.01, price, more)),
        ccxt.NetworkError,
    )
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, price, more)
    assert [each["id"] for each in client.fetch_open_orders(SYMBOL)] == [order["id"]]


def test_a_doubled_request_makes_one_order(client: Client) -> None:
    price = client.price(0.9)
    client.exchange.add_fault(type="double-request", match="POST /api/v3/brokerage/orders")
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, price)
    assert [each["id"] for each in client.fetch_open_orders(SYMBOL)] == [order["id"]]


def test_a_skewed_clock_refuses_what_was_signed(client: Client) -> None:
    client.load_markets()
    client.exchange.add_fault(type="clock-skew", by="10m")
    assert raised(client.fetch_balance) is ccxt.AuthenticationError
    client.exchange.end_faults()
    assert client.fetch_balance()["total"]["ETH"] == 100


def test_a_halt_refuses_orders_and_not_cancels(client: Client) -> None:
    order = client.create_order(SYMBOL, "limit", "buy", 0.01, client.price(0.9))
    client.exchange.add_fault(type="halt", symbol="BTC-USD")
    price = client.price(0.9)
    assert (
        raised(lambda: client.create_order(SYMBOL, "limit", "buy", 0.01, price))
        is ccxt.ExchangeError
    )
    client.cancel_order(order["id"])
    assert client.shown(order)["status"] == "canceled"
