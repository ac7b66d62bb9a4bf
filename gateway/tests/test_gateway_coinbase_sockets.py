"""Coinbase's WebSocket through the gateway: market channels, and the bot's own user channel."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from coinbase_gateway import PRODUCT, Bot, one_bot
from exchange_process import eventually

SECONDS = 30


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with one_bot(tmp_path_factory.mktemp("coinbase")) as made:
        yield made


class Socket:
    """A bot's connection, whose messages are numbered without a gap."""

    def __init__(self, bot: Bot, stream: aiohttp.ClientWebSocketResponse) -> None:
        self.bot = bot
        self.stream = stream
        self.number = 0

    async def subscribe(self, channel: str, *products: str, **more: Any) -> None:
        message = {"type": "subscribe", "channel": channel, "product_ids": products}
        await self.stream.send_str(json.dumps(message | {"jwt": self.bot.token()} | more))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.stream.receive_str(timeout=SECONDS))
        if "sequence_num" in message:
            assert message["sequence_num"] == self.number
            self.number += 1
        return message

    async def event(self, channel: str, kind: str) -> dict[str, Any]:
        """Return the next event of a channel and type."""
        while True:
            message = await self.receive()
            assert message.get("type") != "error", message
            if message["channel"] == channel:
                for event in message["events"]:
                    if event.get("type", kind) == kind:
                        found: dict[str, Any] = event
                        return found

    async def order(self, status: str, client_id: str) -> dict[str, Any]:
        """Return the first order of the user channel with a status and a client id."""
        while True:
            for order in (await self.event("user", "update"))["orders"]:
                if (order["status"], order["client_order_id"]) == (status, client_id):
                    found: dict[str, Any] = order
                    return found


def play(bot: Bot, scenario: Callable[[Socket], Awaitable[None]], path: str = "/") -> None:
    async def all_of_it() -> None:
        url = f"wss://{bot.host}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, ssl=bot.trust, max_msg_size=0) as stream,
        ):
            await scenario(Socket(bot, stream))

    asyncio.run(all_of_it())


def test_market_and_user_channels_share_one_connection(bot: Bot) -> None:
    async def scenario(socket: Socket) -> None:
        await socket.subscribe("ticker", PRODUCT)
        ticker = (await socket.event("ticker", "snapshot"))["tickers"][0]
        assert (ticker["product_id"], Decimal(ticker["price"]) > 0) == (PRODUCT, True)
        await socket.subscribe("level2", PRODUCT)
        assert (await socket.event("l2_data", "snapshot"))["updates"]
        await socket.subscribe("user")
        assert (await socket.event("user", "snapshot"))["orders"] == []
        await socket.subscribe("heartbeats")
        await socket.event("heartbeats", "heartbeat")
        bought = await asyncio.to_thread(bot.order, base_size="0.01", client_id="watched")
        assert bought.body["success"], bought.body
        order = await socket.order("FILLED", "watched")
        assert order["order_id"] == bought.body["order_id"]
        await asyncio.to_thread(eventually, lambda: len(bot.open_orders()) == 2)
        sold = await asyncio.to_thread(
            bot.order, side="SELL", base_size=f"{bot.held():f}", client_id="sold"
        )
        assert sold.body["success"], sold.body
        while True:  # nothing of the protection is among the events until the sale
            orders = (await socket.event("user", "update"))["orders"]
            assert not any("tbgw" in each["client_order_id"] for each in orders)
            if any(each["client_order_id"] == "sold" for each in orders):
                return

    play(bot, scenario)


def test_a_new_subscription_begins_with_the_open_orders_of_the_bot(bot: Bot) -> None:
    client_id = str(uuid.uuid4())
    made = bot.limit(bot.price() * Decimal("0.98"), client_id=client_id)
    assert made.body["success"], made.body

    async def scenario(socket: Socket) -> None:
        await socket.subscribe("user", PRODUCT)
        orders = (await socket.event("user", "snapshot"))["orders"]
        assert [each["client_order_id"] for each in orders] == [client_id]
        await asyncio.to_thread(bot.cancel, made.body["order_id"])
        await socket.order("CANCELLED", client_id)

    play(bot, scenario, "/ws")


@pytest.mark.parametrize(
    "message",
    [
        {"channel": "user", "jwt": ""},
        {"channel": "user", "jwt": "x.y.z"},
        {"channel": "ticker", "jwt": "x.y.z", "product_ids": [PRODUCT]},
        {"channel": "futures_balance_summary"},
        {"channel": "user", "type": "place_order"},
        {"channel": ["user"]},
    ],
)
def test_a_message_that_is_not_the_bots_is_refused(bot: Bot, message: dict[str, Any]) -> None:
    async def scenario(socket: Socket) -> None:
        await socket.stream.send_str(json.dumps({"type": "subscribe"} | message))
        assert (await socket.receive())["type"] == "error"

    play(bot, scenario)


def test_a_cut_of_the_gateways_own_channel_ends_the_bots(bot: Bot) -> None:
    async def scenario(socket: Socket) -> None:
        await socket.subscribe("user")
        await socket.event("user", "snapshot")
        bot.exchange.fault(type="cut-streams", path="*")
        async with asyncio.timeout(SECONDS):
            async for _ in socket.stream:
                pass
        assert socket.stream.close_code == 1012

    play(bot, scenario)
    bot.gateway.ready()
