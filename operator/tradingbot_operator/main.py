"""The operator's process: kopf's watches feed a store and queues, workers reconcile."""

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

import uvloop
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import BOT_LABEL, MANAGED_BY
from tradingbot_operator.bot_assets import BotAssets
from tradingbot_operator.bot_gauges import BotGauges
from tradingbot_operator.catalogue import CatalogueContext, keep_catalogue
from tradingbot_operator.clock_steps import tell_of_clock_steps
from tradingbot_operator.health import health_server
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.leader_election import (
    NotLeaderError,
    election_of,
    end_process_after,
)
from tradingbot_operator.leading import Gate, lead
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.reconcile import CHILD_KINDS, Context, reconcile
from tradingbot_operator.recorder import Recorder
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryUnavailableError,
    token_from,
)
from tradingbot_operator.risk_poller import RiskPoller
from tradingbot_operator.secrets import Secrets
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.store import Store
from tradingbot_operator.watches import login, watch
from tradingbot_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

TELLERS = 4
STOP_SECONDS = 10
CATALOGUE_KEEPERS = 2
OWN_KINDS = ("TradingBot", "AssetRegistry")

Key = tuple[str, str]


def run(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT, or until the lease is lost."""
    # Each bot that is polled holds a connection, and the usual soft limit is 1,024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # What is loaded by now stays, and each object of an event is gone soon without any collection:
    # looking for cycles after every 700 of them took 6 % of a busy operator's time.
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    try:
        uvloop.run(Operator(settings).run())
    finally:
        end_process_after(0)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Operator:
    """The parts of a running operator, wired together."""

    def __init__(self, settings: OperatorSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.store = Store()
        self.api = KubernetesApi(login)
        self.api.on_request = self.metrics.request
        self.client = (
            RegistryClient(settings.registry_url, token=token_from(settings.registry_token_file))
            if settings.registry_url
            else None
        )
        self._lease_api = KubernetesApi(login)
        self.election = election_of(settings, self._lease_api, utc_now)
        for fenced in (self.api, self.client):
            if fenced is not None:
                fenced.before_write = self.election.guard
                fenced.write_seconds = self.election.write_seconds
        self.gate = Gate()
        transient = (KubernetesError, RegistryUnavailableError, NotLeaderError)
        self.bots: WorkQueue[Key] = WorkQueue(
            "bot", self.gate.through(self._reconcile), transient=transient
        )
        self.tellers: WorkQueue[Key] = WorkQueue(
            "asset", self.gate.through(self._tell), transient=transient
        )
        self.catalogues: WorkQueue[Key] = WorkQueue(
            "catalogue", self.gate.through(self._keep_catalogue), transient=transient
        )
        self.assets = BotAssets(self.client, self.bots.add)
        self.poller = RiskPoller(settings, clock=utc_now, changed=self.bots.add)
        self.metrics.registry.register(BotGauges(self.poller, clock=utc_now))
        self.secrets = Secrets(
            self.api, interval=settings.credentials_interval, changed=self.bots.add
        )
        recorder = Recorder(self.api)
        self.context = Context(
            api=self.api,
            store=self.store,
            recorder=recorder,
            assets=self.assets,
            settings=settings,
            clock=utc_now,
            tell_registry=self.tellers.add,
            polls=self.poller,
            metrics=self.metrics,
            secrets=self.secrets,
        )
        self.catalogue_context = CatalogueContext(
            api=self.api,
            store=self.store,
            recorder=recorder,
            client=self.client,
            settings=settings,
            clock=utc_now,
        )
        self._namespaces = [one.strip() for one in settings.namespaces.split(",") if one.strip()]
        self._watching = asyncio.Event()
        self._list_anew = asyncio.Event()
        self._primed = asyncio.Event()
        self._leading = False

    async def run(self) -> None:
        """Serve, watch and work until told to stop."""
        await login()  # where there is no cluster, this says so at once
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        for queue in (self.bots, self.tellers, self.catalogues):
            queue.on_done = self._counting(queue)
        async with AsyncExitStack() as stack:
            for connection in (self.api, self.client, self._lease_api):
                if connection is not None:
                    stack.push_async_callback(connection.close)
            await stack.enter_async_context(
                health_server(
                    self.settings.health_host,
                    self.settings.health_port,
                    metrics=self.metrics,
                    refresh=self._refresh_gauges,
                    unready=self._unready,
                )
            )
            await self._until(stop)

    async def _until(self, stop: asyncio.Event) -> None:
        """Run all parts; the first to fail ends the operator with its error.

        Also one that stands by watches and lists, so that it acts at once when its turn comes.
        """
        following = asyncio.create_task(self._follow())
        tasks = (
            asyncio.create_task(self._watch(stop)),
            asyncio.create_task(
                lead(
                    self.election,
                    self._work,
                    gate=self.gate,
                    ready=self._primed,
                    stop=stop,
                    leading=self._note_leading,
                )
            ),
            following,
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            following.cancel()
            ended, _ = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in done | ended:
            if not task.cancelled():
                task.result()
        logger.info("stopped")

    def _note_leading(self, leading: bool) -> None:
        self._leading = leading
        self.metrics.leader.set(leading)

    async def _work(self) -> None:
        """What only the one operator does that acts; none of it writes outside the gate."""
        if self.settings.leader_election:
            # The one before has written until just now, and our watches may be behind.
            await self._prime(OWN_KINDS)
            self._list_anew.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.bots.run(self.settings.workers))
            group.create_task(self.tellers.run(TELLERS))
            group.create_task(self.catalogues.run(CATALOGUE_KEEPERS))
            group.create_task(self.poller.run())
            group.create_task(self.secrets.run())
            group.create_task(tell_of_clock_steps(utc_now, self._look_at_all_bots))

    def _look_at_all_bots(self) -> None:
        for key in self.store.keys("TradingBot"):
            self.bots.add(key)

    async def _watch(self, stop: asyncio.Event) -> None:
        await watch(
            self._seen,
            namespaces=self._namespaces,
            stop=stop,
            ready=self._watching,
            lost=self._list_anew.set,
        )

    async def _follow(self) -> None:
        """Know all that there is, and compare it with the cluster now and then."""
        await self._watching.wait()
        while True:
            self._list_anew.clear()
            await self._prime()
            self._primed.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._list_anew.wait(), self.settings.resync_interval)

    async def _prime(self, kinds: Iterable[str] = (*CHILD_KINDS, *OWN_KINDS)) -> None:
        """List everything, since a watch that broke may have missed a deletion."""
        pause = 0.5
        while True:
            try:
                for kind in kinds:
                    await self._list(kind)
            except KubernetesError as error:
                logger.warning("listing failed, trying again in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30.0)
            else:
                return

    async def _list(self, kind: str) -> None:
        """Take up what differs from what is known: by versions alone, once anything is known."""
        labels = MANAGED_BY if kind in CHILD_KINDS else None
        missing = self.store.versions(kind)
        if not missing:
            for namespace in self._namespaces or [""]:
                async for obj in self.api.items(kind, namespace=namespace, labels=labels):
                    self._seen("ADDED", obj)
            return
        for namespace in self._namespaces or [""]:
            async for key, version in self.api.versions(kind, namespace=namespace, labels=labels):
                missing.pop(key, None)
                if (self.store.version(kind, *key) or 0) < version:
                    found = await self.api.get(kind, *key)
                    if found is not None:
                        self._seen("ADDED", found)
        for key, version in missing.items():
            gone = self.store.get(kind, *key)
            if gone is not None and self.store.version(kind, *key) == version:
                self._seen("DELETED", gone)

    def _seen(self, type_: str | None, obj: JsonObject) -> None:
        """An object is as `obj` says, or gone: remember it and look at whom it concerns.

        Unless that is known: then it is the echo of a write of ours, whose reconcile has gone on
        with the answer.
        """
        if type_ == "DELETED":
            self.store.remove(obj)
        elif not self.store.put(obj):
            return
        meta = obj["metadata"]
        if obj["kind"] == "TradingBot":
            self.bots.add((meta["namespace"], meta["name"]))
        elif obj["kind"] == "AssetRegistry":
            self.catalogues.add((meta["namespace"], meta["name"]))
        else:
            name = _bot_of(obj)
            if name is not None:
                self.bots.add((meta["namespace"], name))

    async def _reconcile(self, key: Key) -> float | None:
        declared = self.store.declared("TradingBot", *key)
        if declared is None:
            self.bots.forget(key)
        after = await reconcile(self.context, key)
        if self.store.declared("TradingBot", *key) != declared:
            # The answer to a write of ours has brought what somebody else had written before it:
            # the event of that, which may be yet to come, will be no news.
            self.bots.add(key)
        return after

    async def _tell(self, key: Key) -> float | None:
        return await self.assets.tell(key)

    async def _keep_catalogue(self, key: Key) -> float | None:
        if self.store.version("AssetRegistry", *key) is None:
            self.catalogues.forget(key)
            return None
        return await keep_catalogue(self.catalogue_context, key)

    def _counting(self, queue: WorkQueue[Key]) -> "_Counting":
        return _Counting(self.metrics, queue.name)

    def _refresh_gauges(self) -> None:
        self.metrics.count_bots(self.store)
        for queue in (self.bots, self.tellers, self.catalogues):
            # What a standby has seen waits for a turn that may never come: no backlog.
            self.metrics.depth.labels(queue.name).set(len(queue) if self._leading else 0)

    def _unready(self) -> str:
        if not self._watching.is_set():
            return "the watches have not started"
        return "" if self._primed.is_set() else "the API server has not been listed yet"


class _Counting:
    """What a queue reports of each reconcile, as metrics."""

    def __init__(self, metrics: Metrics, queue: str) -> None:
        self._metrics = metrics
        self._queue = queue

    def __call__(self, result: str, seconds: float) -> None:
        self._metrics.reconciles.labels(self._queue, result).inc()
        self._metrics.duration.labels(self._queue).observe(seconds)


def _bot_of(child: JsonObject) -> str | None:
    """The name of the bot that a child belongs to."""
    for owner in child["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == "TradingBot" and owner.get("apiVersion") == API_VERSION:
            return str(owner["name"])
    return (child["metadata"].get("labels") or {}).get(BOT_LABEL)
