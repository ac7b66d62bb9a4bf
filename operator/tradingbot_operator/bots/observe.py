"""Observe a bot: its children and their pods, and what is known of its Secret."""

from dataclasses import dataclass
from enum import Enum

from tradingbot_api.model import JsonObject

from tradingbot_operator import BOT_LABEL, CHILD_KINDS, MANAGED_BY, UNREADABLE
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.children.storage_claim import belongs_to
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.credential_values import ADVICE
from tradingbot_operator.bots.credentials_record import Record
from tradingbot_operator.bots.observed import Children, Credentials, Observed, Refusal
from tradingbot_operator.bots.pods import Pods, controller_of, sort_pods
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.reading.trimming import child_name
from tradingbot_operator.reasons import Reason


class Ownership(Enum):
    """Whom a child with the bot's name belongs to."""

    OURS = "ours"
    ADOPTABLE = "adoptable"
    """It has our labels for this bot and no controller: restored from a backup, or orphaned."""
    FOREIGN = "foreign"


def ownership(bot: Bot, child: JsonObject) -> Ownership:
    """Return whom a child belongs to, by the rules of Kubernetes' own controllers."""
    owner = controller_of(child)
    if owner is not None:
        return Ownership.OURS if owner.get("uid") == bot.meta.uid else Ownership.FOREIGN
    if belongs_to(child, bot.meta.uid):
        return Ownership.OURS
    labels = child["metadata"].get("labels") or {}
    ours = {**MANAGED_BY, BOT_LABEL: bot.meta.name}
    if "deletionTimestamp" in child["metadata"]:
        return Ownership.FOREIGN
    adoptable = ours.items() <= labels.items() or _selects_pods_of(bot, child)
    return Ownership.ADOPTABLE if adoptable else Ownership.FOREIGN


def unless_foreign(bot: Bot, child: JsonObject | None) -> JsonObject | None:
    """Return a child if it is the bot's or may be adopted, None if it is somebody else's."""
    if child is None or ownership(bot, child) is Ownership.FOREIGN:
        return None
    return child


def _selects_pods_of(bot: Bot, child: JsonObject) -> bool:
    """Return whether a child is a Deployment that was created for the bot, whatever its labels.

    A user can remove the labels of a Deployment, but nobody can change its selector.
    """
    if child.get("kind") != "Deployment":
        return False
    selector = (child.get("spec") or {}).get("selector")
    return bool(selector == {"matchLabels": manifests.selector(bot)})


@dataclass(frozen=True)
class _Found:
    """The children as they were found."""

    children: Children
    deployment: JsonObject | None
    """The Deployment with the bot's name, also one that is not the bot's."""
    conflicts: tuple[str, ...]
    adoptable: frozenset[str]
    unreadable: tuple[Refusal, ...]


async def observe(context: Context, bot: Bot, *, trust_watches: bool = True) -> Observed:
    """Observe the bot's children, its pods and its Secret as they are now.

    The watches select objects by our label, so a child that is not in the cache is read from the
    API server: it may exist without the label. For a bot without any object in the cache the reads
    are saved: it is new, and its children are created, which is a conflict if one exists.
    """
    found = await _children(context, bot, trust_watches=trust_watches)
    children = found.children
    unread = None
    try:
        pods = await observe_pods(context, bot, found.deployment)
    except KubernetesError as error:
        pods = await observe_pods(context, bot, found.deployment, must_know=False)
        unread = error
    return Observed(
        children=children,
        credentials=await _credentials(context, bot, children),
        conflicts=found.conflicts,
        adoptable=found.adoptable,
        refusals=found.unreadable,
        pods=pods,
        pods_unread=unread,
        config_unread=any(refusal.kind == "ConfigMap" for refusal in found.unreadable),
    )


async def _children(context: Context, bot: Bot, *, trust_watches: bool) -> _Found:
    namespace, name = bot.key
    names = [(kind, child_name(kind, name)) for kind in CHILD_KINDS]
    shown = any(context.store.version(kind, namespace, child) for kind, child in names)
    shown = shown or bool(context.store.pods(*bot.key))
    wanted = manifests.declared_kinds(bot.spec)
    found: list[JsonObject | None] = []
    named: dict[str, JsonObject | None] = {}
    conflicts, adoptable, unreadable = [], set(), []
    for kind, called in names:
        child = None
        if kind not in wanted:
            # One that was declared before; others may have any object of its name.
            child = context.store.get(kind, namespace, called)
            if child is not None and ownership(bot, child) is not Ownership.OURS:
                child = None
        elif shown or not trust_watches:
            fresh = not trust_watches
            try:
                child = await child_of(context, kind, namespace, called, fresh=fresh)
            except KubernetesError as error:
                if kind == "Deployment":
                    raise
                # A stop needs only the Deployment, so another unreadable child is just reported.
                unreadable.append(Refusal(kind, called, str(error)))
        named[kind] = child
        whose = ownership(bot, child) if child is not None else Ownership.OURS
        if whose is Ownership.FOREIGN:
            conflicts.append(f"{kind} {called}")
            child = None
        elif whose is Ownership.ADOPTABLE:
            adoptable.add(kind)
        if child is not None and UNREADABLE in child:
            problem = f"the object cannot be read: {child[UNREADABLE]}"
            unreadable.append(Refusal(kind, called, problem))
        found.append(child)
    return _Found(
        Children(*found),
        named["Deployment"],
        tuple(conflicts),
        frozenset(adoptable),
        tuple(unreadable),
    )


async def child_of(
    context: Context, kind: str, namespace: str, name: str, *, fresh: bool = False
) -> JsonObject | None:
    """Return the object of that name with any owner, from the cache unless it must be `fresh`."""
    known = None if fresh else context.store.get(kind, namespace, name)
    return known or await context.api.get(kind, namespace, name)


async def observe_pods(
    context: Context, bot: Bot, deployment: JsonObject | None, *, must_know: bool = True
) -> Pods:
    """Return the pods in the cache that have the bot's labels, sorted by whom they belong to.

    `deployment` is the one with the bot's name and any owner. With `must_know`, raises
    KubernetesError if the ReplicaSet of a pod could not be read.
    """
    found = context.store.pods(*bot.key)
    return await sorted_pods(context, bot, deployment, found, must_know=must_know)


async def sorted_pods(
    context: Context,
    bot: Bot,
    deployment: JsonObject | None,
    found: list[JsonObject],
    *,
    must_know: bool = True,
) -> Pods:
    """Sort pods like `observe_pods`, but those that were `found` by the caller."""
    if not found:
        return Pods()
    uid = str(deployment["metadata"].get("uid", "")) if deployment is not None else None
    owners = await context.replica_sets.owners(bot.key, found, uid, must_know=must_know)
    ours = deployment is None or unless_foreign(bot, deployment) is not None
    return sort_pods(found, bot=bot.meta.name, deployment=uid, owners=owners, ours=ours)


async def _credentials(context: Context, bot: Bot, children: Children) -> Credentials:
    if bot.spec is None:
        return Credentials()
    exchange, name = bot.spec.exchange, bot.spec.exchange.api_key_secret
    needed = tuple(manifests.credential_keys(exchange).values())
    recorded = Record.read(children.deployment, name)
    try:
        found = await context.secrets.observe(bot.key, name, needed, recorded)
    except KubernetesError as error:
        return Credentials(unread=error, record=recorded)
    if found is None:
        return Credentials(
            problem=Reason.SECRET_NOT_FOUND,
            message=f'Secret "{name}" not found; the bot starts after it is created',
        )
    flawed = found.facts.flaws
    for key in needed:
        if key in flawed:
            return Credentials(
                version=found.record.revision,
                problem=flawed[key],
                message=f'Key "{key}" of Secret "{name}" {ADVICE[flawed[key]]}',
            )
        if not found.facts.has([key]):
            return Credentials(
                version=found.record.revision,
                problem=Reason.KEY_NOT_FOUND,
                message=f'Secret "{name}" has no key "{key}"; the bot starts after it is added',
            )
    return Credentials(version=found.record.revision, record=found.record)
