"""The conditions that people and tools wait for: Ready, Reconciling, Stalled and Trading.

Flux, Helm and Argo CD read the first three by common rules (kstatus), which are about the cluster
and not about trading:

    Ready          the cluster is as the spec wants it; a bot that is paused, off hours or halted
                   has no pod, and that is what its spec and its limits want
    Reconciling    it is not so yet, and the operator goes on trying; only present while it holds
    Stalled        somebody has to act before it can be so; only present while it holds
    Trading        a pod trades: what a user waits for after `kubectl apply`

A tool that waits for an object fails at once if it is Stalled, and waits on while it is
Reconciling. Example: for a bot whose Secret is missing, the tool that applied the bot may apply the
Secret next, so the bot is Reconciling; for a bot with an invalid spec it is Stalled.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tradingbot_api.model import JsonObject

from tradingbot_operator import BOT_LABEL
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import Observed
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.bots.status.phase import STOPPING
from tradingbot_operator.bots.status.stop_status import remains
from tradingbot_operator.cluster import conditions
from tradingbot_operator.cluster.conditions import ConditionState, condition_of
from tradingbot_operator.cluster.timestamps import rfc3339
from tradingbot_operator.reasons import Reason

WANTED_STOPS = frozenset({Reason.PAUSED, Reason.HALTED, Reason.OFF_HOURS})
"""Stops that the spec or its limits ask for: without a pod, the bot is as it must be."""

NEEDS_ACTION = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.NAME_CONFLICT,
        Reason.GATEWAY_UNAVAILABLE,
        Reason.UNREADABLE,
    }
)
"""Reasons of `Ready` that last until somebody changes an object."""

REPLICA_FAILURE = "ReplicaFailure"
"""The condition of a Deployment whose pods are refused."""

_TRANSIENT = frozenset({"Reconciling", "Stalled"})
"""The types that a status has only while they are True."""


def ready(
    bot: Bot,
    plan: Plan,
    observed: Observed,
    *,
    phase: str,
    reported: ConditionState,
    now: datetime,
) -> ConditionState:
    """Return the condition `Ready`, which is never True while a stop has not succeeded.

    `reported` is the condition `RiskReported`.
    """
    refused = f"Could not apply {observed.refusals[0]}" if observed.refusals else ""
    if phase == STOPPING:
        message = f"The bot must stop ({plan.stop}); {remains(observed, now)}"
        return ConditionState("Ready", "False", Reason.STOPPING, message)
    if plan.stop is not None:
        why = _why_stopped(bot, plan.stop, plan, observed)
        if plan.stop not in WANTED_STOPS:
            return ConditionState("Ready", "False", plan.stop, why)
        if refused:
            return ConditionState("Ready", "False", Reason.REFUSED, f"{refused}. {why}")
        return ConditionState("Ready", "True", plan.stop, why)
    if refused:
        return ConditionState("Ready", "False", Reason.REFUSED, refused)
    if phase == "Degraded":
        message = f"The bot's pod is available but its risk is not known: {reported.message}"
        return ConditionState("Ready", "False", reported.reason, message)
    if phase == "Running":
        return ConditionState("Ready", "True", Reason.AVAILABLE, _running(plan))
    return ConditionState("Ready", "False", Reason.NOT_AVAILABLE, _why_not_available(bot, observed))


def progress(ready: ConditionState, stop_blocked: ConditionState) -> Iterator[ConditionState]:
    """Yield `Stalled` or `Reconciling` for a bot that is not ready, neither for one that is."""
    if ready.status != "True" and stop_blocked.status == "True":
        yield ConditionState("Stalled", "True", stop_blocked.reason, stop_blocked.message)
    else:
        yield from conditions.progress(ready, needs_action=NEEDS_ACTION)


def with_main_conditions(
    before: Sequence[JsonObject],
    ready: ConditionState,
    blocked: ConditionState,
    observed: Observed,
    *,
    generation: int,
    now: datetime,
) -> list[JsonObject]:
    """Return the conditions of a bot that must stop, whose plan is not known: those about the stop,
    and the others as they were `before`."""
    states = (ready, *progress(ready, blocked), trading(observed), blocked)
    return conditions.replaced(before, states, generation=generation, now=now, dropped=_TRANSIENT)


def trading(observed: Observed) -> ConditionState:
    """Return the condition `Trading`: True only while a pod trades, False only if none can.

    By the pods alone, whatever the plan is: it is also True of a bot whose stop is blocked.
    """
    started = [pod for pod in observed.pods.to_stop if pod.started is not None]
    if not started:
        return ConditionState("Trading", "False", Reason.NOT_RUNNING, "No pod of the bot runs")
    if any(pod.ready and pod.going is None for pod in started):
        return ConditionState(
            "Trading", "True", Reason.AVAILABLE, "A pod of the bot runs and is ready"
        )
    pod = started[0]
    state = "is not ready" if pod.going is None else "is terminating"
    message = f"Pod {pod.name} {state}; it may trade"
    return ConditionState("Trading", "Unknown", Reason.NOT_AVAILABLE, message)


def pods_refused(observed: Observed) -> str:
    """Return why the Deployment can't create pods, empty if it can: a quota, a limit, PodSecurity,
    or a service account or a class that spec.pod names and that does not exist."""
    deployment = observed.children.deployment or {}
    failure = condition_of(deployment.get("status") or {}, REPLICA_FAILURE)
    if failure.get("status") != "True":
        return ""
    name = deployment["metadata"]["name"]
    return f"Deployment {name} cannot create pods: {failure.get('message', '')}"


def _running(plan: Plan) -> str:
    if plan.waiting is not None:
        return "The bot's pod is available; a change waits for a restart, see RolloutPending"
    return "The bot's pod is available"


def _why_stopped(bot: Bot, stop: Reason, plan: Plan, observed: Observed) -> str:
    match stop:
        case Reason.UNREADABLE:
            why = bot.unreadable or "; ".join(map(str, observed.refusals))
            return f"The bot is stopped because an object cannot be read: {why}"
        case Reason.ADOPTING:
            return "The Deployment was stopped before its adoption; the bot will start as declared"
        case Reason.INVALID_SPEC:
            fields = ", ".join(bot.invalid_fields)
            return f"The bot is stopped because the stored spec is invalid; fix {fields}"
        case Reason.NAME_CONFLICT:
            names = ", ".join(observed.conflicts)
            return f"Not owned by this bot: {names}; delete the object or rename the bot"
        case Reason.GATEWAY_UNAVAILABLE:
            return plan.refusal
        case Reason.PAUSED:
            return "spec.paused is true; set it to false to run the bot"
        case Reason.HALTED if observed.risk is not None:
            ends = rfc3339(observed.risk.day.ends)
            return f"Halted for the rest of the trading day, until {ends}"
        case Reason.OFF_HOURS:
            until = plan.hours.next_transition if plan.hours else None
            return f"The schedule is closed{f' until {rfc3339(until)}' if until else ''}"
        case _:
            return observed.credentials.message


def _why_not_available(bot: Bot, observed: Observed) -> str:
    """Return why the pod is not available, in the words of Kubernetes where it gives a reason."""
    pod = observed.pods.current
    if pod is not None and pod.going is not None:
        return f"Pod {pod.name} is terminating; the next pod starts after it is gone"
    if pod is not None and pod.problem:
        return f"Pod {pod.name} is not running: {pod.problem}"
    if pod is None and (refused := pods_refused(observed)):
        return refused
    return (
        "The bot's pod is not available yet; to see why: kubectl describe pod"
        f" -n {bot.meta.namespace} -l {BOT_LABEL}={bot.meta.name}"
    )
