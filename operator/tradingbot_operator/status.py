"""What is reported of a bot: pure functions from a plan and what came of it to the status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import Mode

from tradingbot_operator import BOT_LABEL
from tradingbot_operator.bot import Bot
from tradingbot_operator.plan import (
    Children,
    Credentials,
    Observed,
    Plan,
    is_available,
    running_since,
)
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk import Risk, Stored, rfc3339, risk_status

TERMINATING = "Terminating"
"""The phase of a bot that is being deleted, whatever else holds."""

PHASE_OF_STOP = {
    Reason.INVALID_SPEC: "Failed",
    Reason.NAME_CONFLICT: "Failed",
    Reason.PAUSED: "Paused",
    Reason.HALTED: "Halted",
    Reason.SECRET_NOT_FOUND: "AwaitingCredentials",
    Reason.KEY_NOT_FOUND: "AwaitingCredentials",
    Reason.OUTSIDE_HOURS: "OffHours",
}


@dataclass(frozen=True)
class Finding:
    """A condition without its times."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class RegistryState:
    """What is known of the bot's asset in the registry."""

    status: str
    reason: str
    message: str


def phase_of(bot: Bot, plan: Plan, observed: Observed, now: datetime) -> str:
    """The first phase that holds."""
    if plan.stop is not None:
        return PHASE_OF_STOP[plan.stop]
    since = running_since(observed.children)
    if since is None:
        return "Pending"
    risk = observed.risk
    if risk is None or bot.spec is None or bot.spec.mode is not Mode.LIVE:
        return "Running"
    was_degraded = bot.status.get("phase") == "Degraded"
    silent = was_degraded if risk.is_unasked else risk.is_silent(since, now)
    return "Degraded" if silent else "Running"


def bot_status(
    bot: Bot,
    plan: Plan,
    observed: Observed,
    registry: RegistryState,
    now: datetime,
) -> JsonObject:
    """The whole status of `bot`, with transition times carried over where nothing changed."""
    phase = phase_of(bot, plan, observed, now)
    findings = (
        _ready(bot, plan, observed, phase),
        _credentials(observed.credentials, bot),
        _applied(bot, plan, observed.risk),
        _rollout(plan),
        _schedule(plan),
        _halted(bot, observed.risk),
        _reported(bot, plan, observed),
        Finding("RegistrySynced", registry.status, registry.reason, registry.message),
    )
    status: JsonObject = {
        "phase": phase,
        "observedGeneration": bot.meta.generation,
        "conditions": conditions(
            findings, bot.status.get("conditions") or [], generation=bot.meta.generation, now=now
        ),
        "deployedResources": deployed_resources(observed.children, stopped=plan.stop is not None),
    }
    if plan.config_hash is not None:
        status["configHash"] = plan.config_hash
    risk = observed.risk
    if risk is not None:
        status["risk"] = risk_status(risk)
        applied = _applied_hash(bot, risk) if plan.stop is None else None
        if applied is not None:
            status["appliedConfigHash"] = applied
    elif "risk" in bot.status:
        status["risk"] = bot.status["risk"]  # a latch outlives an invalid spec
    if plan.hours is not None:
        status["schedule"] = {"open": plan.hours.open}
        if plan.hours.next_transition is not None:
            status["schedule"]["nextTransition"] = rfc3339(plan.hours.next_transition)
    return status


def merge_patch(before: JsonObject, after: JsonObject) -> JsonObject:
    """`after` whole, and null for what only `before` has: a merge patch keeps what it omits."""
    patch: JsonObject = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        nested = isinstance(value, dict) and isinstance(old, dict)
        patch[key] = merge_patch(old or {}, value) if nested else value
    return patch


def conditions(
    findings: Iterable[Finding],
    before: Iterable[Mapping[str, Any]],
    *,
    generation: int,
    now: datetime,
) -> list[JsonObject]:
    """The findings as conditions; one whose status stays keeps the time of its last transition."""
    old = {one.get("type"): one for one in before}
    result = []
    for finding in findings:
        last = old.get(finding.type) or {}
        since = last.get("lastTransitionTime") if last.get("status") == finding.status else None
        result.append(
            {
                "type": finding.type,
                "status": finding.status,
                "reason": str(finding.reason),
                "message": finding.message,
                "lastTransitionTime": since or rfc3339(now),
                "observedGeneration": generation,
            }
        )
    return result


def deployed_resources(children: Children, *, stopped: bool) -> list[JsonObject]:
    """The children that exist; a stopped Deployment does its job by having no pod."""
    found = (
        (children.config_map, True),
        (children.deployment, stopped or is_available(children)),
        (children.service, True),
    )
    return [
        {
            "apiVersion": child["apiVersion"],
            "kind": child["kind"],
            "name": child["metadata"]["name"],
            "ready": ready and "deletionTimestamp" not in child["metadata"],
        }
        for child, ready in found
        if child is not None
    ]


def _ready(bot: Bot, plan: Plan, observed: Observed, phase: str) -> Finding:
    if plan.stop is Reason.INVALID_SPEC:
        fields = ", ".join(bot.invalid_fields)
        message = f"the stored spec is invalid, so the bot is stopped; mend {fields}"
    elif plan.stop is Reason.NAME_CONFLICT:
        names = ", ".join(observed.conflicts)
        message = f"{names} exists and is not this bot's; rename the bot or remove it"
    elif plan.stop is Reason.PAUSED:
        message = "spec.paused is true; set it to false to run the bot"
    elif plan.stop is Reason.HALTED and observed.risk is not None:
        message = f"halted for the rest of the trading day, until {rfc3339(observed.risk.day.ends)}"
    elif plan.stop is Reason.OUTSIDE_HOURS:
        message = "the schedule is closed"
        if plan.hours and plan.hours.next_transition:
            message += f" until {rfc3339(plan.hours.next_transition)}"
    elif plan.stop is not None:
        message = observed.credentials.message
    elif phase == "Running":
        return Finding("Ready", "True", Reason.AVAILABLE, "the bot's pod is available")
    elif phase == "Degraded":
        return Finding(
            "Ready", "True", Reason.AVAILABLE, "the bot's pod is available, but reports no risk"
        )
    else:
        message = (
            "the bot's pod is not available yet; kubectl describe pod"
            f" -n {bot.meta.namespace} -l {BOT_LABEL}={bot.meta.name} says why"
        )
        return Finding("Ready", "False", Reason.NOT_AVAILABLE, message)
    return Finding("Ready", "False", plan.stop, message)


def _credentials(credentials: Credentials, bot: Bot) -> Finding:
    if bot.spec is None:
        return Finding(
            "CredentialsReady", "Unknown", Reason.INVALID_SPEC, "the stored spec is invalid"
        )
    if credentials.unread is not None:
        message = f"the Secret can't be read: {credentials.unread}"
        return Finding("CredentialsReady", "Unknown", Reason.NOT_READ, message)
    if credentials.problem is not None:
        return Finding("CredentialsReady", "False", credentials.problem, credentials.message)
    return Finding("CredentialsReady", "True", Reason.CREDENTIALS_FOUND, "the Secret has both keys")


def _rollout(plan: Plan) -> Finding:
    if plan.waiting is not None:
        return Finding("RolloutPending", "True", plan.waiting.reason, plan.waiting.message)
    return Finding("RolloutPending", "False", Reason.NOTHING_WAITS, "no change waits for a restart")


def _schedule(plan: Plan) -> Finding:
    if plan.hours is None:
        return Finding("ScheduleOpen", "Unknown", Reason.INVALID_SPEC, "the stored spec is invalid")
    until = plan.hours.next_transition
    if plan.hours.open:
        message = f"open until {rfc3339(until)}" if until else "open"
        return Finding("ScheduleOpen", "True", Reason.WITHIN_HOURS, message)
    message = (
        f"closed until {rfc3339(until)}"
        if until
        else "closed for good: spec.schedule lets it never run again"
    )
    return Finding("ScheduleOpen", "False", Reason.OUTSIDE_HOURS, message)


def _applied_hash(bot: Bot, risk: Risk) -> str | None:
    """What the bot runs with, as far as it is known."""
    if risk.report is not None:
        return risk.report.config_hash
    return bot.status.get("appliedConfigHash") if risk.is_unasked else None


def _applied(bot: Bot, plan: Plan, risk: Risk | None) -> Finding:
    if plan.stop is not None:
        return Finding("ConfigApplied", "Unknown", Reason.NOT_RUNNING, "the bot does not run")
    applied = None if risk is None else _applied_hash(bot, risk)
    if applied is None:
        return Finding(
            "ConfigApplied",
            "Unknown",
            Reason.NO_REPORT,
            "the bot does not report what it runs with",
        )
    if applied == plan.config_hash:
        return Finding(
            "ConfigApplied", "True", Reason.APPLIED, "the bot runs with the declared configuration"
        )
    what = "restart" if plan.waiting is not None else "reload"
    message = f"the bot still runs with {applied}; its {what} is awaited"
    return Finding("ConfigApplied", "False", Reason.AWAITING_RELOAD, message)


def _halted(bot: Bot, risk: Risk | None) -> Finding:
    if risk is None:
        stored = Stored.read(bot.status).halt
        if stored is None:
            return Finding(
                "RiskHalted", "Unknown", Reason.INVALID_SPEC, "the stored spec is invalid"
            )
        return Finding("RiskHalted", "True", Reason.DAILY_LOSS_LIMIT, stored.reason)
    if risk.halt is None:
        return Finding(
            "RiskHalted", "False", Reason.WITHIN_LIMIT, "no report has reached dailyLossLimit"
        )
    message = f"{risk.halt.reason}; the bot resumes at {rfc3339(risk.day.ends)}"
    return Finding("RiskHalted", "True", Reason.DAILY_LOSS_LIMIT, message)


def _reported(bot: Bot, plan: Plan, observed: Observed) -> Finding:
    risk, since = observed.risk, running_since(observed.children)
    if risk is None or plan.stop is not None or since is None:
        return Finding("RiskReported", "Unknown", Reason.NOT_RUNNING, "the bot does not run")
    if risk.report is not None:
        return Finding("RiskReported", "True", Reason.REPORTED, "the bot reports its risk")
    if risk.is_unasked:
        for one in bot.status.get("conditions") or ():
            if one["type"] == "RiskReported" and one["reason"] != Reason.NOT_RUNNING:
                return Finding(one["type"], one["status"], one["reason"], one["message"])
    elif risk.was_heard(since):
        message = f"no report counts any more: {risk.problem}"
        return Finding("RiskReported", "False", Reason.REPORT_STALE, message)
    return Finding(
        "RiskReported", "Unknown", Reason.NO_REPORT, f"no report has come yet: {risk.problem}"
    )
