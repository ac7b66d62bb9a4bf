"""Admission: what an object becomes when it is defaulted, and what is said of it.

The same two functions serve the webhooks, `tradingbot validate` and the operator, which checks
again what it finds stored.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from tradingbot_api.errors import FieldError, FieldWarning, MapKey, Path, Verdict
from tradingbot_api.fields import filled, order, partial, same, value_at
from tradingbot_api.kinds import KINDS, Kind
from tradingbot_api.model import JsonObject
from tradingbot_api.rules import Rule, touches
from tradingbot_api.shape import shape_errors, unknown_field

__all__ = ["KINDS", "defaulted", "review"]

Finding = TypeVar("Finding", FieldError, FieldWarning)

_ABSENT = object()
_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")


def defaulted(kind: str, obj: JsonObject) -> JsonObject:
    """A copy of `obj` with every default filled in and numbers as decimal text.

    Total and idempotent: what is malformed stays as it is, and a valid string of the user's is
    never changed.
    """
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return obj
    definition = KINDS[kind]
    return {**obj, "spec": definition.computed_defaults(filled(definition.spec_model, spec))}


def review(kind: str, new: JsonObject, old: JsonObject | None = None, *, now: datetime) -> Verdict:
    """The verdict on creating `new`, or on updating `old` to it. `new` is defaulted already.

    A stop and a change of metadata alone are never refused. On other updates a mistake that was
    there before is only warned of, so that a rule added later never blocks an unrelated edit.
    """
    definition = KINDS[kind]
    if old is None:
        return _check(definition, new, now)
    before = defaulted(kind, old)
    if _passes_unchecked(new, before):
        return Verdict()
    verdict = _check(definition, new, now)
    full = _is_paused(before)
    kept = [error for error in verdict.errors if full or _is_new(definition, error, new, before)]
    ratcheted = [error for error in verdict.errors if error not in kept]
    steps = definition.update_errors(
        partial(definition.spec_model, before.get("spec")),
        partial(definition.spec_model, new.get("spec")),
    )
    return Verdict(
        errors=_in_order(definition, [*kept, *steps]),
        warnings=_in_order(
            definition,
            [*verdict.warnings, *(FieldWarning(one.path, one.message) for one in ratcheted)],
        ),
        malformed=verdict.malformed and bool(kept),
    )


def _passes_unchecked(new: JsonObject, before: JsonObject) -> bool:
    """Deletion under way, metadata alone changed, or the bot is being stopped."""
    deleting = value_at(new, ("metadata", "deletionTimestamp")) is not None
    return deleting or _is_paused(new) or same(new.get("spec"), before.get("spec"))


def _is_paused(obj: JsonObject) -> bool:
    return value_at(obj, ("spec", "paused")) is True


def _is_new(definition: Kind, error: FieldError, new: JsonObject, before: JsonObject) -> bool:
    """Whether the update touched anything that makes the mistake.

    It did where a value differs, and where one is missing from what was not there before.
    """
    for place in error.involves or (error.path,):
        earlier = _earlier(definition, place, new, before)
        if earlier is None:
            return True
        value, was = value_at(new, place, _ABSENT), value_at(before, earlier, _ABSENT)
        if value is _ABSENT and was is _ABSENT:
            value, was = (
                value_at(new, place[:-1], _ABSENT) is _ABSENT,
                value_at(before, earlier[:-1], _ABSENT) is _ABSENT,
            )
        if not same(value, was):
            return True
    return False


def _earlier(definition: Kind, place: Path, new: JsonObject, before: JsonObject) -> Path | None:
    """Where what is now at `place` was before: an item with a key may have moved, or be new."""
    for path, key in definition.list_keys.items():
        end = len(path)
        if place[:end] != path or len(place) == end:
            continue
        name = value_at(new, (*place[: end + 1], key))
        items = value_at(before, path)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and name is not None and same(item.get(key), name):
                return (*path, index, *place[end + 1 :])
        return None
    return place


def _check(definition: Kind, obj: JsonObject, now: datetime) -> Verdict:
    errors = [*definition.name.errors(obj), *_unknown_top_level(obj)]
    raw = obj.get("spec")
    try:
        spec = definition.spec_parser.validate_python(raw)
    except ValidationError as failure:
        errors += shape_errors(definition.spec_model, failure, ("spec",))
        spec = partial(definition.spec_model, raw)
    malformed = bool(errors)
    broken = [error.path for error in errors]
    warnings: list[FieldWarning] = []
    for rule in definition.rules:
        if any(touches(path, need) for path in broken for need in rule.needs):
            continue
        for finding in rule.check(spec, now):
            if isinstance(finding, FieldWarning):
                warnings.append(finding)
            else:
                errors.append(replace(finding, involves=_involved(rule, finding.path)))
    return Verdict(_in_order(definition, errors), _in_order(definition, warnings), malformed)


def _involved(rule: Rule, path: Path) -> tuple[Path, ...]:
    """What an update must leave alone for the mistake not to be its own."""
    if not rule.per_item:
        return rule.needs
    steps = next(i for i, step in enumerate(path) if isinstance(step, int | MapKey))
    item = path[: steps + 1]
    return tuple((*item, name) for name in rule.item_needs) or (item,)


def _unknown_top_level(obj: JsonObject) -> Iterable[FieldError]:
    return [unknown_field((name,), _TOP_LEVEL) for name in obj if name not in _TOP_LEVEL]


def _in_order(definition: Kind, findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: order(definition.model, one.path)))
