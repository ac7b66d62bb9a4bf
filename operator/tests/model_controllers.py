"""What a cluster does by itself, in the model: controllers, a kubelet, the garbage collector."""

import copy
from collections.abc import Iterator
from datetime import datetime, timedelta

from model_bot_cluster import ModelCluster, at
from tradingbot_api.gateway_pod import BOT_CONTAINER
from tradingbot_api.model import JsonObject, digest
from tradingbot_operator.bots.pods import controller_of
from tradingbot_operator.cluster.cache import ObjectKey

START_SECONDS = 2
"""From a pod's creation until its container runs."""
END_SECONDS = 4
"""From a pod's deletion until its container has ended."""
_SECOND = timedelta(seconds=1)
FINISHED = ("Succeeded", "Failed")


class Controllers:
    """Brings the model's cluster forward, one step at a time."""

    def __init__(self, cluster: ModelCluster) -> None:
        self.cluster = cluster
        self.are_down = False
        """Whether the controllers make, adopt and collect nothing; kubelets go on."""
        self.node_is_lost = False
        self.quota_is_full = False
        self._created = 0
        self._ends: dict[str, datetime] = {}
        """When the container of each pod that is being deleted has ended, by uid."""
        self._next: dict[str, datetime] = {}
        """When each ReplicaSet makes pods again, by uid: no controller takes no time at all."""

    def settle(self) -> None:
        """Step until nothing changes at this instant."""
        for _ in range(20):
            version, count = self.cluster.version, len(self.cluster.objects)
            self._kubelet()
            if not self.are_down:
                self._deployments()
                self._replica_sets()
                self._collect_garbage()
            if (version, count) == (self.cluster.version, len(self.cluster.objects)):
                return
        raise AssertionError("the controllers of the model never settle")

    def next_event(self) -> datetime | None:
        """When a pod starts or ends by itself, None if none does."""
        times = [*self._ends.values(), *self._next.values()]
        for pod in self._all("Pod"):
            if _phase(pod) == "Pending":
                created = at(pod["metadata"]["creationTimestamp"])
                times.append(created + (START_SECONDS * _SECOND))
        return min((time for time in times if time > self.cluster.now), default=None)

    def running(self, namespace: str, bot: str) -> list[JsonObject]:
        """The pods of a bot's own that trade: made by a controller, and not at their end."""
        return [
            pod
            for pod in self._all("Pod")
            if pod["metadata"]["namespace"] == namespace
            and pod["metadata"]["labels"].get("trading.io/bot") == bot
            and "pod-template-hash" in pod["metadata"]["labels"]
            and _phase(pod) == "Running"
        ]

    def _all(self, kind: str) -> Iterator[JsonObject]:
        return iter([obj for key, obj in list(self.cluster.objects.items()) if key[0] == kind])

    def _exists(self, uid: str) -> bool:
        return any(obj["metadata"].get("uid") == uid for obj in self.cluster.objects.values())

    def _dependents(self, kind: str, uid: str) -> list[JsonObject]:
        return [
            obj
            for obj in self._all(kind)
            if (controller := controller_of(obj)) is not None and controller["uid"] == uid
        ]

    def _deployments(self) -> None:
        for deployment in self._all("Deployment"):
            spec, uid = deployment["spec"], deployment["metadata"]["uid"]
            if not isinstance(spec.get("template"), dict) or not spec["template"]:
                continue  # of somebody else, and of no interest
            self._adopt("ReplicaSet", deployment)
            sets = self._dependents("ReplicaSet", uid)
            hash_ = digest(spec["template"])[:8]
            current = [replica_set for replica_set in sets if replica_set["hash"] == hash_]
            if spec.get("paused"):
                active = [replica_set for replica_set in sets if replica_set["replicas"]] or sets[
                    -1:
                ]
                for replica_set in active:
                    self._scale(replica_set, spec["replicas"])
                continue
            for replica_set in sets:
                if replica_set["hash"] != hash_:
                    self._scale(replica_set, 0)
            # Recreate: the old pods are gone before a new one is made.
            old = [
                pod
                for replica_set in sets
                if replica_set["hash"] != hash_
                for pod in self._pods(replica_set)
            ]
            if any(_phase(pod) not in FINISHED for pod in old):
                continue
            for replica_set in current:
                self._scale(replica_set, spec["replicas"])
            if not current and spec["replicas"]:
                self._make_replica_set(deployment, hash_)

    def _pods(self, replica_set: JsonObject) -> list[JsonObject]:
        return self._dependents("Pod", replica_set["metadata"]["uid"])

    def _scale(self, replica_set: JsonObject, replicas: int) -> None:
        if replica_set["replicas"] != replicas:
            self.cluster.put({**replica_set, "replicas": replicas})

    def _make_replica_set(self, deployment: JsonObject, hash_: str) -> None:
        meta = deployment["metadata"]
        template = copy.deepcopy(deployment["spec"]["template"])
        labels = {**template["metadata"]["labels"], "pod-template-hash": hash_}
        name = f"{meta['name']}-{hash_}"
        if ("ReplicaSet", meta["namespace"], name) in self.cluster.objects:
            return  # of a Deployment before, whose collection is awaited
        replica_set = self._owned("ReplicaSet", name, deployment, labels)
        replicas = deployment["spec"]["replicas"]
        self.cluster.put({**replica_set, "replicas": replicas, "template": template, "hash": hash_})

    def _owned(self, kind: str, name: str, owner: JsonObject, labels: JsonObject) -> JsonObject:
        meta = owner["metadata"]
        reference = {"apiVersion": "apps/v1", "kind": owner["kind"], "controller": True}
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "uid": self.cluster.uid(),
                "creationTimestamp": self.cluster.stamp(),
                "labels": labels,
                "ownerReferences": [{**reference, "name": meta["name"], "uid": meta["uid"]}],
            },
        }

    def _adopt(self, kind: str, owner: JsonObject) -> None:
        meta = owner["metadata"]
        for obj in self._all(kind):
            labels = obj["metadata"]["labels"]
            bot = owner["spec"]["template"]["metadata"]["labels"].get("trading.io/bot")
            same = obj["metadata"]["namespace"] == meta["namespace"]
            if not controller_of(obj) and same and labels.get("trading.io/bot") == bot:
                reference = {"apiVersion": "apps/v1", "kind": owner["kind"], "controller": True}
                references = [{**reference, "name": meta["name"], "uid": meta["uid"]}]
                self._patch(obj, metadata={"ownerReferences": references})

    def _patch(self, obj: JsonObject, **patch: JsonObject) -> None:
        meta = obj["metadata"]
        self.cluster.edit(obj["kind"], meta["namespace"], meta["name"], **patch)

    def _replica_sets(self) -> None:
        full, now = False, self.cluster.now
        for replica_set in self._all("ReplicaSet"):
            pods = self._pods(replica_set)
            alive = [
                pod
                for pod in pods
                if "deletionTimestamp" not in pod["metadata"] and _phase(pod) not in FINISHED
            ]
            for pod in alive[replica_set["replicas"] :]:
                self.cluster.remove(_key(pod))
            made = False
            for _ in range(len(alive), replica_set["replicas"]):
                if self.quota_is_full:
                    full = True
                elif self._next.get(replica_set["metadata"]["uid"], now) <= now:
                    self._make_pod(replica_set)
                    made = True
            if made:
                self._next[replica_set["metadata"]["uid"]] = now + _SECOND
        self._report_quota(full=full)

    def _report_quota(self, *, full: bool) -> None:
        said = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: two"}
        for deployment in self._all("Deployment"):
            if not isinstance(deployment["spec"].get("template"), dict):
                continue
            wanted = [said] if full and deployment["spec"].get("replicas") else []
            if deployment.get("status", {}).get("conditions", []) != wanted:
                self._patch(deployment, status={"conditions": wanted})

    def _make_pod(self, replica_set: JsonObject) -> None:
        self._created += 1
        name = f"{replica_set['metadata']['name']}-{self._created}"
        template = replica_set["template"]
        pod = self._owned("Pod", name, replica_set, replica_set["metadata"]["labels"])
        pod["metadata"]["annotations"] = template["metadata"].get("annotations") or {}
        image = template["spec"]["containers"][0]["image"]
        self.cluster.put({**pod, "image": image, "status": {"phase": "Pending"}})

    def _kubelet(self) -> None:
        """Start what is due, end what must go; a node that is lost does neither."""
        if self.node_is_lost:
            self._delete_unscheduled()
            return
        now = self.cluster.now
        for pod in self._all("Pod"):
            meta = pod["metadata"]
            if "pod-template-hash" not in meta["labels"]:
                continue
            created = at(meta["creationTimestamp"])
            if "deletionTimestamp" in meta:
                self._end(pod)
            elif _phase(pod) == "Pending" and now >= created + START_SECONDS * _SECOND:
                state = {"running": {"startedAt": self.cluster.stamp()}}
                container = {"name": BOT_CONTAINER, "ready": True, "state": state}
                address = f"10.244.0.{meta['uid'].removeprefix('uid-')}"
                status = {"podIP": address, "containerStatuses": [container]}
                self._patch(pod, status={"phase": "Running", **status})

    def _delete_unscheduled(self) -> None:
        """Delete pods that no node has: nothing of them runs, so the API server doesn't wait.

        With more and more pods at each step, an example would take hours.
        """
        for pod in self._all("Pod"):
            meta = pod["metadata"]
            is_going = "deletionTimestamp" in meta and not meta.get("finalizers")
            if is_going and _phase(pod) == "Pending":
                del self.cluster.objects[_key(pod)]

    def _end(self, pod: JsonObject) -> None:
        now, meta = self.cluster.now, pod["metadata"]
        ends = self._ends.setdefault(meta["uid"], now + END_SECONDS * _SECOND)
        if now < ends:
            return
        if not meta.get("finalizers"):
            del self.cluster.objects[_key(pod)]
            del self._ends[meta["uid"]]
        elif _phase(pod) not in FINISHED:
            self._patch(pod, status={"phase": "Succeeded", "containerStatuses": None})

    def _collect_garbage(self) -> None:
        for bot in self._all("TradingBot"):
            meta = bot["metadata"]
            if "deletionTimestamp" in meta and "orphan" in meta["finalizers"]:
                for kind in ("ConfigMap", "Deployment", "Service"):
                    for child in self._dependents(kind, meta["uid"]):
                        self._patch(child, metadata={"ownerReferences": None})
                finalizers = [name for name in meta["finalizers"] if name != "orphan"]
                self._patch(bot, metadata={"finalizers": finalizers})
                if not finalizers:
                    del self.cluster.objects[_key(bot)]
        for key, obj in list(self.cluster.objects.items()):
            owner = controller_of(obj)
            if owner is not None and not self._exists(str(owner["uid"])):
                self.cluster.remove(key)


def _key(obj: JsonObject) -> ObjectKey:
    return obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]


def _phase(pod: JsonObject) -> str:
    return str((pod.get("status") or {}).get("phase", ""))
