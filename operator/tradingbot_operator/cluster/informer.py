"""Keeps the cache equal to the cluster, and reports the name of each object to reconcile.

    watches (a thread of kopf) --> _on_event --+
                                               +--> cache --> changed(kind, name)
    listings (now and then)    --> _on_listed -+

The watches report changes within milliseconds and may miss some; the listings find what they
missed. Both may report the same version, and the answer to the operator's own write may come before
either: the cache keeps the newest version, and only news is reported.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import UNREADABLE
from tradingbot_operator.cluster.cache import ObjectKey, Store, key_of
from tradingbot_operator.cluster.client import KubernetesApi
from tradingbot_operator.cluster.listings import OWN_KINDS, Listings
from tradingbot_operator.cluster.reading.trimming import bot_of
from tradingbot_operator.cluster.watching.health import WatchHealth
from tradingbot_operator.cluster.watching.watches import watch

logger = logging.getLogger(__name__)


class Informer:
    """Fills `store` from watches and listings.

    `changed` is called with the kind and name of the TradingBot or AssetRegistry that a change
    concerns: for a child, those of its bot, whether that bot exists or not.
    """

    def __init__(
        self,
        api: KubernetesApi,
        store: Store,
        changed: Callable[[str, NamespacedName], None],
        *,
        namespaces: Sequence[str],
        resync_interval: float,
    ) -> None:
        self._store = store
        self._changed = changed
        self._namespaces = namespaces
        self._watching = asyncio.Event()
        self._unreadable: set[ObjectKey] = set()
        self.watch_health = WatchHealth()
        self.listings = Listings(
            api, store, self._on_listed, namespaces=namespaces, interval=resync_interval
        )

    @property
    def synced(self) -> asyncio.Event:
        """Set once everything has been listed."""
        return self.listings.synced

    async def watch(self, stop: asyncio.Event) -> None:
        """Watch until `stop`."""
        await watch(
            self._on_event,
            namespaces=self._namespaces,
            stop=stop,
            ready=self._watching,
            on_missed_events=self.listings.requested.set,
            is_served=self.listings.is_served,
            health=self.watch_health,
        )

    async def resync_loop(self) -> None:
        """Compare the cache with the cluster now and then; never returns.

        Starts when the watches have: a change between a listing and the start of a watch would be
        missed by both.
        """
        await self._watching.wait()
        await self.listings.resync_loop()

    async def catch_up(self) -> None:
        """List bots and AssetRegistries before returning, and everything else soon.

        For an operator that becomes the leader: the previous leader wrote until a moment ago, and
        the watches may lag behind.
        """
        await self.listings.relist(OWN_KINDS)
        self.listings.requested.set()

    def unready(self) -> str:
        """Return why the cache may be out of date; empty if it is not."""
        if not self._watching.is_set():
            return "the watches have not started"
        return self.listings.unready() or self.watch_health.unready()

    def stuck(self) -> str:
        """Return why only a restart of the process can help; empty if none is needed."""
        return self.watch_health.stuck()

    def _on_event(self, type_: str | None, obj: JsonObject) -> None:
        # The thread of the watch has checked and trimmed the object: see `watching.lines`.
        self._apply(type_, obj, is_trimmed=True)

    def _on_listed(self, type_: str, obj: JsonObject) -> None:
        self._apply(type_, obj, is_trimmed=False)  # checked by the client that read it

    def _apply(self, type_: str | None, obj: JsonObject, *, is_trimmed: bool) -> None:
        if type_ == "DELETED":
            self._store.remove(obj)
        elif not self._store.put(obj, is_trimmed=is_trimmed):
            return  # known, as after a write of our own, whose reconcile went on with the answer
        self._log_if_unreadable(obj)
        kind, namespace, name = key_of(obj)
        if kind in OWN_KINDS:
            self._changed(kind, NamespacedName(namespace, name))
        elif (bot := bot_of(obj)) is not None:
            self._changed("TradingBot", NamespacedName(namespace, bot))

    def _log_if_unreadable(self, obj: JsonObject) -> None:
        """Log an object that can't be read once, until it can be read again."""
        key = key_of(obj)
        if UNREADABLE not in obj:
            self._unreadable.discard(key)
        elif key not in self._unreadable:
            self._unreadable.add(key)
            logger.warning("Could not read %s %s/%s: %s", *key, obj[UNREADABLE])
