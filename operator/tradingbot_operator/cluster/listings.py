"""Lists all objects at the start, and compares the cache with the cluster from then on.

Watches alone are not enough: a watch that broke may have missed any event, and a line that can't be
read is an event that was missed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.cluster.cache import LABELLED_KINDS, Store
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.resource_paths import labels_of

logger = logging.getLogger(__name__)

OWN_KINDS = ("TradingBot", "AssetRegistry")
KINDS = (*OWN_KINDS, *sorted(LABELLED_KINDS))
"""Bots come first: of a large child only the version is kept until its bot is known."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
SHORTEST_INTERVAL = 1.0
"""Minimum seconds between two listings: requests for one may come often."""

MISSED_LISTINGS = 3
"""Resync intervals without a successful listing after which the operator is not ready."""


class Listings:
    """Lists each kind and reports each object that is new, has changed or is gone."""

    def __init__(
        self,
        api: KubernetesApi,
        store: Store,
        on_event: Callable[[str, JsonObject], None],
        *,
        namespaces: Sequence[str],
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api = api
        self._store = store
        self._on_event = on_event
        self._namespaces = tuple(namespaces) or ("",)
        self._interval = interval
        self._clock = clock
        self.requested = asyncio.Event()
        """Set to list everything soon."""
        self.synced = asyncio.Event()
        """Set once everything has been listed."""
        self._listed_at = clock()
        self._failure = ""
        self._unidentified = 0
        self._served: set[str] = set()

    async def resync_loop(self) -> None:
        """List everything now, when it is requested, and once in each interval; never returns."""
        while True:
            self.requested.clear()
            await self.relist()
            self.synced.set()
            await asyncio.sleep(min(SHORTEST_INTERVAL, self._interval))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.requested.wait(), self._interval)

    async def relist(self, kinds: Iterable[str] = KINDS) -> None:
        """List all objects of these kinds.

        A kind that can't be listed is tried again; the others go on without it.
        """
        pause, left = FIRST_PAUSE, list(kinds)
        while left := [kind for kind in left if not await self._try_to_list(kind)]:
            logger.warning(
                "Could not list %s, trying again in %.1f s: %s",
                ", ".join(left),
                pause,
                self._failure,
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            # Kinds that were listed may have missed events during the pause: start from scratch.
            if self.requested.is_set() and self.synced.is_set():
                self.requested.clear()
                left = list(KINDS)
        self._listed_at, self._failure = self._clock(), ""

    def unready(self) -> str:
        """Return why the cache may be out of date; empty if it is not."""
        if not self.synced.is_set():
            return self._with_failure("the API server has not been listed yet")
        age = self._clock() - self._listed_at
        if age > MISSED_LISTINGS * self._interval:
            return self._with_failure(f"the API server has not been listed for {age:.0f} s")
        return ""

    def is_served(self, kind: str) -> bool:
        """Whether the API server answered the latest listing of a kind. Safe in any thread."""
        return kind in self._served

    def _with_failure(self, reason: str) -> str:
        return f"{reason}: {self._failure}" if self._failure else reason

    async def _try_to_list(self, kind: str) -> bool:
        try:
            await self.list_kind(kind)
        except KubernetesError as error:
            self._failure = str(error)
            self._served.discard(kind)
            return False
        self._served.add(kind)
        return True

    async def list_kind(self, kind: str) -> None:
        """List a kind: all objects at first, later only versions and the objects that differ."""
        labels = labels_of(kind) if kind in LABELLED_KINDS else None
        missing = self._store.versions(kind)
        unidentified = self._unidentified
        self.api.on_unidentified = self._note_unidentified
        if not missing:
            for namespace in self._namespaces:
                async for obj in self.api.items(kind, namespace=namespace, labels=labels):
                    self._on_event("ADDED", obj)
            return
        for namespace in self._namespaces:
            async for key, version in self.api.versions(kind, namespace=namespace, labels=labels):
                missing.pop(key, None)
                if (self._store.version(kind, *key) or 0) < version:
                    await self._read(kind, key)
        if unidentified != self._unidentified:
            return  # a missing object may be one whose name could not be read
        for key, version in missing.items():
            if self._store.version(kind, *key) != version:
                continue  # an event has come since `missing` was taken
            gone = self._store.get(kind, *key)
            if gone is not None:
                self._on_event("DELETED", gone)
            else:
                self._store.forget(kind, *key)

    async def _read(self, kind: str, key: NamespacedName) -> None:
        try:
            found = await self.api.get(kind, *key)
        except KubernetesError as error:
            if error.reason != "NoObject":
                raise
            logger.warning("Could not read %s %s: %s", kind, key, error)
            return
        if found is not None:
            self._on_event("ADDED", found)

    def _note_unidentified(self, kind: str, count: int) -> None:
        self._unidentified += count
        logger.warning("Could not identify %d objects in a list of %s", count, kind)
