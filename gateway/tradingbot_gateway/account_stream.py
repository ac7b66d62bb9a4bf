"""The gateway's own stream of its account: what happens, as it happens. No dialect."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
from tradingbot_api.gateway_state import GatewayNotice
from tradingbot_api.gateway_state import GatewayReason as _Reason

from tradingbot_gateway.connection import STREAM_FAILURES, WEBSOCKET_TIMEOUT
from tradingbot_gateway.errors import KeysRefusedError, UnreachableError

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0

Event = Mapping[str, Any]


class Follower(Protocol):
    """What the stream reports to."""

    def on_event(self, event: Event) -> None:
        """Take one event of the account."""

    async def on_open(self) -> None:
        """Read what was missed: the stream has begun. Raises to have it begin again."""

    def on_cut(self, notice: GatewayNotice) -> None:
        """Expect that events are missed, until the stream begins again."""


class Listener(Protocol):
    """A connection of the bot that receives the account's events."""

    def on_event(self, event: Event) -> None:
        """Take an event that the gateway has counted."""

    def on_cut(self) -> None:
        """Events may have been missed."""


class SubscriptionError(ConnectionError):
    """The exchange refuses the stream, or it ended."""


class AccountStream(ABC):
    """Follows the account until it is cancelled, and connects again whenever it has to."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def follow(self, follower: Follower) -> None:
        """Report to `follower` for ever."""
        pause = _FIRST_PAUSE
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._follow_once(follower)
            except STREAM_FAILURES as error:
                told = isinstance(error, SubscriptionError | UnreachableError)
                sentence = str(error) if told else _name(error)
                refused = isinstance(error, KeysRefusedError)
                reason = _Reason.KEYS_REFUSED if refused else _Reason.EXCHANGE_UNREACHABLE
                follower.on_cut(GatewayNotice(reason, sentence))
                log.warning("the user data stream ended: %s", sentence)
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _follow_once(self, follower: Follower) -> None:
        async with self._session.ws_connect(
            self._address, heartbeat=PING_SECONDS, timeout=WEBSOCKET_TIMEOUT
        ) as socket:
            await self._subscribe(socket, follower)
            opening = asyncio.create_task(follower.on_open())
            reading = asyncio.create_task(self._read(socket, follower))
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

    @abstractmethod
    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        """Subscribe, and wait for the confirmation. Raises SubscriptionError."""

    @abstractmethod
    async def _read(self, socket: aiohttp.ClientWebSocketResponse, follower: Follower) -> None:
        """Report events until the stream ends. Raises SubscriptionError."""


def _name(error: BaseException) -> str:
    """Name an error without its text: a URL in it may have a password."""
    return getattr(error, "strerror", None) or type(error).__name__
