"""The condition `GatewayReady` of a bot whose limits a gateway keeps.

It is read from the pod, whose readiness probe asks the gateway, and from what the gateway answers
to a poll: its report, and a notice that says why there is none, or warns.
"""

from collections.abc import Iterator

from tradingbot_api.enforcement import has_gateway
from tradingbot_api.gateway_state import GatewayNotice, GatewayReason

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import Observed
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.cluster.conditions import ConditionState
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import Risk

OF_NOTICE = {reason: Reason(reason.value) for reason in GatewayReason}
"""The reason of the condition for each notice of a gateway."""

OF_FIGURES = frozenset({GatewayReason.PRICES_STALE, GatewayReason.FIGURES_UNKNOWN})
"""What a gateway says while it has no report: the last one counts for a while."""


def gateway_ready(bot: Bot, plan: Plan, observed: Observed) -> Iterator[ConditionState]:
    """Yield the condition; nothing for a bot that keeps its limits itself."""
    if bot.spec is None or not has_gateway(bot.spec):
        return
    pod, risk = observed.pods.current, observed.risk
    notice = _shown(risk)
    if plan.stop is not None or pod is None or pod.going is not None:
        yield ConditionState(
            "GatewayReady", "Unknown", Reason.NOT_RUNNING, "The bot is not running"
        )
    elif not pod.gateway.exists and pod.started is not None:
        message = "The pod that runs has no gateway yet; a change waits, see RolloutPending"
        yield ConditionState("GatewayReady", "False", Reason.NOT_AVAILABLE, message)
    elif not pod.gateway.runs:
        message = f"The gateway does not run: {pod.problem or 'its container has not started'}"
        yield ConditionState("GatewayReady", "False", Reason.NOT_AVAILABLE, message)
    elif notice is not None and notice.reason is not GatewayReason.KEY_MAY_WITHDRAW:
        waits = "" if pod.started is not None else "; the bot starts after that"
        message = f"The gateway lets no entries through: {notice.sentence}{waits}"
        yield ConditionState("GatewayReady", "False", OF_NOTICE[notice.reason], message)
    elif not pod.gateway.ready:
        waits = "the bot starts after that" if pod.started is None else "no entries until then"
        message = (
            f"The gateway has not read the account from the exchange yet; {waits}; to see why:"
            f" kubectl logs -n {bot.meta.namespace} {pod.name} -c gateway"
        )
        yield ConditionState("GatewayReady", "False", Reason.NOT_RECONCILED, message)
    elif observed.entries:
        message = f"The gateway lets no entries through: {observed.entries}"
        yield ConditionState("GatewayReady", "False", Reason.ENTRIES_NOT_GRANTED, message)
    elif pod.started is not None and risk is not None and risk.report is None:
        message = f"The gateway does not report: {risk.problem}"
        yield ConditionState("GatewayReady", "False", Reason.NO_REPORT, message)
    elif notice is not None:
        message = f"The gateway keeps the limits. Warning: {notice.sentence}"
        yield ConditionState("GatewayReady", "True", OF_NOTICE[notice.reason], message)
    else:
        yield ConditionState(
            "GatewayReady", "True", Reason.RECONCILED, "The gateway keeps the limits"
        )


def _shown(risk: Risk | None) -> GatewayNotice | None:
    """Return the notice, unless it is of figures that lacked for a moment only."""
    if risk is None or risk.notice is None:
        return None
    passing = risk.notice.reason in OF_FIGURES and risk.report is not None
    return None if passing else risk.notice
