"""The conditions of a bot: one function for each type, from a plan and what was observed."""

from collections.abc import Iterator
from datetime import datetime

from tradingbot_operator.bots import kept_enforcement
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.overrides import Overrides
from tradingbot_operator.bots.observed import Children, Credentials, Observed, running_since
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.bots.registry_sync import RegistryState
from tradingbot_operator.bots.status.gateway_status import gateway_ready
from tradingbot_operator.bots.status.readiness import pods_refused, progress, ready, trading
from tradingbot_operator.bots.status.stop_status import foreign_pods, stop_blocked
from tradingbot_operator.cluster.conditions import ConditionState, condition_of
from tradingbot_operator.cluster.reading.foreign_fields import foreign_message
from tradingbot_operator.cluster.timestamps import rfc3339
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import Risk, StoredRisk


def condition_states(
    bot: Bot,
    plan: Plan,
    observed: Observed,
    registry: RegistryState,
    *,
    phase: str,
    now: datetime,
) -> Iterator[ConditionState]:
    """Yield all conditions of `bot`.

    `Reconciling`, `Stalled`, and the last five, only while they hold; `GatewayReady` only with
    `enforcement: Gateway`.
    """
    blocked, reported = stop_blocked(plan, observed, now), _reported(bot, observed)
    readiness = ready(bot, plan, observed, phase=phase, reported=reported, now=now)
    yield readiness
    yield from progress(readiness, blocked)
    yield trading(observed)
    yield _children_applied(observed)
    yield blocked
    yield _credentials(observed.credentials, bot)
    yield _applied(bot, plan, observed.risk)
    yield _rollout(plan)
    yield _schedule(plan)
    yield _halted(bot, observed.risk)
    yield reported
    yield from gateway_ready(bot, plan, observed)
    yield ConditionState("RegistrySynced", registry.status, registry.reason, registry.message)
    yield from _enforcement_kept(bot)
    yield from _limit_exceeded(observed.risk)
    yield from _foreign_fields(observed.children)
    yield from _overridden(observed.overrides)
    yield from foreign_pods(observed)


def _children_applied(observed: Observed) -> ConditionState:
    if observed.refusals:
        message = "; ".join(map(str, observed.refusals))
        return ConditionState("ChildrenApplied", "False", Reason.REFUSED, message)
    if message := pods_refused(observed):
        return ConditionState("ChildrenApplied", "False", Reason.REPLICA_FAILURE, message)
    return ConditionState("ChildrenApplied", "True", Reason.APPLIED, "All children are as declared")


def _foreign_fields(children: Children) -> Iterator[ConditionState]:
    """Yield the fields that others have added to the children, which are left alone."""
    if message := foreign_message(children.existing()):
        yield ConditionState("ForeignFields", "True", Reason.ADDED_BY_OTHERS, message)


def _overridden(overrides: Overrides) -> Iterator[ConditionState]:
    """Yield the fields that admission changes on every write, which are left as they are."""
    paths = [f"{kind}: {path}" for kind, path in sorted(overrides.recognised)]
    if paths:
        message = (
            "Admission of the cluster changes these fields on every write, so the operator leaves"
            f" them as they are: {'; '.join(paths)}"
        )
        yield ConditionState("FieldsOverridden", "True", Reason.CHANGED_BY_ADMISSION, message)


def _credentials(credentials: Credentials, bot: Bot) -> ConditionState:
    if bot.spec is None:
        return ConditionState(
            "CredentialsReady", "Unknown", Reason.INVALID_SPEC, "The stored spec is invalid"
        )
    if credentials.unread is not None:
        message = f"Could not read the Secret: {credentials.unread}"
        return ConditionState("CredentialsReady", "Unknown", Reason.NOT_READ, message)
    if credentials.problem is not None:
        return ConditionState("CredentialsReady", "False", credentials.problem, credentials.message)
    return ConditionState(
        "CredentialsReady", "True", Reason.CREDENTIALS_FOUND, "The Secret has all keys"
    )


def _rollout(plan: Plan) -> ConditionState:
    if plan.waiting is not None:
        return ConditionState("RolloutPending", "True", plan.waiting.reason, plan.waiting.message)
    return ConditionState(
        "RolloutPending", "False", Reason.NOTHING_WAITS, "No change is waiting for a restart"
    )


def _schedule(plan: Plan) -> ConditionState:
    if plan.hours is None:
        return ConditionState(
            "ScheduleOpen", "Unknown", Reason.INVALID_SPEC, "The stored spec is invalid"
        )
    until = plan.hours.next_transition
    if plan.hours.open:
        message = f"Open until {rfc3339(until)}" if until else "Open"
        return ConditionState("ScheduleOpen", "True", Reason.WITHIN_HOURS, message)
    message = (
        f"Closed until {rfc3339(until)}"
        if until
        else "No trading window is left in spec.schedule; the bot will not run again"
    )
    return ConditionState("ScheduleOpen", "False", Reason.OUTSIDE_HOURS, message)


def applied_hash(bot: Bot, risk: Risk) -> str | None:
    """Return the configHash that the bot runs with, None if it is not known."""
    if risk.report is not None:
        return risk.report.config_hash
    return bot.status.get("appliedConfigHash") if risk.is_unpolled else None


def _applied(bot: Bot, plan: Plan, risk: Risk | None) -> ConditionState:
    if plan.stop is not None:
        return ConditionState(
            "ConfigApplied", "Unknown", Reason.NOT_RUNNING, "The bot is not running"
        )
    applied = None if risk is None else applied_hash(bot, risk)
    if applied is None:
        return ConditionState(
            "ConfigApplied",
            "Unknown",
            Reason.NO_REPORT,
            "The bot does not report its configHash",
        )
    if applied == plan.config_hash:
        return ConditionState(
            "ConfigApplied", "True", Reason.APPLIED, "The bot runs with the declared configuration"
        )
    step = "restart" if plan.waiting is not None else "reload"
    message = (
        f"Waiting for the bot to {step}: it reports configHash {applied}, expected"
        f" {plan.config_hash}"
    )
    return ConditionState("ConfigApplied", "False", Reason.AWAITING_RELOAD, message)


def _halted(bot: Bot, risk: Risk | None) -> ConditionState:
    if risk is None:
        stored = StoredRisk.read(bot.status).halt
        if stored is None:
            return ConditionState(
                "RiskHalted", "Unknown", Reason.INVALID_SPEC, "The stored spec is invalid"
            )
        return ConditionState("RiskHalted", "True", Reason.DAILY_LOSS_LIMIT, stored.reason)
    if risk.halt is None:
        return ConditionState(
            "RiskHalted", "False", Reason.WITHIN_LIMIT, "No report has reached dailyLossLimit"
        )
    message = f"{risk.halt.reason}; the bot resumes at {rfc3339(risk.day.ends)}"
    return ConditionState("RiskHalted", "True", Reason.DAILY_LOSS_LIMIT, message)


def _enforcement_kept(bot: Bot) -> Iterator[ConditionState]:
    """Yield that the bot does not have the default of `enforcement`."""
    if bot.keeps_enforcement:
        yield ConditionState(
            "EnforcementKept", "True", Reason.NOT_IN_SPEC, kept_enforcement.MESSAGE
        )


def _limit_exceeded(risk: Risk | None) -> Iterator[ConditionState]:
    """Yield the limits that the bot exceeds, by the figures in the status."""
    if risk is not None and risk.exceeded:
        message = f"The bot reports {'; '.join(risk.exceeded)}"
        yield ConditionState("LimitExceeded", "True", Reason.ABOVE_LIMIT, message)


def _reported(bot: Bot, observed: Observed) -> ConditionState:
    risk, since = observed.risk, running_since(observed)
    if risk is None or since is None:
        return ConditionState(
            "RiskReported", "Unknown", Reason.NOT_RUNNING, "The bot is not running"
        )
    if risk.report is not None:
        return ConditionState("RiskReported", "True", Reason.REPORTED, "The bot reports its risk")
    if risk.is_unpolled:
        # An operator that has just started keeps what the previous one reported.
        known = condition_of(bot.status, "RiskReported")
        if known and known["reason"] != Reason.NOT_RUNNING:
            return ConditionState(known["type"], known["status"], known["reason"], known["message"])
    elif risk.has_reported_since(since):
        message = f"The last report no longer counts: {risk.problem}"
        return ConditionState("RiskReported", "False", Reason.REPORT_STALE, message)
    return ConditionState(
        "RiskReported", "Unknown", Reason.NO_REPORT, f"No report received yet: {risk.problem}"
    )
