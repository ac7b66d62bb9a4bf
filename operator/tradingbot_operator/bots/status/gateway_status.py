"""The condition `GatewayReady` of a bot whose limits a gateway keeps.

It is read from the pod, whose readiness probe asks the gateway, and from the gateway's report.
"""

from collections.abc import Iterator

from tradingbot_api.enforcement import has_gateway

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import Observed
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.cluster.conditions import ConditionState
from tradingbot_operator.reasons import Reason


def gateway_ready(bot: Bot, plan: Plan, observed: Observed) -> Iterator[ConditionState]:
    """Yield the condition; nothing for a bot that keeps its limits itself."""
    if bot.spec is None or not has_gateway(bot.spec):
        return
    pod, risk = observed.pods.current, observed.risk
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
    else:
        yield ConditionState(
            "GatewayReady", "True", Reason.RECONCILED, "The gateway keeps the limits"
        )
