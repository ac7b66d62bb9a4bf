"""The status of a bot: a pure function of the plan and of what was observed."""

from datetime import datetime

from tradingbot_api.effective import effective_values
from tradingbot_api.model import JsonObject

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.observed import Children, Observed, has_stopped, running_pod
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.bots.registry_sync import RegistryState
from tradingbot_operator.bots.status.conditions import applied_hash, condition_states
from tradingbot_operator.bots.status.phase import phase_of
from tradingbot_operator.cluster.conditions import conditions
from tradingbot_operator.cluster.timestamps import rfc3339
from tradingbot_operator.risk.daily_loss import risk_status


def bot_status(
    bot: Bot,
    plan: Plan,
    observed: Observed,
    registry: RegistryState,
    now: datetime,
) -> JsonObject:
    """Return the whole status of `bot`.

    A condition whose status has not changed keeps its `lastTransitionTime`, so a reconcile in which
    nothing changed returns the status that is stored.
    """
    phase = phase_of(bot, plan, observed, now)
    status: JsonObject = {
        "phase": phase,
        "observedGeneration": bot.meta.generation,
        "conditions": conditions(
            condition_states(bot, plan, observed, registry, phase=phase, now=now),
            bot.status.get("conditions") or [],
            generation=bot.meta.generation,
            now=now,
        ),
        "deployedResources": deployed_resources(
            observed.children, deployment_ready=_deployment_ready(plan, observed)
        ),
    }
    if bot.spec is not None:
        status["effective"] = effective_values(bot.spec).model_dump(
            by_alias=True, exclude_none=True
        )
    elif "effective" in bot.status:
        status["effective"] = bot.status["effective"]  # what it ran with: see kept_enforcement
    if overridden := observed.overrides.status():
        status["overriddenFields"] = overridden
    if plan.config_hash is not None:
        status["configHash"] = plan.config_hash
    if "entries" in bot.status:
        status["entries"] = bot.status["entries"]  # written by `entry_grants`
    risk = observed.risk
    # Once the status has a risk block, the operator no longer reads a halt from bot.json. So the
    # first block waits until the ConfigMap, which may record a halt, could be read.
    is_settled = "risk" in bot.status or not observed.config_unread
    if risk is not None and is_settled:
        status["risk"] = risk_status(risk)
        applied = applied_hash(bot, risk) if plan.stop is None else None
        if applied is not None:
            status["appliedConfigHash"] = applied
    elif "risk" in bot.status:
        status["risk"] = bot.status["risk"]  # a halt stays while the spec is invalid
    if plan.hours is not None:
        status["schedule"] = {"open": plan.hours.open}
        if plan.hours.next_transition is not None:
            status["schedule"]["nextTransition"] = rfc3339(plan.hours.next_transition)
    return status


def _deployment_ready(plan: Plan, observed: Observed) -> bool:
    """Return whether the Deployment is as it must be: with its pod, or stopped and without one."""
    return has_stopped(observed) if plan.stop is not None else running_pod(observed) is not None


def deployed_resources(children: Children, *, deployment_ready: bool) -> list[JsonObject]:
    """Return `status.deployedResources`: the children that exist."""
    return [
        {
            "apiVersion": child["apiVersion"],
            "kind": child["kind"],
            "name": child["metadata"]["name"],
            "ready": "deletionTimestamp" not in child["metadata"]
            and (deployment_ready or child["kind"] != "Deployment"),
        }
        for child in children.existing()
    ]
