"""An operator over the model's cluster: one bot's queue, its polls, and time that passes."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from model_bot_cluster import ModelCluster
from model_controllers import Controllers
from operator_harness import report
from reconcile_harness import SecretsReadEachTime, grants_of
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.context import Context
from tradingbot_operator.bots.reconcile import reconcile
from tradingbot_operator.bots.registry_sync import BotAssets
from tradingbot_operator.bots.replica_sets import ReplicaSets
from tradingbot_operator.bots.stops.orphans import Orphans
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.events import Recorder
from tradingbot_operator.cluster.work_queue import FIRST_PAUSE, LONGEST_PAUSE
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.risk.daily_loss import PollState, PollSubscription
from tradingbot_operator.settings import OperatorSettings

KEY = NamespacedName("desk", "arb")
SECOND = timedelta(seconds=1)
SWEEP, POLL = 60 * SECOND, 10 * SECOND
SKIPPED_AFTER = 90


class ModelPolls:
    """Asks the bot's pod at its address, while it is watched."""

    def __init__(self, controllers: Controllers) -> None:
        self.pnl = "0"
        self.due: datetime | None = None
        self._watched: PollSubscription | None = None
        self._seen = PollState()
        self._controllers = controllers

    def subscribe(self, key: NamespacedName, subscription: PollSubscription) -> None:
        if self._watched is None:
            self.due = self._controllers.cluster.now + SECOND
        self._watched = subscription

    def unsubscribe(self, key: NamespacedName) -> None:
        self._watched, self._seen, self.due = None, PollState(), None

    def state(self, key: NamespacedName) -> PollState:
        return self._seen

    def poll(self) -> bool:
        """Ask if it is time to; whether the answer means something new."""
        now, watch = self._controllers.cluster.now, self._watched
        if watch is None or self.due is None or self.due > now:
            return False
        self.due = now + POLL
        pods = self._controllers.running(*KEY)
        if watch.address in [pod["status"]["podIP"] for pod in pods]:
            self._seen = PollState(report(self.pnl, at=now), received=now)
        else:
            self._seen = replace(self._seen, problem="it can't be reached")
        return watch.fingerprint(self._seen, now) != watch.last_fingerprint


class ModelOperator:
    """Reconciles as the work queue does: when something was seen, when due, and after pauses."""

    def __init__(self, cluster: ModelCluster, controllers: Controllers) -> None:
        self.cluster = cluster
        self.controllers = controllers
        self.polls = ModelPolls(controllers)
        self.is_behind = False
        """Whether its watches bring nothing."""
        self.reconciles = 0
        self.last_error: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._failures = 0
        self.restart()

    def close(self) -> None:
        self._loop.close()

    def restart(self) -> None:
        """A new process, which has listed everything before it acts."""
        self.polls.unsubscribe(KEY)
        store = Store()
        self.context = Context(
            api=self.cluster,
            store=store,
            recorder=Recorder(self.cluster),
            assets=BotAssets(None, lambda _: None),
            settings=OperatorSettings(cleanup_timeout=60),
            clock=lambda: self.cluster.now,
            request_sync=lambda _: None,
            polls=self.polls,
            metrics=Metrics(),
            replica_sets=ReplicaSets(self.cluster),
            secrets=SecretsReadEachTime(self.cluster),
            grants=grants_of(self.cluster, store),
        )
        self.orphans = Orphans(
            self.cluster,
            self.context.store,
            self.context.recorder,
            self.context.metrics,
            namespaces=[""],
            clock=lambda: self.cluster.now,
        )
        self.cluster.tell(self.context.store)
        self.is_behind = False
        with suppress(KubernetesError):  # each is read when it is met
            self._loop.run_until_complete(self.context.replica_sets.learn([""]))
        self.due: datetime | None = self.cluster.now
        self._sweep_at = self.cluster.now
        self._failures = 0

    def pass_time(self, seconds: float) -> None:
        """Let controllers and operator act; most of a long time is skipped."""
        if seconds > 2 * SKIPPED_AFTER:
            self._pass(SKIPPED_AFTER)
            self.cluster.now += (seconds - 2 * SKIPPED_AFTER) * SECOND
            seconds = SKIPPED_AFTER
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        end = self.cluster.now + seconds * SECOND
        while True:
            self._act()
            moments = (
                self.due,
                self.polls.due,
                self.controllers.next_event(),
                self._sweep_at,
            )
            later = [
                moment for moment in moments if moment is not None and moment > self.cluster.now
            ]
            following = min(later, default=end)
            if following > end:
                self.cluster.now = end
                return
            # No two events come closer than the queue's first pause.
            self.cluster.now = max(following, self.cluster.now + FIRST_PAUSE * SECOND)

    def _act(self) -> None:
        for _ in range(30):
            self.controllers.settle()
            news = not self.is_behind and self.cluster.tell(self.context.store)
            if self.cluster.now >= self._sweep_at:
                self._sweep()
            now = self.cluster.now
            is_due = self.due is not None and self.due <= now
            if not (self.polls.poll() or news or is_due):
                return
            self._reconcile()
        raise AssertionError(f"the operator never settles: {self.cluster.writes[-6:]}")

    def _reconcile(self) -> None:
        self.reconciles += 1
        self.due = None
        try:
            after = self._loop.run_until_complete(reconcile(self.context, KEY))
            self._failures, self.last_error = 0, None
        except Exception as error:
            self.last_error = error
            self._failures += 1
            after = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 20), LONGEST_PAUSE)
        else:
            # The poll of the Secret, which the model's operator makes in its reconcile.
            after = SWEEP.total_seconds() if after is None else min(after, SWEEP.total_seconds())
        self.due = self.cluster.now + max(after, FIRST_PAUSE) * SECOND

    def _sweep(self) -> None:
        self._sweep_at = self.cluster.now + SWEEP
        with suppress(KubernetesError):  # it is logged, and comes again
            self._loop.run_until_complete(self.orphans.sweep())
