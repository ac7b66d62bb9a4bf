"""The gateway's view of its account: events as they come, and everything again after a cut."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Protocol

from tradingbot_exchange.binance.errors import ApiError

from tradingbot_gateway.binance.markets import Markets
from tradingbot_gateway.binance.queries import DAY_MS, MINUTE_MS, Queries
from tradingbot_gateway.binance.trading import Trading
from tradingbot_gateway.binance.translation import Tag, balances, is_own, reported
from tradingbot_gateway.binance.upstream import Upstream
from tradingbot_gateway.binance.user_stream import Event
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.risk.actions import Action, Ask, Cancel, FindPrice, Place

log = logging.getLogger(__name__)

LOOK_BACK_DAYS = 7
"""How far back own orders are looked for if there is no ledger."""

_TICK_SECONDS = 1.0
_COALESCE_SECONDS = 0.02
"""Quotes come often; the actions that follow are computed at most so often."""


class Listener(Protocol):
    """A connection of the bot that receives the account's events."""

    def on_event(self, event: Event) -> None:
        """Take an event that the gateway has counted."""

    def on_cut(self) -> None:
        """Events may have been missed."""


class Account:
    """Follows the user data stream, reconciles, and does what the core asks for."""

    def __init__(
        self,
        gate: Gate,
        upstream: Upstream,
        *,
        markets: Markets,
        queries: Queries,
        trading: Trading,
        tag: Tag,
        symbols: Iterable[str],
    ) -> None:
        """`symbols`: Binance's names of what may have been traded."""
        self._gate = gate
        self._upstream = upstream
        self._markets = markets
        self._queries = queries
        self._trading = trading
        self.tag = tag
        self._symbols = set(symbols)
        self._since = gate.recorded.until
        self._watched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.listeners: set[Listener] = set()

    # The user data stream

    def on_event(self, event: Event) -> None:
        """Count an event of the account, then hand it to the bot's connections."""
        kind = event.get("e")
        if kind == "executionReport" and is_own(event, self.tag):
            symbol = self._markets.symbol(event["s"])
            if symbol is not None:
                self._symbols.add(event["s"])
                self._trading.count(reported(event, symbol))
            else:
                self._start(self._adopt(event))
        elif kind == "outboundAccountPosition":
            self._gate.on(balances(event))
        for listener in tuple(self.listeners):
            listener.on_event(event)

    async def _adopt(self, event: Event) -> None:
        """Count an event of an own order in a symbol that this process has not traded."""
        symbol = (await self._markets.ready(event["s"])).symbol
        self._symbols.add(event["s"])
        self._trading.count(reported(event, symbol))

    async def on_open(self) -> None:
        """Ask for all that may have happened, then let entries through."""
        await self._upstream.synchronise()
        began = self._upstream.clock.now()
        await self._prepare()
        await self._queries.open_orders()
        await self._past_orders()
        for tracked in self._gate.desk.ledger.open_orders():
            await self._queries.ask(tracked.order.client_id, tracked.order.symbol)
        await self._queries.balances()
        await self._perform_all()
        self._since = began
        self._gate.reconcile_done()
        log.info("reconciled with the exchange")

    async def _prepare(self) -> None:
        """Have markets and quotes of all that the ledger has positions or orders in."""
        ledger = self._gate.desk.ledger
        for symbol in {tracked.order.symbol for tracked in ledger.state.orders.values()}:
            self._symbols.add(self._markets.name(symbol))
        for name in sorted(self._symbols):
            try:
                await self._markets.ready(name)
            except ApiError:
                log.warning("the exchange does not trade %s", name)
                self._symbols.discard(name)
        for asset in tuple(ledger.holdings.by_asset):
            instrument = await self._markets.value(asset)
            if instrument is not None:
                self._symbols.add(self._markets.name(instrument.symbol))

    async def _past_orders(self) -> None:
        names = set(self._symbols)
        now = self._upstream.clock.now()
        if self._since is None:
            since = now - LOOK_BACK_DAYS * DAY_MS
            for asset in await self._queries.balances():
                if asset != self._gate.limits.money:
                    instrument = await self._markets.value(asset)
                    if instrument is not None:
                        names.add(self._markets.name(instrument.symbol))
        else:
            since = self._since - MINUTE_MS
        for name in sorted(names):
            await self._queries.past_orders(name, since=since)

    def on_cut(self, reason: str) -> None:
        """Let no entry through: events may be missed from now on."""
        self._gate.disconnected(reason)
        self._gate.metrics.cuts.inc()
        for listener in tuple(self.listeners):
            listener.on_cut()

    # What the core asks for

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
                self._start(self._perform(action))
            await asyncio.sleep(_COALESCE_SECONDS)

    def _watch(self) -> None:
        """Follow the quotes that the core needs."""
        for symbol in self._gate.desk.watched() - self._watched:
            self._watched.add(symbol)
            self._start(self._follow(symbol))

    async def _follow(self, symbol: str) -> None:
        try:
            await self._markets.ready(self._markets.name(symbol))
        except ApiError:
            log.warning("the exchange does not trade %s", symbol)
        except UnreachableError as error:
            log.warning("no quotes of %s: %s", symbol, error)
            self._watched.discard(symbol)

    async def _perform_all(self) -> None:
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

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # What was asked for is asked for again, so the process does not end.
            log.error("could not do what the limits ask for", exc_info=error)

    # What the bot sees

    def holds(self) -> Mapping[str, Decimal]:
        """Return what the gateway's own protection holds, by asset."""
        return self._gate.desk.ledger.protective_holds()
