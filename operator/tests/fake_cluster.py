"""A cluster in memory, for faults that a real API server does not make on demand."""

import copy
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kopf
from operator_harness import as_stored, merged
from tradingbot_api.model import JsonObject
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.store import ObjectKey, Store, key_of

Labels = Mapping[str, str]
WATCHED = ("TradingBot", "AssetRegistry", "ConfigMap", "Deployment", "Service")
MANAGED = {"app.kubernetes.io/managed-by": "tradingbot-operator"}


@dataclass
class Fault:
    """Lets the next request of that verb and kind fail, after `meanwhile` has happened."""

    verb: str
    kind: str
    error: KubernetesError | None = None
    meanwhile: Callable[[], None] = lambda: None
    times: int = 1


class FakeCluster(KubernetesApi):
    """Objects with versions, merge patches, finalizers, and faults."""

    def __init__(self) -> None:
        async def login() -> kopf.ConnectionInfo:
            raise AssertionError("nothing logs in to a cluster in memory")

        super().__init__(login)
        self.objects: dict[ObjectKey, JsonObject] = {}
        self.version = 100
        self.writes: list[tuple[str, str, str]] = []
        """Verb, kind and name of each write but of events."""
        self.reads: list[tuple[str, str, str]] = []
        self.posted: list[JsonObject] = []
        self.faults: list[Fault] = []

    def put(self, obj: JsonObject) -> None:
        """Store an object as it is, with a version of its own."""
        self.version += 1
        stored = copy.deepcopy(obj)
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key_of(stored)] = stored

    def edit(self, kind: str, namespace: str, name: str, **patch: Any) -> None:
        """What somebody else does to an object."""
        self.put(merged(self.objects[kind, namespace, name], patch))

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """What somebody else does away with."""
        del self.objects[kind, namespace, name]

    def tell(self, store: Store) -> None:
        """What the watches say: all bots and catalogues, and the children with our label."""
        seen = {
            key: obj
            for key, obj in self.objects.items()
            if key[0] in WATCHED[:2] or (key[0] in WATCHED and _carries(obj, MANAGED))
        }
        for kind in WATCHED:
            for known in store.objects(kind):
                if key_of(known) not in seen:
                    self.version += 1
                    gone = copy.deepcopy(known)
                    gone["metadata"]["resourceVersion"] = str(self.version)
                    store.remove(gone)
        for obj in seen.values():
            store.put(copy.deepcopy(obj))

    def events(self) -> list[tuple[str, str]]:
        """Type and reason of all events so far."""
        return [(one["type"], one["reason"]) for one in self.posted]

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        self.reads.append(("get", kind, name))
        self._maybe_fail("get", kind)
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def items(
        self, kind: str, *, namespace: str = "", labels: Labels | None = None
    ) -> AsyncIterator[JsonObject]:
        self._maybe_fail("list", kind)
        for key, obj in list(self.objects.items()):
            if key[0] == kind and namespace in {"", key[1]} and _carries(obj, labels or {}):
                yield copy.deepcopy(obj)

    async def version_of(self, kind: str, namespace: str, name: str) -> str | None:
        self.reads.append(("version", kind, name))
        self._maybe_fail("get", kind)
        found = self.objects.get((kind, namespace, name))
        return None if found is None else str(found["metadata"]["resourceVersion"])

    async def versions(
        self, kind: str, *, namespace: str = "", labels: Labels | None = None
    ) -> AsyncIterator[tuple[tuple[str, str], int]]:
        async for obj in self.items(kind, namespace=namespace, labels=labels):
            meta = obj["metadata"]
            yield (meta["namespace"], meta["name"]), int(meta["resourceVersion"])

    async def apply(self, manifest: JsonObject, *, new: bool = False) -> JsonObject:
        key = key_of(manifest)
        self.writes.append(("apply", key[0], key[2]))
        self._maybe_fail("apply", key[0])
        stored = as_stored(manifest)
        before = self.objects.get(key)
        if before is not None and new:
            raise KubernetesError(409, "Conflict", "the object has been modified")
        if before is not None:
            selector = stored.get("spec", {}).get("selector")
            stored = merged(before, stored)
            if selector is not None:
                # As in the real one, an atomic map is replaced as a whole.
                stored["spec"]["selector"] = selector
        self.put(stored)
        return copy.deepcopy(self.objects[key])

    async def merge(
        self, kind: str, namespace: str, name: str, patch: JsonObject, *, subresource: str = ""
    ) -> JsonObject:
        self.writes.append((f"merge{'/' if subresource else ''}{subresource}", kind, name))
        self._maybe_fail("merge", kind)
        before = self.objects.get((kind, namespace, name))
        if before is None:
            raise KubernetesError(404, "NotFound", f"{kind} {name} not found")
        expected = (patch.get("metadata") or {}).get("resourceVersion")
        if expected not in {None, "", before["metadata"]["resourceVersion"]}:
            raise KubernetesError(409, "Conflict", "the object has been modified")
        self.put(merged(before, patch))
        after = self.objects[kind, namespace, name]
        meta = after["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            del self.objects[kind, namespace, name]
        return copy.deepcopy(after)

    async def create(self, manifest: JsonObject) -> JsonObject:
        assert manifest["kind"] == "Event", "the operator creates nothing but events"
        self._maybe_fail("create", "Event")
        self.posted.append(manifest)
        return manifest

    def _maybe_fail(self, verb: str, kind: str) -> None:
        for fault in self.faults:
            if (fault.verb, fault.kind) == (verb, kind) and fault.times:
                fault.times -= 1
                fault.meanwhile()
                if fault.error is not None:
                    raise fault.error


def _carries(obj: JsonObject, labels: Labels) -> bool:
    return labels.items() <= (obj["metadata"].get("labels") or {}).items()
