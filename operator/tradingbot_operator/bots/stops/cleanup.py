"""Clean up a deleted bot: stop it, remove it from the registry, remove the finalizer.

    step                            goes on when
    stop the Deployment (ladder)    no pod is left; or 45 s have passed, all pods that are left
                                    should have ended 15 s ago, and none can be created (event
                                    PodStuck)
    wait for the controllers        they have observed the 0 replicas, or 45 s have passed: until
                                    then a pod may be created that is not listed yet
    delete the registry's asset     it is deleted, or cleanup_timeout has passed (AssetLeftBehind)
    remove the finalizer            the API server then deletes the bot

The garbage collector deletes the children by their owner references. So nothing is applied to them
here: an apply would restore an owner reference that `kubectl delete --cascade=orphan` removed. An
orphaned Deployment stays, with 0 replicas, since no bot governs it any more.
"""

from datetime import datetime

from tradingbot_api.model import JsonObject
from tradingbot_api.pod import DEFAULT_GRACE_SECONDS

from tradingbot_operator import FINALIZER
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.observe import (
    Ownership,
    child_of,
    observe_pods,
    ownership,
    sorted_pods,
    unless_foreign,
)
from tradingbot_operator.bots.observed import Children, Credentials, Observed, has_stopped
from tradingbot_operator.bots.pods import Pods
from tradingbot_operator.bots.status.phase import TERMINATING
from tradingbot_operator.bots.status.readiness import with_main_conditions
from tradingbot_operator.bots.status.status_writer import write_status
from tradingbot_operator.bots.status.stop_status import (
    remains,
    stop_blocked_of,
    stopping_since,
    was_blocked,
)
from tradingbot_operator.bots.status.transitions import transitions_of_stop
from tradingbot_operator.bots.stops.ladder import carry_out, wants_pods
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.conditions import ConditionState, merge_patch
from tradingbot_operator.cluster.events import WARNING, Transition
from tradingbot_operator.cluster.timestamps import instant
from tradingbot_operator.reasons import Reason
from tradingbot_operator.registry_client import RegistryError

POD_POLL = 0.5
BLOCKED_POLL = 5.0
OVERDUE = 15
"""Seconds that a pod may take to go after its grace period, which may be 300 s long."""
POD_PATIENCE = DEFAULT_GRACE_SECONDS + OVERDUE
"""Seconds after the deletion of the bot for which pods that are being deleted are waited for."""


async def clean_up(context: Context, bot: Bot, body: JsonObject) -> float | None:
    """Clean up a bot that is being deleted.

    Returns the seconds until the next reconcile, None after the finalizer was removed. A pod that
    could not be deleted is waited for without limit: a bot whose stop is refused must stay visible
    while it trades.
    """
    if FINALIZER not in bot.meta.finalizers:
        return await _keep_stopped(context, bot, body)
    now = context.clock()
    waited = _seconds_since_deletion(bot, now)
    context.polls.unsubscribe(bot.key)
    observed = await _stop(context, bot, waited)
    bot = await _report(context, bot, body, observed, now)
    warnings: list[Transition] = []
    if not has_stopped(observed):
        pods = observed.pods.to_stop
        going = pods and all(pod.going for pod in pods)
        pause = POD_POLL if waited < POD_PATIENCE else BLOCKED_POLL
        # While the Deployment requests a pod, it creates another one after these.
        if not going or wants_pods(observed.children.deployment):
            return pause
        if waited < POD_PATIENCE or not all(pod.is_overdue(now, OVERDUE) for pod in pods):
            return pause
        message = f"Removed the finalizer of the bot although {remains(observed, now)}"
        warnings.append((WARNING, "PodStuck", message))
    elif not _is_scale_down_observed(observed.children.deployment) and waited < POD_PATIENCE:
        return POD_POLL
    if _is_orphaned(bot, observed.children.deployment):
        message = "The Deployment was stopped and stays without an owner"
        warnings.append((WARNING, "Orphaned", message))
    try:
        await context.assets.remove(bot)
    except RegistryError as error:
        if waited < context.settings.cleanup_timeout:
            raise
        warnings.append(
            (WARNING, "AssetLeftBehind", f"Could not delete the asset from the registry: {error}")
        )
    await _remove_finalizer(context, bot)
    for warning in warnings:
        await context.recorder.post(body, warning, now)
    return None


async def _keep_stopped(context: Context, bot: Bot, body: JsonObject) -> float | None:
    """Keep a bot stopped that does not have our finalizer and that others' finalizers keep.

    Otherwise anyone who may edit a bot could add a finalizer to it, delete it, and scale its
    Deployment up again: a pod whose risk nobody polls, and which no loss halts.
    """
    deployment = await child_of(context, "Deployment", *bot.key)
    pods = await observe_pods(context, bot, deployment)
    if not pods.to_stop and not wants_pods(unless_foreign(bot, deployment)):
        return None
    context.polls.unsubscribe(bot.key)
    now = context.clock()
    observed = await _stop(context, bot, _seconds_since_deletion(bot, now))
    try:
        await _report(context, bot, body, observed, now)
    except KubernetesError as error:
        if error.status != 404:  # noqa: PLR2004 - the others have removed their finalizers
            raise
    return None if has_stopped(observed) else BLOCKED_POLL


def _seconds_since_deletion(bot: Bot, now: datetime) -> float:
    return (now - (instant(bot.meta.deletion_timestamp) or now)).total_seconds()


async def _stop(context: Context, bot: Bot, waited: float) -> Observed:
    """Make one attempt to stop, from the Deployment and pods that the API server has now."""
    deployment = await child_of(context, "Deployment", *bot.key, fresh=True)
    pods = await _pods(context, bot, deployment)
    deployment = unless_foreign(bot, deployment)
    stop = await carry_out(
        context.api,
        bot.meta.namespace,
        deployment,
        pods.to_stop,
        waited=waited,
        keep=_is_orphaned(bot, deployment),
    )
    remembered = context.recall(bot.key).stopping_since
    return Observed(
        children=Children(deployment=stop.deployment),
        credentials=Credentials(),
        pods=pods,
        stop_refusals=stop.refusals,
        stopping_since=stopping_since(bot.status, remembered),
        was_blocked=was_blocked(bot.status),
    )


def _is_scale_down_observed(deployment: JsonObject | None) -> bool:
    """Return whether the controllers have observed that the Deployment requests no pod.

    Until then they may create one, also if none is listed now.
    """
    if deployment is None or (generation := deployment["metadata"].get("generation")) is None:
        return True
    status = deployment.get("status") or {}
    return bool(status.get("observedGeneration") == generation and not status.get("replicas"))


async def _pods(context: Context, bot: Bot, deployment: JsonObject | None) -> Pods:
    """List the pods: the cache may be behind, and no later reconcile would correct it."""
    found = [
        pod
        async for pod in context.api.items(
            "Pod", namespace=bot.meta.namespace, labels=manifests.selector(bot)
        )
    ]
    return await sorted_pods(context, bot, deployment, found, must_know=False)


async def _report(
    context: Context, bot: Bot, body: JsonObject, observed: Observed, now: datetime
) -> Bot:
    """Write phase and conditions if they changed, and post the events. Returns the bot."""
    memory = context.memory(bot.key)
    memory.stopping_since = observed.stopping_since or now
    blocked = stop_blocked_of(Reason.TERMINATING, observed, now)
    memory.blocked = blocked.status == "True"
    ready = ConditionState("Ready", "False", Reason.TERMINATING, "The bot is being deleted")
    before = bot.status.get("conditions") or []
    generation = bot.meta.generation
    status = {
        **bot.status,
        "phase": TERMINATING,
        "observedGeneration": generation,
        "conditions": with_main_conditions(
            before, ready, blocked, observed, generation=generation, now=now
        ),
    }
    if status == bot.status:
        return bot
    patch, events = merge_patch(bot.status, status), transitions_of_stop(bot.status, status)
    written = await write_status(context, bot.key, body, patch, events, now=now)
    return context.read(written, now=now)


def _is_orphaned(bot: Bot, deployment: JsonObject | None) -> bool:
    if "orphan" in bot.meta.finalizers:
        return True
    return deployment is not None and ownership(bot, deployment) is Ownership.ADOPTABLE


async def _remove_finalizer(context: Context, bot: Bot) -> None:
    finalizers = [name for name in bot.meta.finalizers if name != FINALIZER]
    # The resourceVersion prevents that this restores a finalizer that was removed meanwhile.
    metadata = {"finalizers": finalizers, "resourceVersion": bot.meta.resource_version}
    try:
        written = await context.api.merge("TradingBot", *bot.key, {"metadata": metadata})
    except KubernetesError as error:
        if error.status == 404:  # noqa: PLR2004 - already deleted
            return
        raise
    context.store.put(written)
