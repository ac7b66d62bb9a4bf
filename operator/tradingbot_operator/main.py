"""The operator's process: wires an informer, work queues and reconcilers together, and runs them.

    informer -------------------> bots ------------> reconcile ------------------> API server
    poller, Secrets, clock jumps -> bots
    informer -------------------> asset_registries > reconcile_asset_registry ---> registry
    reconcile of a bot ---------> asset_syncs -----> BotAssets.sync -------------> registry
    reconcile of a bot ---------> grant_writes ----> Grants.work ----------------> API server
    each 15 seconds ------------> reports ---------> registry_reports.send ------> registry
    what is reported              work queue         work                          written to

All work passes the gate and needs the lease. The informer runs in a standby, too, so that it acts
at once when it becomes the leader.
"""

import asyncio
import gc
import logging
import resource
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import uvloop
from tradingbot_api.entry_grant import GatewayMoment
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.asset_registries.reconcile import (
    AssetRegistryContext,
    reconcile_asset_registry,
)
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.bots.context import Context, ReconcileError
from tradingbot_operator.bots.credentials import Secrets
from tradingbot_operator.bots.digest_keys import load_digest_keys
from tradingbot_operator.bots.entry_grants.grants import Grants, NotStoredError
from tradingbot_operator.bots.reconcile import reconcile
from tradingbot_operator.bots.registry_reports import reports_of, send
from tradingbot_operator.bots.registry_sync import BotAssets
from tradingbot_operator.bots.replica_sets import ReplicaSets
from tradingbot_operator.bots.stops.orphans import Orphans
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.events import Recorder
from tradingbot_operator.cluster.informer import Informer
from tradingbot_operator.cluster.listings import KINDS
from tradingbot_operator.cluster.login import login
from tradingbot_operator.cluster.work_queue import WorkQueue
from tradingbot_operator.gateway_discovery import discover
from tradingbot_operator.health import health_server
from tradingbot_operator.leadership.election import (
    NotLeaderError,
    election_of,
    end_process_after,
    own_namespace,
)
from tradingbot_operator.leadership.lifecycle import WriteGate, lead
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.registry_client import RegistryUnavailableError, registry_client_of
from tradingbot_operator.risk.client import report_url
from tradingbot_operator.risk.gauges import BotGauges
from tradingbot_operator.risk.moments import ask_moment
from tradingbot_operator.risk.poller import RiskPoller
from tradingbot_operator.schedule.clock_jumps import watch_for_clock_jumps
from tradingbot_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

ASSET_WORKERS = 4
GRANT_WORKERS = 8
"""An unreachable gateway takes one of them for `risk_timeout`."""
ASSET_REGISTRY_WORKERS = 2
STOP_SECONDS = 10

TRANSIENT = (
    KubernetesError,
    RegistryUnavailableError,
    NotLeaderError,
    NotStoredError,
    ReconcileError,
)
"""Errors that go away by themselves: logged in one line, without a traceback."""


def run(settings: OperatorSettings) -> None:
    """Run until SIGTERM or SIGINT, or until the lease is lost."""
    # Each bot that is polled holds a connection, and the usual soft limit is 1,024.
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    # Modules stay, and the objects of an event are freed soon without any collection: to look for
    # cycles after every 700 of them took 6 % of a busy operator's time.
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    try:
        uvloop.run(Operator(settings).run())
    finally:
        end_process_after(0)


def utc_now() -> datetime:
    """Return the time of the wall clock."""
    return datetime.now(UTC)


class Operator:
    """The parts of a running operator, wired together."""

    def __init__(self, settings: OperatorSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.store = Store()
        self.api = KubernetesApi(login)
        self.api.on_request = self.metrics.request
        self.client = registry_client_of(settings)
        self._lease_api = KubernetesApi(login)
        self.election = election_of(settings, self._lease_api, utc_now)
        for client in (self.api, self.client):
            if client is not None:
                client.before_write = self.election.guard
                client.write_seconds = self.election.write_seconds
        self.gate = WriteGate()
        self.bots: WorkQueue[NamespacedName] = WorkQueue(
            "bot", self.gate.through(self._reconcile), transient=TRANSIENT
        )
        self.asset_syncs: WorkQueue[NamespacedName] = WorkQueue(
            "asset", self.gate.through(self._sync_asset), transient=TRANSIENT
        )
        self.asset_registries: WorkQueue[NamespacedName] = WorkQueue(
            "assetregistry", self.gate.through(self._reconcile_asset_registry), transient=TRANSIENT
        )
        self.assets = BotAssets(self.client, self.bots.add, interval=settings.resync_interval)
        self.poller = RiskPoller(settings, clock=utc_now, changed=self.bots.add)
        self.metrics.registry.register(BotGauges(self.poller, clock=utc_now))
        self.secrets = Secrets(
            self.api, interval=settings.credentials_interval, changed=self.bots.add
        )
        self.grants = Grants(
            self.api,
            self.store,
            seconds=settings.gateway_grant,
            ask=self._ask_moment,
            clock=time.monotonic,
            request=self._request_grant,
            changed=self.bots.add,
        )
        self.grant_writes: WorkQueue[NamespacedName] = WorkQueue(
            "grant", self.gate.through(self.grants.work), transient=TRANSIENT
        )
        self.reports: WorkQueue[str] = WorkQueue(
            "report", self.gate.through(self._report), transient=TRANSIENT
        )
        recorder = Recorder(self.api)
        self.context = Context(
            api=self.api,
            store=self.store,
            recorder=recorder,
            assets=self.assets,
            settings=settings,
            clock=utc_now,
            request_sync=self.asset_syncs.add,
            polls=self.poller,
            surroundings=Surroundings.of(settings),
            metrics=self.metrics,
            secrets=self.secrets,
            grants=self.grants,
            replica_sets=ReplicaSets(self.api),
            again_in=self.bots.add_after,
        )
        self.queues: tuple[WorkQueue[Any], ...] = (
            *(self.bots, self.asset_syncs, self.asset_registries, self.grant_writes),
            self.reports,
        )
        self.asset_registry_context = AssetRegistryContext(
            api=self.api,
            store=self.store,
            recorder=recorder,
            client=self.client,
            settings=settings,
            clock=utc_now,
        )
        self._namespaces = [
            namespace.strip() for namespace in settings.namespaces.split(",") if namespace.strip()
        ]
        self.orphans = Orphans(
            self.api,
            self.store,
            recorder,
            self.metrics,
            namespaces=self._namespaces or [""],
            clock=utc_now,
        )
        self.informer = Informer(
            self.api,
            self.store,
            self._on_change,
            namespaces=self._namespaces,
            resync_interval=settings.resync_interval,
        )
        self._leading = False

    async def run(self) -> None:
        """Serve health, watch and work until told to stop."""
        await login()  # without a cluster, fail at once
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        for queue in self.queues:
            queue.on_done = _Counting(self.metrics, queue.name)
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
                    unready=self.informer.unready,
                    metrics_token_file=self.settings.metrics_token_file,
                    unhealthy=self.informer.stuck,
                )
            )
            await self._run_until(stop)

    async def _run_until(self, stop: asyncio.Event) -> None:
        """Run the informer, the election and the work; the first to fail ends the operator."""
        leading = lead(
            self.election,
            self._work,
            gate=self.gate,
            ready=self.informer.synced,
            stop=stop,
            leading=self._note_leading,
        )
        resync_loop = asyncio.create_task(self.informer.resync_loop())
        tasks = (
            asyncio.create_task(self.informer.watch(stop)),
            asyncio.create_task(leading),
            resync_loop,
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            resync_loop.cancel()
            ended, _ = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in done | ended:
            if not task.cancelled():
                task.result()
        logger.info("Stopped")

    def _note_leading(self, leading: bool) -> None:
        self._leading = leading
        self.metrics.leader.set(leading)

    async def _work(self) -> None:
        """Do what only the leader does. Nothing here writes except through the gate."""
        if self.settings.leader_election:
            await self.informer.catch_up()
        await self._learn_replica_sets()
        namespace = self.settings.lease_namespace or own_namespace()
        gateway = await discover(self.api, self.settings)
        surroundings = replace(self.context.surroundings, gateway=gateway)
        self.context = replace(self.context, surroundings=surroundings)
        self.secrets.keys = await load_digest_keys(self.api, namespace)
        self.reports.add("day PnL")
        work: tuple[Coroutine[None, None, None], ...] = (
            self.orphans.run(self.settings.resync_interval),
            self.bots.run(self.settings.workers),
            self.asset_syncs.run(ASSET_WORKERS),
            self.grant_writes.run(GRANT_WORKERS),
            self.asset_registries.run(ASSET_REGISTRY_WORKERS),
            self.reports.run(1),
            self.poller.run(),
            self.secrets.run(),
            watch_for_clock_jumps(utc_now, self._on_clock_jump),
        )
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)

    async def _learn_replica_sets(self) -> None:
        try:
            await self.context.replica_sets.learn(self._namespaces or [""])
        except KubernetesError as error:
            logger.warning("Could not list the ReplicaSets, so each is read by itself: %s", error)

    def _on_clock_jump(self) -> None:
        self.poller.restart_silences()
        for key in self.store.keys("TradingBot"):
            self.bots.add(key)

    def _on_change(self, kind: str, key: NamespacedName) -> None:
        queue = self.bots if kind == "TradingBot" else self.asset_registries
        queue.add(key)

    async def _reconcile(self, key: NamespacedName) -> float | None:
        declared = self.store.declared("TradingBot", *key)
        if declared is None:
            self.bots.forget(key)
            self.grant_writes.forget(key)
        after = await reconcile(self.context, key)
        if self.store.declared("TradingBot", *key) != declared:
            # An edit came between the read and our write. The answer to the write brought it
            # into the cache, so its own event will be no news and must not be waited for.
            self.bots.add(key)
        return after

    def _request_grant(self, key: NamespacedName) -> None:
        self.grant_writes.add(key)

    async def _ask_moment(self, key: NamespacedName, address: str) -> GatewayMoment:
        url = report_url(self.settings.risk_url, key, address)
        return await ask_moment(url, within=self.settings.risk_timeout)

    async def _sync_asset(self, key: NamespacedName) -> float | None:
        return await self.assets.sync(key)

    async def _report(self, _: str) -> float | None:
        if self.client is None:
            return None
        return await send(self.client, reports_of(self.poller.states(), utc_now()))

    async def _reconcile_asset_registry(self, key: NamespacedName) -> float | None:
        declared = self.store.declared("AssetRegistry", *key)
        if declared is None:
            self.asset_registries.forget(key)
            return None
        after = await reconcile_asset_registry(self.asset_registry_context, key)
        if self.store.declared("AssetRegistry", *key) != declared:
            self.asset_registries.add(key)  # as in `_reconcile`
        return after

    def _refresh_gauges(self) -> None:
        self.metrics.count_bots(self.store)
        self.metrics.count_unreadable(KINDS, self.store)
        blocked = sum(memory.blocked for memory in self.context.memories.values())
        self.metrics.stops_blocked.set(blocked if self._leading else 0)
        for queue in self.queues:
            # The queues of a standby fill up without being worked on: that is not a backlog.
            self.metrics.depth.labels(queue.name).set(len(queue) if self._leading else 0)


class _Counting:
    """Counts what a queue reports of each reconcile."""

    def __init__(self, metrics: Metrics, queue: str) -> None:
        self._metrics = metrics
        self._queue = queue

    def __call__(self, result: str, seconds: float) -> None:
        self._metrics.reconciles.labels(self._queue, result).inc()
        self._metrics.duration.labels(self._queue).observe(seconds)
