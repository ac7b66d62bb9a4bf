"""The daily loss halt: pure functions of a bot's status, of what it reports, and of the time.

The latch stands in the status and nowhere else. So a restart of the operator, a pod that is gone or
a limit that is raised never lets a halted bot trade again on the same trading day.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from sys import intern
from typing import Any, Protocol

from tradingbot_api.contract import RiskReport
from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import TradingBotSpec

from tradingbot_operator.reasons import Reason
from tradingbot_operator.trading_day import TradingDay, calendar_day, trading_day

FRESH = timedelta(seconds=30)
"""A report that is older counts as none."""


@dataclass(frozen=True)
class Seen:
    """What the polls of one bot have said."""

    report: RiskReport | None = None
    """The last well-formed report."""
    received: datetime | None = None
    problem: str = ""
    """Why the last poll brought none, in a few stable words; empty if it did."""


@dataclass(frozen=True)
class Watch:
    """How a running bot is polled."""

    limit: Decimal
    """Its `dailyLossLimit`."""
    meaning: Callable[[Seen, datetime], Hashable]
    """What a state of polling means for the bot."""
    known: Hashable
    """The meaning that its last reconcile acted on."""


class Polls(Protocol):
    """Asks running bots for their risk. Keys are namespace and name."""

    def watch(self, key: tuple[str, str], watch: Watch) -> None:
        """Poll the bot from now on, on these terms."""

    def drop(self, key: tuple[str, str]) -> None:
        """The bot does not run: don't poll it, and forget what it said."""

    def seen(self, key: tuple[str, str]) -> Seen:
        """What has been seen of the bot."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a declaration its risk is judged by. Small, since one is kept for each bot."""

    limit: Decimal
    """`dailyLossLimit`."""
    time_zone: str
    day_start: str

    @classmethod
    def of(cls, spec: TradingBotSpec) -> "Terms":
        """Those of an effective spec."""
        return cls(
            Decimal(spec.risk_management.daily_loss_limit),
            intern(spec.schedule.time_zone),
            intern(spec.schedule.day_start),
        )


@dataclass(frozen=True)
class Halt:
    """The latch of a daily loss halt."""

    since: datetime
    reason: str


@dataclass(frozen=True)
class Figures:
    """What a bot reported of its trading day, and when."""

    day_pnl: str
    open_positions: int
    exposure: str
    reported_at: datetime

    @classmethod
    def of(cls, report: RiskReport) -> "Figures":
        """The figures of a report, as they are written."""
        return cls(
            f"{report.day_pnl:f}", report.open_positions, f"{report.exposure:f}", report.time
        )

    def say_the_same_as(self, other: "Figures") -> bool:
        """Whether only the time differs."""
        mine = (self.day_pnl, self.open_positions, self.exposure)
        return mine == (other.day_pnl, other.open_positions, other.exposure)


@dataclass(frozen=True)
class Stored:
    """The risk of a bot as its status has it; what nobody has written, or can read, is None."""

    day: TradingDay | None = None
    halt: Halt | None = None
    figures: Figures | None = None

    @classmethod
    def read(cls, status: JsonObject) -> "Stored":
        """The block `risk` of a status."""
        block = status.get("risk") or {}
        day, ends = _date(block.get("tradingDay")), _instant(block.get("dayEndsAt"))
        since, reported = _instant(block.get("haltedSince")), _instant(block.get("reportedAt"))
        return cls(
            day=TradingDay(day, ends) if day and ends else None,
            halt=Halt(since, str(block.get("haltReason", ""))) if since else None,
            figures=Figures(
                str(block.get("dayPnL", "")),
                int(block.get("openPositions") or 0),
                str(block.get("exposure", "")),
                reported,
            )
            if reported
            else None,
        )


@dataclass(frozen=True)
class Risk:
    """Where a bot is in its trading day, and whether it may trade."""

    day: TradingDay
    halt: Halt | None
    figures: Figures | None
    """The last figures of this trading day that the status shall show."""
    report: RiskReport | None
    """The last report, if it counts now."""
    problem: str
    """Why there is none that counts."""

    is_unasked: bool
    """Whether this operator has not asked yet: the status is still the best guess then."""
    heard_at: datetime | None
    """When the last report came that anybody knows of."""

    def was_heard(self, since: datetime) -> bool:
        """Whether the bot has reported after that instant."""
        return self.heard_at is not None and self.heard_at >= since

    def is_silent(self, since: datetime, now: datetime) -> bool:
        """Whether a bot that runs since then should have reported by now and has not."""
        if self.report is not None or self.is_unasked:
            return False
        return self.was_heard(since) or now - since >= FRESH

    @property
    def open_positions(self) -> int | None:
        """How many positions are open, None if nobody knows."""
        return None if self.report is None else self.report.open_positions


def assess(
    terms: Terms, stored: Stored, seen: Seen, now: datetime, *, figures_every: timedelta
) -> Risk:
    """The risk at `now`, with the halt that the report trips if it does.

    Each new figure would be a write of the status, so they are taken up at intervals.
    """
    day = trading_day(terms, now, stored.day)
    report, problem = _counted(terms, day, seen, now)
    same_day = stored.day is None or stored.day.date == day.date
    # A latch whose day can't be read counts for today: to trade on it could cost more than a day.
    halt, old = (stored.halt, stored.figures) if same_day else (None, None)
    figures = _shown(old, report, now, every=figures_every)
    if halt is None and report is not None and _trips(report, terms):
        figures = Figures.of(report)
        reached = f"dayPnL {figures.day_pnl} reached the limit of {terms.limit}"
        halt = Halt(now, f"{Reason.DAILY_LOSS_LIMIT}: {reached}")
    told = stored.figures.reported_at if stored.figures is not None else None
    return Risk(
        day,
        halt,
        figures,
        report,
        problem,
        is_unasked=seen.report is None and not seen.problem,
        heard_at=seen.received or told,
    )


def meaning(risk: Risk, since: datetime, now: datetime) -> Hashable:
    """What a reconcile of a bot that runs since then acts on: while it stays the same, there is
    nothing to do."""
    report = risk.report
    return (
        risk.day.date,
        risk.halt is not None,
        risk.is_unasked,
        risk.is_silent(since, now),
        report and report.config_hash,
        risk.figures,
    )


def risk_status(risk: Risk) -> JsonObject:
    """The block `risk` of the status."""
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


def rfc3339(moment: datetime) -> str:
    """An instant as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _trips(report: RiskReport, terms: Terms) -> bool:
    return report.day_pnl <= -terms.limit


def _counted(
    terms: Terms, day: TradingDay, seen: Seen, now: datetime
) -> tuple[RiskReport | None, str]:
    """The last report if it counts at `now`, and else why not."""
    report = seen.report
    if report is None:
        return None, seen.problem or "it is about to be asked"
    # After an edit of the calendar a bot that was restarted knows only the new one.
    if report.trading_day not in {day.date, calendar_day(terms, now).date}:
        return None, f"it reports trading day {report.trading_day}, and this is {day.date}"
    if report.time - now > FRESH:
        return None, "its reports come from the future: compare the clocks"
    if now - report.time > FRESH:
        return None, seen.problem or "its reports are old when they come: compare the clocks"
    return report, ""


def _shown(
    old: Figures | None, report: RiskReport | None, now: datetime, *, every: timedelta
) -> Figures | None:
    if report is None:
        return old
    new = Figures.of(report)
    if old is None or (old.open_positions == 0) != (new.open_positions == 0):
        return new
    return old if old.say_the_same_as(new) or now - old.reported_at < every else new


def _instant(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None
