"""Reconcile one bot: observe, plan, apply, report, poll its risk, return when to reconcile again.

    observe    children, pods, Secret; mostly from the cache that the watches fill
    assess     the last risk report against the limits; a new halt is written to the status
    plan       the children as they must be (pure)
    apply      only what differs, and a stop before all else
    report     the status and the events, only if something changed
    poll       what the risk poller watches, and for which changes it reconciles again

If any step fails, a bot that must not run is stopped nevertheless: see `stops.emergency`.
"""

import logging
from dataclasses import replace
from datetime import datetime
from functools import partial

from tradingbot_api.enforcement import has_gateway
from tradingbot_api.model import JsonObject, digest
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_api.tradingbot import Mode

from tradingbot_operator import FINALIZER, RESTORE_STATUS
from tradingbot_operator.bots.apply_children import CONFIRM_AFTER, apply_plan
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.overrides import Overrides
from tradingbot_operator.bots.context import Context, ReconcileError
from tradingbot_operator.bots.entry_grants.decision import Wish
from tradingbot_operator.bots.observe import observe
from tradingbot_operator.bots.observed import Observed, has_stopped, replicas
from tradingbot_operator.bots.plan import Plan, plan
from tradingbot_operator.bots.silent_gateway import replace_silent_pod
from tradingbot_operator.bots.status.bot_status import bot_status
from tradingbot_operator.bots.status.phase import phase_of
from tradingbot_operator.bots.status.status_writer import write_status
from tradingbot_operator.bots.status.stop_status import (
    PATIENCE,
    STOP_BLOCKED,
    stopping_since,
    was_blocked,
)
from tradingbot_operator.bots.status.transitions import transitions
from tradingbot_operator.bots.stops.cleanup import clean_up
from tradingbot_operator.bots.stops.emergency import stop_regardless
from tradingbot_operator.bots.trading_risk import assess_risk, poll_risk
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.conditions import condition_of, merge_patch
from tradingbot_operator.cluster.timestamps import instant
from tradingbot_operator.leadership.election import NotLeaderError
from tradingbot_operator.reasons import WITHOUT_CREDENTIALS, Reason
from tradingbot_operator.risk.daily_loss import PollState

logger = logging.getLogger(__name__)

CONFLICT_RETRY = 15.0
STOP_RETRY, BLOCKED_RETRY = 1.0, 5.0
"""Seconds between two attempts at a stop: at first, and after it counts as blocked."""

SHORTEST_SECRET_RETRY, LONGEST_SECRET_RETRY = 1.0, 15.0


class ChildRefusedError(ReconcileError):
    """Raised after the status was written, if the API server refuses a child."""


async def reconcile(context: Context, key: NamespacedName) -> float | None:
    """Reconcile one TradingBot. Returns the seconds until the next timed reconcile, or None.

    Raises the error of a step that failed, after a bot that must not run has been stopped.
    """
    body = context.store.get("TradingBot", *key)
    if body is None:
        context.forget(key)
        return None
    try:
        return await _reconcile(context, key, body)
    except (NotLeaderError, ReconcileError):
        raise
    except Exception as error:
        if await stop_regardless(context, key, body, error):
            # Sooner than the queue would retry: the bot trades and must not.
            blocked = context.recall(key).blocked
            context.again_in(key, BLOCKED_RETRY if blocked else STOP_RETRY)
        raise


async def _reconcile(context: Context, key: NamespacedName, body: JsonObject) -> float | None:
    now = context.clock()
    bot = context.read(body, now=now)
    if bot.deleting:
        return await clean_up(context, bot, body)
    body, unmarked = await _try_to_mark(context, bot, body)
    seen = context.polls.state(key)
    attempt = partial(
        _observe_plan_apply, context, bot, body, seen=seen, now=now, unmarked=unmarked
    )
    try:
        bot, decision, observed = await attempt(trust_watches=True)
    except KubernetesError as error:
        if not error.is_conflict:
            raise
        # The cache was behind. With fresh objects, a second conflict is worth an error.
        bot, decision, observed = await attempt(trust_watches=False)
    if decision.running is not None:
        context.running[key] = decision.running
    if bot.spec is not None and context.assets.declare(
        bot, bot.spec, phase=phase_of(bot, decision, observed, now)
    ):
        context.request_sync(key)
    bot = await _report(context, bot, body, decision, observed)
    # Again, now by the status that was written: its content must not cause another reconcile.
    poll_risk(context, bot, observed, seen=seen, now=now)
    if unmarked is not None:
        raise unmarked
    silence = await replace_silent_pod(context, bot, body, decision, observed)
    waits = (_requeue_after(context, bot, decision, observed, now), silence)
    return min((wait for wait in waits if wait is not None), default=None)


async def _observe_plan_apply(
    context: Context,
    bot: Bot,
    body: JsonObject,
    *,
    seen: PollState,
    now: datetime,
    unmarked: KubernetesError | None,
    trust_watches: bool,
) -> tuple[Bot, Plan, Observed]:
    """Observe, plan and apply. Returns the bot with its status, the plan, and what exists now.

    With `trust_watches` children come from the cache. Raises KubernetesError for a conflict, which
    means that the cache was behind; the caller then tries once more without it.
    """
    observed = await observe(context, bot, trust_watches=trust_watches)
    bot, risk = await assess_risk(context, bot, body, observed, seen=seen, now=now)
    # Before anything that may fail: a bot that trades is polled even if no write succeeds.
    poll_risk(context, bot, observed, seen=seen, now=now)
    observed = replace(
        observed,
        risk=risk,
        running=context.running.get(bot.key),
        entries=context.grants.problem(bot.key),
        overrides=context.recall(bot.key).overrides or Overrides.stored(bot.status),
    )
    decision = plan(bot, observed, now, context.surroundings)
    unread = observed.credentials.unread or observed.pods_unread
    if unread is not None and decision.stop is None:
        raise unread  # a bot that may run is left as it is; one that must stop is stopped
    if unmarked is not None and decision.stop is None and not replicas(observed.children):
        raise unmarked  # do not start a bot that has no finalizer; go on with one that runs
    if decision.stop is not None and not has_stopped(observed):
        memory = context.memory(bot.key)
        memory.stopping_since = stopping_since(bot.status, memory.stopping_since) or now
        observed = replace(
            observed,
            stopping_since=memory.stopping_since,
            was_blocked=was_blocked(bot.status),
        )
    if decision.stop is not None:
        _grant_entries(context, bot, decision, observed)  # a stop of entries waits for no write
    applied = await apply_plan(context, bot, body, decision, observed)
    if decision.stop is None:
        _grant_entries(context, bot, decision, observed)
    if observed.overrides != Overrides.stored(bot.status):
        context.memory(bot.key).overrides = observed.overrides  # more than the status has yet
    return bot, decision, applied


def _grant_entries(context: Context, bot: Bot, decision: Plan, observed: Observed) -> None:
    """Say what the bot's gateway is to be told, which then happens beside this reconcile."""
    pod, applied = observed.pods.current, decision.applied
    if bot.spec is None or applied is None:
        return  # what its gateway is to enforce is not known
    # A change of `enforcement` or `mode` may wait for a restart: what runs counts.
    if not has_gateway(bot.spec) and (pod is None or not pod.gateway.exists):
        context.grants.drop(bot.key)
        return
    if pod is not None and pod.going is not None:
        pod = None
    withdrawn = None if decision.stop is None else str(decision.stop)
    wish = Wish(applied.hash, withdrawn, exclusive=applied.body.get("mode") == Mode.LIVE)
    answers = pod is not None and pod.gateway.is_trusted(context.clock())
    context.grants.want(bot.key, wish, pod, answers=answers)


async def _try_to_mark(
    context: Context, bot: Bot, body: JsonObject
) -> tuple[JsonObject, KubernetesError | None]:
    """Return the bot as `_mark` returns it, or as it is with the error that forbids to start it.

    Protection must not depend on this write, so an error is returned and not raised. Without the
    finalizer a bot must not start; without the annotation it may.
    """
    try:
        return await _mark(context, bot, body), None
    except KubernetesError as error:
        if error.is_conflict:
            raise
        logger.warning("Could not add the finalizer or annotation to %s/%s: %s", *bot.key, error)
        return body, None if FINALIZER in bot.meta.finalizers else error


async def _mark(context: Context, bot: Bot, body: JsonObject) -> JsonObject:
    """Add our finalizer and the annotation RESTORE_STATUS. Returns the bot.

    The finalizer delays the deletion until the pod is gone. The annotation makes a restore from a
    backup include the status, and so a halt.
    """
    metadata: JsonObject = {}
    if FINALIZER not in bot.meta.finalizers:
        metadata["finalizers"] = [*bot.meta.finalizers, FINALIZER]
    if RESTORE_STATUS not in bot.meta.annotations:
        metadata["annotations"] = {RESTORE_STATUS: "true"}
    if not metadata or bot.unreadable:
        return body
    # The resourceVersion prevents that this overwrites a finalizer that was added meanwhile.
    metadata["resourceVersion"] = bot.meta.resource_version
    body = await context.api.merge("TradingBot", *bot.key, {"metadata": metadata})
    context.store.put(body)
    return body


async def _report(
    context: Context, bot: Bot, body: JsonObject, decision: Plan, observed: Observed
) -> Bot:
    """Write the status if it changed, and post an event for each transition. Returns the bot."""
    now = context.clock()
    known = context.assets.state(bot.key, before=bot.status.get("conditions") or ())
    status = bot_status(bot, decision, observed, known, now)
    _remember(context, bot, decision, observed, status)
    if status == bot.status or _was_reported(context, bot, status):
        return bot
    # The status of an unreadable bot is not known, but the bot is not a new one.
    before = {"phase": ""} if bot.unreadable else bot.status
    patch, events = merge_patch(bot.status, status), transitions(before, status)
    await write_status(context, bot.key, body, patch, events, now=now)
    return replace(bot, status=status)


def _remember(
    context: Context, bot: Bot, decision: Plan, observed: Observed, status: JsonObject
) -> None:
    """Update what is remembered of the bot: the start of a stop and the last failure."""
    memory = context.memories.get(bot.key)
    if memory is None:
        return
    if decision.stop is None or has_stopped(observed):
        memory.stopping_since = None
    memory.blocked = condition_of(status, STOP_BLOCKED).get("status") == "True"
    if not bot.unreadable:
        memory.reported = ""


def _was_reported(context: Context, bot: Bot, status: JsonObject) -> bool:
    """Return whether an unreadable bot already has this status, and note that it has.

    The stored status of such a bot can't be compared, and writing it each time would never end:
    each write is an event of the watch, which reconciles the bot.
    """
    if not bot.unreadable:
        return False
    memory, now = context.memory(bot.key), digest(_without_times(status))
    last, memory.reported = memory.reported, now
    return last == now


def _without_times(status: JsonObject) -> JsonObject:
    timeless = [{**known, "lastTransitionTime": ""} for known in status["conditions"]]
    return {**status, "conditions": timeless}


def _requeue_after(
    context: Context, bot: Bot, decision: Plan, observed: Observed, now: datetime
) -> float | None:
    """Return the seconds until something may have changed that no watch reports, or None.

    That is: the trading day ends, the schedule opens or closes, a Secret or a foreign object with a
    child's name changes. Raises ChildRefusedError if a child has to be applied again, so that the
    queue retries with growing pauses.
    """
    if decision.stop is not None and not has_stopped(observed):
        since = observed.stopping_since or now
        return STOP_RETRY if now - since < PATIENCE else BLOCKED_RETRY
    if observed.refusals:
        raise ChildRefusedError("; ".join(map(str, observed.refusals)))
    if bot.spec is None:
        return None
    waits = []
    memory = context.recall(bot.key)
    if memory.corrections or observed.overrides.undecided:
        waits.append(CONFIRM_AFTER.total_seconds())
    if observed.credentials.unread is not None:
        waits.append(context.settings.credentials_interval)
    if observed.risk is not None:
        waits.append(max(0.0, (observed.risk.day.ends - now).total_seconds()))
    pod = observed.pods.current
    if pod is not None and (settles := pod.gateway.trusted_in(now)):
        waits.append(settles)
    if decision.stop is Reason.NAME_CONFLICT:
        waits.append(CONFLICT_RETRY)
    if decision.stop in WITHOUT_CREDENTIALS:
        waits.append(_secret_retry(bot, now))
    if decision.hours is not None and decision.hours.next_transition is not None:
        waits.append(max(0.0, (decision.hours.next_transition - now).total_seconds()))
    return min(waits, default=None)


def _secret_retry(bot: Bot, now: datetime) -> float:
    """Return a fifth of the time for which the Secret has been missing, in seconds."""
    condition = condition_of(bot.status, "CredentialsReady")
    since = instant(condition.get("lastTransitionTime"))
    if condition.get("status") != "False" or since is None:
        return SHORTEST_SECRET_RETRY
    missing = (now - since).total_seconds() / 5
    return min(max(missing, SHORTEST_SECRET_RETRY), LONGEST_SECRET_RETRY)
