"""The loss of a bot in its trading day: judge it, halt the bot for it, poll for the next report.

A halt survives the end of the operator and a restore from a backup, since it is stored twice:

    status.risk              written before the bot is stopped; read by each later reconcile
    bot.json, haltedUntil    written after the bot is stopped; read only if the status has no risk
                             block, as after a restore without the status

If the write of the status fails, the halt is kept in memory, and the bot is stopped nevertheless
(`stops.emergency`).
"""

from collections.abc import Hashable
from dataclasses import replace
from datetime import datetime, timedelta

from tradingbot_api.enforcement import has_gateway
from tradingbot_api.model import JsonObject

from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.observed import Observed
from tradingbot_operator.bots.pods import BotPod
from tradingbot_operator.bots.status.status_writer import write_status
from tradingbot_operator.cluster.conditions import merge_patch
from tradingbot_operator.cluster.timestamps import rfc3339
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import (
    Halt,
    PollState,
    PollSubscription,
    Risk,
    RiskTerms,
    StoredRisk,
    assess,
    fingerprint,
    risk_status,
)


async def assess_risk(
    context: Context,
    bot: Bot,
    body: JsonObject,
    observed: Observed,
    *,
    seen: PollState,
    now: datetime,
) -> tuple[Bot, Risk | None]:
    """Assess the loss of the current trading day. A new halt is written before it is acted on.

    Returns the bot with the written status, and the risk; None without a valid spec, which defines
    the trading day.
    """
    if bot.spec is None:
        return bot, None
    written = StoredRisk.read(bot.status)
    stored = replace(written, halt=written.halt or _halt_elsewhere(context, bot, observed, now))
    every = timedelta(seconds=context.settings.risk_status_interval)
    risk = assess(RiskTerms.of(bot.spec), stored, seen, now, figures_every=every)
    if risk.halt not in {None, written.halt}:
        context.memory(bot.key).halt = risk.halt
        bot = await _persist_halt(context, bot, body, risk, now)
    if bot.key in context.memories:
        context.memories[bot.key].halt = None
    return bot, risk


def _halt_elsewhere(context: Context, bot: Bot, observed: Observed, now: datetime) -> Halt | None:
    """Return a halt that the status does not have: not written yet, or lost in a restore."""
    remembered = context.recall(bot.key).halt
    if remembered is not None or "risk" in bot.status:
        return remembered
    until = manifests.Config.stored_halt(observed.children.config_map)
    if until is None or until <= now:
        return None
    return Halt(now, f"{Reason.DAILY_LOSS_LIMIT}: bot.json records a halt until {rfc3339(until)}")


async def _persist_halt(
    context: Context, bot: Bot, body: JsonObject, risk: Risk, now: datetime
) -> Bot:
    """Write a new halt to the status, before the bot is stopped for it.

    In the other order, an operator that ends in between would forget the halt and start the bot
    again on the same trading day.
    """
    block = merge_patch(bot.status.get("risk") or {}, risk_status(risk))
    written = await write_status(context, bot.key, body, {"risk": block}, (), now=now)
    context.metrics.halts.inc()
    return replace(bot, status=written["status"])


def _distrust(pod: BotPod, now: datetime) -> str:
    """Return why a report of the pod would not be its gateway's, empty if it would be."""
    if not pod.gateway.exists or pod.gateway.is_trusted(now):
        return ""
    return "its gateway has just been restarted" if pod.gateway.runs else "its gateway does not run"


def poll_risk(
    context: Context, bot: Bot, observed: Observed, *, seen: PollState, now: datetime
) -> None:
    """Poll a bot that has a running pod, ready or not, also one that is to be stopped.

    A gateway is polled before its bot starts: it says what the bot waits for. While its gateway
    does not run, a bot is not polled, since it could answer in the gateway's place.

    The poller polls every few seconds; most reports change nothing that a reconcile would do. So it
    gets a function, `fingerprint_of`, and the fingerprint that this reconcile has acted on. When a
    later fingerprint differs, the bot is reconciled. Example, with `dailyLossLimit: "200"`:

        report               fingerprint                 reconciled again
        dayPnL -10           no halt, figures of 12:00   (acted on by this reconcile)
        dayPnL -12           the same                    no
        dayPnL -15, 12:01    figures of 12:01 are due    yes, to write them to status.risk
        dayPnL -200          halt                        yes, at once
        no answer            no report that counts       yes, 30 s after the last report

    The fingerprint depends on the limits of the spec, the stored risk and the start of the pod.
    They are bound here: each reconcile subscribes again, so a change of any of them takes effect.
    """
    pod = observed.pods.current
    if observed.pods_unread is not None:
        return  # not known whose the pods are: go on polling what was polled
    with_gateway = bot.spec is not None and has_gateway(bot.spec)
    # The bot starts after its gateway, and may wait for a restart.
    waits = with_gateway and pod is not None and pod.gateway.has_run
    if bot.spec is None or pod is None or (pod.started is None and not waits):
        context.polls.unsubscribe(bot.key)
        return
    # The closure lives as long as the bot runs, so it must not keep the whole object in memory.
    terms, stored = RiskTerms.of(bot.spec), StoredRisk.read(bot.status)
    since = pod.started or pod.created or now
    every = timedelta(seconds=context.settings.risk_status_interval)

    def fingerprint_of(seen: PollState, now: datetime) -> Hashable:
        found = fingerprint(assess(terms, stored, seen, now, figures_every=every), since, now)
        return (found, seen.silent_since, seen.notice) if with_gateway else found

    watch = PollSubscription(
        terms,
        address=pod.address,
        distrust=_distrust(pod, now),
        fingerprint=fingerprint_of,
        last_fingerprint=fingerprint_of(seen, now),
        started=pod.started is not None,
    )
    context.polls.subscribe(bot.key, watch)
