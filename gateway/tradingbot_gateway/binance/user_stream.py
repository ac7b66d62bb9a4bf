"""The gateway's own user data stream: what happens to the account, as it happens."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
from tradingbot_exchange.binance.signing import sign, sorted_payload

from tradingbot_gateway.answers import ServerClock
from tradingbot_gateway.binance.upstream import DEFAULT_WINDOW
from tradingbot_gateway.connection import STREAM_FAILURES, WEBSOCKET_TIMEOUT
from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.errors import UnreachableError

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_ANSWER_SECONDS = 10.0
_OK = 200

Event = Mapping[str, Any]


class Follower(Protocol):
    """What the stream reports to."""

    def on_event(self, event: Event) -> None:
        """Take one event of the account."""

    async def on_open(self) -> None:
        """Read what was missed: the stream has begun. Raises to have it begin again."""

    def on_cut(self, reason: str) -> None:
        """Expect that events are missed, until the stream begins again."""


class SubscriptionError(ConnectionError):
    """The exchange refuses the stream, or it ended."""


class UserStream:
    """Follows the account until it is cancelled, and connects again whenever it has to."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        credentials: Credentials,
        clock: ServerClock,
    ) -> None:
        self._session = session
        self._address = address
        self._credentials = credentials
        self._clock = clock

    async def follow(self, follower: Follower) -> None:
        """Report to `follower` for ever."""
        pause = _FIRST_PAUSE
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._follow_once(follower)
            except STREAM_FAILURES as error:
                told = isinstance(error, SubscriptionError | UnreachableError)
                reason = str(error) if told else _name(error)
                follower.on_cut(reason)
                log.warning("the user data stream ended: %s", reason)
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _follow_once(self, follower: Follower) -> None:
        async with self._session.ws_connect(
            self._address, heartbeat=PING_SECONDS, timeout=WEBSOCKET_TIMEOUT
        ) as socket:
            await socket.send_str(self._subscription())
            await self._confirmed(socket, follower)
            opening = asyncio.create_task(follower.on_open())
            reading = asyncio.create_task(_read(socket, follower))
            try:
                done, _ = await asyncio.wait(
                    (opening, reading), return_when=asyncio.FIRST_COMPLETED
                )
                if reading in done:
                    await reading
                await opening
                await reading
            finally:
                opening.cancel()
                reading.cancel()
                await asyncio.gather(opening, reading, return_exceptions=True)

    def _subscription(self) -> str:
        parameters = {
            "apiKey": self._credentials.key,
            "recvWindow": DEFAULT_WINDOW,
            "timestamp": str(self._clock.now()),
        }
        signature = sign(self._credentials.secret, sorted_payload(parameters))
        method = "userDataStream.subscribe.signature"
        request = {"id": 1, "method": method, "params": {**parameters, "signature": signature}}
        return json.dumps(request)

    async def _confirmed(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        """Wait for the answer to the subscription; events may come before it."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                received = await socket.receive()
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise SubscriptionError(f"closed with code {socket.close_code}")
                message = json.loads(received.data)
                if "event" in message:
                    follower.on_event(message["event"])
                elif message.get("status") == _OK:
                    return
                else:
                    code = message.get("error", {}).get("code")
                    raise SubscriptionError(f"the exchange refuses the stream with code {code}")


async def _read(socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        event = json.loads(message.data).get("event")
        if not isinstance(event, dict):
            continue
        if event.get("e") in {"eventStreamTerminated", "serverShutdown"}:
            raise SubscriptionError(f"the exchange sent {event['e']}")
        follower.on_event(event)
    raise SubscriptionError(f"closed with code {socket.close_code}")


def _name(error: BaseException) -> str:
    """Name an error without its text: a URL in it may have a password."""
    return getattr(error, "strerror", None) or type(error).__name__
