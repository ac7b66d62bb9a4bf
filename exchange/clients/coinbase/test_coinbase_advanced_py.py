"""Coinbase's own library against a simulated Coinbase: REST over TLS, and WebSockets."""

import json
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from coinbase.rest import RESTClient
from coinbase.websocket import WebsocketResponse, WSClient, WSUserClient
from served import wait_until

from conftest import Exchange, Key

PRODUCT = "BTC-USD"
DEADLINE_SECONDS = 30


def rest(exchange: Exchange, key: Key, **more: Any) -> RESTClient:
    """Return a client. The library builds its addresses with https alone."""
    return RESTClient(
        api_key=key.name, api_secret=key.secret, base_url=exchange.host, timeout=20, **more
    )


@pytest.fixture(params=["ec", "ed"])
def client(
    tls_exchange: Exchange, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RESTClient]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_exchange.certificate))
    # The library has no rate limit of its own.
    client = rest(tls_exchange, tls_exchange.spare[request.param].pop())
    yield client
    open_orders = client.list_orders(order_status=["OPEN"]).orders
    if open_orders:
        client.cancel_orders([order.order_id for order in open_orders])


def price(client: RESTClient, factor: float = 1) -> str:
    """Return the last price times a factor, in whole dollars."""
    return str(round(float(client.get_product(PRODUCT).price) * factor))


def unique(name: str) -> str:
    return f"{name}-{time.monotonic_ns()}"


def test_the_market_is_read_with_and_without_a_key(
    tls_exchange: Exchange, client: RESTClient
) -> None:
    public = RESTClient(base_url=tls_exchange.host, timeout=20)
    assert public.get_unix_time().epoch_seconds
    assert len(public.get_public_products().products) == 3
    assert public.get_public_product(PRODUCT).base_name == "Bitcoin"
    assert public.get_public_product_book(PRODUCT, limit=2).pricebook.bids[1].price
    assert public.get_public_market_trades(PRODUCT, limit=2).trades[0].trade_id
    now = int(time.time())
    span = {"start": str(now - 600), "end": str(now), "granularity": "ONE_MINUTE"}
    assert public.get_public_candles(PRODUCT, **span).candles[0].open
    time.sleep(1)
    assert len(client.get_products(product_ids=[PRODUCT, "ETH-USD"]).products) == 2
    assert client.get_product_book(PRODUCT, limit=1).spread_bps
    assert client.get_best_bid_ask([PRODUCT]).pricebooks[0].asks[0].size
    assert client.get_candles(PRODUCT, **span).candles[0].close
    assert client.get_market_trades(PRODUCT, limit=1).best_bid
    with pytest.raises(Exception, match="Unauthenticated"):
        public.get_accounts()


def test_the_account_is_read(client: RESTClient) -> None:
    accounts = client.get_accounts(limit=2)
    assert accounts.has_next
    rest_of_them = client.get_accounts(limit=2, cursor=accounts.cursor)
    found = [*accounts.accounts, *rest_of_them.accounts]
    assert {account.currency for account in found} == {"BTC", "ETH", "USD"}
    account = client.get_account(found[0].uuid).account
    assert account.available_balance["value"]
    assert client.get_transaction_summary().fee_tier["taker_fee_rate"] == "0.006"
    permissions = client.get_api_key_permissions()
    assert (permissions.can_view, permissions.can_trade, permissions.can_transfer) == (
        True,
        True,
        False,
    )
    portfolio = client.get_portfolios().portfolios[0]
    assert portfolio.uuid == permissions.portfolio_uuid
    breakdown = client.get_portfolio_breakdown(portfolio.uuid).breakdown
    assert breakdown.portfolio.name == "Default"


def test_every_order_of_the_library_is_accepted(client: RESTClient) -> None:
    low, high = price(client, 0.9), price(client, 1.1)
    end = "2090-01-01T00:00:00Z"
    stop = {"stop_direction": "STOP_DIRECTION_STOP_DOWN", "stop_price": low}
    orders: list[Any] = [
        client.market_order_buy("", PRODUCT, quote_size="100"),
        client.market_order_sell("", PRODUCT, base_size="0.001"),
        client.limit_order_ioc_buy("", PRODUCT, "0.001", high),
        client.limit_order_ioc_sell("", PRODUCT, "0.001", high),
        client.limit_order_fok_buy("", PRODUCT, "0.001", high),
        client.limit_order_gtc_buy("", PRODUCT, "0.001", low, post_only=True),
        client.limit_order_gtc_sell("", PRODUCT, "0.001", high),
        client.limit_order_gtd_buy("", PRODUCT, "0.001", low, end),
        client.stop_limit_order_gtc_sell("", PRODUCT, "0.001", low, **stop),
        client.stop_limit_order_gtd_sell("", PRODUCT, "0.001", low, end_time=end, **stop),
        client.trigger_bracket_order_gtc_sell("", PRODUCT, "0.001", high, low),
        client.trigger_bracket_order_gtd_sell("", PRODUCT, "0.001", high, low, end),
    ]
    assert [order.success for order in orders] == [True] * len(orders)
    ids = [order.success_response["order_id"] for order in orders]
    shown = {order.order_id: order for order in client.list_orders(order_ids=ids).orders}
    types = [shown[order_id].order_type for order_id in ids]
    assert types == ["MARKET"] * 2 + ["LIMIT"] * 6 + ["STOP_LIMIT"] * 2 + ["BRACKET"] * 2
    assert [shown[order_id].status for order_id in ids[:5]] == [
        "FILLED",
        "FILLED",
        "FILLED",
        "CANCELLED",
        "FILLED",
    ]
    results = client.cancel_orders(ids[5:]).results
    assert [result.success for result in results] == [True] * 7


def test_an_order_is_previewed_edited_read_and_cancelled(client: RESTClient) -> None:
    low = price(client, 0.9)
    preview = client.preview_limit_order_gtc_buy(PRODUCT, "0.01", low)
    assert preview.errs == []
    assert float(preview.order_total) > 0.01 * float(low)
    name = unique("mine")
    order = client.limit_order_gtc_buy(name, PRODUCT, "0.01", low)
    order_id = order.success_response["order_id"]
    assert client.limit_order_gtc_buy(name, PRODUCT, "0.01", low).success_response["order_id"] == (
        order_id
    )
    assert client.preview_edit_order(order_id, size="0.02", price=low).errors == []
    assert client.edit_order(order_id, size="0.02", price=low).success
    shown = client.get_order(order_id).order
    assert shown.order_configuration.limit_limit_gtc.base_size == "0.02"
    assert (shown.status, shown.client_order_id) == ("OPEN", name)
    failed = client.edit_order(order_id, size="0.02", price=low)
    assert not failed.success
    assert failed.errors[0].edit_failure_reason == "EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST"
    assert client.cancel_orders([order_id]).results[0].success
    again = client.cancel_orders([order_id]).results[0]
    assert (again.success, again.failure_reason) == (False, "INVALID_CANCEL_REQUEST")


def test_fills_are_found_by_order(client: RESTClient) -> None:
    order = client.market_order_sell("", PRODUCT, base_size="0.01")
    order_id = order.success_response["order_id"]
    fills = client.get_fills(order_ids=[order_id]).fills
    assert sum(float(fill.size) for fill in fills) == pytest.approx(0.01)
    assert {fill.liquidity_indicator for fill in fills} == {"TAKER"}
    assert client.get_fills(product_ids=["ETH-USD"]).fills == []


def test_a_refused_order_raises_nothing_and_says_why(client: RESTClient) -> None:
    order = client.limit_order_gtc_sell("", PRODUCT, "5000", price(client, 1.1))
    assert order.success is False
    assert order.error_response["preview_failure_reason"] == "PREVIEW_INSUFFICIENT_FUND"
    attached = client.create_order(
        unique("attached"),
        PRODUCT,
        "BUY",
        {"limit_limit_gtc": {"base_size": "0.01", "limit_price": price(client, 0.9)}},
        attached_order_configuration={"trigger_bracket_gtc": {"limit_price": "1"}},
    )
    assert attached.success is False
    assert "ATTACHED_ORDERS" in attached.error_response["error"]
    closed = client.close_position("", PRODUCT)
    assert closed.error_response["error"] == "CANNOT_CLOSE_ZERO_POSITION"


def status(call: Callable[[], object]) -> tuple[int, str]:
    """Return the HTTP status and the message of the error that a call raises."""
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        call()
    return caught.value.response.status_code, str(caught.value)


def test_errors_carry_the_status_and_the_text(tls_exchange: Exchange, client: RESTClient) -> None:
    assert status(lambda: client.get_order("nonsense"))[0] == 404
    assert status(lambda: client.get_product("XXX-USD"))[0] == 404
    assert status(lambda: client.create_order(unique("x"), PRODUCT, "BUY", {}))[0] == 400
    assert status(client.list_payment_methods)[0] == 404
    stranger = rest(tls_exchange, Key("organizations/o/apiKeys/nobody", tls_exchange.ec.secret))
    code, text = status(stranger.get_accounts)
    assert (code, "Unauthorized" in text) == (401, True)


def test_a_missing_permission_is_recognised(tls_exchange: Exchange, client: RESTClient) -> None:
    del client
    reader = rest(tls_exchange, tls_exchange.reader)
    assert reader.get_api_key_permissions().can_trade is False
    code, text = status(lambda: reader.market_order_sell("", PRODUCT, base_size="0.01"))
    assert (code, "Missing Required Scopes" in text) == (403, True)


def test_a_skewed_clock_refuses_what_was_signed(tls_exchange: Exchange, client: RESTClient) -> None:
    tls_exchange.add_fault(type="clock-skew", by="10m")
    try:
        assert status(client.get_accounts)[0] == 401
    finally:
        tls_exchange.end_faults()


def test_the_rate_limit_is_told(tls_exchange: Exchange, client: RESTClient) -> None:
    del client
    told = rest(tls_exchange, tls_exchange.ec, rate_limit_headers=True).get_accounts()
    assert told.rate_limit_limit == "30"
    assert int(told.rate_limit_remaining) < 30

    def storm() -> None:
        """Send many at once: one after the other, a slow machine stays below the limit."""
        hasty = rest(tls_exchange, tls_exchange.reader)
        with ThreadPoolExecutor(20) as senders:
            list(senders.map(lambda _: hasty.get_accounts(), range(200)))

    assert status(storm)[0] == 429


class Inbox:
    """Messages of a WebSocket, each read by the library's own types."""

    def __init__(self) -> None:
        self._messages: queue.Queue[str] = queue.Queue()

    def __call__(self, text: str) -> None:
        self._messages.put(text)

    def event(self, channel: str) -> Any:
        """Return the first event of the next message of a channel."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            text = self._messages.get(timeout=DEADLINE_SECONDS)
            if json.loads(text)["channel"] == channel:
                return WebsocketResponse(json.loads(text)).events[0]
        pytest.fail(f"no message of {channel}")


MARKET_CHANNELS = {
    "ticker": "ticker",
    "ticker_batch": "ticker_batch",
    "market_trades": "market_trades",
    "candles": "candles",
    "level2": "l2_data",
    "status": "status",
}


@pytest.mark.parametrize("kind", ["ec", "ed", None])
def test_each_market_channel_tells_something(exchange: Exchange, kind: str | None) -> None:
    inbox = Inbox()
    key = None if kind is None else getattr(exchange, kind)
    given = {} if key is None else {"api_key": key.name, "api_secret": key.secret}
    client = WSClient(**given, base_url=exchange.ws_url, on_message=inbox)
    client.open()
    try:
        for channel, told_as in MARKET_CHANNELS.items():
            client.subscribe([PRODUCT], [channel])
            event = inbox.event(told_as)
            assert event.type == "snapshot"
            if key is None:
                time.sleep(0.2)  # unsigned messages are limited
        client.heartbeats()
        first = inbox.event("heartbeats").heartbeat_counter
        assert inbox.event("heartbeats").heartbeat_counter == first + 1
        assert inbox.event("l2_data").updates[0].price_level
        client.unsubscribe_all()
        client.raise_background_exception()
    finally:
        client.close()


def test_market_channels_work_over_tls(tls_exchange: Exchange) -> None:
    inbox = Inbox()
    client = WSClient(base_url=f"wss://{tls_exchange.host}", on_message=inbox)
    client.open()
    try:
        client.ticker([PRODUCT])
        assert inbox.event("ticker").tickers[0].best_ask
    finally:
        client.close()


@pytest.mark.parametrize("kind", ["ec", "ed"])
def test_the_user_channel_follows_an_order(
    tls_exchange: Exchange, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_exchange.certificate))
    inbox, key, trader = Inbox(), getattr(tls_exchange, kind), rest(tls_exchange, tls_exchange.ec)
    client = WSUserClient(
        api_key=key.name,
        api_secret=key.secret,
        base_url=f"wss://{tls_exchange.host}/ws",
        on_message=inbox,
    )
    client.open()
    try:
        client.user([PRODUCT])
        assert inbox.event("user").orders == []
        order = trader.limit_order_gtc_buy("", PRODUCT, "0.01", price(trader, 0.9))
        told = inbox.event("user").orders[0]
        assert told.order_id == order.success_response["order_id"]
        assert (told.status, told.order_side) == ("OPEN", "BUY")
        trader.cancel_orders([told.order_id])
        assert inbox.event("user").orders[0].status == "CANCELLED"
        trader.market_order_sell("", PRODUCT, base_size="0.01")
        filled = inbox.event("user").orders[0]
        assert (filled.status, filled.cumulative_quantity) == ("FILLED", "0.01")
    finally:
        client.close()


def test_a_client_whose_stream_is_cut_subscribes_again(exchange: Exchange) -> None:
    inbox = Inbox()
    client = WSClient(base_url=exchange.ws_url, on_message=inbox)
    client.open()
    try:
        client.ticker([PRODUCT])
        assert inbox.event("ticker").type == "snapshot"
        exchange.add_fault(type="cut-streams")
        wait_until(lambda: inbox.event("ticker").type == "snapshot")
    finally:
        client.close()
