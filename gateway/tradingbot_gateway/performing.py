"""Does what the core asks for: protection, cancels, questions to the exchange. No dialect."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Protocol

from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.risk.actions import Action, Ask, Cancel, FindPrice, Place

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_COALESCE_SECONDS = 0.02
"""Quotes come often; the actions that follow are computed at most so often."""


class Questions(Protocol):
    """Asks the exchange, and hands the answers to the gate."""

    async def ask(self, client_id: str, symbol: str) -> None:
        """Find out what became of an order. Raises UnreachableError."""

    async def find_price(self, action: FindPrice) -> None:
        """Find the price of an asset at an instant. Raises UnreachableError."""


class OwnOrders(Protocol):
    """Sends the gateway's own orders, and reports to the gate what became of them."""

    async def place_own(self, place: Place) -> None:
        """Send an order or a list; it counts as sent already."""

    async def cancel_own(self, cancel: Cancel) -> None:
        """Cancel an order or a list."""


class Performer:
    """Performs the actions of one gate."""

    def __init__(
        self, gate: Gate, *, markets: Markets, questions: Questions, own_orders: OwnOrders
    ) -> None:
        self._gate = gate
        self._markets = markets
        self._queries = questions
        self._trading = own_orders
        self._watched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Do what the core asks for, after each change and every second, for ever."""
        loop = asyncio.get_running_loop()
        refreshed = loop.time()
        while True:
            with suppress(TimeoutError):
                # Not wait_for: in Python 3.11 it may lose a cancel that comes with the event.
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._gate.changed.wait()
            if loop.time() - refreshed >= _TICK_SECONDS:
                self._gate.refresh()
                refreshed = loop.time()
            self._watch()
            self._gate.changed.clear()
            for action in self._gate.actions():
                self.start(self._perform(action))
            await asyncio.sleep(_COALESCE_SECONDS)

    def _watch(self) -> None:
        """Follow the quotes that the core needs."""
        for symbol in self._gate.desk.watched() - self._watched:
            self._watched.add(symbol)
            self.start(self._follow(symbol))

    async def _follow(self, symbol: str) -> None:
        try:
            await self._markets.ready(self._markets.name(symbol))
        except self._markets.unknown:
            log.warning("the exchange does not trade %s", symbol)
        except UnreachableError as error:
            log.warning("no quotes of %s: %s", symbol, error)
            self._watched.discard(symbol)

    async def perform_all(self) -> None:
        """Do what is asked for now, and wait for it."""
        await asyncio.gather(*(self._perform(action) for action in self._gate.actions()))

    async def _perform(self, action: Action) -> None:
        try:
            if isinstance(action, Place):
                await self._markets.ready(self._markets.name(action.orders[0].symbol))
                await self._trading.place_own(action)
            elif isinstance(action, Cancel):
                await self._trading.cancel_own(action)
            elif isinstance(action, Ask):
                await self._markets.ready(self._markets.name(action.symbol))
                await self._queries.ask(action.client_id, action.symbol)
            elif isinstance(action, FindPrice):
                await self._queries.find_price(action)
        except UnreachableError as error:
            log.warning("%s: %s", type(action).__name__, error)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Do some work beside everything else; a failure of it is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # What was asked for is asked for again, so the process does not end.
            log.error("could not do what the limits ask for", exc_info=error)
