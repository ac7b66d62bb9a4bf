"""What a hostile bot can't do to its gateway: exhaust it, use up its limits, cancel its orders."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from decimal import Decimal

import pytest
from exchange_process import eventually, is_closed, resident_memory
from gateway_process import SYMBOL, Gateway
from tradingbot_gateway.binance.budget import (
    BOT_SENT_WEIGHT,
    BOT_STREAMS,
    BOT_WEIGHT,
    SYMBOL_WEIGHT,
    Budget,
)
from tradingbot_gateway.binance.refusals import RefusalError
from tradingbot_gateway.connection import LONGEST_FRAME
from tradingbot_gateway.serving import BOT_CONNECTIONS, REPORT_CONNECTIONS

MANY = 400
DEPTH_WEIGHT = 250
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def hold(held: ExitStack, port: int, number: int) -> list[socket.socket]:
    """Open connections with the beginning of a request."""
    opened = []
    for _ in range(number):
        sock = held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        sock.sendall(b"GET /risk HTTP/1.1\r\nX: ")
        sock.settimeout(5)
        opened.append(sock)
    return opened


@pytest.mark.parametrize("name", ["report_url", "drain_url"])
def test_idle_connections_keep_neither_the_kubelet_nor_the_operator_out(
    gateway: Gateway, name: str
) -> None:
    with ExitStack() as held:
        opened = hold(held, gateway.port_of(name), MANY)
        eventually(lambda: sum(map(is_closed, opened)) >= MANY - REPORT_CONNECTIONS)
        assert gateway.report("/readyz").status == 200
        assert gateway.report("/risk").status == 200


def test_the_bot_has_so_many_connections_and_no_more(gateway: Gateway) -> None:
    with ExitStack() as held:
        opened = hold(held, gateway.port, MANY)
        eventually(lambda: sum(map(is_closed, opened)) >= MANY - BOT_CONNECTIONS)
        assert not all(map(is_closed, opened))
        assert gateway.report("/risk").status == 200
    eventually(lambda: gateway.request("GET", "/api/v3/ping").status == 200)


@pytest.mark.parametrize("path", ["/ws-api/v3", "/ws"])
def test_messages_without_an_end_are_not_collected(gateway: Gateway, path: str) -> None:
    assert gateway.process is not None
    before = resident_memory(gateway.process)
    with ExitStack() as held:
        for _ in range(30):
            sock = held.enter_context(socket.create_connection(("127.0.0.1", gateway.port), 5))
            sock.sendall(UPGRADE.format(path=path).encode())
            assert b" 101 " in sock.recv(4096)
            # A frame that is announced as larger than what may come, and most of its bytes.
            size = 4 * 1024 * 1024
            try:
                sock.sendall(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + b"x" * (size - 1))
            except ConnectionError:
                continue
        assert resident_memory(gateway.process) - before < 30 * 8 * LONGEST_FRAME


def test_a_bot_that_reads_too_much_leaves_the_gateway_enough_to_trade(gateway: Gateway) -> None:
    limited = None
    for _ in range(3 * BOT_WEIGHT // DEPTH_WEIGHT):
        answer = gateway.request("GET", f"/api/v3/depth?symbol={SYMBOL}&limit=5000")
        if answer.status != 200:
            limited = answer
            break
    assert limited is not None
    assert (limited.status, limited.body["code"]) == (429, -1003)
    assert limited.headers["x-tradingbot-refused"] == "RateLimit"
    assert 0 < int(limited.headers["retry-after"]) <= 60
    gateway.buy()
    assert gateway.order(side="SELL", quantity="0.005").status == 200


def test_orders_of_symbols_that_do_not_exist_are_reads_of_the_bot(gateway: Gateway) -> None:
    for number in range(2 * BOT_WEIGHT // SYMBOL_WEIGHT):
        answer = gateway.order(symbol=f"A{number}USDT")
        if answer.status == 429:
            break
        assert (answer.status, answer.body["code"]) == (400, -1121)
    assert (answer.status, answer.headers["x-tradingbot-refused"]) == (429, "RateLimit")
    assert gateway.order().status == 200


def test_orders_and_cancels_have_more_room_than_reads_and_leave_the_gateway_its_part() -> None:
    budget = Budget(lambda: 60_000)
    budget.spend(BOT_WEIGHT, may_wait=True)
    with pytest.raises(RefusalError):
        budget.spend(1, may_wait=True)
    for _ in range(BOT_SENT_WEIGHT - BOT_WEIGHT):
        budget.spend(1, may_wait=False)
    with pytest.raises(RefusalError) as refused:
        budget.spend(1, may_wait=False)
    assert (refused.value.control, refused.value.status) == ("RateLimit", 429)


def test_a_bot_opens_so_many_streams_and_no_more(gateway: Gateway) -> None:
    said = b""
    for _ in range(BOT_STREAMS + 1):
        with socket.create_connection(("127.0.0.1", gateway.port), 5) as sock:
            sock.sendall(UPGRADE.format(path="/ws").encode())
            said = sock.recv(4096)
        if b" 101 " not in said:
            break
    assert b" 429 " in said.partition(b"\r\n")[0]


def test_a_cut_stream_lets_no_cancel_reach_the_orders_of_others(gateway: Gateway) -> None:
    price = f"{gateway.price() * Decimal('0.98'):.2f}"
    limit = {"type": "LIMIT", "timeInForce": "GTC", "price": price}
    foreign = gateway.exchange.order(**limit, client_id="a-persons").body
    assert gateway.order(**limit, newClientOrderId="the-bots").status == 200
    gateway.exchange.fault(type="cut-streams", **{"for": "15s"})
    eventually(lambda: gateway.report("/readyz").status == 503)
    path = "/api/v3/order"
    own_and_foreign = {"origClientOrderId": "the-bots", "orderId": foreign["orderId"]}
    for parameters in (
        {"orderId": foreign["orderId"]},
        {"origClientOrderId": "a-persons"},
        own_and_foreign,
    ):
        answer = gateway.signed("DELETE", path, symbol=SYMBOL, **parameters)
        assert (answer.status, answer.body["code"]) == (400, -2011), parameters
    assert gateway.report("/readyz").status == 503
    assert gateway.signed("DELETE", path, symbol=SYMBOL, origClientOrderId="the-bots").status == 200
    (left,) = gateway.open_orders()
    assert left["id"] == foreign["orderId"]
    canceled = gateway.exchange.signed("DELETE", path, symbol=SYMBOL, origClientOrderId="a-persons")
    assert canceled.status == 200
    gateway.exchange.control("DELETE", "/faults")
    gateway.ready()


def test_no_id_cancels_the_gateways_protection_or_the_orders_of_others(gateway: Gateway) -> None:
    gateway.buy()
    orders = gateway.open_orders()
    price = gateway.price() * Decimal("0.98")
    foreign = gateway.exchange.order(
        type="LIMIT", timeInForce="GTC", price=f"{price:.2f}", client_id="somebodys"
    ).body
    before = {each["id"] for each in gateway.open_orders()}
    assert len(before) == 3
    path, lists = "/api/v3/order", "/api/v3/orderList"
    named = [
        *((path, {"orderId": each["id"]}) for each in orders),
        *((path, {"origClientOrderId": each["clientId"]}) for each in orders),
        (path, {"orderId": foreign["orderId"]}),
        (path, {"origClientOrderId": "somebodys"}),
        *((lists, {"orderListId": each}) for each in range(100)),
        *(
            (lists, {"listClientOrderId": each["clientId"].rpartition("-")[0]})
            for each in orders
            if each["clientId"].startswith("tbgw-")
        ),
    ]
    for where, parameters in named:
        answer = gateway.signed("DELETE", where, symbol=SYMBOL, **parameters)
        assert (answer.status, answer.body["code"]) == (400, -2011), parameters
    assert {each["id"] for each in gateway.open_orders()} == before
    for each in (*orders, {"id": foreign["orderId"]}):
        answer = gateway.signed(
            "POST",
            "/api/v3/order/cancelReplace",
            symbol=SYMBOL,
            side="SELL",
            type="LIMIT",
            timeInForce="GTC",
            quantity="0.001",
            price=f"{gateway.price() * 2:.2f}",
            cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=each["id"],
        )
        assert answer.body["code"] == -2022
    # An exit: the gateway releases its own orders for it, and places them again.
    eventually(lambda: len(gateway.open_orders()) == 3)
    canceled = gateway.exchange.signed("DELETE", path, symbol=SYMBOL, origClientOrderId="somebodys")
    assert canceled.status == 200


@pytest.mark.parametrize("name", ["BTC/USDT", "btc usdt", "../BTCUSDT", "X" * 900, "B\u00dc"])
def test_a_symbol_of_another_form_is_none(gateway: Gateway, name: str) -> None:
    answer = gateway.order(symbol=name)
    assert (answer.status, answer.body["code"]) == (400, -1121)
