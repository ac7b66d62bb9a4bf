"""The operator's process: kopf's watches feed a store and queues, workers reconcile."""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import BOT_LABEL, MANAGED_BY
from tradingbot_operator.bot_assets import BotAssets
from tradingbot_operator.catalogue import CatalogueContext, keep_catalogue
from tradingbot_operator.health import health_server
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.reconcile import CHILD_KINDS, Context, reconcile
from tradingbot_operator.recorder import Recorder
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryUnavailableError,
    token_from,
)
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.store import Store
from tradingbot_operator.watches import login, watch
from tradingbot_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

TELLERS = 4
STOP_SECONDS = 10
CATALOGUE_KEEPERS = 2

Key = tuple[str, str]


def run(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    asyncio.run(Operator(settings).run())


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
        self.bots: WorkQueue[Key] = WorkQueue(
            "bot", self._reconcile, transient=(KubernetesError, RegistryUnavailableError)
        )
        self.tellers: WorkQueue[Key] = WorkQueue(
            "asset", self._tell, transient=(RegistryUnavailableError,)
        )
        self.catalogues: WorkQueue[Key] = WorkQueue(
            "catalogue", self._keep_catalogue, transient=(KubernetesError, RegistryUnavailableError)
        )
        self.assets = BotAssets(self.client, self.bots.add)
        recorder = Recorder(self.api)
        self.context = Context(
            api=self.api,
            store=self.store,
            recorder=recorder,
            assets=self.assets,
            settings=settings,
            clock=utc_now,
            tell_registry=self.tellers.add,
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
        self._primed = False

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
            stack.push_async_callback(self.api.close)
            if self.client is not None:
                stack.push_async_callback(self.client.close)
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
        """Run all parts; the first to fail ends the operator with its error."""
        watching = asyncio.create_task(self._watch(stop))
        working = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        tasks = (watching, working, stopping)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stop.set()
            working.cancel()
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        logger.info("stopped")

    async def _watch(self, stop: asyncio.Event) -> None:
        await watch(
            self._seen,
            namespaces=self._namespaces,
            stop=stop,
            ready=self._watching,
            lost=self._list_anew.set,
        )

    async def _work(self) -> None:
        """Know the children before the first reconcile, then work, and compare all now and then."""
        await self._watching.wait()
        async with asyncio.TaskGroup() as group:
            await self._prime()
            group.create_task(self.bots.run(self.settings.workers))
            group.create_task(self.tellers.run(TELLERS))
            group.create_task(self.catalogues.run(CATALOGUE_KEEPERS))
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._list_anew.wait(), self.settings.resync_interval)
                self._list_anew.clear()
                await self._prime()

    async def _prime(self) -> None:
        """List everything, since a watch that broke may have missed a deletion."""
        pause = 0.5
        while True:
            try:
                for kind in (*CHILD_KINDS, "TradingBot", "AssetRegistry"):
                    await self._list(kind)
            except KubernetesError as error:
                logger.warning("listing failed, trying again in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30.0)
            else:
                self._primed = True
                return

    async def _list(self, kind: str) -> None:
        labels = MANAGED_BY if kind in CHILD_KINDS else None
        known = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): obj
            for obj in self.store.objects(kind)
        }
        for namespace in self._namespaces or [""]:
            async for obj in self.api.items(kind, namespace=namespace, labels=labels):
                known.pop((obj["metadata"]["namespace"], obj["metadata"]["name"]), None)
                self._seen("ADDED", obj)
        for obj in known.values():
            self._seen("DELETED", obj)

    def _seen(self, type_: str | None, obj: JsonObject) -> None:
        """An object is as `obj` says, or gone: remember it and look at whom it concerns."""
        if type_ == "DELETED":
            self.store.remove(obj)
        else:
            self.store.put(obj)
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
        if self.store.get("TradingBot", *key) is None:
            self.bots.forget(key)
        return await reconcile(self.context, key)

    async def _tell(self, key: Key) -> float | None:
        return await self.assets.tell(key)

    async def _keep_catalogue(self, key: Key) -> float | None:
        if self.store.get("AssetRegistry", *key) is None:
            self.catalogues.forget(key)
            return None
        return await keep_catalogue(self.catalogue_context, key)

    def _counting(self, queue: WorkQueue[Key]) -> "_Counting":
        return _Counting(self.metrics, queue.name)

    def _refresh_gauges(self) -> None:
        self.metrics.count_bots(self.store)
        for queue in (self.bots, self.tellers, self.catalogues):
            self.metrics.depth.labels(queue.name).set(len(queue))

    def _unready(self) -> str:
        if not self._watching.is_set():
            return "the watches have not started"
        return "" if self._primed else "the API server has not been listed yet"


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
