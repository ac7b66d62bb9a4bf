"""A bot's reconcile and cleanup: look, decide, apply, report, say when to look again."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tradingbot_api.model import JsonObject

from tradingbot_operator import FINALIZER, desired
from tradingbot_operator.bot import Bot
from tradingbot_operator.bot_assets import BotAssets
from tradingbot_operator.drift import covers
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.plan import (
    Children,
    Credentials,
    Observed,
    Plan,
    Running,
    plan,
    running_since,
    stopped_deployment,
)
from tradingbot_operator.reasons import Reason
from tradingbot_operator.recorder import NORMAL, WARNING, Recorder, transitions
from tradingbot_operator.registry_client import RegistryError
from tradingbot_operator.risk import (
    Polls,
    Risk,
    Seen,
    Stored,
    Terms,
    Watch,
    assess,
    meaning,
    risk_status,
)
from tradingbot_operator.secrets import SecretFacts, Secrets
from tradingbot_operator.secrets import read as read_secret
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.status import TERMINATING, bot_status, merge_patch, phase_of
from tradingbot_operator.store import Store

POD_POLL = 0.5
POD_PATIENCE = desired.GRACE_SECONDS + 15
CONFLICT_RETRY = 15.0
SHORTEST_SECRET_RETRY, LONGEST_SECRET_RETRY = 1.0, 15.0

CHILD_KINDS = ("ConfigMap", "Deployment", "Service")

Key = tuple[str, str]


@dataclass(frozen=True)
class Context:
    """All that reconciling needs from outside."""

    api: KubernetesApi
    store: Store
    recorder: Recorder
    assets: BotAssets
    settings: OperatorSettings
    clock: Callable[[], datetime]
    tell_registry: Callable[[Key], None]
    polls: Polls
    metrics: Metrics
    secrets: Secrets | None = None
    """Looks after the bots' Secrets; without it each reconcile looks, and comes back to look."""
    declared: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Digest of the manifest that was last declared for each child, by kind and bot."""
    running: dict[Key, Running] = field(default_factory=dict)
    """What each bot runs with, as it was declared."""

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a bot that is gone."""
        for kind in CHILD_KINDS:
            self.declared.pop((kind, *key), None)
        self.running.pop(key, None)
        self.assets.forget(key)
        self.polls.drop(key)
        if self.secrets is not None:
            self.secrets.drop(key)


async def reconcile(context: Context, key: Key) -> float | None:
    """Make what is right of a bot come true; the seconds until it must be looked at again."""
    body = context.store.get("TradingBot", *key)
    if body is None:
        context.forget(key)
        return None
    now = context.clock()
    bot = Bot.read(body, now=now)
    if bot.deleting:
        return await clean_up(context, bot, body)
    body = await _with_finalizer(context, bot, body)
    seen = context.polls.seen(key)
    stored = Stored.read(bot.status)
    risk = _risk(context.settings, bot, stored, seen, now)
    if risk is not None and risk.halt not in {None, stored.halt}:
        body = await _latch(context, bot, risk)
        bot = replace(bot, status=body["status"])
    try:
        decision, observed = await _come_true(context, bot, body, risk, now)
    except KubernetesError as error:
        if not error.is_conflict:
            raise
        decision, observed = await _come_true(context, bot, body, risk, now, trust_watches=False)
    if decision.running is not None:
        context.running[key] = decision.running
    if bot.spec is not None and context.assets.want(
        bot, bot.spec, phase=phase_of(bot, decision, observed, now)
    ):
        context.tell_registry(key)
    bot = await _report(context, bot, body, decision, observed)
    _poll(context, bot, decision, observed.children, seen=seen, now=now)
    return _look_again_in(context, bot, decision, observed, now)


async def _come_true(
    context: Context,
    bot: Bot,
    body: JsonObject,
    risk: Risk | None,
    now: datetime,
    *,
    trust_watches: bool = True,
) -> tuple[Plan, Observed]:
    """Look, decide and apply; what was decided, and what there is now."""
    seen = await look(context, bot, trust_watches=trust_watches)
    observed = replace(seen, risk=risk, running=context.running.get(bot.key))
    decision = plan(bot, observed, now)
    if observed.credentials.unread is not None and decision.stop is None:
        # A bot that shall stop is stopped all the same; one that runs is left as it is.
        raise observed.credentials.unread
    return decision, await _apply(context, bot, body, decision, observed)


def _risk(
    settings: OperatorSettings, bot: Bot, stored: Stored, seen: Seen, now: datetime
) -> Risk | None:
    """Where a bot is in its trading day; None if its spec does not say what that is."""
    if bot.spec is None:
        return None
    every = timedelta(seconds=settings.risk_status_interval)
    return assess(Terms.of(bot.spec), stored, seen, now, figures_every=every)


async def _latch(context: Context, bot: Bot, risk: Risk) -> JsonObject:
    """Write the halt down before anything is done about it: what is not written can be lost."""
    block = merge_patch(bot.status.get("risk") or {}, risk_status(risk))
    patch = {"status": {"risk": block}}
    body = await context.api.merge("TradingBot", *bot.key, patch, subresource="status")
    context.store.put(body)
    context.metrics.halts.inc()
    return body


def _poll(
    context: Context, bot: Bot, decision: Plan, children: Children, *, seen: Seen, now: datetime
) -> None:
    """Ask a bot that runs for its risk, and come back when what it says means something new.

    That is: other than what was `seen` at `now`, which this reconcile has acted on.
    """
    since = running_since(children)
    if bot.spec is None or decision.stop is not None or since is None:
        context.polls.drop(bot.key)
        return
    # Kept for as long as the bot runs: nothing here may hold on to the whole of it.
    terms, stored = Terms.of(bot.spec), Stored.read(bot.status)
    every = timedelta(seconds=context.settings.risk_status_interval)

    def means(seen: Seen, now: datetime) -> Hashable:
        return meaning(assess(terms, stored, seen, now, figures_every=every), since, now)

    context.polls.watch(bot.key, Watch(terms.limit, meaning=means, known=means(seen, now)))


async def look(context: Context, bot: Bot, *, trust_watches: bool = True) -> Observed:
    """The bot's children and its Secret as they are now.

    The watches show only what carries our label, so what they have not shown is asked for. Not for
    a bot of which they have shown nothing at all: it is new, and its children are applied as new
    ones, which is a conflict where there is something of that name.
    """
    namespace, name = bot.key
    names = (("ConfigMap", f"{name}-config"), ("Deployment", name), ("Service", name))
    shown = any(context.store.version(kind, namespace, child) for kind, child in names)
    found: list[JsonObject | None] = []
    conflicts = []
    for kind, child_name in names:
        child = None
        if shown or not trust_watches:
            child = await _child(context, kind, namespace, child_name)
        if child is not None and not _owned(bot, child):
            conflicts.append(f"{kind} {child_name}")
            child = None
        found.append(child)
    children = Children(*found)
    return Observed(
        children=children,
        credentials=await _look_for_credentials(context, bot, children),
        conflicts=tuple(conflicts),
    )


async def _child(context: Context, kind: str, namespace: str, name: str) -> JsonObject | None:
    """The object of that name, whosever it is; the watches show only what carries our label."""
    known = context.store.get(kind, namespace, name)
    return known or await context.api.get(kind, namespace, name)


def _owned(bot: Bot, child: JsonObject) -> bool:
    owners = child["metadata"].get("ownerReferences") or []
    return any(one.get("controller") and one.get("uid") == bot.meta.uid for one in owners)


async def _look_for_credentials(context: Context, bot: Bot, children: Children) -> Credentials:
    if bot.spec is None:
        return Credentials()
    exchange, name = bot.spec.exchange, bot.spec.exchange.api_key_secret
    needed = (exchange.api_key_path, exchange.api_secret_path)
    try:
        if context.secrets is not None:
            recorded = SecretFacts.recorded(children.deployment, name)
            secret = await context.secrets.look(bot.key, name, needed, recorded)
        else:
            secret = await read_secret(context.api, bot.meta.namespace, name)
    except KubernetesError as error:
        return Credentials(unread=error)
    if secret is None:
        return Credentials(
            problem=Reason.SECRET_NOT_FOUND,
            message=f'Secret "{name}" not found; the bot starts once it exists',
        )
    for key in needed:
        if key not in secret.keys:
            return Credentials(
                version=secret.version,
                problem=Reason.KEY_NOT_FOUND,
                message=f'Secret "{name}" has no key "{key}"; the bot starts once it has',
            )
    return Credentials(version=secret.version, record=secret.record(name, needed))


async def _with_finalizer(context: Context, bot: Bot, body: JsonObject) -> JsonObject:
    """The bot with our finalizer, so that its deletion waits until its pod has gone."""
    if FINALIZER in bot.meta.finalizers:
        return body
    return await _set_finalizers(context, bot, [*bot.meta.finalizers, FINALIZER])


async def _set_finalizers(context: Context, bot: Bot, finalizers: list[str]) -> JsonObject:
    # The resource version makes the API server refuse if somebody else's has come in between.
    metadata = {"finalizers": finalizers, "resourceVersion": bot.meta.resource_version}
    body = await context.api.merge("TradingBot", *bot.key, {"metadata": metadata})
    context.store.put(body)
    return body


async def _apply(
    context: Context, bot: Bot, body: JsonObject, decision: Plan, observed: Observed
) -> Observed:
    """Apply what differs, and only that.

    A child that differs though nothing else is declared than last time was changed by somebody.
    """
    children = observed.children
    live = {
        "ConfigMap": children.config_map,
        "Deployment": children.deployment,
        "Service": children.service,
    }
    for manifest in decision.manifests:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        before, declared = live[kind], desired.digest(manifest)
        if before is None or not covers(before, manifest):
            if kind == "Deployment" and "rollingUpdate" in _strategy(before):
                await context.api.merge(kind, *bot.key, desired.NO_ROLLING_UPDATE)
            applied = await context.api.apply(manifest, new=before is None)
            live[kind] = {"kind": kind, **applied}
            context.store.put(live[kind] or manifest)
            if context.declared.get((kind, *bot.key)) == declared:
                what = "changed" if before is not None else "deleted"
                event = (NORMAL, "DriftCorrected", f"{kind} {name} was {what} and is mended")
                await context.recorder.post(body, event, context.clock())
        context.declared[(kind, *bot.key)] = declared
    return replace(
        observed, children=Children(live["ConfigMap"], live["Deployment"], live["Service"])
    )


def _strategy(deployment: JsonObject | None) -> JsonObject:
    return ((deployment or {}).get("spec") or {}).get("strategy") or {}


async def _report(
    context: Context, bot: Bot, body: JsonObject, decision: Plan, observed: Observed
) -> Bot:
    """Write the status if it says anything new, and an event for each transition; the bot then."""
    now = context.clock()
    known = context.assets.state(bot.key, before=bot.status.get("conditions") or ())
    status = bot_status(bot, decision, observed, known, now)
    if status == bot.status:
        return bot
    patch = {"status": merge_patch(bot.status, status)}
    written = await context.api.merge("TradingBot", *bot.key, patch, subresource="status")
    context.store.put(written)
    for event in transitions(bot.status, status):
        await context.recorder.post(body, event, now)
    return replace(bot, status=status)


def _look_again_in(
    context: Context, bot: Bot, decision: Plan, observed: Observed, now: datetime
) -> float | None:
    """Seconds until something may have changed that no watch tells of."""
    if decision.stop is Reason.INVALID_SPEC:
        return None
    waits = []
    if context.secrets is None or observed.credentials.unread is not None:
        waits.append(context.settings.credentials_interval)
    if observed.risk is not None:
        waits.append(max(0.0, (observed.risk.day.ends - now).total_seconds()))
    if decision.stop is Reason.NAME_CONFLICT:
        waits.append(CONFLICT_RETRY)
    if decision.stop in {Reason.SECRET_NOT_FOUND, Reason.KEY_NOT_FOUND}:
        waits.append(_secret_retry(bot, now))
    if decision.hours is not None and decision.hours.next_transition is not None:
        waits.append(max(0.0, (decision.hours.next_transition - now).total_seconds()))
    return min(waits, default=None)


def _secret_retry(bot: Bot, now: datetime) -> float:
    """Often at first, then less: a fifth of the time that it has been missing for."""
    for condition in bot.status.get("conditions") or ():
        if condition.get("type") == "CredentialsReady" and condition.get("status") == "False":
            since = datetime.fromisoformat(condition["lastTransitionTime"])
            missing = (now - since).total_seconds() / 5
            return min(max(missing, SHORTEST_SECRET_RETRY), LONGEST_SECRET_RETRY)
    return SHORTEST_SECRET_RETRY


async def clean_up(context: Context, bot: Bot, body: JsonObject) -> float | None:
    """Stop the bot, wait for its pod to go, take it out of the registry, let it be deleted."""
    if FINALIZER not in bot.meta.finalizers:
        return None
    now = context.clock()
    asked = datetime.fromisoformat(bot.meta.deletion_timestamp or "")
    waited = (now - asked).total_seconds()
    context.polls.drop(bot.key)
    await _stop(context, bot)
    if bot.status.get("phase") != TERMINATING:
        patch = {"status": {"phase": TERMINATING}}
        body = await context.api.merge("TradingBot", *bot.key, patch, subresource="status")
        context.store.put(body)
        bot = Bot.read(body, now=now)
    warnings = []
    if await _has_pods(context, bot):
        if waited < POD_PATIENCE:
            return POD_POLL
        message = f"a pod is still there after {POD_PATIENCE} s; going on"
        warnings.append((WARNING, "PodStuck", message))
    try:
        await context.assets.remove(bot)
    except RegistryError as error:
        if waited < context.settings.cleanup_timeout:
            raise
        message = f"the asset was not removed: {error}"
        warnings.append((WARNING, "AssetLeftBehind", message))
    await _set_finalizers(context, bot, [one for one in bot.meta.finalizers if one != FINALIZER])
    for warning in warnings:
        await context.recorder.post(body, warning, now)
    return None


async def _stop(context: Context, bot: Bot) -> None:
    deployment = await _child(context, "Deployment", *bot.key)
    if deployment is None or not _owned(bot, deployment):
        return
    for manifest in stopped_deployment(bot, Children(deployment=deployment)):
        if not covers(deployment, manifest):
            context.store.put({"kind": "Deployment", **await context.api.apply(manifest)})


async def _has_pods(context: Context, bot: Bot) -> bool:
    async for _ in context.api.items(
        "Pod", namespace=bot.meta.namespace, labels=desired.selector(bot)
    ):
        return True
    return False
