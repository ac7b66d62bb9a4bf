"""Stop Deployments whose TradingBot no longer exists, or was deleted and created again.

No TradingBot governs such a Deployment: nothing watches its loss, and nobody can pause it. So it is
scaled to 0 replicas; the Deployment itself stays.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import BOT_LABEL, MANAGED_BY
from tradingbot_operator.bots.pods import BotPod, controller_of, sort_pods
from tradingbot_operator.bots.stops.ladder import carry_out, wants_pods
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.events import WARNING, Recorder
from tradingbot_operator.metrics import Metrics

logger = logging.getLogger(__name__)


class Orphans:
    """Finds ungoverned Deployments and stops them."""

    def __init__(
        self,
        api: KubernetesApi,
        store: Store,
        recorder: Recorder,
        metrics: Metrics,
        *,
        namespaces: Iterable[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._store = store
        self._recorder = recorder
        self._metrics = metrics
        self._namespaces = tuple(namespaces)
        self._clock = clock

    async def run(self, interval: float) -> None:
        """Sweep at once, then every `interval` seconds, until cancelled."""
        while True:
            try:
                await self.sweep()
            except KubernetesError as error:
                logger.warning("Could not list Deployments to find ungoverned ones: %s", error)
            await asyncio.sleep(interval)

    async def sweep(self) -> None:
        """List all Deployments with our labels, and stop those that no TradingBot governs."""
        running = 0
        for namespace in self._namespaces:
            async for found in self._api.items(
                "Deployment", namespace=namespace, labels=MANAGED_BY, metadata_only=True
            ):
                if self._may_be_ungoverned(found):
                    running += not await self._is_governed_or_stopped(found)
        self._metrics.ungoverned.set(running)

    def _may_be_ungoverned(self, found: JsonObject) -> bool:
        """Return whether a Deployment is a bot's by its labels, and no cached bot governs it."""
        meta = found["metadata"]
        name = meta["name"]
        # The operator gives a Deployment the name of its bot: with another name it is not ours.
        if (meta.get("labels") or {}).get(BOT_LABEL) != name or meta.get("deletionTimestamp"):
            return False
        owner = controller_of(found)
        if owner is not None and owner.get("kind") != "TradingBot":
            return False
        bot = self._store.get("TradingBot", meta["namespace"], name)
        return bot is None or not _governs(bot, owner)

    async def _is_governed_or_stopped(self, found: JsonObject) -> bool:
        """Stop an ungoverned Deployment; an error is logged and does not delay the others."""
        try:
            return await self._is_governed(found) or await self._stop(found)
        except KubernetesError as error:
            meta = found["metadata"]
            logger.warning(
                "Could not stop Deployment %s/%s, which may be ungoverned: %s",
                meta["namespace"],
                meta["name"],
                error,
            )
            return False

    async def _is_governed(self, found: JsonObject) -> bool:
        """Return whether a bot governs the Deployment. Asks the API server: the cache may lag."""
        meta = found["metadata"]
        bot = await self._api.get("TradingBot", meta["namespace"], meta["name"])
        return bot is not None and _governs(bot, controller_of(found))

    async def _stop(self, found: JsonObject) -> bool:
        """Stop a Deployment. Returns whether it requests no pod any more."""
        meta = found["metadata"]
        key = NamespacedName(meta["namespace"], meta["name"])
        deployment = await self._api.get("Deployment", *key)
        same = deployment is not None and deployment["metadata"].get("uid") == meta.get("uid")
        if deployment is None or not same or not wants_pods(deployment):
            return True

        pods = await self._pods_of(key, deployment)
        stop = await carry_out(self._api, key.namespace, deployment, pods, waited=0.0)
        done = not wants_pods(stop.deployment)
        outcome = "the Deployment was stopped" if done else "; ".join(stop.refusals)
        message = f"No TradingBot {meta['name']} governs this Deployment; {outcome}"
        event = (WARNING, "Ungoverned", message)
        await self._recorder.post(
            {**found, "kind": "Deployment"}, event, self._clock(), api_version="apps/v1"
        )
        self._metrics.ungoverned_stops.inc(done)
        return done

    async def _pods_of(self, key: NamespacedName, deployment: JsonObject) -> tuple[BotPod, ...]:
        namespace, name = key
        found = [
            pod
            async for pod in self._api.items("Pod", namespace=namespace, labels={BOT_LABEL: name})
        ]
        uid = str(deployment["metadata"].get("uid", ""))
        return sort_pods(found, bot=name, deployment=uid, owners={}).to_stop


def _governs(bot: JsonObject, owner: JsonObject | None) -> bool:
    """Return whether a bot governs a Deployment of its name: its own, or one that it may adopt."""
    return owner is None or owner.get("uid") == bot["metadata"].get("uid")
