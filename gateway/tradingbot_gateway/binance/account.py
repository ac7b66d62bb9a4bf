"""The gateway's view of its account: events as they come, and everything again after a cut."""

import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradingbot_api.gateway_state import GatewayNotice
from tradingbot_exchange.binance.errors import ApiError

from tradingbot_gateway.account_stream import Event, Listener
from tradingbot_gateway.binance.queries import DAY_MS, MINUTE_MS, Queries
from tradingbot_gateway.binance.trading import Trading
from tradingbot_gateway.binance.translation import Tag, balances, is_own, reported
from tradingbot_gateway.binance.upstream import Upstream
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.performing import Performer

log = logging.getLogger(__name__)

LOOK_BACK_DAYS = 7
"""How far back own orders are looked for if there is no ledger."""


class Account:
    """Follows the user data stream, and reconciles."""

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
        self._performer = Performer(gate, markets=markets, questions=queries, own_orders=trading)
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
                self._performer.start(self._adopt(event))
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
        self._gate.reconciling()
        began = self._upstream.clock.now()
        await self._prepare()
        await self._read_orders()
        for tracked in self._gate.desk.ledger.open_orders():
            await self._queries.ask(tracked.order.client_id, tracked.order.symbol)
        await self._queries.balances()
        await self._performer.perform_all()
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

    async def _read_orders(self) -> None:
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
        await self._queries.all_orders(sorted(names), since=since)

    def on_cut(self, notice: GatewayNotice) -> None:
        """Let no entry through: events may be missed from now on."""
        self._gate.disconnected(notice)
        self._gate.metrics.cuts.inc()
        for listener in tuple(self.listeners):
            listener.on_cut()

    async def run(self) -> None:
        """Do what the core asks for, for ever."""
        await self._performer.run()

    # What the bot sees

    def holds(self) -> Mapping[str, Decimal]:
        """Return what the gateway's own protection holds, by asset."""
        return self._gate.desk.ledger.protective_holds()
