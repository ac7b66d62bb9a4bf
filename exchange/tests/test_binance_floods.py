"""Floods of a client of the simulated Binance: orders over the limits, and answers left unread."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, closing
from typing import Any

import pytest
from binance_harness import OTHER, ROOMY, serving
from test_exchange_connections import UPGRADE
from tradingbot_exchange import outbox
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.spot import Settings, Spot
from tradingbot_exchange.binance.ws_api import WebSocketApi

ORDERS = 20
FLOOD = 60
ASSETS = ("USDT", "BTC", "ETH")


def frame(**members: object) -> bytes:
    """Return a message of a client, under a mask of zeros."""
    data = json.dumps(members).encode()
    return b"\x81\xff" + len(data).to_bytes(8, "big") + bytes(4) + data


def test_a_flood_of_orders_is_limited_and_every_balance_stays_exact() -> None:
    with serving(Settings(limits=RateLimits(orders_10s=ORDERS))) as server:
        engine = server.venue.engine

        def totals() -> list[object]:
            return [engine.total(asset) for asset in ASSETS]

        before = server.on_loop(totals)
        statuses = [server.order().status for _ in range(FLOOD)]
        assert statuses == [200] * ORDERS + [429] * (FLOOD - ORDERS)
        taking = {"type": "MARKET", "price": None, "timeInForce": None}
        assert server.order(by=OTHER, **taking).status == 200
        assert server.on_loop(totals) == before
        held = server.on_loop(lambda: engine.balances("alice")["USDT"].held)
        assert held == ORDERS * 500
        assert server.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").status == 200
        assert server.on_loop(lambda: engine.balances("alice")["USDT"].held) == 0
        assert server.on_loop(totals) == before


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_CHARACTERS", 500_000)
    with (
        serving(Settings(limits=ROOMY, stream_messages=1000)) as server,
        closing(socket.socket()) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", server.port))
        client.sendall(UPGRADE)
        assert b" 101 " in client.recv(4096)
        names = [f"{number:0100}" for number in range(1000)]
        client.sendall(frame(method="SUBSCRIBE", params=names, id=1))

        def ask_without_end() -> None:
            for number in range(900):
                client.sendall(frame(method="LIST_SUBSCRIPTIONS", id=number))
                assert server.get("/api/v3/ping").status == 200

        with pytest.raises(ConnectionError):
            ask_without_end()


def test_a_flood_of_messages_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    flood, all_sent = 5000, threading.Event()
    handled: list[str] = []
    handled_before: list[int] = []
    answer = Spot.answer

    def receive(_: WebSocketApi, __: object, text: str) -> None:
        if not handled:
            assert all_sent.wait(20)
        handled.append(text)

    def count(*arguments: Any, **named: Any) -> object:
        handled_before.append(len(handled))
        return answer(*arguments, **named)

    monkeypatch.setattr(WebSocketApi, "_receive", receive)
    monkeypatch.setattr(Spot, "answer", count)
    with serving() as server, ExitStack() as held:
        hostile, other = (
            held.enter_context(socket.create_connection(("127.0.0.1", server.port), 20))
            for _ in range(2)
        )
        hostile.sendall(UPGRADE.replace(b"/ws ", b"/ws-api/v3 "))
        assert b" 101 " in hostile.recv(4096)
        assert server.get("/api/v3/ping").status == 200
        hostile.sendall(frame(id=1) * flood)
        other.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        all_sent.set()
        assert b" 200 " in other.recv(4096)
    assert handled_before[0] == 0
    assert handled_before[1] < flood // 2
