"""Conditions in Kubernetes' standard form, and patches from one status to the next."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingbot_api.model import JsonObject

from tradingbot_operator.cluster.timestamps import rfc3339

LONGEST_MESSAGE = 2000
"""Characters of a condition's message: an answer of the API server can be longer."""


@dataclass(frozen=True)
class ConditionState:
    """A condition without its times."""

    type: str
    status: str
    reason: str
    message: str


def conditions(
    states: Iterable[ConditionState],
    before: Iterable[Mapping[str, Any]],
    *,
    generation: int,
    now: datetime,
) -> list[JsonObject]:
    """Return the states as conditions.

    A condition whose status stays keeps the time of its last transition.
    """
    old = {condition.get("type"): condition for condition in before}
    result = []
    for state in states:
        last = old.get(state.type) or {}
        since = last.get("lastTransitionTime") if last.get("status") == state.status else None
        result.append(
            {
                "type": state.type,
                "status": state.status,
                "reason": str(state.reason),
                "message": state.message[:LONGEST_MESSAGE],
                "lastTransitionTime": since or rfc3339(now),
                "observedGeneration": generation,
            }
        )
    return result


def progress(ready: ConditionState, *, needs_action: Collection[str]) -> Iterator[ConditionState]:
    """Yield `Stalled` or `Reconciling` for an object that is not ready, neither for one that is.

    `needs_action` are the reasons that last until somebody acts.
    """
    if ready.status != "True":
        type_ = "Stalled" if ready.reason in needs_action else "Reconciling"
        yield ConditionState(type_, "True", ready.reason, ready.message)


def replaced(
    before: Sequence[Mapping[str, Any]],
    states: Collection[ConditionState],
    *,
    generation: int,
    now: datetime,
    dropped: Collection[str] = (),
) -> list[JsonObject]:
    """Return the states as conditions, and those of `before` that are about anything else.

    A condition of a `dropped` type is only returned if it is among the states.
    """
    new = conditions(states, before, generation=generation, now=now)
    types = {state.type for state in states}.union(dropped)
    return [*new, *(dict(old) for old in before if old.get("type") not in types)]


def condition_of(status: JsonObject, type_: str) -> JsonObject:
    """Return a condition of a status, {} if it has none of that type."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == type_:
            return dict(condition)
    return {}


def merge_patch(before: JsonObject, after: JsonObject) -> JsonObject:
    """`after` whole, and null for what only `before` has: a merge patch keeps what it omits."""
    patch: JsonObject = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        nested = isinstance(value, dict) and isinstance(old, dict)
        patch[key] = merge_patch(old or {}, value) if nested else value
    return patch
