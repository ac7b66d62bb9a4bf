"""A cluster in memory, for faults that a real API server does not make on demand."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kopf
from operator_harness import NOW, as_stored, merged
from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.cluster.cache import LABELLED_KINDS, ObjectKey, Store, key_of
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.resource_paths import labels_of

Labels = Mapping[str, str]
WATCHED = ("TradingBot", "AssetRegistry", *LABELLED_KINDS)
DELETED_AT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
MANAGED = {"app.kubernetes.io/managed-by": "tradingbot-operator"}


@dataclass
class Fault:
    """Makes the next request of that verb and kind fail, after `meanwhile`."""

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
        """Verb, kind and name of each write, without events."""
        self.reads: list[tuple[str, str, str]] = []
        self.posted: list[JsonObject] = []
        self.faults: list[Fault] = []

    def put(self, obj: JsonObject) -> None:
        """Store an object as it is, with a version of its own."""
        self.version += 1
        stored = copied(obj)
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key_of(stored)] = stored

    def edit(self, kind: str, namespace: str, name: str, **patch: Any) -> None:
        """Change an object as another client would."""
        self.put(merged(self.objects[kind, namespace, name], patch))

    def drop(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object as another client would."""
        del self.objects[kind, namespace, name]

    def tell(self, store: Store) -> None:
        """Report all bots, AssetRegistries and labelled children, as the watches do."""
        seen = {key: obj for key, obj in self.objects.items() if is_shown(obj)}
        for kind in WATCHED:
            for known in store.objects(kind):
                if key_of(known) not in seen:
                    self.version += 1
                    gone = copied(known)
                    gone["metadata"]["resourceVersion"] = str(self.version)
                    store.remove(gone)
        for obj in seen.values():
            store.put(copied(obj))

    def control(self, key: ObjectKey, *, now: datetime, status: JsonObject | None = None) -> None:
        """What the cluster's controllers make of a Deployment at once.

        Its ReplicaSet and pod where it asks for one, no pod where it asks for none, or is gone.
        """
        kind, namespace, name = key
        deployment = self.objects.get(key)
        pod_key = ("Pod", namespace, f"{name}-1")
        if deployment is None or not deployment["spec"]["replicas"]:
            self.objects.pop(pod_key, None)
            return
        meta = deployment["metadata"]
        template = copied(deployment["spec"]["template"])
        labels = {**template["metadata"]["labels"], "pod-template-hash": "5d4f"}
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": meta["uid"]}
        replica_set = f"{name}-5d4f"
        uid = f"uid-rs-{meta['uid']}"
        set_meta = {"name": replica_set, "namespace": namespace, "uid": uid, "labels": labels}
        set_meta["ownerReferences"] = [{**owner, "controller": True}]
        self.put({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": set_meta})
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "uid": uid}
        pod_meta = {
            "name": pod_key[2],
            "namespace": namespace,
            "uid": f"uid-pod-{uid}",
            "creationTimestamp": stamp,
            "labels": labels,
            "annotations": template["metadata"].get("annotations") or {},
            "ownerReferences": [{**owner, "controller": True}],
        }
        running = {"name": "bot", "ready": True, "state": {"running": {"startedAt": stamp}}}
        known = {"phase": "Running", "podIP": "10.244.0.7", "containerStatuses": [running]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta}
        before = self.objects.get(pod_key)
        if before is not None and before["metadata"]["annotations"] == pod_meta["annotations"]:
            known = before["status"]
        self.put({**pod, "status": merged(known, status or {})})

    def events(self) -> list[tuple[str, str]]:
        """Return type and reason of all events so far."""
        return [(event["type"], event["reason"]) for event in self.posted]

    async def server_version(self) -> JsonObject:
        return {"major": "1", "minor": "37"}

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        self.reads.append(("get", kind, name))
        self._maybe_fail("get", kind)
        found = self.objects.get((kind, namespace, name))
        return None if found is None else copied(found)

    async def items(
        self,
        kind: str,
        *,
        namespace: str = "",
        labels: Labels | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[JsonObject]:
        self._maybe_fail("list", kind)
        for key, obj in list(self.objects.items()):
            if key[0] == kind and namespace in {"", key[1]} and carries(obj, labels or {}):
                shown = copied(obj)
                if metadata_only:
                    shown = {part: shown[part] for part in ("apiVersion", "kind", "metadata")}
                yield shown

    async def version_of(self, kind: str, namespace: str, name: str) -> str | None:
        self.reads.append(("version", kind, name))
        self._maybe_fail("get", kind)
        found = self.objects.get((kind, namespace, name))
        return None if found is None else str(found["metadata"]["resourceVersion"])

    async def versions(
        self, kind: str, *, namespace: str = "", labels: Labels | None = None
    ) -> AsyncIterator[tuple[NamespacedName, int]]:
        async for obj in self.items(kind, namespace=namespace, labels=labels):
            meta = obj["metadata"]
            yield NamespacedName(meta["namespace"], meta["name"]), int(meta["resourceVersion"])

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
        return copied(self.objects[key])

    async def merge(
        self, kind: str, namespace: str, name: str, patch: JsonObject, *, subresource: str = ""
    ) -> JsonObject:
        if kind == "Event":
            return self._merge_event(namespace, name, patch)
        verb = f"merge{'/' if subresource else ''}{subresource}"
        self.writes.append((verb, kind, name))
        self._maybe_fail(verb, kind)
        if subresource:
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
        return copied(after)

    def _merge_event(self, namespace: str, name: str, patch: JsonObject) -> JsonObject:
        self._maybe_fail("merge", "Event")
        for event in self.posted:
            meta = event["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, name):
                event.update(patch)
                return event
        raise KubernetesError(404, "NotFound", f"Event {name} not found")

    async def scale(self, kind: str, namespace: str, name: str, replicas: int) -> JsonObject:
        patch = {"spec": {"replicas": replicas}}
        after = await self.merge(kind, namespace, name, patch, subresource="scale")
        meta = after["metadata"]
        kept = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")}
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": kept,
            "spec": {"replicas": count} if (count := after["spec"]["replicas"]) else {},
        }

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> None:
        self.writes.append(("delete", kind, name))
        self._maybe_fail("delete", kind)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            return
        meta = found["metadata"]
        if meta.get("uid") != uid or resource_version not in {"", meta["resourceVersion"]}:
            raise KubernetesError(409, "Conflict", "the precondition does not hold")
        if meta.get("finalizers"):
            self.edit(kind, namespace, name, metadata={"deletionTimestamp": DELETED_AT})
        else:
            del self.objects[kind, namespace, name]

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


def is_shown(obj: JsonObject) -> bool:
    """Return whether the operator's watches select the object."""
    kind = obj["kind"]
    return kind in WATCHED[:2] or (kind in WATCHED and carries(obj, labels_of(kind)))


def carries(obj: JsonObject, labels: Labels) -> bool:
    """Return whether an object has the labels; an empty value matches any."""
    found = obj["metadata"].get("labels") or {}
    return all(found.get(key) == value if value else key in found for key, value in labels.items())


def copied(obj: JsonObject) -> JsonObject:
    """Return a copy that shares nothing; much faster than `deepcopy`."""
    return dict(from_json(to_json(obj)))
