"""Which pod of a bot may let entries through, and what to write on it. Pure.

One pod at a time is the holder of the right. `status.entries` names it, and is written before the
pod gets its first grant, so that each later operator knows who may hold the right.

    holder                         another pod that is current
    lives, is current              -
    lives, is not current          waits until the last grant of the holder has run out
    gone, its end was reported     becomes the holder at once
    gone, nobody knows how         waits, likewise

When the last grant runs out follows from the last moment that was read from the holder: see
`tradingbot_api.entry_grant`. An operator that has just started takes the time at which it first saw
the holder: no other operator writes grants any more.
"""

from dataclasses import dataclass

from tradingbot_api.entry_grant import MARGIN_SECONDS, MOST_SECONDS, EntryGrant
from tradingbot_api.model import JsonObject

RENEWALS = 3
"""A grant is renewed so many times in its duration."""
SHOWN_AGAIN, SHOWN_AGAIN_AT_MOST = 2.0, 60.0
"""Seconds, at first and later, after which a pod whose gateway has not read changed limits is
written again: the kubelet may have learned of the pod before the ConfigMap, and reads both when the
pod changes."""


@dataclass(frozen=True)
class Holder:
    """The pod that may let entries through, as `status.entries` names it."""

    uid: str
    name: str
    seconds: int
    """The longest duration of its grants."""

    @classmethod
    def stored(cls, status: JsonObject) -> "Holder | None":
        """Read the status of a bot, None if it names no holder."""
        found = status.get("entries")
        if not isinstance(found, dict) or not isinstance(found.get("podUID"), str):
            return None
        seconds = found.get("grantSeconds")
        known = seconds if isinstance(seconds, int) and 0 < seconds <= MOST_SECONDS else None
        return cls(found["podUID"], str(found.get("pod", "")), known or MOST_SECONDS)

    def status(self) -> JsonObject:
        """Return `status.entries`."""
        return {"pod": self.name, "podUID": self.uid, "grantSeconds": self.seconds}


@dataclass(frozen=True)
class Wish:
    """What the operator wants of the gateway of a bot."""

    config_hash: str
    withdrawn: str | None
    """Why no entries may pass, if they may not."""
    exclusive: bool
    """Whether only one pod may have the right: in Live. In Paper each pod has its own account."""


@dataclass(frozen=True)
class Pod:
    """The pod that is to have the right: the bot's newest that is not being deleted."""

    uid: str
    name: str
    answers: bool
    """Whether its gateway runs, so that it can be asked for a moment."""
    written: EntryGrant | None
    """What the annotation says now."""


@dataclass(frozen=True)
class Known:
    """What this operator knows of the holder's grants. Times are seconds of a steady clock."""

    read: float
    """When the moment of its last grant was read, or when this operator first saw the holder."""
    renewed: float | None = None
    """When this operator last wrote it a grant."""
    loaded: str | None = None
    """The configHash that its gateway had then."""
    repeats: int = 0
    """How often limits that its gateway has not read have been shown to it again."""


@dataclass(frozen=True)
class Nothing:
    """Nothing to write. `after` is when something changes by itself, in seconds."""

    after: float | None = None
    waits: str = ""
    """Why the current pod has no right yet."""


@dataclass(frozen=True)
class Withdraw:
    """Write that no entries may pass."""


@dataclass(frozen=True)
class Grant:
    """Ask the gateway for a moment, and write it a grant. First store the holder, if it changes."""

    holder: Holder | None
    """Whom to store first; None if the stored one stays."""


@dataclass(frozen=True)
class Release:
    """Store that there is no holder: it has ended, and no pod waits for the right."""


Step = Nothing | Withdraw | Grant | Release


def free_at(holder: Holder, known: Known) -> float:
    """Return when the last grant of a holder has run out for certain."""
    return known.read + holder.seconds + MARGIN_SECONDS


def decide(
    wish: Wish,
    pod: Pod | None,
    holder: Holder | None,
    *,
    ended: bool,
    known: Known,
    now: float,
    seconds: int,
) -> Step:
    """Return the next step.

    `ended` says that the holder has certainly ended, `known` what is known of its grants, `seconds`
    how long a grant lasts.
    """
    if pod is None:
        return Release() if holder is not None and ended else Nothing()
    if wish.withdrawn is not None:
        written = pod.written
        is_written = written is not None and written.withdrawn == wish.withdrawn
        return Nothing() if is_written else Withdraw()
    if not wish.exclusive:
        return _shown(wish, pod, None, known=known, now=now, every=None)
    if holder is None or ended:
        holder = Holder(pod.uid, pod.name, seconds)
        return Grant(holder) if pod.answers else Nothing()
    if holder.uid != pod.uid:
        left = free_at(holder, known) - now
        if left > 0:
            return Nothing(left, f"pod {holder.name} may still let entries through")
        return Grant(Holder(pod.uid, pod.name, seconds)) if pod.answers else Nothing()
    longer = Holder(pod.uid, pod.name, seconds) if seconds > holder.seconds else None
    return _shown(wish, pod, longer, known=known, now=now, every=seconds / RENEWALS)


def _shown(
    wish: Wish, pod: Pod, holder: Holder | None, *, known: Known, now: float, every: float | None
) -> Step:
    """Return the step for a pod that has the right: keep what is written on it up to date."""
    if not pod.answers:
        return Nothing()
    written = pod.written
    if (
        holder is not None
        or known.renewed is None
        or written is None
        or (written.pod, written.withdrawn, written.config_hash)
        != (pod.uid, None, wish.config_hash)
    ):
        return Grant(holder)
    age = now - known.renewed
    if known.loaded != wish.config_hash:
        pause = min(SHOWN_AGAIN * 1.5**known.repeats, SHOWN_AGAIN_AT_MOST)
        return Grant(None) if age >= pause else Nothing(pause - age)
    if every is None:
        return Nothing()
    return Grant(None) if age >= every else Nothing(every - age)
