"""Replace the pod of a bot in Live whose gateway has not answered for a bounded time.

Without its gateway a bot can't trade, and nobody knows its loss. The next pod starts with a gateway
that reads the account first, and its bot waits for that: so an exchange that can't be reached
replaces no pod twice. A gateway that answers, be it that it knows nothing, is not silent; one whose
container does not run is, whatever answers in its place. The time counts from the creation of the
pod at the earliest: a silence before that was another pod's.
"""

from datetime import datetime, timedelta

from tradingbot_api.enforcement import has_gateway
from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import Mode

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.observed import Observed
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.bots.pods import BotPod
from tradingbot_operator.cluster.events import WARNING
from tradingbot_operator.cluster.timestamps import rfc3339


def silent_pod(
    bot: Bot, plan: Plan, observed: Observed, *, silent_since: datetime | None
) -> BotPod | None:
    """Return the pod whose gateway is silent and matters, None if there is none."""
    pod = observed.pods.current
    if bot.spec is None or plan.stop is not None or silent_since is None or pod is None:
        return None
    matters = has_gateway(bot.spec) and bot.spec.mode is Mode.LIVE
    matters = matters and pod.gateway.exists
    return pod if matters and pod.has_run and pod.going is None else None


def seconds_left(silent_since: datetime, now: datetime, *, allowed: float) -> float:
    """Return the seconds until the pod is replaced, negative if it is overdue."""
    return (silent_since + timedelta(seconds=allowed) - now).total_seconds()


async def replace_silent_pod(
    context: Context, bot: Bot, body: JsonObject, plan: Plan, observed: Observed
) -> float | None:
    """Delete the pod if it is due. Returns the seconds until it is, None if nothing is silent."""
    now, silent_since = context.clock(), context.polls.state(bot.key).silent_since
    pod = silent_pod(bot, plan, observed, silent_since=silent_since)
    if pod is None or silent_since is None:
        return None
    if pod.created is not None and pod.created <= now:  # not so after the clock was set back
        silent_since = max(silent_since, pod.created)
    left = seconds_left(silent_since, now, allowed=context.settings.gateway_silence)
    if left > 0:
        return left
    await context.api.delete("Pod", bot.key.namespace, pod.name, uid=pod.uid)
    message = (
        f"Stopped pod {pod.name}: its gateway has not answered since {rfc3339(silent_since)}; the"
        " next one starts"
    )
    await context.recorder.post(body, (WARNING, "GatewaySilent", message), now)
    return None
