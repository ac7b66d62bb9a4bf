"""Decide what the children of a bot must be: a pure function of spec, time and observations.

A bot runs unless there is a reason to stop it. The first one that holds is the stop reason:

    spec can't be read, or is invalid                  the Deployment keeps its template, 0 replicas
    a child's name is taken by somebody else           likewise
    enforcement is Gateway and the cluster has none    likewise
    paused, halted, a child that can't be read,
    no credentials, outside of the schedule            declared as in spec, 0 replicas
    a Deployment or pods from before that run
    something else than the spec says (`Adopting`)     declared as in spec, 0 replicas

A running bot whose pod has to be restarted for a change may have to wait (`updatePolicy`). Example:
with WhenFlat and an open position, `mode: Live` and `dailyLossLimit: "50"` arrive together. The
limit is written to bot.json now; the pod template, and the parts of bot.json in RESTART_PARTS, stay
as they were declared before; `RolloutPending` is True. With the first report of 0 open positions,
the next plan declares the new template, and the Deployment restarts the pod.
"""

from dataclasses import dataclass
from datetime import datetime

from tradingbot_api.enforcement import has_gateway
from tradingbot_api.model import JsonObject
from tradingbot_api.trading_hours import Hours, hours
from tradingbot_api.tradingbot import Mode, TradingBotSpec, UpdatePolicy

from tradingbot_operator import ROLLOUT, UNREADABLE
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.children.built_in_types import POD_TEMPLATE
from tradingbot_operator.bots.children.differences import differences_of
from tradingbot_operator.bots.children.drift import must_replace, without_guarded_fields
from tradingbot_operator.bots.children.manifests import Config
from tradingbot_operator.bots.children.network_policy import egress_ports_of
from tradingbot_operator.bots.children.surroundings import DEFAULT, Surroundings
from tradingbot_operator.bots.observed import (
    Children,
    Observed,
    Running,
    has_stopped,
    replicas,
    running_hash,
    running_pod,
)
from tradingbot_operator.bots.restart_causes import restart_causes
from tradingbot_operator.reasons import Reason


@dataclass(frozen=True)
class Waiting:
    """Why a change that needs a restart has not been applied yet."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Plan:
    """The children as they must be, and the facts that the status reports."""

    manifests: tuple[JsonObject, ...]
    stop: Reason | None
    """Why the bot must not run; None if it may."""
    waiting: Waiting | None = None
    hours: Hours | None = None
    config_hash: str | None = None
    applied: Config | None = None
    """What bot.json has: partly an older configuration while a restart waits."""
    running: Running | None = None
    """What the bot runs with after this plan is applied; None if that is not known."""
    removals: tuple[str, ...] = ()
    """Kinds of children that were declared before and are deleted."""
    causes: tuple[str, ...] = ()
    """What a restart is for: one that this plan makes, or that waits."""
    refusal: str = ""
    """Why the cluster can't run the bot as declared."""


def plan(bot: Bot, observed: Observed, now: datetime, surroundings: Surroundings = DEFAULT) -> Plan:
    """Return the plan for `bot` at `now`."""
    if bot.spec is None:
        reason = Reason.UNREADABLE if bot.unreadable else Reason.INVALID_SPEC
        return Plan(stopped_deployment(bot, observed.children), stop=reason)
    if observed.conflicts:
        # Which child is missing makes no difference: the Deployment that the bot has is stopped.
        return Plan(
            stopped_deployment(bot, observed.children),
            stop=Reason.NAME_CONFLICT,
            hours=hours(bot.spec.schedule, now),
        )
    refusal = surroundings.gateway.refusal if has_gateway(bot.spec) else ""
    if refusal:
        return Plan(
            stopped_deployment(bot, observed.children),
            stop=Reason.GATEWAY_UNAVAILABLE,
            hours=hours(bot.spec.schedule, now),
            refusal=refusal,
        )
    spec, open_hours = bot.spec, hours(bot.spec.schedule, now)
    config = manifests.Config.declared(bot, spec)
    version, live_hash = observed.credentials.version, running_hash(observed.children)
    template, hash_ = manifests.pod_template(bot, spec, version, surroundings, running=live_hash)
    stop = _stop_reason(spec, observed, open_hours) or _adoption(bot, observed, template, hash_)
    declared = Running.of(template, config, hash_, version)
    running, applied, waiting = declared, config, None
    causes: tuple[str, ...] = ()
    still: tuple[int, ...] = ()
    if not stop and replicas(observed.children) and live_hash not in {None, hash_}:
        running = _still_running(observed, config)
        secret = spec.exchange.api_key_secret
        causes = restart_causes(running, declared, observed, secret=secret)
        waiting = _waiting(bot, spec, observed, hash_=hash_, causes=causes)
    if waiting is None:
        running = declared
    else:
        template, before = running.unpacked()
        applied = config.keeping_restart_parts_of(before)
        still = (*egress_ports_of(template, applied.body),)
    risk = observed.risk
    until = risk.day.ends if risk is not None and risk.halt is not None else None
    config_map = manifests.config_map(bot, applied, halted_until=until)
    deployment = manifests.deployment(
        bot,
        template=template,
        replicas=0 if stop else 1,
        credentials=_recorded(observed, running),
    )
    optional = (
        manifests.claim(bot, spec, observed.children.claim),
        manifests.network_policy(bot, spec, surroundings, still=still),
    )
    others = (config_map, manifests.service(bot), *filter(None, optional))
    return Plan(
        # A stop comes first; a start comes after all that the pod needs.
        (deployment, *others) if stop else (*others, deployment),
        stop=stop,
        waiting=waiting,
        hours=open_hours,
        config_hash=config.hash,
        applied=applied,
        running=running,
        removals=_removals(spec, observed),
        causes=causes,
    )


def _removals(spec: TradingBotSpec, observed: Observed) -> tuple[str, ...]:
    """Return the kinds of children to delete. Never a claim: it has what the bot has stored."""
    is_left = observed.children.network_policy is not None
    declared = "NetworkPolicy" in manifests.declared_kinds(spec)
    return ("NetworkPolicy",) if is_left and not declared else ()


def _recorded(observed: Observed, running: Running) -> str | None:
    """Return the annotation about the bot's Secret, with what the pod template has of it."""
    record = observed.credentials.record
    if record is None:
        return None
    return record.declared_with(running.revision or record.declared).text()


def _still_running(observed: Observed, config: manifests.Config) -> Running:
    """Return what was declared before the change that waits.

    What is remembered counts if it is what runs: only that also reverts edits of the live template.
    """
    known, children = observed.running, observed.children
    if known is not None and known.hash == running_hash(children):
        return known
    record = observed.credentials.record
    return Running.found(children, config, None if record is None else record.declared)


def _stop_reason(spec: TradingBotSpec, observed: Observed, open_hours: Hours) -> Reason | None:
    if spec.paused:
        return Reason.PAUSED
    if observed.risk is not None and observed.risk.halt is not None:
        return Reason.HALTED
    children = observed.children
    if any(UNREADABLE in (child or ()) for child in (children.config_map, children.deployment)):
        return Reason.UNREADABLE  # what runs, and with which limits, is not known
    if observed.credentials.problem is not None:
        return observed.credentials.problem
    return None if open_hours.open else Reason.OFF_HOURS


def _adoption(bot: Bot, observed: Observed, template: JsonObject, hash_: str) -> Reason | None:
    """Return ADOPTING if pods have to be gone before the declared Deployment is applied.

    Two pods would each use the whole limit. That could happen with:
    - pods left by a Deployment that is gone, which have another restart hash;
    - a Deployment that has to be deleted and created again (`must_replace`);
    - an unowned Deployment, such as one from a backup, with another template.
    """
    if any(pod.going is None and pod.restart_hash != hash_ for pod in observed.pods.left):
        return Reason.ADOPTING
    live = observed.children.deployment
    if live is None or has_stopped(observed):
        return None
    wanted = manifests.deployment(bot, template=template, replicas=1)
    if must_replace(live, observed.overrides.expected(wanted, live)):
        return Reason.ADOPTING
    if "Deployment" not in observed.adoptable:
        return None
    found = (live.get("spec") or {}).get("template")
    drift = differences_of(template, found, POD_TEMPLATE, ("spec", "template"))
    excused = all(observed.overrides.excuses("Deployment", change) for change in drift)
    return None if excused else Reason.ADOPTING


def _waiting(
    bot: Bot, spec: TradingBotSpec, observed: Observed, *, hash_: str, causes: tuple[str, ...]
) -> Waiting | None:
    """Return why a running bot is not restarted now for a change; None if nothing waits."""
    if spec.update_policy is UpdatePolicy.IMMEDIATE or bot.meta.annotations.get(ROLLOUT) == hash_:
        return None
    approve = (
        f"kubectl annotate tradingbot {bot.meta.name} -n {bot.meta.namespace}"
        f" {ROLLOUT}={hash_} --overwrite"
    )
    restart = f"restart the bot for a change of {', '.join(causes)}"
    if spec.update_policy is UpdatePolicy.MANUAL:
        return Waiting(
            Reason.AWAITING_APPROVAL,
            f"Waiting for approval to {restart}; to approve it: {approve}",
        )
    live = spec.mode is Mode.LIVE or _runs_live(observed.children)
    return _until_flat(observed, live=live, restart=restart, approve=approve)


def _until_flat(observed: Observed, *, live: bool, restart: str, approve: str) -> Waiting | None:
    """Return why the bot does not count as flat (without open positions), None if it does.

    Unknown positions count as none in Paper and as open in Live, where a restart in the middle of a
    trade can cost more than the change is worth. Until an operator that has just started has polled
    the bot once, they count as open in both.
    """
    risk = observed.risk
    positions = risk.open_positions if risk is not None else None
    unasked = risk is not None and risk.is_unpolled and running_pod(observed) is not None
    waits = f"Waiting until the bot is flat to {restart}"
    if positions is None and (live or unasked):
        return Waiting(
            Reason.POSITIONS_UNKNOWN,
            f"{waits}; its positions are unknown; to restart it now: {approve}",
        )
    if positions:
        return Waiting(
            Reason.POSITIONS_OPEN, f"{waits}; it has open positions; to restart it now: {approve}"
        )
    return None


def _runs_live(children: Children) -> bool:
    running = manifests.Config.stored(children.config_map)
    return running is not None and running.body.get("mode") == Mode.LIVE


def stopped_deployment(bot: Bot, children: Children) -> tuple[JsonObject, ...]:
    """Return the live Deployment with 0 replicas: all that is applied without a valid spec."""
    if children.deployment is None or UNREADABLE in children.deployment:
        return ()
    template = without_guarded_fields(children.deployment["spec"]["template"])
    return (manifests.deployment(bot, template=template, replicas=0),)
