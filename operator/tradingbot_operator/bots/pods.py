"""The pods of a bot: which one runs, which are terminating, and whom they belong to.

The status of a Deployment is not enough: it does not count pods that are being deleted and has no
addresses. Anybody may create a pod with the bot's labels, so the operator trusts only the reports
of a pod that the bot's own Deployment created.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tradingbot_api import gateway_pod
from tradingbot_api.model import JsonObject

from tradingbot_operator import BOT_LABEL, MANAGED_BY, RESTART_HASH
from tradingbot_operator.cluster.ended_pods import FINISHED
from tradingbot_operator.cluster.timestamps import instant

TEMPLATE_HASH = "pod-template-hash"
LONGEST_PROBLEM = 300

SETTLED = timedelta(seconds=15)
"""A gateway that was restarted has its ports by then, or has ended: the bot is in the same network
and may have taken them."""

NOT_CONTROLLED = ""
"""The owner of a ReplicaSet that no Deployment controls."""


@dataclass(frozen=True)
class GatewayState:
    """The gateway's container in a pod."""

    exists: bool = False
    """Not in the pod of a bot whose change of `enforcement` waits for its restart."""
    runs: bool = False
    has_run: bool = False
    """Whether it runs, or has run before."""
    ready: bool = False
    """Whether its books are those of the exchange, by its readiness probe."""
    restarted: datetime | None = None
    """When it last started, if that was not the first time: before that, no bot has run."""

    def trusted_in(self, now: datetime) -> float | None:
        """Return the seconds until what answers in the pod is the gateway, 0 if it is now.

        None while the gateway does not run: then the bot can answer in its place.
        """
        if not self.runs:
            return None
        if self.restarted is None:
            return 0.0
        return max(0.0, (self.restarted + SETTLED - now).total_seconds())

    def is_trusted(self, now: datetime) -> bool:
        """Return whether what answers in the pod is the gateway."""
        return self.trusted_in(now) == 0


@dataclass(frozen=True)
class BotPod:
    """The parts of a pod that the operator uses."""

    name: str
    uid: str
    address: str = ""
    created: datetime | None = None
    started: datetime | None = None
    """When the bot's container started, None while it is not running."""
    has_run: bool = False
    """Whether the bot's container runs, or has run before."""
    ready: bool = False
    """Whether the bot's container is ready. Readiness gates of the pod do not count."""
    going: datetime | None = None
    """The time by which the pod must have ended, if it is being deleted."""
    finalizers: tuple[str, ...] = ()
    restart_hash: str | None = None
    problem: str = ""
    """Why the bot's container is not running, in the words of Kubernetes."""
    gateway: GatewayState = GatewayState()

    def is_overdue(self, now: datetime, seconds: float) -> bool:
        """Return whether the pod should have ended `seconds` ago."""
        return self.going is not None and (now - self.going).total_seconds() >= seconds


@dataclass(frozen=True)
class Pods:
    """The pods that carry a bot's labels and have not finished."""

    own: tuple[BotPod, ...] = ()
    """Created by the bot's own Deployment."""
    left: tuple[BotPod, ...] = ()
    """Orphaned, or created by a Deployment of the bot that is gone. A stop deletes them too."""
    foreign: tuple[BotPod, ...] = ()
    """Of somebody else: never deleted, and their reports are never read."""

    @property
    def to_stop(self) -> tuple[BotPod, ...]:
        """Return the pods that must be gone before the bot has stopped."""
        return (*self.own, *self.left)

    @property
    def current(self) -> BotPod | None:
        """Return the pod that trades now: the newest that is not being deleted, else the newest."""
        earliest = datetime.min.replace(tzinfo=UTC)
        return max(
            self.own, key=lambda pod: (pod.going is None, pod.created or earliest), default=None
        )


def replica_set_of(pod: JsonObject) -> tuple[str, str] | None:
    """Return name and uid of the ReplicaSet that controls a pod, None if none does."""
    owner = controller_of(pod)
    if owner is None or owner.get("kind") != "ReplicaSet":
        return None
    return str(owner.get("name", "")), str(owner.get("uid", ""))


def controller_of(obj: JsonObject) -> JsonObject | None:
    """Return the owner reference of the controller of an object, None if there is none."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def sort_pods(
    pods: Iterable[JsonObject],
    *,
    bot: str,
    deployment: str | None,
    owners: Mapping[str, str],
    ours: bool = True,
) -> Pods:
    """Sort the unfinished pods with the labels of `bot` by whom they belong to.

    `deployment` is the uid of the Deployment with the bot's name, `ours` whether it is the bot's.
    `owners` maps the uid of each known ReplicaSet to that of the Deployment that controls it.
    """
    sorted_: dict[str, list[BotPod]] = {"own": [], "left": [], "foreign": []}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") not in FINISHED:
            whose = _whose(pod, bot, deployment, owners)
            sorted_["foreign" if whose == "own" and not ours else whose].append(read_pod(pod))
    return Pods(**{whose: tuple(found) for whose, found in sorted_.items()})


def _whose(pod: JsonObject, bot: str, deployment: str | None, owners: Mapping[str, str]) -> str:
    labels = pod["metadata"].get("labels") or {}
    hash_ = labels.get(TEMPLATE_HASH)
    owner = replica_set_of(pod)
    if owner is None:
        orphaned = controller_of(pod) is None and hash_ and MANAGED_BY.items() <= labels.items()
        return "left" if orphaned and labels.get(BOT_LABEL) == bot else "foreign"
    name, uid = owner
    controller = owners.get(uid)
    if deployment is not None and controller == deployment:
        return "own"
    # A ReplicaSet that is gone can't be asked; its name shows which Deployment created it.
    return "left" if name == f"{bot}-{hash_}" else "foreign"


def read_pod(pod: JsonObject) -> BotPod:
    """Read the parts of a pod that the operator uses."""
    meta, status = pod["metadata"], pod.get("status") or {}
    container = _container(status, "containerStatuses", gateway_pod.BOT_CONTAINER)
    gateway = _container(status, "initContainerStatuses", gateway_pod.CONTAINER)
    state = container.get("state") or {}
    gateway_runs = (gateway.get("state") or {}).get("running")
    return BotPod(
        name=str(meta["name"]),
        uid=str(meta.get("uid", "")),
        address=str(status.get("podIP") or ""),
        created=instant(meta.get("creationTimestamp")),
        started=instant((state.get("running") or {}).get("startedAt")),
        has_run=_has_run(container),
        ready=bool(container.get("ready")),
        going=instant(meta.get("deletionTimestamp")),
        finalizers=tuple(map(str, meta.get("finalizers") or ())),
        restart_hash=(meta.get("annotations") or {}).get(RESTART_HASH),
        problem=_problem(status),
        gateway=GatewayState(
            exists=bool(gateway),
            runs=gateway_runs is not None,
            has_run=_has_run(gateway),
            ready=bool(gateway.get("started")) and bool(gateway.get("ready")),
            restarted=instant((gateway_runs or {}).get("startedAt"))
            if gateway.get("restartCount")
            else None,
        ),
    )


def _container(status: JsonObject, key: str, name: str) -> JsonObject:
    for container in status.get(key) or ():
        if container.get("name") == name:
            return dict(container)
    return {}


def _has_run(container: JsonObject) -> bool:
    state = container.get("state") or {}
    return bool("running" in state or "terminated" in state or container.get("lastState"))


def _problem(status: JsonObject) -> str:
    """Return why a pod is not running, empty if it is or Kubernetes gives no reason.

    The termination message of a container is left out: it may contain anything.
    """
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _explanation(condition)
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
                return _explanation(waiting)
    return ""


def _explanation(state: Mapping[str, Any]) -> str:
    reason, message = str(state.get("reason", "")), str(state.get("message", ""))
    return f"{reason}: {message}"[:LONGEST_PROBLEM] if message else reason
