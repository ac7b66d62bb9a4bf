"""The gateway's own subscription to the channel `user`: what happens to its account's orders."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from tradingbot_gateway.account_stream import AccountStream, Follower, SubscriptionError
from tradingbot_gateway.coinbase.numbering import Numbering
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.errors import KeysRefusedError

_ANSWER_SECONDS = 10.0
_SILENT_SECONDS = 10.0
"""Heartbeats come every second: a connection that is silent for so long is dead."""


class UserStream(AccountStream):
    """The channel `user`, with heartbeats. Reports its events: `{type, orders}`."""

    def __init__(self, session: aiohttp.ClientSession, address: str, upstream: Upstream) -> None:
        super().__init__(session, address)
        self._upstream = upstream
        self._numbering = Numbering()

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        self._numbering = Numbering()
        for channel in ("user", "heartbeats"):
            request = {"type": "subscribe", "channel": channel, "jwt": self._upstream.token()}
            await socket.send_str(json.dumps(request))
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                message = await self._received(socket)
                _report(message, follower)
                if message.get("channel") == "subscriptions" and _has_user(message):
                    return

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        while True:
            _report(await self._received(socket), follower)

    async def _received(self, socket: aiohttp.ClientWebSocketResponse) -> Mapping[str, Any]:
        received = await socket.receive(timeout=_SILENT_SECONDS)
        if received.type is not aiohttp.WSMsgType.TEXT:
            raise SubscriptionError(f"closed with code {socket.close_code}")
        message: Mapping[str, Any] = json.loads(received.data)
        if message.get("type") == "error" and "authentication" in str(message.get("message")):
            raise KeysRefusedError("the exchange refuses the channel user: authentication failure")
        self._numbering.check(message)
        return message


def _report(message: Mapping[str, Any], follower: Follower) -> None:
    if message.get("channel") == "user":
        for event in message["events"]:
            follower.on_event(event)


def _has_user(message: Mapping[str, Any]) -> bool:
    return any("user" in event.get("subscriptions", {}) for event in message["events"])
