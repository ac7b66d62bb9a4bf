"""The gateway's view of its account: events as they come, and everything again after a cut."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tradingbot_api.gateway_state import GatewayNotice

from tradingbot_gateway.account_stream import Event, Listener
from tradingbot_gateway.coinbase.queries import DAY_MS, LOOK_BACK_DAYS, MINUTE_MS, Queries
from tradingbot_gateway.coinbase.trading import Trading
from tradingbot_gateway.coinbase.upstream import Upstream
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.performing import Performer

log = logging.getLogger(__name__)

_ANSWER_TURNS, _ANSWER_SECONDS = 20, 0.02
_BALANCES_SECONDS = 60.0
_OPEN = frozenset({"PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED"})


class Account:
    """Follows the user channel, and reconciles."""

    def __init__(
        self,
        gate: Gate,
        upstream: Upstream,
        *,
        markets: Markets,
        queries: Queries,
        trading: Trading,
    ) -> None:
        self._gate = gate
        self._upstream = upstream
        self._markets = markets
        self._queries = queries
        self._since = gate.recorded.until
        self._performer = Performer(gate, markets=markets, questions=queries, own_orders=trading)
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._reconciled = asyncio.Event()
        self.listeners: set[Listener] = set()
        self.open: dict[str, dict[str, Any]] = {}
        """The open orders as the user channel shows them, by the exchange's id."""

    # The user channel

    def on_event(self, event: Event) -> None:
        """Take an event. It is counted, with its fills, before the bot gets it."""
        for order in event.get("orders") or ():
            if order["status"] in _OPEN:
                self.open[order["order_id"]] = order
            else:
                self.open.pop(order["order_id"], None)
        if event.get("type") != "snapshot":  # what is open is read by REST
            self._events.put_nowait(event)

    async def _work(self) -> None:
        while True:
            event = await self._events.get()
            # Before, an exit may be new whose position is not known yet.
            await self._reconciled.wait()
            orders = event.get("orders") or ()
            await self._until_answered(orders)
            news = [order["order_id"] for order in orders if self._queries.is_news(order)]
            try:
                await self._count(news)
            except UnreachableError as error:
                log.warning("an event of the account: %s", error)
            for listener in tuple(self.listeners):
                listener.on_event(event)

    async def _until_answered(self, orders: Iterable[dict[str, Any]]) -> None:
        """Wait a little for the answers to orders that are just being sent."""
        for _ in range(_ANSWER_TURNS):
            if not any(map(self._queries.is_awaited, orders)):
                return
            await asyncio.sleep(_ANSWER_SECONDS)

    async def _count(self, order_ids: list[str]) -> None:
        if order_ids:
            asked = self._gate.wall()
            views = await self._queries.orders([("order_ids", each) for each in order_ids])
            await self._queries.learn(views, asked)

    async def on_open(self) -> None:
        """Ask for all that may have happened, then let entries through."""
        await self._upstream.synchronise()
        self._gate.reconciling()
        began = self._upstream.clock.now()
        await self._prepare()
        await self._queries.all_orders(since=self._start(began))
        for tracked in self._gate.desk.ledger.open_orders():
            await self._queries.ask(tracked.order.client_id, tracked.order.symbol)
        await self._queries.balances()
        await self._performer.perform_all()
        self._since = began
        self._gate.reconcile_done()
        self._reconciled.set()
        log.info("reconciled with the exchange")

    def _start(self, now: int) -> int:
        """Return since when orders have to be read."""
        if self._since is None:
            return now - LOOK_BACK_DAYS * DAY_MS
        return self._since - MINUTE_MS

    async def _prepare(self) -> None:
        """Have markets and quotes of all that the ledger has positions or orders in."""
        ledger = self._gate.desk.ledger
        for symbol in {tracked.order.symbol for tracked in ledger.state.orders.values()}:
            try:
                await self._markets.ready(symbol)
            except self._markets.unknown:
                log.warning("the exchange does not trade %s", symbol)
        for asset in tuple(ledger.holdings.by_asset):
            await self._markets.value(asset)

    def on_cut(self, notice: GatewayNotice) -> None:
        """Let no entry through: events may be missed from now on."""
        self._reconciled.clear()
        self._gate.disconnected(notice)
        self._gate.metrics.cuts.inc()
        self.open.clear()
        for listener in tuple(self.listeners):
            listener.on_cut()

    async def run(self) -> None:
        """Count events and do what the core asks for, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            group.create_task(self._performer.run())
            group.create_task(self._read_balances())

    async def _read_balances(self) -> None:
        """Read what the account has, now and then: the user channel does not say it."""
        while True:
            await asyncio.sleep(_BALANCES_SECONDS)
            try:
                await self._queries.balances()
            except UnreachableError as error:
                log.warning("the account's balances: %s", error)

    # What the bot sees

    def holds(self) -> Mapping[str, Decimal]:
        """Return what the gateway's own protection holds, by asset."""
        return self._gate.desk.ledger.protective_holds()
