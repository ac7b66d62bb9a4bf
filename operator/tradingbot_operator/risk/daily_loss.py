"""The daily loss halt: pure functions of a bot's status, its reports and the time.

    reports -> PollState --+
    status  -> StoredRisk -+--> assess --> Risk --> fingerprint, risk_status
    spec    -> RiskTerms --+

A halt is stored in the bot's status and nowhere else. So a restart of the operator, a pod that is
gone or a limit that is raised never lets a halted bot trade again on the same trading day.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from sys import intern
from typing import Any, Protocol

from tradingbot_api.contract import RiskReport
from tradingbot_api.gateway_state import GatewayNotice
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_api.trading_day import TradingDay, calendar_day, trading_day
from tradingbot_api.tradingbot import TradingBotSpec

from tradingbot_operator.cluster.timestamps import instant, rfc3339
from tradingbot_operator.reasons import Reason

FRESH = timedelta(seconds=30)
"""Maximum age of a report. An older one is treated as missing."""

UNKNOWN = datetime.fromtimestamp(0, UTC)
"""Stands for the start of a halt that can't be read."""


@dataclass(frozen=True)
class PollState:
    """The result of the polls of one bot so far."""

    report: RiskReport | None = None
    """The last well-formed report."""
    received: datetime | None = None
    problem: str = ""
    """Why the last poll brought no report, in a few stable words; empty if it did."""
    silent_since: datetime | None = None
    """The first poll since the last answer that nothing has answered; None if the last one was."""
    notice: GatewayNotice | None = None
    """What the bot's gateway said of itself in its last answer."""


@dataclass(frozen=True)
class PollSubscription:
    """How a running bot is polled, and when its reconciler is called.

    The poller computes the fingerprint after each poll, and while it waits for the next one, since
    a report that grows old may change it. The reconciler is called when the fingerprint differs
    from the last one.
    """

    terms: "RiskTerms"
    address: str
    """IP address of the pod that its own Deployment owns; empty if unknown. Without an address the
    bot is not polled, unless the template of the URL has no `{ip}`."""
    fingerprint: Callable[[PollState, datetime], Hashable]
    """Maps the state of the polls at a time to everything in it that a reconcile acts on."""
    last_fingerprint: Hashable
    """The fingerprint that the last reconcile acted on."""
    started: bool = True
    """Whether the bot runs; if not, only its gateway does, which is asked why the bot waits."""
    distrust: str = ""
    """Why the address is not asked, if something else than the bot's gateway could answer there.
    The gateway is silent then."""


class Polls(Protocol):
    """Polls running bots for their risk reports."""

    def subscribe(self, key: NamespacedName, subscription: PollSubscription) -> None:
        """Poll the bot from now on, or change how it is polled."""

    def unsubscribe(self, key: NamespacedName) -> None:
        """Stop polling the bot, and forget its reports."""

    def state(self, key: NamespacedName) -> PollState:
        """Return the result of the polls so far."""


@dataclass(frozen=True, slots=True)
class RiskTerms:
    """The fields of a spec that the risk is judged by. Small: one is kept for each bot."""

    limit: Decimal
    """`dailyLossLimit`."""
    max_position_size: Decimal
    max_open_positions: int
    time_zone: str
    day_start: str

    @classmethod
    def of(cls, spec: TradingBotSpec) -> "RiskTerms":
        """Return the terms of a spec with defaults applied."""
        return cls(
            Decimal(spec.risk_management.daily_loss_limit),
            Decimal(spec.risk_management.max_position_size),
            spec.risk_management.max_open_positions,
            intern(spec.schedule.time_zone),
            intern(spec.schedule.day_start),
        )

    @property
    def max_exposure(self) -> Decimal:
        """The notional value of all open positions that the limits allow."""
        return self.max_position_size * self.max_open_positions


@dataclass(frozen=True)
class Halt:
    """A daily loss halt, which lasts until the end of the trading day."""

    since: datetime
    reason: str


@dataclass(frozen=True)
class ReportedFigures:
    """The figures that a bot reported for its trading day, and when."""

    day_pnl: str
    open_positions: int
    exposure: str
    reported_at: datetime

    @classmethod
    def of(cls, report: RiskReport) -> "ReportedFigures":
        """Return the figures of a report, as they are written into the status."""
        return cls(
            f"{report.day_pnl:f}", report.open_positions, f"{report.exposure:f}", report.time
        )

    def has_same_values_as(self, other: "ReportedFigures") -> bool:
        """Return whether only the time differs."""
        mine = (self.day_pnl, self.open_positions, self.exposure)
        return mine == (other.day_pnl, other.open_positions, other.exposure)


@dataclass(frozen=True)
class StoredRisk:
    """The risk in the status of a bot. A part that is missing or can't be read is None."""

    day: TradingDay | None = None
    halt: Halt | None = None
    figures: ReportedFigures | None = None

    @classmethod
    def read(cls, status: JsonObject) -> "StoredRisk":
        """Read the block `risk` of a status."""
        block = status.get("risk") or {}
        day, ends = _date(block.get("tradingDay")), instant(block.get("dayEndsAt"))
        reported = instant(block.get("reportedAt"))
        return cls(
            day=TradingDay(day, ends) if day and ends else None,
            halt=_stored_halt(block),
            figures=ReportedFigures(
                str(block.get("dayPnL", "")),
                _count(block.get("openPositions")),
                str(block.get("exposure", "")),
                reported,
            )
            if reported
            else None,
        )


@dataclass(frozen=True)
class Risk:
    """The assessment of a bot at one time: its trading day, and whether it may trade."""

    terms: RiskTerms
    day: TradingDay
    halt: Halt | None
    figures: ReportedFigures | None
    """The figures of this trading day that the status must show."""
    report: RiskReport | None
    """The last report, if it is usable now."""
    problem: str
    """Why there is no usable report."""
    is_unpolled: bool
    """Whether this operator has not polled the bot yet: the status is the best guess until then."""
    last_report_at: datetime | None
    """When the last known report came."""
    notice: GatewayNotice | None = None
    """What the bot's gateway says of itself."""

    def has_reported_since(self, since: datetime) -> bool:
        """Return whether the bot has reported after that instant."""
        return self.last_report_at is not None and self.last_report_at >= since

    def is_silent(self, since: datetime, now: datetime) -> bool:
        """Return whether a bot that runs since then should have reported by now and has not."""
        if self.report is not None or self.is_unpolled:
            return False
        return self.has_reported_since(since) or now - since >= FRESH

    @property
    def exceeded(self) -> tuple[str, ...]:
        """For each limit above which `figures` are: a sentence with the figure and the limit."""
        return tuple(exceeded(self.terms, self.figures).values())

    @property
    def open_positions(self) -> int | None:
        """The number of open positions, None if unknown."""
        return None if self.report is None else self.report.open_positions


def assess(
    terms: RiskTerms,
    stored: StoredRisk,
    state: PollState,
    now: datetime,
    *,
    figures_every: timedelta,
) -> Risk:
    """Return the risk at `now`, with a new halt if the report reaches the limit.

    The figures change only once in `figures_every`, since each change is a write of the status.
    """
    day = trading_day(terms, now, stored.day)
    report, problem = _usable_report(terms, day, state, now)
    same_day = stored.day is None or stored.day.date == day.date
    # A halt whose day can't be read counts for today: a halt too many costs a day of trading, one
    # too few the tenant's money.
    halt, old = (stored.halt, stored.figures) if same_day else (None, None)
    figures = _figures_to_show(terms, old, report, now, every=figures_every)
    if halt is None and report is not None and _trips(report, terms):
        figures = ReportedFigures.of(report)
        reached = f"dayPnL {figures.day_pnl} reached the limit of {terms.limit}"
        halt = Halt(now, f"{Reason.DAILY_LOSS_LIMIT}: {reached}")
    stored_at = stored.figures.reported_at if stored.figures is not None else None
    return Risk(
        terms,
        day,
        halt,
        figures,
        report,
        problem,
        is_unpolled=state.report is None and not state.problem,
        last_report_at=state.received or stored_at,
        notice=state.notice,
    )


def exceeded(terms: RiskTerms, figures: ReportedFigures | None) -> dict[str, str]:
    """Return the limits above which the figures are, each with a sentence for people.

    The loss limit is not among them: it halts the bot. A figure that can't be read is above none.
    """
    return {} if figures is None else dict(_exceeded(terms, figures))


def _exceeded(terms: RiskTerms, figures: ReportedFigures) -> Iterator[tuple[str, str]]:
    positions, exposure = figures.open_positions, _decimal(figures.exposure)
    if positions > terms.max_open_positions:
        limit = f"maxOpenPositions is {terms.max_open_positions}"
        yield "maxOpenPositions", f"{positions} open positions, and {limit}"
    if exposure is not None and exposure > terms.max_exposure:
        factors = f"maxPositionSize {terms.max_position_size:f} x maxOpenPositions"
        limit = f"{factors} {terms.max_open_positions} is {terms.max_exposure:f}"
        yield "maxPositionSize", f"exposure {exposure:f}, and {limit}"


def fingerprint(risk: Risk, since: datetime, now: datetime) -> Hashable:
    """Return everything in `risk` that a reconcile acts on, for a bot that runs since then.

    While it stays the same, a reconcile would change nothing.
    """
    report = risk.report
    return (
        risk.day.date,
        risk.halt is not None,
        risk.is_unpolled,
        risk.is_silent(since, now),
        report and report.config_hash,
        risk.figures,
    )


def risk_status(risk: Risk) -> JsonObject:
    """Return the block `risk` of the status."""
    block: JsonObject = {
        "tradingDay": risk.day.date.isoformat(),
        "dayEndsAt": rfc3339(risk.day.ends),
    }
    if risk.figures is not None:
        block |= {
            "dayPnL": risk.figures.day_pnl,
            "openPositions": risk.figures.open_positions,
            "exposure": risk.figures.exposure,
            "reportedAt": rfc3339(risk.figures.reported_at),
        }
    if risk.halt is not None:
        block |= {
            "haltedSince": rfc3339(risk.halt.since),
            "haltReason": risk.halt.reason,
            "resumesAt": rfc3339(risk.day.ends),
        }
    return block


def _trips(report: RiskReport, terms: RiskTerms) -> bool:
    return report.day_pnl <= -terms.limit


def _usable_report(
    terms: RiskTerms, day: TradingDay, state: PollState, now: datetime
) -> tuple[RiskReport | None, str]:
    """Return the last report if it is usable at `now`, or why it is not."""
    report = state.report
    if report is None:
        return None, state.problem or "the first poll is pending"
    # After an edit of the schedule, a bot that has restarted knows only the new trading day.
    if report.trading_day not in {day.date, calendar_day(terms, now).date}:
        return None, f"it reports trading day {report.trading_day}, and this is {day.date}"
    if report.time - now > FRESH:
        return None, "its reports come from the future: compare the clocks"
    if now - report.time > FRESH:
        return None, state.problem or "its reports are old when they come: compare the clocks"
    return report, ""


def _figures_to_show(
    terms: RiskTerms,
    old: ReportedFigures | None,
    report: RiskReport | None,
    now: datetime,
    *,
    every: timedelta,
) -> ReportedFigures | None:
    if report is None:
        return old
    new = ReportedFigures.of(report)
    if old is None or (old.open_positions == 0) != (new.open_positions == 0):
        return new
    if exceeded(terms, old).keys() != exceeded(terms, new).keys():
        return new
    return old if old.has_same_values_as(new) or now - old.reported_at < every else new


def _stored_halt(block: JsonObject) -> Halt | None:
    """Return the stored halt. One whose start can't be read is still a halt."""
    since = block.get("haltedSince")
    if since is None:
        return None
    return Halt(instant(since) or UNKNOWN, str(block.get("haltReason", "")))


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _decimal(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None
