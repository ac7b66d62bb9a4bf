"""ccxt and Coinbase's own library trade through the gateway as if that were the exchange."""

import asyncio
import json
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest
import requests
from coinbase.rest import RESTClient
from coinbase.websocket import WSClient, WSUserClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from served import Served, serve_coinbase_behind_gateway, wait_until

SYMBOL, PRODUCT = "BTC/USD", "BTC-USD"
DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Through:
    """A gateway, and what it has handed over."""

    served: Served
    handover: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.served.port}"

    @property
    def certificate(self) -> str:
        return str(self.handover / "ca-bundle.crt")

    @property
    def key(self) -> tuple[str, str]:
        return (self.handover / "api-key").read_text(), (self.handover / "api-secret").read_text()

    def open_orders(self) -> int:
        """Return how many the exchange has; a bracket counts twice."""
        found: int = self.served.statement()["openOrders"]
        return found

    def held(self) -> float:
        return round(float(self.served.balance("BTC")) - 1, 8)


def new_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return key.decode()


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Through]:
    here = tmp_path_factory.mktemp("coinbase")
    with serve_coinbase_behind_gateway(
        here, private_key=new_key(), balances="USD=100000,BTC=1", risk={}
    ) as (served, handover):
        yield Through(served, handover)


def options(through: Through) -> dict[str, Any]:
    name, secret = through.key
    return {
        "apiKey": name,
        "secret": secret,
        "cafile": through.certificate,  # of the async client
        "requests_trust_env": True,  # REQUESTS_CA_BUNDLE, for the sync one
        "urls": {"api": {"rest": f"https://{through.host}", "ws": f"wss://{through.host}"}},
        "options": {"createMarketBuyOrderRequiresPrice": False},
    }


@pytest.fixture
def client(through: Through, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", through.certificate)
    made = ccxt.coinbase(options(through))
    made.load_markets()
    yield made
    flatten(made, through)


def flatten(client: Any, through: Through) -> None:
    for order in client.fetch_open_orders(SYMBOL):
        client.cancel_order(order["id"], SYMBOL)
    if through.held() > 0:
        client.create_order(SYMBOL, "market", "sell", through.held())
    wait_until(lambda: through.open_orders() == 0)


@pytest.fixture
def library(through: Through, client: Any) -> RESTClient:
    del client  # it sells what is left
    name, secret = through.key
    return RESTClient(api_key=name, api_secret=secret, base_url=through.host, timeout=20)


# ccxt


def test_a_round_trip_with_protection_that_the_client_does_not_see(
    client: Any, through: Through
) -> None:
    bought = client.create_order(SYMBOL, "market", "buy", 600)
    shown = client.fetch_order(bought["id"], SYMBOL)
    assert (shown["status"], shown["filled"] > 0) == ("closed", True)
    assert shown["clientOrderId"].startswith("ccxt-")
    wait_until(lambda: through.open_orders() == 2)
    assert client.fetch_open_orders(SYMBOL) == []
    assert client.fetch_balance({"v3": True})["BTC"]["used"] == 0
    sold = client.create_order(SYMBOL, "market", "sell", through.held())
    assert client.fetch_order(sold["id"], SYMBOL)["status"] == "closed"
    wait_until(lambda: through.open_orders() == 0)
    assert len(client.fetch_my_trades(SYMBOL)) >= 2


def test_a_refusal_names_the_limit(client: Any) -> None:
    with pytest.raises(ccxt.ExchangeError, match=r"maxPositionSize is 2000"):
        client.create_order(SYMBOL, "market", "buy", 50_000)


def test_calls_that_are_not_on_the_list_raise(client: Any, through: Through) -> None:
    low = client.price_to_precision(SYMBOL, client.fetch_ticker(SYMBOL)["last"] * 0.97)
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, low)
    with pytest.raises(ccxt.PermissionDenied, match="cancel the order, and send another one"):
        client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.011, low)
    with pytest.raises(ccxt.PermissionDenied):
        client.v2_private_post_accounts_account_id_transactions({"account_id": "x"})
    client.cancel_order(placed["id"], SYMBOL)
    assert client.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert through.open_orders() == 0


def test_an_own_stop_takes_the_place_of_the_gateways(client: Any, through: Through) -> None:
    client.create_order(SYMBOL, "market", "buy", 600)
    wait_until(lambda: through.open_orders() == 2)
    price = client.fetch_ticker(SYMBOL)["last"]
    stop = client.create_order(
        *(SYMBOL, "limit", "sell", through.held()),
        client.price_to_precision(SYMBOL, price * 0.93),
        {"stopLossPrice": client.price_to_precision(SYMBOL, price * 0.94)},
    )
    wait_until(lambda: through.open_orders() == 1)
    assert client.fetch_order(stop["id"], SYMBOL)["status"] == "open"


def test_orders_are_watched_while_they_trade(client: Any, through: Through) -> None:
    async def play() -> None:
        watching = ccxt.pro.coinbase(options(through))
        try:
            await watching.load_markets()
            orders = asyncio.ensure_future(watching.watch_orders(SYMBOL))
            await asyncio.sleep(2)  # ccxt does not say when its subscription is made
            bought = await watching.create_order(SYMBOL, "market", "buy", 605)
            assert bought["id"] in {each["id"] for each in await asyncio.wait_for(orders, 30)}
            ticker = await asyncio.wait_for(watching.watch_ticker(SYMBOL), 30)
            assert ticker["last"] > 0
        finally:
            await watching.close()

    asyncio.run(play())


# Coinbase's own library


def test_the_library_trades_and_is_refused_in_the_exchanges_form(
    library: RESTClient, through: Through
) -> None:
    bought = library.market_order_buy("", PRODUCT, base_size="0.0101")
    assert bought.success
    shown = library.get_order(bought.success_response["order_id"]).order
    assert (shown.status, shown.filled_size) == ("FILLED", "0.0101")
    assert shown.client_order_id == bought.success_response["client_order_id"]
    wait_until(lambda: through.open_orders() == 2)
    refused = library.market_order_buy("", PRODUCT, base_size="0.5")
    assert refused.success is False
    assert "maxPositionSize is 2000" in refused.error_response["message"]
    with pytest.raises(requests.HTTPError, match="403"):
        library.edit_order("some-order", size="1", price="1")
    assert library.preview_market_order_buy(PRODUCT, base_size="0.5").errs == []
    assert library.get_fills(product_ids=[PRODUCT]).fills
    assert library.market_order_sell("", PRODUCT, base_size="0.0101").success


def test_the_library_hears_of_its_orders_and_of_the_market(
    library: RESTClient, through: Through
) -> None:
    name, secret = through.key
    heard: queue.Queue[str] = queue.Queue()
    socket = {"api_key": name, "api_secret": secret, "base_url": f"wss://{through.host}"}
    user = WSUserClient(on_message=heard.put, **socket)
    market = WSClient(on_message=heard.put, **socket)
    try:
        user.open()
        user.user([PRODUCT])
        market.open()
        market.ticker([PRODUCT])
        hear(heard, "user")
        hear(heard, "ticker")
        library.market_order_buy("heard-of", PRODUCT, base_size="0.0102")
        while True:
            events = hear(heard, "user")["events"]
            orders = [order for event in events for order in event["orders"]]
            assert not any("tbgw" in order["client_order_id"] for order in orders)
            if ("heard-of", "FILLED") in {(o["client_order_id"], o["status"]) for o in orders}:
                return
    finally:
        user.close()
        market.close()


def hear(heard: "queue.Queue[str]", channel: str) -> dict[str, Any]:
    """Return the next message of a channel."""
    while True:
        message: dict[str, Any] = json.loads(heard.get(timeout=DEADLINE_SECONDS))
        assert message.get("type") != "error", message
        if message["channel"] == channel:
            return message


# Paper, without money


def test_both_clients_trade_in_paper_and_nothing_reaches_the_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_coinbase_behind_gateway(
        tmp_path, private_key=new_key(), balances="USD=100000,BTC=1", risk={}, mode="Paper"
    ) as (served, handover):
        paper = Through(served, handover)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", paper.certificate)
        client = ccxt.coinbase(options(paper))
        client.load_markets()
        assert client.fetch_ticker(SYMBOL)["last"] > 0
        assert client.fetch_tickers([SYMBOL])[SYMBOL]["symbol"] == SYMBOL
        assert client.fetch_balance({"v3": True})["USD"]["total"] == 10000
        bought = client.create_order(SYMBOL, "market", "buy", 600)
        shown = client.fetch_order(bought["id"], SYMBOL)
        assert (shown["status"], shown["filled"] > 0) == ("closed", True)
        with pytest.raises(ccxt.ExchangeError, match="MaxPositionSize"):
            client.create_order(SYMBOL, "market", "buy", 30000)
        name, secret = paper.key
        library = RESTClient(api_key=name, api_secret=secret, base_url=paper.host, timeout=20)
        best = library.get_best_bid_ask(product_ids=[PRODUCT]).to_dict()["pricebooks"][0]
        assert float(best["bids"][0]["price"]) > 0
        assert library.get_product(PRODUCT).to_dict()["product_id"] == PRODUCT
        held = client.fetch_balance({"v3": True})["BTC"]["free"]
        sold = library.market_order_sell("", product_id=PRODUCT, base_size=f"{held:.8f}").to_dict()
        assert sold["success"], sold
        assert client.fetch_balance({"v3": True})["BTC"]["total"] == 0
        assert served.statement()["fills"] == []
