"""Who may act: what stands in the Lease, and what to do about it. Pure; `leader_election` acts.

The clocks of two machines are never compared. A record counts as abandoned when it has not
changed for its duration on the clock of the one who looks, counted from when it saw it first;
`renewTime` is for people to read. The holder stops writing well before: `Timing` says when.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

from tradingbot_api.model import JsonObject

LONGEST = 300
"""Seconds. A longer duration in a record is nobody's setting, and not waited for."""

RELEASED_SECONDS = 1
"""The duration in a record that its holder has given up: the API server allows no 0."""

_MOST_TRANSITIONS = 2**31 - 1


@dataclass(frozen=True)
class Timing:
    """What follows from a lease's duration; all in seconds.

    A write that was begun with leave is over before somebody else may hold the lease:
    `dead_man` + `write` < `duration`. What is left is for clocks that run at different speeds.
    """

    duration: int

    @property
    def renew_deadline(self) -> float:
        """Since the last renewal was begun: after this the holder begins no write any more."""
        return 0.6 * self.duration

    @property
    def retry(self) -> float:
        """From one renewal to the next."""
        return 0.2 * self.duration

    @property
    def look(self) -> float:
        """From one look at somebody else's lease to the next."""
        return 0.1 * self.duration

    @property
    def dead_man(self) -> float:
        """Since the last renewal was begun: after this a holder that stands still is ended."""
        return 0.65 * self.duration

    @property
    def write(self) -> float:
        """How long a write may take, from when it is handed to the connection."""
        return 0.3 * self.duration

    @property
    def end(self) -> float:
        """Since the last renewal was begun: by then nothing of the holder is left."""
        return 0.95 * self.duration


class Step(Enum):
    """What to do about a lease."""

    CREATE = "create"
    """Make one that nobody holds, to wait by: a lease that is not there has no version."""
    ACQUIRE = "acquire"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(frozen=True)
class Sighting:
    """The Lease as it was last read (None: there is none)."""

    lease: JsonObject | None
    since: float
    """The local time at which its record was first seen as it is."""


def sighted(before: Sighting | None, lease: JsonObject | None, now: float) -> Sighting:
    """What is known after `lease` was read; `now` must be taken after it was.

    A change of labels or annotations is none of the record.
    """
    if before is None or _mark(before.lease) != _mark(lease):
        return Sighting(lease, now)
    return replace(before, lease=lease)


def decide(sighting: Sighting, identity: str, now: float, timing: Timing) -> Step:
    """What `identity` is to do about a lease."""
    if sighting.lease is None:
        return Step.CREATE
    if holder(sighting.lease) == identity:
        return Step.RENEW
    return Step.ACQUIRE if now >= free_at(sighting, timing) else Step.WAIT


def free_at(sighting: Sighting, timing: Timing) -> float:
    """The local time from which nobody acts any more on the strength of the record.

    A lease that was made anew, or emptied by hand, may have had a holder that does not know yet.
    """
    record = _record(sighting.lease) or {}
    said = record.get("leaseDurationSeconds")
    if not holder(sighting.lease) and said == RELEASED_SECONDS:
        return sighting.since
    seconds = said if isinstance(said, int) and said <= LONGEST else 0
    return sighting.since + max(timing.duration, seconds)


def holder(lease: JsonObject | None) -> str:
    """Who holds the lease; empty if nobody does."""
    return str((_record(lease) or {}).get("holderIdentity") or "")


def is_ours(lease: JsonObject | None, identity: str) -> bool:
    """Whether one who leads may go on: nobody else has taken the lease, even if it was deleted."""
    record = _record(lease) or {}
    given_up = record.get("leaseDurationSeconds") == RELEASED_SECONDS
    return holder(lease) == identity or (not holder(lease) and not given_up)


def vacant(name: tuple[str, str], timing: Timing) -> JsonObject:
    """A Lease that nobody holds."""
    return {**_manifest(None, name), "spec": {"leaseDurationSeconds": timing.duration}}


def claimed(
    lease: JsonObject | None,
    *,
    name: tuple[str, str],
    identity: str,
    timing: Timing,
    now: datetime,
) -> JsonObject:
    """The Lease with `identity` as its holder; `name` is its namespace and name."""
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
    """The Lease with no holder, so that whoever waits takes it at once."""
    meta = lease["metadata"]
    record = {
        "leaseDurationSeconds": RELEASED_SECONDS,
        "renewTime": _micro_time(now),
        "leaseTransitions": _transitions(lease, more=0),
    }
    return {**_manifest(lease, (meta["namespace"], meta["name"])), "spec": record}


def _record(lease: JsonObject | None) -> JsonObject | None:
    return None if lease is None else dict(lease.get("spec") or {})


def _mark(lease: JsonObject | None) -> object:
    """What tells one record from all others before and after it: each renewal has its own time."""
    if lease is None:
        return None
    return _record(lease) if holder(lease) else lease["metadata"].get("resourceVersion")


def _transitions(lease: JsonObject | None, *, more: int) -> int:
    before = (_record(lease) or {}).get("leaseTransitions")
    return min(before + more, _MOST_TRANSITIONS) if isinstance(before, int) else more


def _manifest(lease: JsonObject | None, name: tuple[str, str]) -> JsonObject:
    meta = {"namespace": name[0], "name": name[1]} if lease is None else dict(lease["metadata"])
    meta.pop("managedFields", None)
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}


def _micro_time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
