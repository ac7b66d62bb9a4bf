"""The status of a pod, as the kubelet writes it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tradingbot_dev.pods.plan import HOST_ADDRESS

JsonObject = dict[str, Any]

KILLED = 137
UNKNOWN_EXIT = "ContainerStatusUnknown"


@dataclass(frozen=True)
class Waiting:
    """A container that has not started, or waits for its restart."""

    reason: str = "ContainerCreating"
    message: str = ""

    def json(self) -> JsonObject:
        return {"waiting": _without_empty({"reason": self.reason, "message": self.message})}


@dataclass(frozen=True)
class Running:
    """A container whose process runs."""

    started: datetime

    def json(self) -> JsonObject:
        return {"running": {"startedAt": timestamp(self.started)}}


@dataclass(frozen=True)
class Terminated:
    """The end of a container's process."""

    exit_code: int
    started: datetime
    finished: datetime
    reason: str
    message: str = ""

    def json(self) -> JsonObject:
        return {
            "terminated": _without_empty(
                {
                    "exitCode": self.exit_code,
                    "startedAt": timestamp(self.started),
                    "finishedAt": timestamp(self.finished),
                    "reason": self.reason,
                    "message": self.message,
                }
            )
        }


State = Waiting | Running | Terminated


@dataclass(frozen=True)
class ContainerState:
    """All that the status of one container says."""

    name: str
    image: str
    state: State
    restarts: int = 0
    last: Terminated | None = None
    handle: str = ""
    """The containerID, such as `process://123`."""
    started: bool = True
    """Whether its startup probe has succeeded, if it runs."""
    passes: bool = True
    """Whether its readiness probe succeeds, if it runs."""

    @property
    def runs(self) -> bool:
        return isinstance(self.state, Running)

    @property
    def ready(self) -> bool:
        return self.runs and self.started and self.passes

    def json(self) -> JsonObject:
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "",
            **({"containerID": self.handle} if self.handle else {}),
            "ready": self.ready,
            "started": self.runs and self.started,
            "restartCount": self.restarts,
            "state": self.state.json(),
            "lastState": self.last.json() if self.last is not None else {},
        }


def pod_status(
    pod: JsonObject,
    containers: Sequence[ContainerState],
    *,
    address: str,
    now: datetime,
    sidecars: Sequence[ContainerState] = (),
) -> JsonObject:
    """Return the status of a pod. Conditions whose status is as before keep their time."""
    status = pod.get("status") or {}
    going = "deletionTimestamp" in pod["metadata"]
    unready = [found.name for found in (*sidecars, *containers) if not found.ready]
    wanted = [("PodReadyToStartContainers", True, "", ""), _initialized(sidecars, containers)]
    message = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
    reason = "ContainersNotReady" if unready else ""
    wanted += [(name, not unready, reason, message) for name in ("Ready", "ContainersReady")]
    return {
        "phase": _phase(containers, going=going),
        "conditions": list(_conditions(wanted, status.get("conditions") or (), now)),
        **({"initContainerStatuses": [found.json() for found in sidecars]} if sidecars else {}),
        "containerStatuses": [found.json() for found in containers],
        "hostIP": HOST_ADDRESS,
        "hostIPs": [{"ip": HOST_ADDRESS}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": status.get("startTime") or timestamp(now),
    }


def differs(status: JsonObject, live: JsonObject) -> bool:
    """Return whether a live status lacks something of a computed one."""
    live_conditions = {found["type"]: found for found in live.get("conditions") or ()}
    for condition in status["conditions"]:
        found = live_conditions.get(condition["type"], {})
        if any(found.get(name) != value for name, value in condition.items() if value):
            return True
    return any(live.get(name) != value for name, value in status.items() if name != "conditions")


def timestamp(moment: datetime) -> str:
    """Return a time as the API server stores it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: str) -> datetime:
    """Parse a time of the API server."""
    return datetime.fromisoformat(text)


def _initialized(
    sidecars: Sequence[ContainerState], containers: Sequence[ContainerState]
) -> tuple[str, bool, str, str]:
    """Return the condition: all sidecars have started once."""
    has_run = any(not isinstance(found.state, Waiting) or found.last for found in containers)
    waits = [found.name for found in sidecars if not (found.runs and found.started)]
    if has_run or not waits:
        return "Initialized", True, "", ""
    message = f"containers with incomplete status: [{' '.join(waits)}]"
    return "Initialized", False, "ContainersNotInitialized", message


def _phase(containers: Sequence[ContainerState], *, going: bool) -> str:
    ends = [found.state for found in containers if isinstance(found.state, Terminated)]
    if going and len(ends) == len(containers):
        return "Failed" if any(end.exit_code for end in ends) else "Succeeded"
    never_started = any(
        isinstance(found.state, Waiting) and found.last is None for found in containers
    )
    return "Pending" if never_started else "Running"


def _conditions(
    wanted: Iterable[tuple[str, bool, str, str]], live: Iterable[JsonObject], now: datetime
) -> Iterable[JsonObject]:
    before = {found["type"]: found for found in live}
    for name, is_true, reason, message in wanted:
        status = "True" if is_true else "False"
        found = before.get(name, {})
        changed = timestamp(now) if found.get("status") != status else found["lastTransitionTime"]
        yield {
            "type": name,
            "status": status,
            "lastProbeTime": None,
            "lastTransitionTime": changed,
            "reason": reason or None,
            "message": message or None,
        }


def _without_empty(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value != ""}
