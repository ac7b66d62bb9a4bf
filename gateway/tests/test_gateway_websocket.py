"""The WebSocket API and the market streams through the gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from gateway_process import SYMBOL, Gateway
from tradingbot_exchange.binance.signing import sign, sorted_payload
from tradingbot_gateway.credentials import PLACEHOLDER

SECONDS = 20


class Bot:
    """A bot's connection to the WebSocket API."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._number = 0

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a request, and return its answer; events that come before are kept."""
        self._number += 1
        frame = {"id": self._number, "method": method, "params": parameters}
        await self.socket.send_str(json.dumps(frame))
        while True:
            message = await self.receive()
            if message.get("id") == self._number:
                return message
            self.events.append(message)

    async def receive(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.socket.receive_str(timeout=SECONDS))
        return found

    async def signed(
        self, method: str, *, secret: str = PLACEHOLDER, **parameters: Any
    ) -> dict[str, Any]:
        values = {**parameters, "apiKey": PLACEHOLDER, "timestamp": time.time_ns() // 10**6}
        payload = sorted_payload({name: str(value) for name, value in values.items()})
        return await self.send(method, **values, signature=sign(secret, payload))

    async def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the next event of a kind with some fields."""
        while True:
            message = self.events.pop(0) if self.events else await self.receive()
            event = message.get("event", {})
            if event.get("e") == kind and all(event[name] == fields[name] for name in fields):
                found: dict[str, Any] = event
                return found


Scene = Callable[[Bot], Awaitable[None]]


def play(gateway: Gateway, scene: Scene) -> None:
    async def connected() -> None:
        url = f"http://127.0.0.1:{gateway.port}/ws-api/v3"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await scene(Bot(socket))

    asyncio.run(asyncio.wait_for(connected(), 3 * SECONDS))


def small(gateway: Gateway) -> dict[str, str]:
    gateway.orders += 1
    quantity = Decimal("0.001") + gateway.orders % 20 * Decimal("0.00001")
    return {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": f"{quantity}"}


def test_orders_and_events_share_one_connection(gateway: Gateway) -> None:
    async def scene(bot: Bot) -> None:
        answer = await bot.signed("userDataStream.subscribe.signature")
        assert answer["result"] == {"subscriptionId": 0}
        answer = await bot.signed("order.place", **small(gateway), newClientOrderId="by-socket")
        assert (answer["status"], answer["result"]["status"]) == (200, "FILLED")
        assert answer["rateLimits"]
        report = await bot.event("executionReport", c="by-socket", x="TRADE")
        assert report["X"] == "FILLED"

    play(gateway, scene)


def test_orders_are_judged_frame_by_frame(gateway: Gateway) -> None:
    async def scene(bot: Bot) -> None:
        answer = await bot.signed("order.place", **(small(gateway) | {"quantity": "0.02"}))
        assert (answer["status"], answer["error"]["code"]) == (400, -2010)
        assert answer["error"]["msg"].startswith("MaxPositionSize")
        line = gateway.drop_copy()[-1]
        assert (line["verdict"], line["control"]) == ("refused", "MaxPositionSize")

    play(gateway, scene)
    assert gateway.held() == 0


@pytest.mark.parametrize(
    "method",
    ["orderList.place.otoco", "sor.order.place", "order.amend.keepPriority", "no.such.method"],
)
def test_methods_that_are_not_on_the_list_are_refused(gateway: Gateway, method: str) -> None:
    async def scene(bot: Bot) -> None:
        answer = await bot.signed(method, **small(gateway))
        assert (answer["status"], answer["error"]["code"]) == (400, -1020)

    play(gateway, scene)


def test_a_session_that_has_logged_on_needs_no_signature(gateway: Gateway) -> None:
    async def scene(bot: Bot) -> None:
        answer = await bot.send("order.place", **small(gateway))
        assert answer["error"]["code"] == -1102
        answer = await bot.signed("session.logon", secret="wrong")
        assert answer["error"]["code"] == -1022
        answer = await bot.signed("session.logon")
        assert answer["result"]["apiKey"] == PLACEHOLDER
        answer = await bot.send("order.place", **small(gateway), timestamp=time.time_ns() // 10**6)
        assert answer["result"]["status"] == "FILLED"
        assert (await bot.send("userDataStream.subscribe"))["status"] == 200
        assert (await bot.send("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
        await bot.send("session.logout")
        assert (await bot.send("session.status"))["result"]["userDataStream"] is False
        answer = await bot.send("account.status", timestamp=time.time_ns() // 10**6)
        assert answer["error"]["code"] == -1102

    play(gateway, scene)


def test_a_session_is_that_of_one_connection(gateway: Gateway) -> None:
    async def logged_on(bot: Bot) -> None:
        assert (await bot.signed("session.logon"))["status"] == 200

    async def other(bot: Bot) -> None:
        answer = await bot.send("account.status", timestamp=time.time_ns() // 10**6)
        assert answer["error"]["code"] == -1102

    play(gateway, logged_on)
    play(gateway, other)


def test_the_protection_is_no_hold_in_events_either(gateway: Gateway) -> None:
    async def scene(bot: Bot) -> None:
        await bot.signed("userDataStream.subscribe.signature")
        await asyncio.get_running_loop().run_in_executor(None, gateway.buy)
        while True:
            event = await bot.event("outboundAccountPosition")
            row = next((each for each in event["B"] if each["a"] == "BTC"), None)
            if row is not None:
                break
        assert Decimal(row["l"]) == 0

    play(gateway, scene)


def test_a_subscription_is_closed_when_events_may_be_missing(gateway: Gateway) -> None:
    async def scene(bot: Bot) -> None:
        await bot.signed("userDataStream.subscribe.signature")
        gateway.exchange.fault(type="cut-streams")
        message = await bot.socket.receive(timeout=SECONDS)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == aiohttp.WSCloseCode.SERVICE_RESTART

    play(gateway, scene)
    gateway.ready()


def test_market_data_and_errors_have_the_form_of_the_exchange(gateway: Gateway) -> None:
    async def scene(bot: Bot) -> None:
        answer = await bot.send("ticker.price", symbol=SYMBOL)
        assert Decimal(answer["result"]["price"]) > 0
        answer = await bot.send("ticker.price", symbols=[SYMBOL, "ETHUSDT"])
        assert len(answer["result"]) == 2
        assert (await bot.send("depth"))["error"]["code"] == -1102
        await bot.socket.send_str("no json")
        assert (await bot.receive())["error"]["code"] == -1135

    play(gateway, scene)


# Market streams


@pytest.mark.parametrize(
    "path",
    [
        "/ws/btcusdt@bookTicker",
        "/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker",
        "/ws",
    ],
)
def test_market_streams_are_passed_through(gateway: Gateway, path: str) -> None:
    async def watch() -> dict[str, Any]:
        url = f"http://127.0.0.1:{gateway.port}{path}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as stream:
            if path == "/ws":
                frame = {"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1}
                await stream.send_str(json.dumps(frame))
                assert json.loads(await stream.receive_str()) == {"result": None, "id": 1}
            message: dict[str, Any] = json.loads(await stream.receive_str(timeout=SECONDS))
            return message

    message = asyncio.run(watch())
    book = message.get("data", message)
    assert Decimal(book["b"]) < Decimal(book["a"])


@pytest.mark.parametrize("path", ["/ws/../ws-api/v3", "/ws/%2e%2e/ws-api/v3", "/ws-api/v4"])
def test_nothing_else_is_reached_by_way_of_the_streams(gateway: Gateway, path: str) -> None:
    answer = gateway.request("GET", path, headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert answer.status in {400, 404}
