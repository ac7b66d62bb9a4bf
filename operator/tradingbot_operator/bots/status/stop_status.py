"""What the status reports of a stop: whether it is blocked, by what, and since when.

The condition `StopBlocked` follows a stop from its beginning to its end:

    when                                                         StopBlocked
    the bot must stop and has a pod                              Unknown/Stopping
    15 s later, a pod is not being deleted or is 15 s overdue    True/Refused or True/PodRemains
    no pod is left                                               False/Stopped

Its `lastTransitionTime` also tells an operator that has just started since when the bot must stop.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tradingbot_api.model import JsonObject

from tradingbot_operator.bots.observed import Observed, has_stopped
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.bots.pods import BotPod
from tradingbot_operator.cluster.conditions import ConditionState, condition_of
from tradingbot_operator.cluster.timestamps import instant, rfc3339
from tradingbot_operator.reasons import Reason

STOP_BLOCKED = "StopBlocked"
PATIENCE = timedelta(seconds=15)
"""How long a stop may take, besides the grace period of a pod, before it counts as blocked."""


def stopping_since(status: JsonObject, remembered: datetime | None) -> datetime | None:
    """Return when the current stop began, by the status or by what is remembered; None if neither.

    `Unknown` begins with the stop, and `True` at least PATIENCE later. Example: `True` since
    12:00:15 means that the stop began at 12:00:00, at the latest.
    """
    condition = condition_of(status, STOP_BLOCKED)
    changed = instant(condition.get("lastTransitionTime"))
    begun = {"Unknown": changed, "True": changed and changed - PATIENCE}
    reported = begun.get(str(condition.get("status")))
    return min(filter(None, (reported, remembered)), default=None)


def was_blocked(status: JsonObject) -> bool:
    """Return whether the status reports the current stop as blocked."""
    return condition_of(status, STOP_BLOCKED).get("status") == "True"


def stop_blocked(plan: Plan, observed: Observed, now: datetime) -> ConditionState:
    """Return the condition `StopBlocked` of a bot."""
    if plan.stop is None:
        return ConditionState(
            STOP_BLOCKED, "False", Reason.NOT_STOPPING, "The bot does not have to stop"
        )
    return stop_blocked_of(plan.stop, observed, now)


def stop_blocked_of(reason: Reason, observed: Observed, now: datetime) -> ConditionState:
    """Return the condition `StopBlocked` of a bot that must not run because of `reason`."""
    if has_stopped(observed):
        return ConditionState(STOP_BLOCKED, "False", Reason.STOPPED, "No pod of the bot is left")
    left = remains(observed, now)
    since = observed.stopping_since or now
    in_time = now - since < PATIENCE or _all_go_in_time(observed, now)
    # A stop that was reported as blocked stays blocked until it succeeds, so that the condition
    # does not alternate while pods are deleted and created again.
    if in_time and not observed.was_blocked:
        return ConditionState(STOP_BLOCKED, "Unknown", Reason.STOPPING, f"{reason}: {left}")
    if observed.stop_refusals:
        errors = "; ".join(observed.stop_refusals)
        return ConditionState(STOP_BLOCKED, "True", Reason.REFUSED, f"{reason}: {left}: {errors}")
    return ConditionState(STOP_BLOCKED, "True", Reason.POD_REMAINS, f"{reason}: {left}")


def _all_go_in_time(observed: Observed, now: datetime) -> bool:
    pods = observed.pods.to_stop
    overdue = PATIENCE.total_seconds()
    return bool(pods) and all(p.going is not None and not p.is_overdue(now, overdue) for p in pods)


def remains(observed: Observed, now: datetime) -> str:
    """Return what of the bot may still trade, as part of a sentence."""
    pods = observed.pods.to_stop
    if not pods:
        return "its Deployment still requests a pod"
    return ", ".join(_pod_remains(pod, now) for pod in pods)


def _pod_remains(pod: BotPod, now: datetime) -> str:
    if pod.going is None:
        return f"pod {pod.name} is running" if pod.started else f"pod {pod.name} still exists"
    if not pod.is_overdue(now, 0):
        return f"pod {pod.name} is terminating and has until {rfc3339(pod.going)}"
    cause = f"finalizers: {', '.join(pod.finalizers)}" if pod.finalizers else "its node may be lost"
    return f"pod {pod.name} should have ended at {rfc3339(pod.going)} ({cause})"


def foreign_pods(observed: Observed) -> Iterator[ConditionState]:
    """Yield the condition `ForeignPods` if the bot has any, or more than one pod of its own."""
    names = [pod.name for pod in observed.pods.foreign]
    trading = [pod.name for pod in observed.pods.to_stop if pod.going is None]
    if names:
        message = (
            "Pods have the bot's labels and were not created by its Deployment:"
            f" {', '.join(names)}; the operator ignores their reports"
        )
        yield ConditionState("ForeignPods", "True", Reason.NOT_OURS, message)
    elif len(trading) > 1:
        message = f"More than one pod of the bot: {', '.join(trading)}; each may use the full limit"
        yield ConditionState("ForeignPods", "True", Reason.NOT_OURS, message)
