"""A bot, its Secret and an operator's context on a cluster in memory."""

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine
from datetime import datetime, timedelta
from typing import Any

from fake_cluster import FakeCluster, Fault
from operator_harness import NOW, SECRET, bot_body, report
from tradingbot_api.entry_grant import GatewayMoment, Moment
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.credentials import Observation, Secrets, _Use, read
from tradingbot_operator.bots.credentials_record import Record
from tradingbot_operator.bots.digest_keys import DigestKey, DigestKeys
from tradingbot_operator.bots.entry_grants.grants import Ask, Grants
from tradingbot_operator.bots.reconcile import reconcile
from tradingbot_operator.bots.registry_sync import BotAssets
from tradingbot_operator.bots.replica_sets import ReplicaSets
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.events import Recorder
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.registry_client import RegistryUnavailableError
from tradingbot_operator.risk.daily_loss import PollState, PollSubscription
from tradingbot_operator.risk.moments import NoMomentError
from tradingbot_operator.settings import OperatorSettings

KEY = NamespacedName("desk", "arb")
BOT = ("TradingBot", *KEY)
DEPLOYMENT = ("Deployment", *KEY)
CONFIG_MAP = ("ConfigMap", "desk", "arb-config")
SERVICE = ("Service", *KEY)
POD = ("Pod", "desk", "arb-1")
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
    """The reports of bots, in place of a poller."""

    def __init__(self) -> None:
        self.watched: dict[NamespacedName, PollSubscription] = {}
        self.now: PollState = PollState()

    def subscribe(self, key: NamespacedName, subscription: PollSubscription) -> None:
        self.watched[key] = subscription

    def unsubscribe(self, key: NamespacedName) -> None:
        self.watched.pop(key, None)

    def state(self, key: NamespacedName) -> PollState:
        """Return the state of a bot; one that is not polled has none."""
        return self.now if key in self.watched else PollState()


async def _no_moment(_key: NamespacedName, _address: str) -> GatewayMoment:
    raise NoMomentError("nobody asks here")


class Moments:
    """The gateway of a bot, as far as it is asked for moments."""

    def __init__(self) -> None:
        self.boot, self.elapsed, self.config_hash = "boot", 1000, ""
        self.answers = True
        self.asked: list[str] = []

    async def ask(self, _key: NamespacedName, address: str) -> GatewayMoment:
        """Return a moment, each a second later."""
        self.asked.append(address)
        if not self.answers:
            raise NoMomentError("no answer within 2 s")
        self.elapsed += 1000
        text = Moment(self.boot, self.elapsed, self.elapsed).text()
        return GatewayMoment(moment=text, config_hash=self.config_hash)


DIGEST_KEYS = DigestKeys(DigestKey(b"k" * 32))


class SecretsReadEachTime(Secrets):
    """Reads a bot's Secret in each reconcile, so that a test need not wait for a poll."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster, interval=60, changed=lambda _: None, keys=DIGEST_KEYS)

    async def observe(
        self,
        bot: NamespacedName,
        name: str,
        needs: Collection[str],
        recorded: Record | None = None,
    ) -> Observation | None:
        secret = NamespacedName(bot.namespace, name)
        reading = await read(self._api, self.keys, secret, needs)
        if reading is None:
            return None
        use = _Use(secret, tuple(sorted(needs)))
        if recorded is not None and reading.has_same_values(recorded.facts, needs):
            use.revision = recorded.revision
        return self._observation(use, reading.current.only(needs), recorded)


def grants_of(
    cluster: FakeCluster,
    store: Store,
    *,
    ask: Ask = _no_moment,
    clock: Callable[[], float] = lambda: 0.0,
    request: Callable[[NamespacedName], None] = lambda _: None,
) -> Grants:
    """Return the grants of an operator; those of a model write nothing."""
    return Grants(
        cluster,
        store,
        seconds=300,
        ask=ask,
        clock=clock,
        request=request,
        changed=lambda _: None,
    )


class Harness:
    """A cluster with a bot and its Secret, and an operator's context."""

    def __init__(self, spec: JsonObject | None = None, *, secret: bool = True) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(bot_body(spec))
        if secret:
            self.cluster.put(CREDENTIALS)
        self.now = NOW
        self.sync_requests: list[NamespacedName] = []
        self.grant_requests: list[NamespacedName] = []
        self.moments = Moments()
        self.reports = Reports()
        self.context = self.started()

    def started(self, assets: BotAssets | None = None) -> Context:
        """Return the context of an operator that has just started."""
        self.reports.watched.clear()
        store = Store()
        return Context(
            api=self.cluster,
            store=store,
            recorder=Recorder(self.cluster),
            assets=assets or BotAssets(None, lambda _: None),
            settings=OperatorSettings(cleanup_timeout=60),
            clock=lambda: self.now,
            request_sync=self.sync_requests.append,
            polls=self.reports,
            metrics=Metrics(),
            replica_sets=ReplicaSets(self.cluster),
            secrets=SecretsReadEachTime(self.cluster),
            grants=grants_of(
                self.cluster,
                store,
                ask=self.moments.ask,
                clock=self._seconds,
                request=self.grant_requests.append,
            ),
        )

    def _seconds(self) -> float:
        return self.now.timestamp()

    async def grant(self) -> float | None:
        """Do what the queue of grants does for the bot, with a cache that is up to date."""
        self.cluster.tell(self.context.store)
        return await self.context.grants.work(KEY)

    async def reconcile(self) -> float | None:
        """Reconcile once, with a cache that is up to date."""
        self.cluster.tell(self.context.store)
        await self.context.replica_sets.learn([""])
        return await reconcile(self.context, KEY)

    async def settle(self) -> None:
        """Reconcile until nothing is written any more."""
        for _ in range(5):
            self.cluster.writes.clear()
            await self.reconcile()
            if not self.cluster.writes:
                return
        raise AssertionError(f"never settles: {self.cluster.writes}")

    async def run(self) -> None:
        """Settle, run the controllers of the Deployment, and settle again."""
        await self.settle()
        self.controllers()
        await self.settle()

    def controllers(self, **status: Any) -> None:
        """Do what the controllers of a Deployment do: create or delete its ReplicaSet and pods.

        `status` is a merge patch of the pod's status.
        """
        self.cluster.control(DEPLOYMENT, now=self.now, status=status)

    def reported(self, pnl: str = "0", **fields: Any) -> None:
        """Let the bot report now, if it is polled."""
        self.reports.now = PollState(report(pnl, at=self.now, **fields), received=self.now)

    def fail(self, verb: str, kind: str, error: KubernetesError = SERVER_ERROR) -> None:
        """Let the next such request fail."""
        self.cluster.faults = [Fault(verb, kind, error)]

    def refuse(self, verb: str, kind: str, message: str = "a policy wants a label") -> None:
        """Let every such request be refused, as admission of others does."""
        error = KubernetesError(422, "Invalid", message)
        self.cluster.faults.append(Fault(verb, kind, error, times=10_000))

    def meanwhile(self, verb: str, kind: str, action: Callable[[], None]) -> None:
        """Run `action` just before the next such request."""
        self.cluster.faults = [Fault(verb, kind, meanwhile=action)]

    def edit(self, **patch: Any) -> None:
        """Change the bot as a user does."""
        self.cluster.edit(*BOT, **patch)

    def delete(self) -> None:
        """Delete the bot as `kubectl delete` does to an object with a finalizer."""
        self.edit(metadata={"deletionTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def pod_terminating(self, *, until: datetime | None = None, **meta: Any) -> None:
        """Mark the bot's pod as being deleted."""
        deadline = (until or self.now + timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.cluster.edit(*POD, metadata={"deletionTimestamp": deadline, **meta})

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
    def revision(self) -> str:
        """The revision of the credentials that the Deployment records."""
        record = Record.read(self.cluster.objects[DEPLOYMENT], SECRET)
        assert record is not None
        return record.revision

    @property
    def bot_json(self) -> JsonObject:
        return dict(json.loads(self.cluster.objects[CONFIG_MAP]["data"]["bot.json"]))


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def drifted(harness: Harness, key: tuple[str, str, str], change: str) -> None:
    if change == "deleted":
        harness.cluster.drop(*key)
    elif change == "unlabelled":
        harness.cluster.edit(*key, metadata={"labels": None})
    elif key[0] == "ConfigMap":
        harness.cluster.edit(*key, data={"bot.json": "{}"})
    elif key[0] == "Deployment":
        harness.cluster.edit(*key, spec={"replicas": 5})
    else:
        harness.cluster.edit(*key, spec={"selector": {"app": "mine"}})


async def trading(spec: JsonObject | None = None) -> Harness:
    """Return a bot that runs, reports no loss, and was reconciled after that report."""
    harness = Harness(spec)
    await harness.run()
    harness.reported()
    await harness.settle()
    return harness


def condition(harness: Harness, type_: str) -> tuple[str, str]:
    """Return status and reason of a condition of the bot."""
    conditions = harness.cluster.objects[BOT]["status"]["conditions"]
    (found,) = [condition for condition in conditions if condition["type"] == type_]
    return found["status"], found["reason"]


def risk(harness: Harness) -> JsonObject:
    """Return the block `risk` of the bot's status."""
    return dict(harness.cluster.objects[BOT]["status"]["risk"])
