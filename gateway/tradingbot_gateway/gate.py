"""The gateway's decisions and books, with their journal, drop copy and metrics.

No dialect: it takes requests, events and quotes in the core's words. Everything runs in one event
loop, and no method waits, so a decision and what it counts are one step.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from pydantic import ValidationError
from tradingbot_api.contract import BotConfig, RiskReport
from tradingbot_api.enforcement import quote_currency_of
from tradingbot_api.gateway_state import GatewayNotice, GatewayReason
from tradingbot_api.trading_hours import hours

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.drop_copy import DropCopy
from tradingbot_gateway.errors import ConfigError, StateFileError
from tradingbot_gateway.grants import GRANTED, Permission
from tradingbot_gateway.journal import Journal, Recorded
from tradingbot_gateway.metrics import Metrics
from tradingbot_gateway.risk.actions import Action
from tradingbot_gateway.risk.day import as_instant
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import Event, Filled
from tradingbot_gateway.risk.figures import Figures, Unknown
from tradingbot_gateway.risk.limits import Limits, Settings
from tradingbot_gateway.risk.reconciliation import Answers, reconcile
from tradingbot_gateway.risk.types import Market, Purpose, Quote, Request
from tradingbot_gateway.risk.verdicts import Verdict

log = logging.getLogger(__name__)

_STARTING = GatewayNotice(GatewayReason.NOT_RECONCILED, "the account is being read")
_MAY_WITHDRAW = "the exchange says that the API key may withdraw or transfer: use one that may not"


class Gate:
    """One bot's desk and what has to happen around each of its calls."""

    def __init__(
        self,
        config: BotConfig,
        *,
        journal: Journal | None,
        drop_copy: DropCopy,
        metrics: Metrics,
        wall: Wall,
        authority: Callable[[BotConfig], Permission] = lambda _: GRANTED,
    ) -> None:
        """Restore the desk from the journal. Raises ConfigError and StateFileError."""
        self.config = config
        self.wall = wall
        self.drop_copy = drop_copy
        self.metrics = metrics
        self.recorded = Recorded() if journal is None else journal.read()
        self.changed = asyncio.Event()
        """Set whenever there may be something to do."""
        self.reconciled = False
        self.key_may_withdraw = False
        """Whether the exchange says so of the gateway's key."""
        self._trouble = _STARTING
        self.permission = GRANTED
        """Whether the operator lets entries pass. It is not journaled: the next process asks."""
        self._authority = authority
        self.failed = asyncio.Event()
        self.failure: StateFileError | None = None
        """Why the ledger can't be written: the process must end."""
        self._journal = journal
        self._markets: dict[str, Market] = {}
        self.settings = settings_of(config, wall())
        self.desk = self._restored()
        if journal is not None:
            self.desk.drain()
            # What is asked for since then is what this file says was known last.
            journal.begin(self.desk.snapshot(), now=self.recorded.until or wall())
        self.check_grant()

    @property
    def limits(self) -> Limits:
        """The limits that apply."""
        return self.settings.limits

    def _restored(self) -> Desk:
        try:
            return Desk.restore(
                self._markets,
                self.settings,
                snapshot=self.recorded.snapshot,
                events=self.recorded.events,
                now=self.wall(),
            )
        except ValueError as error:  # pydantic's errors are of this kind, and quote the content
            told = "it is damaged" if isinstance(error, ValidationError) else str(error)
            raise StateFileError(f"the ledger can't be used: {told}") from None

    # Requests

    def decide(self, request: Request) -> Verdict:
        """Judge a request. If it is allowed, it counts as sent. Raises StateFileError."""
        self.check_grant()  # the process may have stood still since the last time
        now = self.wall()
        verdict = self.desk.decide(request, now)
        self._save()
        self.metrics.decided(verdict)
        self.drop_copy.decided(request, verdict, now=now)
        return verdict

    def refused(self, what: str, *, control: str, reason: str) -> None:
        """Count, and write down, what was refused before it became a request."""
        self.metrics.verdicts.labels("refused", control).inc()
        self.drop_copy.refused(what, control=control, reason=reason, now=self.wall())

    def on(self, *events: Event) -> None:
        """Count what happened."""
        now = self.wall()
        for event in events:
            if isinstance(event, Filled):
                self._write_fill(event)
            self.desk.on(event, now)
        self._save()
        self.changed.set()

    def _write_fill(self, event: Filled) -> None:
        """Write a trade of a known order to the drop copy. An exchange may report it twice."""
        tracked = self.desk.ledger.state.orders.get(event.client_id)
        if tracked is not None and event.trade_id not in tracked.trades:
            own = tracked.purpose is not Purpose.BOT
            self.drop_copy.filled(event, tracked.order, own=own)

    def answered(self, answers: Answers) -> None:
        """Count what the exchange says about orders, trades and balances."""
        self.on(*reconcile(self.desk.ledger, answers))

    def actions(self) -> tuple[Action, ...]:
        """Return what has to be done now."""
        found = self.desk.actions(self.wall())
        self._save()
        return found

    # Circumstances

    def quoted(self, quote: Quote) -> None:
        """Note a book."""
        self.desk.quoted(quote, self.wall())
        self._save()
        self.changed.set()

    def listed(self, markets: Mapping[str, Market]) -> None:
        """Add markets, by the core's symbols."""
        self._markets.update(markets)
        self.desk.listed(dict(self._markets))
        self._save()

    def configured(self, config: BotConfig) -> None:
        """Apply another bot.json."""
        now = self.wall()
        self.settings = settings_of(config, now)
        self.desk.configured(self.settings, now)
        self._save()
        self.config = config
        self.check_grant()
        self.changed.set()

    def refresh(self) -> None:
        """Apply what depends on the time alone: the schedule's hours."""
        settings = settings_of(self.config, self.wall())
        if settings != self.settings:
            self.configured(self.config)

    def reconcile_done(self) -> None:
        """Let entries through."""
        self.desk.reconciled(self.wall())
        self._save()
        self.reconciled = True
        self.metrics.ready.set(1)
        self.changed.set()

    def reconciling(self) -> None:
        """Note that the exchange can be reached again, and the account is read."""
        if self._trouble.reason is GatewayReason.EXCHANGE_UNREACHABLE:
            self._trouble = _STARTING

    def disconnected(self, notice: GatewayNotice) -> None:
        """Let no entry through until `reconcile_done`."""
        self._trouble = notice
        self.reconciled = False
        self.metrics.ready.set(0)
        self.desk.disconnected(notice.sentence)
        self._save()

    def terminate(self, reason: str) -> None:
        """Let no entry through any more, and cancel entry orders."""
        self.desk.terminate(reason)
        self._save()
        self.changed.set()

    def check_grant(self) -> None:
        """Let entries through or not, by the right that the operator gives at this moment."""
        found = self._authority(self.config)
        if found == self.permission:
            return
        log.info("entries: %s", found.not_granted or found.outdated or "granted")
        self.permission = found
        self.desk.granted(
            not_granted=found.not_granted, outdated=found.outdated, stands_by=found.stands_by
        )
        self.changed.set()

    def has_open_entries(self) -> bool:
        """Whether an entry order may still be open at the exchange."""
        return any(each.entry and each.open for each in self.desk.ledger.open_orders())

    # Figures

    def report(self) -> RiskReport | Unknown:
        """Return the answer to `GET /risk`, or why there is none."""
        figures = self.figures()
        self._save()
        if isinstance(figures, Unknown):
            return figures
        return figures.report(self.config.config_hash)

    def notice(self, found: object) -> GatewayNotice | None:
        """Return what the gateway says beside a report, or in its place. `found`: by `report`."""
        if not self.reconciled:
            return self._trouble
        if isinstance(found, Unknown):
            return GatewayNotice(found.kind, found.reason)
        if self.key_may_withdraw:
            return GatewayNotice(GatewayReason.KEY_MAY_WITHDRAW, _MAY_WITHDRAW)
        return None

    def figures(self) -> Figures | Unknown:
        """Return the figures of this moment."""
        now = self.wall()
        figures = self.desk.report(now)
        self.metrics.measured(self.limits, figures, self.desk.largest_value(now))
        return figures

    def _save(self) -> None:
        """Write what was counted. A gateway that can't remember must not go on: it raises."""
        events = self.desk.drain()
        if self._journal is None or not events:
            return
        try:
            self._journal.append(events, self.desk.snapshot, now=self.wall())
        except StateFileError as error:
            self.failure = error
            self.failed.set()
            raise


def settings_of(config: BotConfig, now: int) -> Settings:
    """Return what the gateway enforces of a bot.json. Raises ConfigError. `now` in milliseconds."""
    currency = quote_currency_of(config.exchange)
    if currency is None:
        raise ConfigError("bot.json names no exchange.quoteCurrency, and the exchange has none")
    halted = config.halted_until
    is_open = hours(config.schedule, as_instant(now)).open
    return Settings(
        limits=Limits.of(config.risk, money=currency),
        calendar=config.schedule,
        halted_until=None if halted is None else int(halted.timestamp() * 1000),
        closed=None if is_open else "the schedule in bot.json is closed",
    )
