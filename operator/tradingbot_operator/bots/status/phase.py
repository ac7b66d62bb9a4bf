"""The phase of a bot: one word for people. Programs should read the conditions instead."""

from datetime import datetime

from tradingbot_api.tradingbot import Mode

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import Observed, has_stopped, running_pod, running_since
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.reasons import WITHOUT_CREDENTIALS, Reason

TERMINATING = "Terminating"
"""The phase of a bot that is being deleted, whatever else holds."""

STOPPING = "Stopping"
"""The phase of a bot that must not run and still has a pod, or may get one."""

PHASE_OF_STOP = {
    Reason.INVALID_SPEC: "Failed",
    Reason.NAME_CONFLICT: "Failed",
    Reason.GATEWAY_UNAVAILABLE: "Failed",
    Reason.PAUSED: "Paused",
    Reason.HALTED: "Halted",
    **dict.fromkeys(WITHOUT_CREDENTIALS, "AwaitingCredentials"),
    Reason.OFF_HOURS: "OffHours",
    Reason.ADOPTING: "Pending",
    Reason.UNREADABLE: "Failed",
}
"""The phase of a bot that has stopped, by the reason why it must not run."""


def phase_of(bot: Bot, plan: Plan, observed: Observed, now: datetime) -> str:
    """Return the phase of `bot`: the first that holds, in the order of docs/operations.md."""
    if plan.stop is not None:
        return PHASE_OF_STOP[plan.stop] if has_stopped(observed) else STOPPING
    since = running_since(observed)
    if since is None or running_pod(observed) is None:
        return "Pending"
    risk = observed.risk
    if risk is None or bot.spec is None or bot.spec.mode is not Mode.LIVE:
        return "Running"
    # An operator that has just started has not polled yet: keep the phase until it has.
    was_degraded = bot.status.get("phase") == "Degraded"
    silent = was_degraded if risk.is_unpolled else risk.is_silent(since, now)
    return "Degraded" if silent else "Running"
