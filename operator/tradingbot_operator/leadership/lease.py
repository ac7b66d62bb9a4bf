"""The content of the Lease, and what to do about it. Pure; `election` does it.

The clocks of two machines are never compared. An operator takes a lease as abandoned when its
record has not changed for its duration, on the operator's own clock, counted from when it first saw
that record. `renewTime` is for people to read. The holder stops writing well before that: see
`Timing`.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

LONGEST = 300
"""Seconds. A longer duration in a record can't come from the settings, and is ignored."""

RELEASED_SECONDS = 1
"""The duration in a record that its holder has released: the API server does not allow 0."""

_MOST_TRANSITIONS = 2**31 - 1


@dataclass(frozen=True)
class Timing:
    """The times that follow from a lease's duration; all in seconds.

    For 10 s, and a holder that can't renew any more:

        seconds since the last renewal began
                          0       2       4       6 6.5       9.5 10
                          |-------|-------|-------|-|-----------|-|---------->
        a renewal begins  |       x       x       | |           | |
        a write may begin |---------------------->| |           | |
        the process runs  |------------------------>|           | |
        a write may last  |------------------------------------>| |
        another operator may hold the lease                       |---------->

        renew_deadline 6, watchdog 6.5, end 9.5, duration 10

    The holder checks `renew_deadline` right before each write. A process that stands still between
    the check and the write can't check again; the watchdog ends it before it goes on. A write takes
    `write` seconds at most, here and in the API server, so the last one is over by `end`:

        watchdog + write = end < duration

    The rest is for clocks that run at different speeds. The other operator counts the duration from
    when it saw the renewal, which is after the renewal began.
    """

    duration: int

    @property
    def renew_deadline(self) -> float:
        """Since the last renewal began: after this the holder begins no write."""
        return 0.6 * self.duration

    @property
    def retry(self) -> float:
        """From one renewal to the next."""
        return 0.2 * self.duration

    @property
    def poll(self) -> float:
        """From one read of a lease that another operator holds to the next."""
        return 0.1 * self.duration

    @property
    def watchdog(self) -> float:
        """Since the last renewal began: after this the kernel ends the process."""
        return 0.65 * self.duration

    @property
    def write(self) -> float:
        """The time-out of a write, from when it is handed to the connection."""
        return 0.3 * self.duration

    @property
    def end(self) -> float:
        """Since the last renewal began: by then no write of the holder is under way."""
        return 0.95 * self.duration


class LeaseAction(Enum):
    """The next action on a lease."""

    CREATE = "create"
    """Create one without a holder, and wait: a missing lease has no record that can be watched."""
    ACQUIRE = "acquire"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(frozen=True)
class LeaseObservation:
    """The Lease as it was last read (None: it does not exist)."""

    lease: JsonObject | None
    since: float
    """The local time at which its present record was first seen."""


def observe_lease(
    before: LeaseObservation | None, lease: JsonObject | None, now: float
) -> LeaseObservation:
    """Return the observation after `lease` was read. `now` must be taken after the read.

    A change of labels or annotations is not a change of the record.
    """
    if before is None or _mark(before.lease) != _mark(lease):
        return LeaseObservation(lease, now)
    return replace(before, lease=lease)


def decide(observation: LeaseObservation, identity: str, now: float, timing: Timing) -> LeaseAction:
    """Return the next action of `identity` on a lease."""
    if observation.lease is None:
        return LeaseAction.CREATE
    if holder(observation.lease) == identity:
        return LeaseAction.RENEW
    return LeaseAction.ACQUIRE if now >= free_at(observation, timing) else LeaseAction.WAIT


def free_at(observation: LeaseObservation, timing: Timing) -> float:
    """Return the local time after which the holder in the record no longer acts.

    A lease that was created again, or emptied by hand, may have had a holder that has not noticed:
    it counts as held for a full duration. Only its holder's release frees it at once.
    """
    record = _record(observation.lease) or {}
    said = record.get("leaseDurationSeconds")
    if not holder(observation.lease) and said == RELEASED_SECONDS:
        return observation.since
    seconds = said if isinstance(said, int) and said <= LONGEST else 0
    return observation.since + max(timing.duration, seconds)


def holder(lease: JsonObject | None) -> str:
    """Return the holder of the lease; empty if it has none."""
    return str((_record(lease) or {}).get("holderIdentity") or "")


def is_ours(lease: JsonObject | None, identity: str) -> bool:
    """Return whether the leader `identity` may renew: no other operator has taken the lease.

    Also true if somebody has deleted or emptied it.
    """
    record = _record(lease) or {}
    given_up = record.get("leaseDurationSeconds") == RELEASED_SECONDS
    return holder(lease) == identity or (not holder(lease) and not given_up)


def vacant(name: NamespacedName, timing: Timing) -> JsonObject:
    """Return a Lease without a holder."""
    return {**_manifest(None, name), "spec": {"leaseDurationSeconds": timing.duration}}


def claimed(
    lease: JsonObject | None,
    *,
    name: NamespacedName,
    identity: str,
    timing: Timing,
    now: datetime,
) -> JsonObject:
    """Return the Lease with `identity` as its holder."""
    before = _record(lease) or {}
    mine = before.get("holderIdentity") == identity
    acquired = before.get("acquireTime") if mine else None
    record = {
        "holderIdentity": identity,
        "leaseDurationSeconds": timing.duration,
        "acquireTime": acquired or _micro_time(now),
        "renewTime": _micro_time(now),
        "leaseTransitions": _transitions(lease, more=0 if mine or lease is None else 1),
    }
    return {**_manifest(lease, name), "spec": record}


def released(lease: JsonObject, *, now: datetime) -> JsonObject:
    """Return the Lease without a holder, so that a waiting operator takes it at once."""
    meta = lease["metadata"]
    record = {
        "leaseDurationSeconds": RELEASED_SECONDS,
        "renewTime": _micro_time(now),
        "leaseTransitions": _transitions(lease, more=0),
    }
    return {**_manifest(lease, NamespacedName(meta["namespace"], meta["name"])), "spec": record}


def _record(lease: JsonObject | None) -> JsonObject | None:
    return None if lease is None else dict(lease.get("spec") or {})


def _mark(lease: JsonObject | None) -> object:
    """Return what changes with each renewal, or, without a holder, with each write."""
    if lease is None:
        return None
    return _record(lease) if holder(lease) else lease["metadata"].get("resourceVersion")


def _transitions(lease: JsonObject | None, *, more: int) -> int:
    before = (_record(lease) or {}).get("leaseTransitions")
    return min(before + more, _MOST_TRANSITIONS) if isinstance(before, int) else more


def _manifest(lease: JsonObject | None, name: NamespacedName) -> JsonObject:
    meta = name._asdict() if lease is None else dict(lease["metadata"])
    meta.pop("managedFields", None)
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}


def _micro_time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
