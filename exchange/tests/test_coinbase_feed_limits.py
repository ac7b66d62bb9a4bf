"""WebSockets: who may subscribe, what is refused, and which connections are closed."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import WSMsgType
from coinbase_harness import (
    START,
    Client,
    Socket,
    quiet_venue,
    run,
    served,
    token,
)
from tradingbot_exchange import outbox
from tradingbot_exchange.coinbase import feed
from tradingbot_exchange.coinbase.feed import (
    MAX_MESSAGE,
    MESSAGES_PER_SECOND,
    SIGNED_PER_SECOND,
)
from tradingbot_exchange.coinbase.signing import legacy_signature
from tradingbot_exchange.venue import Candle

FAILURE = {"type": "error", "message": "authentication failure"}


async def refused(socket: Socket, **members: Any) -> Any:
    """Send a message, and return the error."""
    await socket.stream.send_json(members)
    return await socket.next()


def test_a_signature_is_checked_wherever_there_is_one() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            expired = token(now_s=START // 1000 - 200)
            for members in (
                {"channel": "user"},
                {"channel": "user", "jwt": "nonsense"},
                {"channel": "user", "jwt": expired},
                {"channel": "user", "jwt": 7},
                {"channel": "ticker", "product_ids": ["BTC-USD"], "jwt": expired},
                {"channel": "user", "api_key": "legacy"},
                *(
                    {"channel": "user", "api_key": "legacy", "timestamp": "1", name: "\ud800"}
                    for name in ("channel", "timestamp", "signature")
                ),
                {
                    "channel": "user",
                    "api_key": "legacy",
                    "timestamp": str(client.venue.time // 1000),
                    "product_ids": ["\ud800"],
                    "signature": "\ud800",
                },
                {"channel": "full", "product_ids": ["BTC-USD"]},
            ):
                client.venue.time += 1000
                assert await refused(socket, type="subscribe", **members) == FAILURE

    run(scenario, quiet_venue())


def test_a_message_may_be_signed_the_old_way() -> None:
    async def scenario(client: Client) -> None:
        time = str(START // 1000)
        signature = legacy_signature(
            "a secret", timestamp=time, method="user", path="BTC-USD", body=""
        )
        async with client.socket() as socket:
            await socket.subscribe(
                "user", "BTC-USD", api_key="legacy", timestamp=time, signature=signature
            )
            assert (await socket.told("user"))["type"] == "snapshot"

    run(scenario, quiet_venue())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 60_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"type": "login"}', "type must be"),
        ('{"type": "subscribe"}', "channel is required"),
        ('{"type": "subscribe", "channels": ["ticker"]}', "channel is required"),
        ('{"type": "subscribe", "channel": "ticker"}', "product_ids is required"),
        ('{"type": "subscribe", "channel": "ticker", "product_ids": "BTC-USD"}', "must be a list"),
        ('{"type": "subscribe", "channel": "ticker", "product_ids": ["X"]}', "X is not a valid"),
        (" " * (MAX_MESSAGE + 1), "characters at most"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_the_connection_goes_on(
    text: str, message: str
) -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.stream.send_str(text)
            answer = await socket.next()
            assert answer["type"] == "error"
            assert message in answer["message"]
            await socket.subscribe("ticker", "BTC-USD")
            assert (await socket.told("ticker"))["type"] == "snapshot"

    run(scenario, quiet_venue())


def test_unsubscribing_ends_products_and_channels() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.subscribe("ticker", "BTC-USD", "ETH-USD")
            await socket.told("ticker")
            await socket.unsubscribe("ticker", "BTC-USD")
            left = await socket.told("subscriptions")
            assert left == {"subscriptions": {"ticker": ["ETH-USD"]}}
            await client.placed("market_market_ioc", base_size="1")
            await socket.subscribe("heartbeats")
            await socket.told("subscriptions")
            await socket.unsubscribe("heartbeats")
            await socket.unsubscribe("ticker", "ETH-USD")
            assert await socket.told("subscriptions") == left
            assert await socket.told("subscriptions") == {"subscriptions": {}}

    run(scenario, quiet_venue())


def test_unsigned_messages_have_a_limit_in_each_second() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            for _ in range(8):
                assert (await refused(socket, type="login"))["message"].startswith("type")
            assert (await refused(socket, type="login"))["message"] == "rate limit exceeded"
            client.venue.time += 1000
            assert (await refused(socket, type="login"))["message"].startswith("type")

    run(scenario, quiet_venue())


@pytest.mark.parametrize("subscribed", [True, False])
def test_a_connection_without_a_subscription_is_closed(subscribed: bool) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(60),
            served(quiet_venue(), subscribe_within_s=0.2) as client,
            client.socket() as socket,
        ):
            if subscribed:
                await socket.subscribe("heartbeats")
                for _ in range(2):
                    await socket.told("heartbeats")
                return
            closed = await socket.stream.receive()
            assert closed.type is WSMsgType.CLOSE
            assert closed.data == 1008

    asyncio.run(scenario())


def test_signed_messages_of_a_key_have_a_limit_in_each_second() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as first, client.socket() as second:
            for number in range(SIGNED_PER_SECOND):
                socket = (first, second)[number % 2]
                await socket.subscribe("user", jwt=token())
                await socket.told("user")
            message = {"type": "subscribe", "channel": "user", "jwt": token()}
            assert (await refused(first, **message))["message"] == "rate limit exceeded"
            await second.subscribe("user", jwt=token("bob"))
            await second.told("user")

    run(scenario, quiet_venue())


def test_a_client_that_sends_too_many_messages_is_disconnected() -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as other, client.socket() as socket:
            await other.subscribe("heartbeats", jwt=token("bob"))
            for _ in range(MESSAGES_PER_SECOND + 1):
                await socket.stream.send_json({"type": "login"})
            while (message := await socket.stream.receive()).type is WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
            assert message.extra == "too many messages"
            await other.told("heartbeats")

    run(scenario, quiet_venue())


def test_a_client_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_MESSAGES", 50)
    monkeypatch.setattr(feed, "MESSAGES_PER_SECOND", 10_000)
    monkeypatch.setattr(feed, "SIGNED_PER_SECOND", 10_000)

    async def scenario(client: Client) -> None:
        client.venue.kept_candles = [candle(START - number * 300_000) for number in range(100)]
        listeners = len(client.venue.listeners)
        async with client.socket() as socket:
            for _ in range(2000):
                await socket.subscribe("candles", "BTC-USD", jwt=token())
            async with asyncio.timeout(20):
                while len(client.venue.listeners) > listeners:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            while (await socket.stream.receive()).type is WSMsgType.TEXT:
                pass
            assert socket.stream.close_code == 1006

    run(scenario, quiet_venue())


def test_a_flood_of_messages_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    flood = 5000
    monkeypatch.setattr(feed, "MESSAGES_PER_SECOND", 2 * flood)
    handled: list[str] = []
    monkeypatch.setattr(feed.Session, "_on_message", lambda _, text: handled.append(text))

    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            writer = socket.stream._writer
            await asyncio.gather(*(writer.send_frame(b"{}", WSMsgType.TEXT) for _ in range(flood)))
            await client.get("time", key=None)
            assert len(handled) < flood

    run(scenario, quiet_venue())


def candle(start: int) -> Candle:
    """Return a candle."""
    price = Decimal(100)
    return Candle(
        start=start,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=price,
        quote_volume=price,
        trades=1,
    )


def test_a_client_that_goes_is_no_longer_listened_for() -> None:
    async def scenario(client: Client) -> None:
        before = len(client.venue.listeners)
        async with client.socket() as socket:
            await socket.subscribe("ticker", "BTC-USD")
            await socket.told("ticker")
            assert len(client.venue.listeners) == before + 1
        async with asyncio.timeout(20):
            while len(client.venue.listeners) > before:  # noqa: ASYNC110  the server tells nobody
                await asyncio.sleep(0.01)

    run(scenario, quiet_venue())
