"""What a gateway does once it is put together, in any dialect: it follows the exchange."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from tradingbot_gateway.account_stream import AccountStream, Follower
from tradingbot_gateway.book_feed import BookFeed
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.key_permissions import follow_permissions
from tradingbot_gateway.markets import Depth, Markets

if TYPE_CHECKING:
    from tradingbot_gateway.paper import PaperVenue

log = logging.getLogger(__name__)

_CLOCK_SECONDS = 60.0


class Account(Follower, Protocol):
    """The gateway's view of its account."""

    async def run(self) -> None:
        """Count events and do what the core asks for, for ever."""


class Upstream(Protocol):
    """The exchange of the account."""

    async def synchronise(self) -> None:
        """Measure the difference of the clocks. Raises UnreachableError."""


class Assembled:
    """A gateway whose parts its dialect has made."""

    _gate: Gate
    _feed: BookFeed
    _markets: Markets
    _account: Account
    _user_stream: AccountStream
    _upstream: Upstream
    _may_withdraw: Callable[[], Awaitable[bool]]
    """Whether the key may, as the exchange says it."""
    _venue: "PaperVenue | None"
    """The exchange inside the gateway, in Paper."""

    async def run(self) -> None:
        """Follow the exchange for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed.run())
            group.create_task(self._account.run())
            group.create_task(self._user_stream.follow(self._account))
            group.create_task(self._measure_clock())
            if self._venue is None:  # Paper has no key
                group.create_task(follow_permissions(self._gate, self._may_withdraw))

    async def _measure_clock(self) -> None:
        """Measure the clock now and then, the first time before requests are refused for it."""
        while True:
            try:
                await self._upstream.synchronise()
            except UnreachableError as error:
                log.warning("the exchange's time: %s", error)
            await asyncio.sleep(_CLOCK_SECONDS)

    def _quoted(self, name: str, depth: Depth) -> None:
        self._markets.quoted(name, depth)
        if self._venue is not None:
            self._venue.quoted(name, depth)
