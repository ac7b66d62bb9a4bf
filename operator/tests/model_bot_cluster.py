"""A cluster in memory whose API server refuses any request, and shows objects corrupted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from fake_cluster import FakeCluster, copied, is_shown
from model_faults import ALWAYS
from operator_harness import NOW, as_stored, merged
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.cache import ObjectKey, Store, key_of
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.reading.object_reader import checked

GARBAGE: tuple[Any, ...] = (7, "garbage", ["garbage"], [7], {"a": ["b"]}, True)

PLACES: tuple[tuple[str, ...], ...] = (
    ("metadata", "labels"),
    ("metadata", "annotations"),
    ("metadata", "ownerReferences"),
    ("metadata", "finalizers"),
    ("metadata", "uid"),
    ("metadata", "resourceVersion"),
    ("metadata", "deletionTimestamp"),
    ("metadata", "generation"),
    ("spec",),
    ("spec", "replicas"),
    ("spec", "template"),
    ("spec", "template", "metadata"),
    ("spec", "template", "spec"),
    ("spec", "paused"),
    ("spec", "schedule"),
    ("spec", "strategy"),
    ("data",),
    ("status",),
    ("status", "conditions"),
    ("status", "containerStatuses"),
    ("status", "risk"),
    ("status", "risk", "haltedSince"),
    ("status", "risk", "dayEndsAt"),
)
"""Where an object may come back with a value of another type than it has."""


class ModelCluster(FakeCluster):
    """Uids of their own for each object, server-side apply's preconditions, faults that last."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.refused: dict[tuple[str, str], tuple[KubernetesError, int]] = {}
        """By verb and kind, what such a request fails with, and how many of them."""
        self.corruptions: dict[ObjectKey, tuple[tuple[str, ...], Any]] = {}
        self.unreadable: set[ObjectKey] = set()
        """Objects of which the watches show a stub."""
        self.on_start: Callable[[], None] = lambda: None
        """Called when the operator writes a Deployment that asks for a pod."""
        self.failures: set[tuple[str, str]] = set()
        """Verb and kind of each request that has failed."""
        self._uids = 0
        self._told: WeakKeyDictionary[Store, dict[ObjectKey, tuple[Any, ...]]] = WeakKeyDictionary()
        """What the watches have shown to each operator's store."""

    def put(self, obj: JsonObject) -> None:
        """Store an object. A write that changes nothing makes no version, and no event."""
        before = self.objects.get(key_of(obj))
        if before is None or _without_version(before) != _without_version(obj):
            super().put(obj)

    def stamp(self, seconds: float = 0) -> str:
        """A time from now, as Kubernetes writes it."""
        at = (self.now + timedelta(seconds=seconds)).astimezone(UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def uid(self) -> str:
        """A uid that no object has had."""
        self._uids += 1
        return f"uid-{self._uids}"

    def corrupted(self, obj: JsonObject) -> JsonObject:
        """The object as it is read: corrupted, or a stub where it can't be read."""
        shown = self._corrupted(obj)
        if key_of(obj) in self.unreadable:
            shown["spec"] = "as good as unreadable"
        found = checked(shown, obj["kind"], obj.get("apiVersion", ""))
        assert found is not None, "its name and namespace are never corrupted"
        return found

    def _corrupted(self, obj: JsonObject) -> JsonObject:
        shown = copied(obj)
        place, value = self.corruptions.get(key_of(obj), ((), None))
        holder: Any = shown
        for step in place[:-1]:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if place and isinstance(holder, dict):
            before = holder.get(place[-1])
            if value is None:
                holder.pop(place[-1], None)
            elif type(before) is not type(value) or value == [7]:
                holder[place[-1]] = value
        return shown

    def tell(self, store: Store) -> bool:
        """What the watches say, each thing once; whether it is news."""
        seen = {key: obj for key, obj in self.objects.items() if is_shown(obj)}
        told = self._told.setdefault(store, {})
        gone = [key for key, (uid, *_) in told.items() if _uid(seen.get(key)) != uid]
        for key in gone:
            self.version += 1
            uid = told.pop(key)[0]
            meta = {"namespace": key[1], "name": key[2], "uid": uid}
            known = store.get(*key)
            if known is not None:  # the uid that is known may be a corrupted one
                meta["uid"] = known["metadata"].get("uid")
            meta["resourceVersion"] = str(self.version)
            store.remove({"kind": key[0], "metadata": meta})
        news = bool(gone)
        for key, obj in seen.items():
            version = obj["metadata"]["resourceVersion"]
            shown = (_uid(obj), version, self.corruptions.get(key), key in self.unreadable)
            if told.get(key) != shown:
                told[key] = shown
                news = store.put(self.corrupted(obj)) or news
        return news

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        found = await super().get(kind, namespace, name)
        return None if found is None else self.corrupted(found)

    async def items(self, kind: str, **options: Any) -> Any:
        async for found in super().items(kind, **options):
            yield self.corrupted(found)

    async def apply(self, manifest: JsonObject, *, new: bool = False) -> JsonObject:
        key, meta = key_of(manifest), manifest["metadata"]
        self.writes.append(("apply", key[0], key[2]))
        self._maybe_fail("apply", key[0])
        before = self.objects.get(key)
        for part in ("uid", "resourceVersion"):
            theirs = before["metadata"][part] if before is not None else None
            if (part in meta and meta[part] != theirs) or (new and before is not None):
                raise KubernetesError(409, "Conflict", "the object has been modified")
        stored = as_stored(manifest)
        stored["metadata"] |= {"uid": self.uid(), "creationTimestamp": self.stamp()}
        if before is not None:
            stored = self._applied(before, stored)
        if key[0] == "Deployment" and manifest["spec"]["replicas"]:
            self.on_start()
        self.put(stored)
        return copied(self.objects[key])

    @staticmethod
    def _applied(before: JsonObject, stored: JsonObject) -> JsonObject:
        after = merged(before, stored)
        for part in ("uid", "creationTimestamp"):
            after["metadata"][part] = before["metadata"][part]
        if before.get("immutable") and after["data"] != before["data"]:
            raise KubernetesError(422, "Invalid", "field is immutable when `immutable` is set")
        if "selector" in stored.get("spec", {}):
            after["spec"]["selector"] = stored["spec"]["selector"]  # an atomic map
        if "template" in stored.get("spec", {}):
            annotations = stored["spec"]["template"]["metadata"].get("annotations")
            after["spec"]["template"]["metadata"]["annotations"] = annotations or {}
        return dict(after)

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> None:
        key = (kind, namespace, name)
        self.writes.append(("delete", kind, name))
        self._maybe_fail("delete", kind)
        found = self.objects.get(key)
        if found is None:
            return
        meta = found["metadata"]
        if meta["uid"] != uid or resource_version not in {"", meta["resourceVersion"]}:
            raise KubernetesError(409, "Conflict", "the precondition does not hold")
        self.remove(key)

    def remove(self, key: ObjectKey) -> None:
        """Delete an object as the API server does: a pod gets its grace, a finalizer is kept."""
        meta = self.objects[key]["metadata"]
        if "deletionTimestamp" in meta:
            return
        if key[0] == "Pod":
            self.edit(*key, metadata={"deletionTimestamp": self.stamp(30)})
        elif meta.get("finalizers"):
            self.edit(*key, metadata={"deletionTimestamp": self.stamp()})
        else:
            del self.objects[key]

    def _maybe_fail(self, verb: str, kind: str) -> None:
        error, times = self.refused.get((verb, kind), (None, 0))
        if error is not None and times:
            self.refused[verb, kind] = (error, times - 1)
            self.failures.add((verb, kind))
            # Another one each time: to raise an exception again adds to its traceback, and the
            # frames there keep the clusters of all examples before.
            raise KubernetesError(error.status, error.reason, str(error))
        super()._maybe_fail(verb, kind)

    def end_passing_faults(self) -> None:
        """Keep only the faults that last."""
        lasting = {
            request: fault for request, fault in self.refused.items() if fault[1] > ALWAYS / 2
        }
        self.refused = lasting

    def heal(self) -> None:
        """End all faults."""
        self.refused.clear()
        self.corruptions.clear()
        self.unreadable.clear()


def at(text: str) -> datetime:
    """The instant of a time that the model wrote."""
    return datetime.fromisoformat(text)


def _uid(obj: JsonObject | None) -> str:
    return "" if obj is None else str(obj["metadata"]["uid"])


def _without_version(obj: JsonObject) -> JsonObject:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": ""}}
