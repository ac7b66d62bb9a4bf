"""What is observed of a bot: its children, its pods, and what is known of its Secret."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject

from tradingbot_operator import RESTART_HASH, UNREADABLE
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.children.drift import without_guarded_fields
from tradingbot_operator.bots.children.overrides import Overrides
from tradingbot_operator.bots.credentials_record import Record
from tradingbot_operator.bots.pods import BotPod, Pods
from tradingbot_operator.reasons import Reason
from tradingbot_operator.risk.daily_loss import Risk


@dataclass(frozen=True)
class Credentials:
    """What is known of a bot's Secret: whether its keys exist, and a name for their values."""

    version: str = ""
    """The revision of the values (see `Record`), never a value."""
    problem: Reason | None = None
    message: str = ""
    unread: Exception | None = None
    """Why the Secret could not be read, so that nothing is known of it."""
    record: Record | None = None
    """What the Deployment records of a Secret that has all keys that the bot needs."""


@dataclass(frozen=True)
class Children:
    """The live children; None for one that does not exist or belongs to somebody else."""

    config_map: JsonObject | None = None
    deployment: JsonObject | None = None
    service: JsonObject | None = None
    claim: JsonObject | None = None
    network_policy: JsonObject | None = None

    def existing(self) -> Iterator[JsonObject]:
        """Iterate over the children that exist, in the order of CHILD_KINDS."""
        found = (
            self.config_map,
            self.deployment,
            self.service,
            self.claim,
            self.network_policy,
        )
        return (child for child in found if child is not None)


@dataclass(frozen=True)
class Refusal:
    """A child that could not be read or applied, and the answer of the API server."""

    kind: str
    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.message}"


@dataclass(frozen=True)
class Running:
    """What the operator declared for a bot last, and so what the bot runs with.

    While a change waits for a restart, this is declared again. The live objects are not enough for
    that: they may have been edited by hand. Compressed, since the operator keeps one for each bot
    and rarely needs it.
    """

    hash: str
    packed: bytes
    revision: str | None = None
    """The revision of the credentials (see `Record`), None if it is not known."""
    is_declared: bool = True
    """Whether the template is as the operator declared it, without fields of others."""

    @classmethod
    def of(
        cls,
        template: JsonObject,
        config: manifests.Config,
        hash_: str,
        revision: str | None = None,
        *,
        is_declared: bool = True,
    ) -> "Running":
        """Pack what is declared now."""
        packed = zlib.compress(to_json([template, config.body]), level=1)
        return cls(hash_, packed, revision, is_declared)

    @classmethod
    def found(
        cls, children: Children, declared: manifests.Config, revision: str | None
    ) -> "Running":
        """Pack what the live children have: an operator that has just started knows no more."""
        template = without_guarded_fields((children.deployment or {})["spec"]["template"])
        config = manifests.Config.stored(children.config_map) or declared
        return cls.of(template, config, running_hash(children) or "", revision, is_declared=False)

    def unpacked(self) -> tuple[JsonObject, manifests.Config]:
        """Return the pod template and the configuration."""
        template, body = from_json(zlib.decompress(self.packed))
        return template, manifests.Config(body)


@dataclass(frozen=True)
class Observed:
    """All that `plan` decides by besides the spec and the time, and the status reports."""

    children: Children
    credentials: Credentials
    conflicts: tuple[str, ...] = ()
    """Objects of others with the names of the bot's children, as `Kind name`."""
    risk: Risk | None = None
    """The loss and the halt of the current trading day; None if the spec is invalid."""
    running: Running | None = None
    """What was declared for the bot last, None if it is not known."""
    pods: Pods = field(default_factory=Pods)
    pods_unread: Exception | None = None
    """Why the owner of a pod could not be read; None if all are known."""
    config_unread: bool = False
    """Whether the ConfigMap, which may record a halt, could not be read."""
    adoptable: frozenset[str] = frozenset()
    """Kinds of the children that have the bot's labels and no owner."""
    overrides: Overrides = field(default_factory=Overrides)
    """The fields of children that admission of others changes on every write."""
    refusals: tuple[Refusal, ...] = ()
    """Children that could not be read or applied."""
    stop_refusals: tuple[str, ...] = ()
    """The errors of failed steps of a stop."""
    stopping_since: datetime | None = None
    """When the current stop began; None if the bot need not stop."""
    entries: str = ""
    """Why the gateway lets no entries through, if the operator grants none."""
    was_blocked: bool = False
    """Whether the status reports that stop as blocked."""


def running_pod(observed: Observed) -> BotPod | None:
    """Return the pod that runs what was declared last, None if there is none."""
    pod = observed.pods.current
    if pod is None or pod.started is None or not pod.ready or pod.going is not None:
        return None
    return pod if pod.restart_hash == running_hash(observed.children) else None


def running_since(observed: Observed) -> datetime | None:
    """Return when the pod that trades now started, ready or not; None if no pod does."""
    pod = observed.pods.current
    return None if pod is None else pod.started


def has_stopped(observed: Observed) -> bool:
    """Return whether no pod of the bot is left and none can be created."""
    deployment = observed.children.deployment
    unread = deployment is not None and UNREADABLE in deployment
    return not observed.pods.to_stop and not unread and not replicas(observed.children)


def running_hash(children: Children) -> str | None:
    """Return the restart hash in the live pod template, None if there is none."""
    try:
        template = (children.deployment or {})["spec"]["template"]
        return str(template["metadata"]["annotations"][RESTART_HASH])
    except (KeyError, TypeError):
        return None


def replicas(children: Children) -> int:
    """Return the number of pods that the live Deployment requests."""
    return int(((children.deployment or {}).get("spec") or {}).get("replicas") or 0)
