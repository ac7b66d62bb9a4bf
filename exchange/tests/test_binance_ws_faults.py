"""Faults of requests reach the orders of the WebSocket API, in that API's own form."""

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from binance_harness import START, Server, serving
from binance_ws_client import ORDER, Client, on
from tradingbot_exchange.faults.model import FAULT

PLACING = "POST /api/v3/order"


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.on_loop(shared.venue.remove_all_faults)
    shared.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")


def begin(server: Server, **fault: Any) -> None:
    server.on_loop(lambda: server.venue.add_fault(FAULT.validate_python(fault)))


def open_orders(server: Server) -> int:
    return len(server.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").json)


@pytest.mark.parametrize(
    ("fault", "status", "code", "orders"),
    [
        ({"type": "reject"}, 400, -2010, 0),
        ({"type": "reject", "reason": "QUANTITY_STEP"}, 400, -1013, 0),
        ({"type": "server-error"}, 503, -1008, 0),
        ({"type": "server-error", "status": 502}, 502, -1000, 0),
        ({"type": "server-error", "status": 504, "executed": True}, 504, -1007, 1),
        ({"type": "rate-limit", "retryAfter": 7}, 429, -1003, 0),
        ({"type": "ban", "retryAfter": 130}, 418, -1003, 0),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_an_order_is_answered_with_the_error_of_a_fault(
    server: Server, fault: dict[str, Any], status: int, code: int, orders: int
) -> None:
    begin(server, match=PLACING, **fault)

    async def scene(client: Client) -> None:
        answer = await client.ask_signed("order.place", **ORDER)
        assert (answer["status"], answer["error"]["code"]) == (status, code)
        assert "result" not in answer
        assert answer["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
        if "retryAfter" in fault:
            until = START + fault["retryAfter"] * 1000
            assert answer["error"]["data"] == {"serverTime": START, "retryAfter": until}

    on(server, scene)
    assert open_orders(server) == orders

    async def after(client: Client) -> None:
        assert (await client.ask_signed("order.place", **ORDER))["status"] == 200  # it applied once

    on(server, after)


@pytest.mark.parametrize(("fault", "orders"), [("drop-request", 0), ("lose-answer", 1)])
def test_the_connection_ends_without_an_answer(server: Server, fault: str, orders: int) -> None:
    begin(server, type=fault, match=PLACING)

    async def scene(client: Client) -> None:
        request = {"id": 1, "method": "order.place", "params": client.signed_order()}
        await client.socket.send_str(json.dumps(request))
        message = await client.socket.receive(timeout=15)
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}

    on(server, scene)
    assert open_orders(server) == orders


def test_a_doubled_request_is_carried_out_twice_and_answered_once(server: Server) -> None:
    begin(server, type="double-request", match=PLACING)

    async def scene(client: Client) -> None:
        assert (await client.ask_signed("order.place", **ORDER))["status"] == 200
        assert (await client.ask("ping"))["result"] == {}  # the next answer is of the next request

    on(server, scene)
    assert open_orders(server) == 2


def test_a_doubled_answer_comes_twice(server: Server) -> None:
    begin(server, type="double-answer", match=PLACING)

    async def scene(client: Client) -> None:
        first = await client.ask_signed("order.place", **ORDER)
        assert await client.receive() == first

    on(server, scene)
    assert open_orders(server) == 1


def test_a_delayed_order_keeps_no_other_request_waiting(server: Server) -> None:
    begin(server, type="latency", match=PLACING, delay="700ms")

    async def scene(client: Client) -> None:
        order = {"id": "order", "method": "order.place", "params": client.signed_order()}
        await client.socket.send_str(json.dumps(order))
        await client.socket.send_str(json.dumps({"id": "ping", "method": "ping"}))
        answers = [(await client.receive())["id"] for _ in range(2)]
        assert answers == ["ping", "order"]

    on(server, scene)
    assert open_orders(server) == 1


def test_a_delayed_order_of_a_client_that_left_is_not_carried_out(server: Server) -> None:
    begin(server, type="latency", match=PLACING, delay="300ms")

    async def scene(client: Client) -> None:
        order = {"id": "order", "method": "order.place", "params": client.signed_order()}
        await client.socket.send_str(json.dumps(order))
        await client.ask("ping")  # the order has been read

    on(server, scene)
    begin(server, type="latency", match="GET /api/v3/openOrders", delay="300ms", times=1)

    async def later(client: Client) -> None:  # answered after the order would have been placed
        assert (await client.ask_signed("openOrders.status", symbol="BTCUSDT"))["result"] == []

    on(server, later)


def test_a_fault_meets_only_what_it_matches(server: Server) -> None:
    begin(server, type="reject", match="WS /session.status")
    begin(server, type="reject", match="DELETE /api/v3/order")

    async def scene(client: Client) -> None:
        placed = await client.ask_signed("order.place", **ORDER)
        assert placed["status"] == 200
        number = placed["result"]["orderId"]
        refused = await client.ask_signed("order.cancel", symbol="BTCUSDT", orderId=number)
        assert refused["error"]["code"] == -2010
        assert (await client.ask("session.status"))["error"]["code"] == -2010
        assert (await client.ask("session.status"))["status"] == 200

    on(server, scene)
    assert open_orders(server) == 1


def test_faults_of_market_and_clock_reach_orders_too(server: Server) -> None:
    begin(server, type="partial-fills", percent=50, rest="30s")

    async def filled(client: Client) -> None:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        answer = await client.ask_signed("order.place", **order)
        assert answer["result"]["executedQty"] == "0.00500000"

    on(server, filled)
    begin(server, type="clock-skew", by="1m")

    async def late(client: Client) -> None:
        refused = await client.ask_signed("order.place", **ORDER)
        assert refused["error"]["code"] == -1021

    on(server, late)


def test_a_message_has_the_skewed_time_and_the_order_that_of_the_matching_engine(
    server: Server,
) -> None:
    begin(server, type="clock-skew", by="3s")

    async def scene(client: Client) -> None:
        await client.ask_signed("userDataStream.subscribe.signature")
        placed = (await client.ask_signed("order.place", **ORDER))["result"]
        report = await client.next_event("executionReport")
        assert report["E"] - report["T"] == 3000
        assert report["T"] == placed["transactTime"]

    on(server, scene)
