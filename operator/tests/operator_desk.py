"""A bot, its Secret and an operator's context on a cluster in memory."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fake_cluster import FakeCluster, Fault
from operator_harness import NOW, SECRET, available, bot, bot_body, report
from tradingbot_api.model import JsonObject
from tradingbot_operator import desired
from tradingbot_operator.bot import Bot
from tradingbot_operator.bot_assets import BotAssets
from tradingbot_operator.kube import KubernetesError
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.reconcile import Context, reconcile
from tradingbot_operator.recorder import Recorder
from tradingbot_operator.registry_client import RegistryUnavailableError
from tradingbot_operator.risk import Seen, Watch
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.store import Store

KEY = ("desk", "arb")
BOT = ("TradingBot", *KEY)
DEPLOYMENT = ("Deployment", *KEY)
CONFIG_MAP = ("ConfigMap", "desk", "arb-config")
SERVICE = ("Service", *KEY)
SERVER_ERROR = KubernetesError(500, "InternalError", "etcd is away")
FORBIDDEN = KubernetesError(403, "Forbidden", "secrets are forbidden")
CREDENTIALS = {
    "kind": "Secret",
    "metadata": {"name": SECRET, "namespace": "desk"},
    "data": {"api-key": "VkFMVUU=", "api-secret": "VkFMVUU="},
}


class RemovalFails(BotAssets):
    """A registry that is down."""

    async def remove(self, bot: Bot) -> None:
        raise RegistryUnavailableError("the registry is down")


class Reports:
    """What the bots report, in place of a poller."""

    def __init__(self) -> None:
        self.watched: dict[tuple[str, str], Watch] = {}
        self.now: Seen = Seen()

    def watch(self, key: tuple[str, str], watch: Watch) -> None:
        self.watched[key] = watch

    def drop(self, key: tuple[str, str]) -> None:
        self.watched.pop(key, None)

    def seen(self, key: tuple[str, str]) -> Seen:
        """A bot that is not polled has said nothing."""
        return self.now if key in self.watched else Seen()


class Desk:
    """A cluster with a bot and its Secret, and an operator's context."""

    def __init__(self, spec: JsonObject | None = None, *, secret: bool = True) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(bot_body(spec))
        if secret:
            self.cluster.put(CREDENTIALS)
        self.now = NOW
        self.told: list[tuple[str, str]] = []
        self.reports = Reports()
        self.context = self.started()

    def started(self, assets: BotAssets | None = None) -> Context:
        """The context of an operator that has just started."""
        self.reports.watched.clear()
        return Context(
            api=self.cluster,
            store=Store(),
            recorder=Recorder(self.cluster),
            assets=assets or BotAssets(None, lambda _: None),
            settings=OperatorSettings(cleanup_timeout=60),
            clock=lambda: self.now,
            tell_registry=self.told.append,
            polls=self.reports,
            metrics=Metrics(),
        )

    async def reconcile(self) -> float | None:
        """One pass, after the watches have told of all."""
        self.cluster.tell(self.context.store)
        return await reconcile(self.context, KEY)

    async def settle(self) -> None:
        """Pass until nothing is written any more."""
        for _ in range(5):
            self.cluster.writes.clear()
            await self.reconcile()
            if not self.cluster.writes:
                return
        raise AssertionError(f"never settles: {self.cluster.writes}")

    async def run(self) -> None:
        """Settle with a pod that is available."""
        await self.settle()
        live = self.cluster.objects[DEPLOYMENT]
        live["metadata"]["generation"] = 1
        count = live["spec"]["replicas"]
        self.cluster.edit(
            *DEPLOYMENT,
            status={
                "observedGeneration": 1,
                "updatedReplicas": count,
                "availableReplicas": count,
                "conditions": [available(self.now)] if count else [],
            },
        )
        await self.settle()

    def reported(self, pnl: str = "0", **fields: Any) -> None:
        """The bot reports, now, if it is polled."""
        self.reports.now = Seen(report(pnl, at=self.now, **fields), received=self.now)

    def fail(self, verb: str, kind: str, error: KubernetesError = SERVER_ERROR) -> None:
        """Let the next such request fail."""
        self.cluster.faults = [Fault(verb, kind, error)]

    def meanwhile(self, verb: str, kind: str, what: Callable[[], None]) -> None:
        """Let something happen just before the next such request."""
        self.cluster.faults = [Fault(verb, kind, meanwhile=what)]

    def edit(self, **patch: Any) -> None:
        """What a user changes in the bot."""
        self.cluster.edit(*BOT, **patch)

    def delete(self) -> None:
        """What `kubectl delete` does to a bot with a finalizer."""
        self.edit(metadata={"deletionTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def pod(self) -> None:
        """A pod of the bot."""
        meta = {"name": "arb-1", "namespace": "desk", "labels": desired.selector(bot())}
        self.cluster.put({"kind": "Pod", "metadata": meta})

    @property
    def phase(self) -> str:
        return str(self.cluster.objects[BOT]["status"]["phase"])

    @property
    def replicas(self) -> int:
        return int(self.cluster.objects[DEPLOYMENT]["spec"]["replicas"])

    @property
    def secret_version(self) -> str:
        return str(self.cluster.objects["Secret", "desk", SECRET]["metadata"]["resourceVersion"])

    @property
    def bot_json(self) -> JsonObject:
        return dict(json.loads(self.cluster.objects[CONFIG_MAP]["data"]["bot.json"]))


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def drifted(desk: Desk, key: tuple[str, str, str], change: str) -> None:
    if change == "deleted":
        desk.cluster.delete(*key)
    elif change == "unlabelled":
        desk.cluster.edit(*key, metadata={"labels": None})
    elif key[0] == "ConfigMap":
        desk.cluster.edit(*key, data={"bot.json": "{}"})
    elif key[0] == "Deployment":
        desk.cluster.edit(*key, spec={"replicas": 5})
    else:
        desk.cluster.edit(*key, spec={"selector": {"app": "mine"}})


async def trading(spec: JsonObject | None = None) -> Desk:
    """A bot that runs, reports no loss, and has been reconciled for it."""
    desk = Desk(spec)
    await desk.run()
    desk.reported()
    await desk.settle()
    return desk


def condition(desk: Desk, type_: str) -> tuple[str, str]:
    """Status and reason of a condition of the bot."""
    conditions = desk.cluster.objects[BOT]["status"]["conditions"]
    (found,) = [one for one in conditions if one["type"] == type_]
    return found["status"], found["reason"]


def risk(desk: Desk) -> JsonObject:
    """The block `risk` of the bot's status."""
    return dict(desk.cluster.objects[BOT]["status"]["risk"])
