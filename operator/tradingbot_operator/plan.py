"""What to do about a bot: a pure function of its spec, the time, and what was observed."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import Mode, TradingBotSpec, UpdatePolicy

from tradingbot_operator import RESTART_HASH, ROLLOUT, desired
from tradingbot_operator.bot import Bot
from tradingbot_operator.hours import Hours, hours
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk import Risk


@dataclass(frozen=True)
class Credentials:
    """What is known of a bot's Secret: its version and whether its keys exist, never a value."""

    version: str = ""
    problem: Reason | None = None
    message: str = ""
    unread: Exception | None = None
    """Why the Secret could not be looked at, so that nothing is known of it."""
    record: str | None = None
    """What the Deployment shall say of a Secret that has all that the bot needs."""


@dataclass(frozen=True)
class Children:
    """The live children, None where there is none."""

    config_map: JsonObject | None = None
    deployment: JsonObject | None = None
    service: JsonObject | None = None


@dataclass(frozen=True)
class Running:
    """What a bot runs with while a change waits, as it was declared.

    Packed, since one is remembered for each bot, and hardly ever asked for.
    """

    hash: str
    packed: bytes

    @classmethod
    def of(cls, template: JsonObject, config: desired.Config, hash_: str) -> "Running":
        """What is declared now, to be remembered."""
        return cls(hash_, zlib.compress(to_json([template, config.body]), level=1))

    @classmethod
    def found(cls, children: Children, declared: desired.Config) -> "Running":
        """The same as far as the live children tell, for an operator that has just started."""
        template = (children.deployment or {})["spec"]["template"]
        config = desired.Config.stored(children.config_map) or declared
        return cls.of(template, config, running_hash(children) or "")

    def unpacked(self) -> tuple[JsonObject, desired.Config]:
        """The pod's template and the configuration."""
        template, body = from_json(zlib.decompress(self.packed))
        return template, desired.Config(body)


@dataclass(frozen=True)
class Observed:
    """What was found in the cluster, and what was said of the registry."""

    children: Children
    credentials: Credentials
    conflicts: tuple[str, ...] = ()
    """Children of the bot's names that it does not own, as `Kind name`."""
    risk: Risk | None = None
    """Where the bot is in its trading day; None if its spec is invalid."""
    running: Running | None = None
    """What was declared for the bot last, None if that is not known."""


@dataclass(frozen=True)
class Waiting:
    """Why a change that needs a restart has not reached the bot yet."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Plan:
    """What the children shall be, and the facts that the status reports."""

    manifests: tuple[JsonObject, ...]
    stop: Reason | None
    """Why the bot does not run, if it shall not."""
    waiting: Waiting | None = None
    hours: Hours | None = None
    config_hash: str | None = None
    running: Running | None = None
    """What the bot runs with once this is applied."""


def plan(bot: Bot, observed: Observed, now: datetime) -> Plan:
    """The children that `bot` shall have at `now`."""
    if bot.spec is None:
        return Plan(stopped_deployment(bot, observed.children), stop=Reason.INVALID_SPEC)
    if observed.conflicts:
        # What is the bot's own trades no longer, whatever it is that it can't have.
        return Plan(
            stopped_deployment(bot, observed.children),
            stop=Reason.NAME_CONFLICT,
            hours=hours(bot.spec.schedule, now),
        )
    spec, open_hours = bot.spec, hours(bot.spec.schedule, now)
    stop = _stop_reason(spec, observed, open_hours)
    config = desired.Config.declared(bot, spec)
    template, hash_ = desired.pod_template(bot, spec, observed.credentials.version)
    waiting = None if stop else _waiting(bot, spec, observed, hash_=hash_)
    running, applied = Running.of(template, config, hash_), config
    if waiting is not None:
        running = _still_running(observed, config)
        template, before = running.unpacked()
        applied = config.keeping_restart_parts_of(before)
    config_map = desired.config_map(bot, applied)
    deployment = desired.deployment(
        bot,
        template=template,
        replicas=0 if stop else 1,
        credentials=observed.credentials.record,
    )
    others = (config_map, desired.service(bot))
    return Plan(
        # A stop waits for nothing; a start finds all that it needs.
        (deployment, *others) if stop else (*others, deployment),
        stop=stop,
        waiting=waiting,
        hours=open_hours,
        config_hash=config.hash,
        running=running,
    )


def _still_running(observed: Observed, config: desired.Config) -> Running:
    """What was declared before the change that waits, so that edits by hand are mended too."""
    known, children = observed.running, observed.children
    if known is not None and known.hash == running_hash(children):
        return known
    return Running.found(children, config)


def _stop_reason(spec: TradingBotSpec, observed: Observed, open_hours: Hours) -> Reason | None:
    if spec.paused:
        return Reason.PAUSED
    if observed.risk is not None and observed.risk.halt is not None:
        return Reason.HALTED
    if observed.credentials.problem is not None:
        return observed.credentials.problem
    return None if open_hours.open else Reason.OUTSIDE_HOURS


def _waiting(bot: Bot, spec: TradingBotSpec, observed: Observed, *, hash_: str) -> Waiting | None:
    """Why a running bot is not restarted now for what has changed, or None if it may be."""
    children = observed.children
    if running_hash(children) in {None, hash_} or not replicas(children):
        return None
    if spec.update_policy is UpdatePolicy.IMMEDIATE:
        return None
    approve = (
        f"kubectl annotate tradingbot {bot.meta.name} -n {bot.meta.namespace}"
        f" {ROLLOUT}={hash_} --overwrite"
    )
    if bot.meta.annotations.get(ROLLOUT) == hash_:
        return None
    if spec.update_policy is UpdatePolicy.MANUAL:
        return Waiting(
            Reason.AWAITING_APPROVAL, f"a change that needs a restart waits for: {approve}"
        )
    live = spec.mode is Mode.LIVE or _runs_live(children)
    return _until_flat(observed, live=live, approve=approve)


def _until_flat(observed: Observed, *, live: bool, approve: str) -> Waiting | None:
    """Why the bot does not count as flat, or None if it does.

    Unknown positions count as none in Paper and as some in Live, where a restart in the middle of a
    trade can cost more than the change is worth. They are not unknown before the bot was asked.
    """
    risk = observed.risk
    positions = risk.open_positions if risk is not None else None
    unasked = risk is not None and risk.is_unasked and is_available(observed.children)
    waits = "a change that needs a restart waits until the bot is flat"
    if positions is None and (live or unasked):
        return Waiting(
            Reason.POSITIONS_UNKNOWN,
            f"{waits}, and its positions are unknown; to restart it now: {approve}",
        )
    if positions:
        return Waiting(
            Reason.POSITIONS_OPEN, f"{waits}: it has open positions; to restart it now: {approve}"
        )
    return None


def is_available(children: Children) -> bool:
    """Whether the Deployment has a pod available, and of its template as last declared."""
    deployment = children.deployment or {}
    status = deployment.get("status") or {}
    generation = (deployment.get("metadata") or {}).get("generation")
    if status.get("observedGeneration") != generation:
        return False
    # In a rollout the old pod still counts as available until it has gone.
    return bool(status.get("updatedReplicas") and status.get("availableReplicas"))


def running_since(children: Children) -> datetime | None:
    """When the bot's pod became available, None if it is not."""
    if not is_available(children):
        return None
    for condition in (children.deployment or {})["status"].get("conditions") or ():
        if condition.get("type") == "Available" and condition.get("status") == "True":
            return datetime.fromisoformat(condition["lastTransitionTime"])
    return datetime.min.replace(tzinfo=UTC)


def running_hash(children: Children) -> str | None:
    """The restart hash that the live pod template carries."""
    try:
        template = (children.deployment or {})["spec"]["template"]
        return str(template["metadata"]["annotations"][RESTART_HASH])
    except (KeyError, TypeError):
        return None


def replicas(children: Children) -> int:
    """How many pods the live Deployment asks for."""
    return int(((children.deployment or {}).get("spec") or {}).get("replicas") or 0)


def _runs_live(children: Children) -> bool:
    running = desired.Config.stored(children.config_map)
    return running is not None and running.body.get("mode") == Mode.LIVE


def stopped_deployment(bot: Bot, children: Children) -> tuple[JsonObject, ...]:
    """The live Deployment with no pods: what an invalid spec or a deletion leaves of a bot."""
    if children.deployment is None:
        return ()
    template = children.deployment["spec"]["template"]
    return (desired.deployment(bot, template=template, replicas=0),)
