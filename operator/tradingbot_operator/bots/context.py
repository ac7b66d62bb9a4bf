"""The context of a reconcile: its dependencies, and what is remembered between reconciles."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import CHILD_KINDS
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.overrides import Overrides
from tradingbot_operator.bots.children.surroundings import DEFAULT, Surroundings
from tradingbot_operator.bots.credentials import Secrets
from tradingbot_operator.bots.entry_grants.grants import Grants
from tradingbot_operator.bots.observed import Running
from tradingbot_operator.bots.registry_sync import BotAssets
from tradingbot_operator.bots.replica_sets import ReplicaSets
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesApi
from tradingbot_operator.cluster.events import Recorder
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.risk.daily_loss import Halt, Polls
from tradingbot_operator.settings import OperatorSettings


class ReconcileError(Exception):
    """Raised after a reconcile did what it could, so that it is retried after a pause."""


@dataclass(frozen=True)
class Correction:
    """A child that was restored, until the next observation shows whether that holds."""

    change: str
    """What others had done to it: `changed` or `deleted`."""
    paths: tuple[str, ...]
    """The fields that were restored; none for a child that was deleted."""
    made: datetime


@dataclass
class Memory:
    """What is remembered of one bot and is not, or not yet, in its status."""

    stopping_since: datetime | None = None
    """Since when the bot must stop and has not."""
    stop_tried: datetime | None = None
    """When the last attempt at the stop was made."""
    stop_refusals: tuple[str, ...] = ()
    """The errors of that attempt."""
    blocked: bool = False
    """Whether the stop is blocked, for the gauge of blocked stops."""
    halt: Halt | None = None
    """A halt that could not be written to the status yet."""
    overrides: Overrides | None = None
    """The fields that admission of others changes; None until they are read from the status."""
    corrections: dict[str, Correction] = field(default_factory=dict)
    """By kind, the corrections that no observation has confirmed yet."""
    reported: str = ""
    """The last failure that was reported, so that it is reported once."""


@dataclass(frozen=True)
class Context:
    """The dependencies of a reconcile; a test passes others."""

    api: KubernetesApi
    store: Store
    recorder: Recorder
    assets: BotAssets
    settings: OperatorSettings
    clock: Callable[[], datetime]
    request_sync: Callable[[NamespacedName], None]
    polls: Polls
    metrics: Metrics
    replica_sets: ReplicaSets
    secrets: Secrets
    grants: Grants
    again_in: Callable[[NamespacedName, float], None] = lambda _key, _seconds: None
    """Requeue a bot: reconcile it after that many seconds, or sooner."""
    surroundings: Surroundings = DEFAULT
    """What bots' children depend on in the cluster."""
    declared: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Digest of the manifest that was last declared for each child, by kind and bot.

    If a child differs from its manifest and the digest does not, somebody else changed it."""
    running: dict[NamespacedName, Running] = field(default_factory=dict)
    """What each bot runs with, as it was declared."""
    memories: dict[NamespacedName, Memory] = field(default_factory=dict)

    def read(self, body: JsonObject, *, now: datetime) -> Bot:
        """Parse a stored TradingBot."""
        return Bot.read(body, now=now, strategy_images=self.settings.strategy_images)

    def memory(self, key: NamespacedName) -> Memory:
        """Return what is remembered of a bot, to be changed."""
        return self.memories.setdefault(key, Memory())

    def recall(self, key: NamespacedName) -> Memory:
        """Return what is remembered of a bot, only to be read: most bots need no entry."""
        return self.memories.get(key) or Memory()

    def forget(self, key: NamespacedName) -> None:
        """Forget a bot that is gone."""
        for kind in CHILD_KINDS:
            self.declared.pop((kind, *key), None)
        self.running.pop(key, None)
        self.memories.pop(key, None)
        self.assets.forget(key)
        self.polls.unsubscribe(key)
        self.replica_sets.forget(key)
        self.secrets.drop(key)
        self.grants.drop(key)
