"""The trading loop: look, report, decide, apply the limits, act. One call of `turn` is one round.

It knows neither sockets nor ccxt, and the time is an argument, so that tests run it on the matching
engine, with every fault that an exchange has.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from tradingbot_api.contract import BotConfig, RiskReport
from tradingbot_api.trading_day import TradingDay, begin, trading_day
from tradingbot_api.trading_hours import hours
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.catalog import Strategy
from tradingbot_strategies.exchange import (
    Exchange,
    ExchangeError,
    NotAcceptedError,
    UnavailableError,
    UnknownOutcomeError,
)
from tradingbot_strategies.in_flight import LATEST_ARRIVAL, InFlight
from tradingbot_strategies.intervals import milliseconds
from tradingbot_strategies.limits import Limits, exposure, open_assets, permitted
from tradingbot_strategies.orders import ClientIds, NewCover, NewOrder, Role
from tradingbot_strategies.plan import (
    Cancel,
    Place,
    Protect,
    Step,
    as_it_is,
    as_resting,
    describe,
    is_entry_step,
    steps,
    symbol_of,
)
from tradingbot_strategies.protection import close_all, exits
from tradingbot_strategies.records import Records
from tradingbot_strategies.view import Closes, Market, Quote, View

logger = logging.getLogger(__name__)

FRESH = 30_000
"""Milliseconds. With an older quote, the figures are unknown."""

BEFORE_CLOSING = timedelta(minutes=1)
"""No entries so shortly before the operator stops the bot by its schedule."""

UNIT = Decimal("0.00000001")
"""Of the figures in a report."""


class HaltStore(Protocol):
    """Remembers on which trading day the daily loss limit was reached, over a restart."""

    def load(self) -> str:
        """Return the day as YYYY-MM-DD, or an empty text."""

    def save(self, day: str) -> None:
        """Remember the day."""


@dataclass(slots=True)
class _Day:
    """A trading day, with what its figures start from."""

    day: TradingDay
    start: int
    marks_at_start: dict[str, Decimal]


class Trader:
    """One bot: its strategy, its limits, its exchange. Call `start` once, then `turn` often."""

    def __init__(
        self,
        exchange: Exchange,
        strategy: Strategy,
        config: BotConfig,
        *,
        halts: HaltStore,
        started: int,
        clock: Callable[[], int],
    ) -> None:
        """Make a bot. `started` is in milliseconds since the epoch, like what `clock` returns."""
        self._exchange, self._strategy, self._config = exchange, strategy, config
        self._needs = strategy.needs
        self._halts, self._clock = halts, clock
        self._limits = Limits.of(config.risk)
        self._ids = ClientIds(config.namespace, config.name, started=started)
        self._markets: dict[str, Market] = {}
        self._quotes: dict[str, Quote] = {}
        self._closes: Closes | None = None
        self._records = Records(exchange, self._ids, {}, self._needs.money)
        self._in_flight = InFlight(exchange, self._records)
        self._day: _Day | None = None
        self._halted = ""
        """The trading day for which nothing is opened any more."""
        self._applied_hash = config.config_hash
        self._no_entries_until = started + LATEST_ARRIVAL
        """At a start: what the process before has sent may still arrive. Later: after a refusal."""
        self._settled_after = started + LATEST_ARRIVAL
        self._looked = 0
        self.report: RiskReport | None = None
        """The newest figures, None if they are not known."""

    @property
    def symbols(self) -> list[str]:
        """The symbols that are traded, once `start` has returned."""
        return list(self._markets)

    # Calls of the runtime

    def configure(self, config: BotConfig) -> None:
        """Use new limits and a new schedule from the next turn on."""
        self._config, self._limits = config, Limits.of(config.risk)

    async def start(self) -> None:
        """Read markets and own orders. Raises UnavailableError: call it again."""
        needs = self._needs
        found = await self._exchange.markets((*needs.symbols, *needs.one_of))
        if missing := [symbol for symbol in needs.symbols if symbol not in found]:
            raise UnavailableError(f"the exchange does not have {', '.join(missing)}")
        middle = [symbol for symbol in needs.one_of if symbol in found][:1]
        self._markets = {symbol: found[symbol] for symbol in (*needs.symbols, *middle)}
        records = Records(self._exchange, self._ids, self._markets, needs.money)
        await records.load()
        self._records, self._in_flight = records, InFlight(self._exchange, records)
        self._halted = self._halts.load()

    async def turn(self) -> bool:
        """Do one round. Return whether something was sent, so that the next round is due at once.

        Raises UnavailableError if something can't be read: the figures are unknown then.
        """
        try:
            view = await self._look()
            report = self._figures(view)
        except UnavailableError:
            self.report = None
            raise
        self._watch_loss(report)
        todo = self._plan(view)
        sent, complete = await self._act(todo, view)
        if complete:
            self._applied_hash = self._config.config_hash
        self.report = report.model_copy(update={"config_hash": self._applied_hash})
        return sent

    async def stop(self) -> None:
        """Cancel entries; protective orders stay. Close positions that can't be left alone.

        Raises UnavailableError if the exchange did not confirm all of it: call it again.
        """
        view = await self._look()
        if self._needs.leaves_positions:
            wishes = [as_it_is(order) for order in view.resting if order.side is Side.SELL]
        else:
            wishes = close_all(view, money=self._needs.money)
        found = exits(wishes, view, self._limits, money=self._needs.money)
        _, complete = await self._act(steps(wishes, found, self._records.open, self._ids), view)
        await self._records.refresh(self._clock())
        await self._in_flight.settle(self._clock())
        if not complete or self._in_flight.symbols:
            raise UnavailableError("not every entry order is known to be cancelled")

    async def withdraw_entries(self) -> None:
        """Try to cancel the entry orders that were seen last, because nothing is known now."""
        for order in self._records.open:
            label = self._ids.label(order.client_id)
            if label is not None and label.role is Role.ENTRY:
                with suppress(ExchangeError):
                    await self._exchange.cancel(order)
                    logger.info("%s", describe(Cancel(order)))

    # Looking

    async def _look(self) -> View:
        now = self._clock()
        self._quotes = dict(await self._exchange.quotes(list(self._markets)))
        if self._looked <= self._settled_after:  # an order of the process before may have arrived
            for symbol in self._markets:
                self._records.distrust(symbol)
        await self._records.refresh(now)
        self._looked = now
        await self._in_flight.settle(now)
        if self._in_flight.symbols:
            await self._records.refresh(now)
            await self._in_flight.settle(now)
        await self._read_closes(now)
        await self._roll_day(now)
        return View(
            now=now,
            markets=self._markets,
            quotes=self._quotes,
            positions=self._records.account.positions(),
            bought=self._records.account.bought(),
            resting=as_resting(self._records.open, self._ids),
            closes=self._closes,
            free=await self._exchange.free(self._needs.money),
            last_fill=self._records.last_fill,
        )

    async def _read_closes(self, now: int) -> None:
        """Read the candles if one has closed since the newest that is known."""
        needs = self._needs
        if not needs.candle_interval:
            return
        interval = milliseconds(needs.candle_interval)
        if self._closes is None or now >= self._closes.last_start + 2 * interval:
            self._closes = await self._exchange.closes(
                needs.symbols[0], needs.candle_interval, needs.candles
            )

    async def _roll_day(self, now: int) -> None:
        moment = datetime.fromtimestamp(now / 1000, UTC)
        before = self._day
        today = trading_day(self._config.schedule, moment, before.day if before else None)
        if before is not None and today.date == before.day.date:
            before.day = today
            return
        start = round(begin(self._config.schedule, today.date).timestamp() * 1000)
        self._records.start_day(start)
        marks = {
            asset: await self._exchange.price_at(f"{asset}-{self._needs.money}", start)
            for asset in self._records.account.at_start()
        }
        self._day = _Day(today, start, marks)

    # Reporting

    def _figures(self, view: View) -> RiskReport:
        marks = self._marks(view)
        assert self._day is not None  # noqa: S101 - `_look` sets it
        pnl = self._records.account.day_pnl(marks, self._day.marks_at_start)
        return RiskReport.model_validate(
            {
                "tradingDay": self._day.day.date,
                "dayPnL": pnl.quantize(UNIT),
                "openPositions": len(open_assets(view, self._needs.money)),
                "exposure": exposure(view, marks).quantize(UNIT),
                "configHash": self._applied_hash,
                "time": datetime.fromtimestamp(view.now / 1000, UTC),
            }
        )

    def _marks(self, view: View) -> Mapping[str, Decimal]:
        """Return the price at which each position could be closed now. Raises UnavailableError."""
        marks = {}
        for asset, position in view.positions.items():
            quote = view.quotes[f"{asset}-{self._needs.money}"]
            if view.now - quote.time > FRESH:
                raise UnavailableError(f"the price of {asset} is {view.now - quote.time} ms old")
            marks[asset] = quote.bid if position.quantity > 0 else quote.ask
        return marks

    def _watch_loss(self, report: RiskReport) -> None:
        day = report.trading_day.isoformat()
        if self._halted != day and report.day_pnl <= -self._limits.daily_loss_limit:
            logger.warning(
                "halted for the rest of %s: dayPnL %s has reached dailyLossLimit %s",
                day, report.day_pnl, self._limits.daily_loss_limit,
            )  # fmt: skip
            self._halted = day
            self._halts.save(day)

    # Acting

    def _entries_allowed(self, now: int) -> bool:
        """Whether entry orders may exist now. If not, those in the book are cancelled."""
        moment = datetime.fromtimestamp(now / 1000, UTC)
        halted_until = self._config.halted_until
        schedule = hours(self._config.schedule, moment)
        closes_at = schedule.next_transition
        assert self._day is not None  # noqa: S101
        return (
            self._halted != self._day.day.date.isoformat()
            and (halted_until is None or moment >= halted_until)
            and schedule.open
            and (closes_at is None or closes_at - moment > BEFORE_CLOSING)
        )

    def _may_enter(self, now: int) -> bool:
        """Whether new entry orders may be sent now, besides those in the book."""
        return not self._in_flight.symbols and now > self._no_entries_until

    def _plan(self, view: View) -> list[Step]:
        money, limits = self._needs.money, self._limits
        wishes = self._strategy.decide(view)
        allowed = permitted(
            wishes, view, limits, money=money, entries=self._entries_allowed(view.now)
        )
        found = exits(allowed, view, limits, money=money)
        return steps(allowed, found, self._records.open, self._ids)

    async def _act(self, todo: list[Step], view: View) -> tuple[bool, bool]:
        """Carry out steps. Return whether something was sent, and whether all of it was done."""
        sent, failed = False, set(self._in_flight.symbols)
        may_enter = self._may_enter(view.now)
        for step in todo:
            symbol = symbol_of(step)
            entry = is_entry_step(step, view, self._needs.money)
            if symbol in failed or (entry and failed):
                failed.add(symbol)
            elif entry and not may_enter:
                continue
            elif await self._do(step):
                sent = True
            else:
                failed.add(symbol)
        return sent, not failed

    async def _do(self, step: Step) -> bool:
        """Carry out one step. Return whether it came to what was seen when it was planned."""
        symbol, now = symbol_of(step), self._clock()
        self._records.distrust(symbol)
        client_id = self._ids.new(*_role(step))
        try:
            if isinstance(step, Cancel):
                ended = await self._exchange.cancel(step.order)
                logger.info("%s", describe(step))
                return ended.filled == step.order.filled
            await self._send(step, client_id)
        except NotAcceptedError as error:
            logger.warning("%s: not accepted: %s", describe(step), error)
            if isinstance(step, Place) and step.role is Role.ENTRY:
                self._no_entries_until = max(self._no_entries_until, now + REFUSED_PAUSE)
            return False
        except UnknownOutcomeError as error:
            logger.warning("%s: no answer: %s", describe(step), error)
            if not isinstance(step, Cancel):
                self._in_flight.add(symbol, client_id, now, answered=False)
            return False
        logger.info("%s", describe(step))
        self._in_flight.add(symbol, client_id, now, answered=True)
        return True

    async def _send(self, step: Place | Protect, client_id: str) -> None:
        if isinstance(step, Place):
            wish = step.wish
            await self._exchange.submit(
                NewOrder(
                    client_id=client_id,
                    symbol=wish.symbol,
                    side=wish.side,
                    quantity=wish.quantity,
                    price=wish.price,
                    style=wish.style,
                )
            )
            return
        cover = step.cover
        await self._exchange.protect(
            NewCover(
                client_id=client_id,
                symbol=cover.symbol,
                quantity=cover.quantity,
                price=cover.price,
                stop_price=cover.stop_price,
            )
        )


REFUSED_PAUSE = 2_000
"""Milliseconds without entries after one was refused, so that a reason that lasts is not asked for
again and again."""


def _role(step: Step) -> tuple[Role, str]:
    if isinstance(step, Place):
        return step.role, step.wish.tag
    return Role.COVER, step.cover.tag if isinstance(step, Protect) else ""
