"""A running `tradingbot exchange`: its keys, and faults over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Coroutine, Iterator
from typing import Any

import aiohttp
import pytest
import yaml
from exchange_process import Exchange, Starter

ORDER = "POST /api/v3/order"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    starter = Starter(tmp_path_factory.mktemp("exchange"))
    yield starter("--balance", "USDT=100000,BTC=1")
    starter.close()


@pytest.fixture
def exchange(running: Exchange) -> Iterator[Exchange]:
    yield running
    running.control("DELETE", "/faults")


def test_keys_are_printed_once_on_stdout_and_never_logged(exchange: Exchange) -> None:
    printed = yaml.safe_load(exchange.output.read_text(encoding="utf-8"))["keys"]
    log = exchange.log.read_text(encoding="utf-8")
    assert len(printed) == 2
    for key in printed:
        secret = key.get("secret") or key["private_key"].splitlines()[1]
        assert secret not in log
    assert exchange.signed("GET", "/api/v3/account").status == 200


# Faults of requests


def test_errors_are_those_of_the_exchange(exchange: Exchange) -> None:
    expected = [
        ({"type": "rate-limit", "retryAfter": 7}, 429, -1003),
        ({"type": "ban", "retryAfter": 120}, 418, -1003),
        ({"type": "server-error", "status": 500}, 500, None),
        ({"type": "server-error", "status": 503}, 503, None),
        ({"type": "reject", "reason": "INSUFFICIENT_BALANCE"}, 400, -2010),
    ]
    before = exchange.order_ids()
    for body, status, code in expected:
        exchange.fault(match=ORDER, **body)
        answer = exchange.order()
        assert answer.status == status
        if code is not None:
            assert answer.body["code"] == code
        if "retryAfter" in body:
            assert answer.headers["retry-after"] == str(body["retryAfter"])
    assert exchange.order().status == 200
    assert len(exchange.order_ids()) == len(before) + 1


def test_an_order_is_accepted_though_its_answer_is_lost(exchange: Exchange) -> None:
    exchange.fault(type="lose-answer", match=ORDER)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        exchange.order(client_id="lost-1")
    assert "lost-1" in exchange.order_ids()


def test_a_5xx_hides_an_order_that_was_carried_out(exchange: Exchange) -> None:
    exchange.fault(type="server-error", status=504, executed=True, match=ORDER)
    assert exchange.order(client_id="hidden-1").status == 504
    assert "hidden-1" in exchange.order_ids()


def test_a_dropped_request_never_reaches_the_exchange(exchange: Exchange) -> None:
    exchange.fault(type="drop-request", match=ORDER)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        exchange.order(client_id="dropped-1")
    assert "dropped-1" not in exchange.order_ids()


def test_a_doubled_request_is_carried_out_twice(exchange: Exchange) -> None:
    before = len(exchange.order_ids())
    exchange.fault(type="double-request", match=ORDER)
    assert exchange.order().status == 200
    assert len(exchange.order_ids()) == before + 2


def test_a_doubled_answer_arrives_twice_on_the_connection(exchange: Exchange) -> None:
    exchange.fault(type="double-answer", match="GET /api/v3/ping")
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=20) as connection:
        connection.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        received = b""
        while received.count(b"HTTP/1.1 200 OK\r\n") < 2 or not received.endswith(b"{}"):
            received += connection.recv(4096)
    first, second = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first == second


def test_a_delay_is_longer_than_a_clients_patience(exchange: Exchange) -> None:
    exchange.fault(type="latency", delay="30s", match=ORDER)
    with pytest.raises(TimeoutError):
        exchange.order(client_id="late-1", timeout=0.5)
    assert exchange.request("GET", "/api/v3/ping").status == 200


def test_skew_makes_signed_requests_too_early_or_too_late(exchange: Exchange) -> None:
    for by in ("-120s", "120s"):
        fault = exchange.fault(type="clock-skew", by=by)
        answer = exchange.order()
        assert (answer.status, answer.body["code"]) == (400, -1021)
        exchange.control("DELETE", f"/faults/{fault}")
    assert exchange.order().status == 200


def test_a_partial_fill_shows_in_the_answer(exchange: Exchange) -> None:
    exchange.fault(type="partial-fills", percent=25, symbol="BTC-USDT")
    answer = exchange.order(quantity="0.1")
    assert (answer.body["status"], answer.body["executedQty"]) == ("EXPIRED", "0.02500000")


# Faults of streams


def run(scene: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scene, 30))


def test_streams_are_cut_and_new_ones_refused_for_a_time(exchange: Exchange) -> None:
    url = f"http://127.0.0.1:{exchange.port}/ws/btcusdt@bookTicker"

    async def watch() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url) as stream:
                await stream.receive_json(timeout=20)
                body = {"type": "cut-streams", "path": "/ws/*", "for": "1h"}
                await asyncio.to_thread(exchange.control, "POST", "/faults", body)
                while (await stream.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert stream.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
            try:
                async with session.ws_connect(url) as stream:
                    assert (await stream.receive(timeout=20)).type is not aiohttp.WSMsgType.TEXT
            except aiohttp.ClientError:
                pass
            await asyncio.to_thread(exchange.control, "DELETE", "/faults")
            async with session.ws_connect(url) as stream:
                await stream.receive_json(timeout=20)

    run(watch())


def test_messages_are_doubled_and_dropped(exchange: Exchange) -> None:
    url = f"http://127.0.0.1:{exchange.port}/ws/btcusdt@trade"

    async def watch(times: int, **body: Any) -> list[int]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as stream:
            first = await stream.receive_json(timeout=20)
            wanted = {**body, "contains": '"e":"trade"', "times": times}
            await asyncio.to_thread(exchange.control, "POST", "/faults", wanted)
            following = [(await stream.receive_json(timeout=20))["t"] for _ in range(8)]
            return [first["t"], *following]

    doubled = run(watch(2, type="double-events"))
    assert len(doubled) - len(set(doubled)) == 2
    dropped = run(watch(2, type="drop-events"))
    assert dropped[-1] - dropped[0] == len(dropped) + 1
