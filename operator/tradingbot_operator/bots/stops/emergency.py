"""Stop a bot whose reconcile failed, if it must not run.

A stored object or an answer may have any content, and an error while it is parsed must not leave a
bot running that must not run. So this reads as few fields as possible and validates each.

Example: a user sets `paused: true`, and the bot has a Service that makes the reconcile raise before
it stops the bot. `must_stop` reads `spec.paused` alone; the ladder needs the Deployment and its
pods, not the Service; and the status gets a phase and its main conditions: `Ready` has the reason
ReconcileFailed. A bot that may run is left as it is: it trades on with the configuration
that it has, and the queue retries.
"""

import logging
from datetime import datetime, timedelta

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_api.trading_hours import hours

from tradingbot_operator import UNREADABLE
from tradingbot_operator.bots.bot import Bot, read_meta, status_of
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.observe import child_of, observe_pods, unless_foreign
from tradingbot_operator.bots.observed import Children, Credentials, Observed, has_stopped
from tradingbot_operator.bots.status.phase import PHASE_OF_STOP, STOPPING, TERMINATING
from tradingbot_operator.bots.status.readiness import with_main_conditions
from tradingbot_operator.bots.status.status_writer import write_status
from tradingbot_operator.bots.status.stop_status import stop_blocked_of, stopping_since
from tradingbot_operator.bots.status.transitions import transitions_of_stop
from tradingbot_operator.bots.stops.ladder import carry_out, wants_pods
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.conditions import ConditionState
from tradingbot_operator.cluster.events import WARNING
from tradingbot_operator.leadership.election import NotLeaderError
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import RiskTerms, StoredRisk, assess

logger = logging.getLogger(__name__)


async def stop_regardless(
    context: Context, key: NamespacedName, body: JsonObject, error: Exception
) -> bool:
    """Stop the bot if it must not run, after its reconcile failed with `error`, and report it.

    Returns whether the stop has to be retried.
    """
    now = context.clock()
    unfinished = False
    try:
        reason = must_stop(context, key, body, now)
        if reason is not None:
            unfinished = True
            attempt = await _attempt(context, key, body, now)
            unfinished = attempt is not None and not has_stopped(attempt)
            if attempt is not None:
                await _report(context, key, body, attempt, reason=reason, error=error)
    except NotLeaderError:
        raise
    except Exception:
        # The caller raises the first error; this one must not replace it.
        logger.exception("Could not stop %s after its reconcile failed", key)
    return unfinished


def must_stop(
    context: Context, key: NamespacedName, body: JsonObject, now: datetime
) -> Reason | None:
    """Return why the bot must not run, by the object and the last report alone; None if it may."""
    if UNREADABLE in body:
        return Reason.UNREADABLE
    if (body.get("metadata") or {}).get("deletionTimestamp"):
        return Reason.TERMINATING
    spec = body.get("spec")
    if isinstance(spec, dict) and spec.get("paused") is True:
        return Reason.PAUSED
    try:
        bot = context.read(body, now=now)
    except Exception:
        logger.exception("Could not parse %s", key)
        return Reason.UNREADABLE
    if bot.spec is None:
        return Reason.INVALID_SPEC
    stored = StoredRisk.read(bot.status)
    halted = stored.halt is not None and (stored.day is None or now < stored.day.ends)
    if halted or context.recall(key).halt is not None or _loses(context, bot, stored, now):
        return Reason.HALTED
    return None if hours(bot.spec.schedule, now).open else Reason.OFF_HOURS


def _loses(context: Context, bot: Bot, stored: StoredRisk, now: datetime) -> bool:
    """Return whether the last report reaches the limit; keep the halt until it can be written."""
    if bot.spec is None:
        return False
    seen = context.polls.state(bot.key)
    risk = assess(RiskTerms.of(bot.spec), stored, seen, now, figures_every=timedelta())
    if risk.halt is None:
        return False
    context.memory(bot.key).halt = risk.halt
    return True


async def _attempt(
    context: Context, key: NamespacedName, body: JsonObject, now: datetime
) -> Observed | None:
    """Make one attempt to stop the bot. Returns what exists then.

    Returns None if nothing had to stop, and the status does not report a stop that goes on.
    """
    namespace, name = key
    bot = Bot(read_meta({"metadata": _identity(body, key)}), None, (), {})
    refusals: tuple[str, ...] = ()
    deployment = None
    try:
        deployment = await child_of(context, "Deployment", namespace, name)
    except KubernetesError as error:
        refusals = (str(error),)
    pods = await observe_pods(context, bot, deployment, must_know=False)
    deployment = unless_foreign(bot, deployment)
    memory = context.memory(key)
    if not wants_pods(deployment) and not pods.to_stop:
        memory.stopping_since = None
        memory.blocked = False
        is_reported = not refusals and stopping_since(status_of(body), None) is not None
        seen = Observed(Children(deployment=deployment), Credentials(), pods=pods)
        return seen if is_reported else None
    memory.stopping_since = memory.stopping_since or now

    stop = await carry_out(
        context.api,
        namespace,
        deployment,
        pods.to_stop,
        waited=(now - memory.stopping_since).total_seconds(),
    )
    return Observed(
        children=Children(deployment=stop.deployment),
        credentials=Credentials(),
        pods=pods,
        stop_refusals=(*refusals, *stop.refusals),
        stopping_since=memory.stopping_since,
        was_blocked=memory.blocked,
    )


def _identity(body: JsonObject, key: NamespacedName) -> JsonObject:
    uid = (body.get("metadata") or {}).get("uid")
    return {
        "namespace": key.namespace,
        "name": key.name,
        "uid": uid if isinstance(uid, str) else "",
    }


async def _report(
    context: Context,
    key: NamespacedName,
    body: JsonObject,
    observed: Observed,
    *,
    reason: Reason,
    error: Exception,
) -> None:
    """Write the phase and the main conditions; post an event if the message is another one."""
    # The text of another exception may quote the object, and so a credential in it.
    cause = str(error) if isinstance(error, KubernetesError) else type(error).__name__
    is_done = has_stopped(observed)
    outcome = "was stopped" if is_done else "is being stopped"
    message = f"The reconcile failed ({cause}); the bot must not run ({reason}) and {outcome}"
    if observed.stop_refusals:
        message += f": {'; '.join(observed.stop_refusals)}"
    now = context.clock()
    memory = context.memory(key)
    if memory.reported != message:
        memory.reported = message
        await context.recorder.post(body, (WARNING, "ReconcileFailed", message), now)
    blocked = stop_blocked_of(reason, observed, now)
    memory.blocked = blocked.status == "True"
    ready = ConditionState("Ready", "False", Reason.RECONCILE_FAILED, message)
    before = status_of(body)
    old = before.get("conditions") or []
    generation = int((body.get("metadata") or {}).get("generation") or 0)
    phase = PHASE_OF_STOP.get(reason, TERMINATING) if is_done else STOPPING
    status = {
        "phase": TERMINATING if reason is Reason.TERMINATING else phase,
        "observedGeneration": generation,
        "conditions": with_main_conditions(
            old, ready, blocked, observed, generation=generation, now=now
        ),
    }
    events = transitions_of_stop(before, status)
    await write_status(context, key, body, status, events, now=now)
