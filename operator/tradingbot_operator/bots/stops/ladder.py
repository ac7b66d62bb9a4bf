"""Stop a bot by a ladder of writes: each step is tried if the one before was refused or failed.

Admission of others may refuse an update of the Deployment: a policy requires a label, or its
webhook is down. So a stop must not depend on one kind of write, nor on writes of other objects:

1. apply the declared Deployment with 0 replicas;
2. merge-patch `deployments/scale`, which few policies match;
3. delete the Deployment, with its uid as a precondition;
4. delete its pods. Not by eviction, which a PodDisruptionBudget may refuse.

Three examples:

    a webhook for Deployments is down             1 fails, 2 succeeds; the controllers delete the
                                                  pod
    a policy refuses all writes of Deployments    1 to 3 fail, 4 deletes the pod. Its ReplicaSet
                                                  creates another, which the next attempt deletes;
                                                  StopBlocked reports the refusals
    no controller manager runs                    1 succeeds, but the pod stays. After 5 s step 4
                                                  deletes the pod, after 10 s step 3 the Deployment
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from tradingbot_api.model import JsonObject

from tradingbot_operator import UNREADABLE
from tradingbot_operator.bots.pods import BotPod
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError

logger = logging.getLogger(__name__)

DELETE_PODS_AFTER = 5.0
"""Seconds that the controllers have to delete the pods of a Deployment with 0 replicas."""

DELETE_DEPLOYMENT_AFTER = 10.0
"""Seconds after which a Deployment with 0 replicas and running pods is deleted: its ReplicaSet
creates pods again, and is deleted with the Deployment."""


@dataclass(frozen=True)
class Stop:
    """The result of one attempt."""

    deployment: JsonObject | None
    """The Deployment after the attempt, None if it is gone or there is none."""
    refusals: tuple[str, ...] = ()
    """The error of each step that failed, in order."""


def wants_pods(deployment: JsonObject | None) -> bool:
    """Return whether a Deployment requests a pod; one that can't be read may."""
    if deployment is None:
        return False
    if UNREADABLE in deployment:
        return True
    replicas = (deployment.get("spec") or {}).get("replicas")
    return bool(1 if replicas is None else replicas)


async def without_pods(api: KubernetesApi, namespace: str, name: str) -> JsonObject:
    """Patch only the replicas of a Deployment to 0. Returns the Deployment."""
    patch = {"spec": {"replicas": 0}}
    return {"kind": "Deployment", **await api.merge("Deployment", namespace, name, patch)}


async def carry_out(
    api: KubernetesApi,
    namespace: str,
    deployment: JsonObject | None,
    pods: Sequence[BotPod],
    *,
    waited: float,
    first: Callable[[], Awaitable[JsonObject]] | None = None,
    keep: bool = False,
) -> Stop:
    """Make one attempt to leave the bot without a pod.

    Errors of the API server are collected in the result; others are raised.

    `first` replaces the first step if the declared Deployment is known; it returns the Deployment.
    Otherwise the first step is a merge patch of the replicas. `waited` is the time in seconds since
    the bot had to stop. With `keep`, a Deployment whose pods are slow to end is not deleted, only
    one that can't be scaled down.
    """
    ladder = _Ladder(api)
    live = deployment
    if deployment is not None and wants_pods(deployment):
        live = await ladder.scale_down(deployment, first)
    running = [pod for pod in pods if pod.going is None]
    slow = running and waited >= DELETE_DEPLOYMENT_AFTER
    if slow and not keep and live is not None and not wants_pods(live):
        live = await ladder.delete(live)
    if running and (wants_pods(live) or waited >= DELETE_PODS_AFTER):
        await ladder.delete_pods(namespace, running)
    return Stop(live, tuple(dict.fromkeys(ladder.refusals)))


class _Ladder:
    """The steps, and the errors of those that failed."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self.refusals: list[str] = []

    async def scale_down(
        self, deployment: JsonObject, first: Callable[[], Awaitable[JsonObject]] | None
    ) -> JsonObject | None:
        """Try steps 1 to 3. Returns the Deployment, None if it was deleted."""
        meta = deployment["metadata"]
        name = ("Deployment", meta["namespace"], meta["name"])
        done = await self._try(first or (lambda: without_pods(self._api, *name[1:])))
        if done is not None and not wants_pods(done):
            return done
        scaled = await self._try(lambda: self._api.scale(*name, 0))
        if scaled is not None and not (scaled.get("spec") or {}).get("replicas"):
            spec = {**(deployment.get("spec") or {}), "replicas": 0}
            # The old status must go: it would say that the controllers have observed the change.
            old = (UNREADABLE, "status")
            rest = {key: value for key, value in deployment.items() if key not in old}
            return {**rest, "spec": spec}
        if done is not None or scaled is not None:
            self.refusals.append("another client changes the replicas of the Deployment back")
        return await self.delete(deployment)

    async def delete(self, deployment: JsonObject) -> JsonObject | None:
        """Try step 3. Returns None if the Deployment is gone or being deleted."""
        meta = deployment["metadata"]
        try:
            await self._api.delete(
                "Deployment", meta["namespace"], meta["name"], uid=str(meta.get("uid", ""))
            )
        except KubernetesError as error:
            self._note(error)
            return deployment
        return None

    async def delete_pods(self, namespace: str, pods: Iterable[BotPod]) -> None:
        """Try step 4."""
        for pod in pods:
            try:
                await self._api.delete("Pod", namespace, pod.name, uid=pod.uid)
            except KubernetesError as error:
                self._note(error)

    async def _try(self, step: Callable[[], Awaitable[JsonObject]]) -> JsonObject | None:
        try:
            return await step()
        except KubernetesError as error:
            self._note(error)
            return None

    def _note(self, error: KubernetesError) -> None:
        logger.warning("A step of a stop failed: %s", error)
        self.refusals.append(str(error))
