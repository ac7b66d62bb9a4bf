"""Admission: what an object becomes when it is defaulted, and what is said of it.

The same two functions serve the webhooks, `tradingbot validate` and the operator, which checks
again what it finds stored.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from tradingbot_api.errors import (
    MAX_LISTED,
    ErrorReason,
    FieldError,
    FieldWarning,
    MapKey,
    Path,
    Step,
    Verdict,
)
from tradingbot_api.fields import attribute_at, filled, order, partial, same, value_at
from tradingbot_api.kinds import GENERATE_NAME, KINDS, NAME, Kind
from tradingbot_api.model import JsonObject, Model
from tradingbot_api.ratchet import Changes, Everything
from tradingbot_api.rules import Finding, ItemRule, touches
from tradingbot_api.shape import shape_errors, unknown_field
from tradingbot_api.wellformed import WellFormed, is_complete

__all__ = [
    "KINDS",
    "SILENT",
    "additions",
    "defaulted",
    "is_well_formed",
    "review",
    "review_well_formed",
]

Listed = TypeVar("Listed", FieldError, FieldWarning)

MAX_COUNTED = 20_000
"""Values of a wrong form beyond which none is looked at: 3 MiB can hold a million."""
SPEC: Path = ("spec",)

SILENT = Verdict()
"""Nothing to say."""

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


def is_well_formed(kind: str, new: JsonObject, old: JsonObject | None = None) -> bool:
    """Whether the CRD's own schema has nothing against `new`, which is defaulted already: no
    verdict on it is `malformed` then. Takes a third of the time of a review."""
    definition = KINDS[kind]
    try:
        spec = definition.spec_parser.validate_python(new.get("spec"))
    except ValidationError:
        return False
    return not (
        definition.has_doubles(spec)
        or any(_name_errors(definition, new))
        or any(_unknown_top_level(new))
        or (
            old is not None
            and any(not same(value_at(new, at), value_at(old, at)) for at in definition.immutable)
        )
    )


def additions(kind: str, obj: WellFormed) -> tuple[tuple[tuple[str, ...], str], ...] | None:
    """What `defaulted` would add to the object that `obj` was read from, if that is all that a
    mutating webhook has to say; None where `defaulted` and `is_well_formed` have to look."""
    definition, names = KINDS[kind], obj.metadata
    if (
        not is_complete(obj.spec)
        or definition.has_doubles(obj.spec)
        or any(definition.name.errors(names.name, names.generate_name))
    ):
        return None
    return tuple(definition.additions(obj.spec))


def review(kind: str, new: JsonObject, old: JsonObject | None = None, *, now: datetime) -> Verdict:
    """The verdict on creating `new`, or on updating `old` to it. `new` is defaulted already.

    A stop and a change of metadata alone are never refused. On other updates a mistake that was
    there before is only warned of, so that a rule added later never blocks an unrelated edit.
    """
    definition = KINDS[kind]
    changes: Changes | Everything = Everything()
    before = None
    if old is not None:
        before = defaulted(kind, old)
        if _passes_unchecked(new, before):
            return SILENT
        if not _is_paused(before):
            changes = Changes(new, before, definition.list_keys)
    spec, shape = _typed(definition, new.get("spec"))
    shape += [*_name_errors(definition, new), *_unknown_top_level(new)]
    was = None if before is None else _typed(definition, before.get("spec"))[0]
    return _Review(definition, changes, now).verdict(spec, shape, was)


def review_well_formed(kind: str, obj: WellFormed, *, now: datetime) -> Verdict:
    """The verdict on creating `obj`: that of `review` on what it was read from."""
    definition, names = KINDS[kind], obj.metadata
    shape = [*definition.name.errors(names.name, names.generate_name)]
    if not shape and _finds_nothing(definition, obj.spec, now):
        return SILENT
    return _Review(definition, Everything(), now).verdict(obj.spec, shape)


def _finds_nothing(definition: Kind, spec: Model, now: datetime) -> bool:
    """Whether no rule finds anything in a spec without a mistake of shape: so it is with most, and
    then it takes neither places nor lists to say so."""
    for rule in definition.rules:
        if isinstance(rule, ItemRule):
            if rule.clean is None or not rule.clean(spec):
                return False
        elif next(rule.check(spec, now), None) is not None:
            return False
    return True


def _passes_unchecked(new: JsonObject, before: JsonObject) -> bool:
    """Deletion under way, metadata alone changed, or the bot is being stopped."""
    deleting = value_at(new, ("metadata", "deletionTimestamp")) is not None
    return deleting or _is_paused(new) or same(new.get("spec"), before.get("spec"))


def _is_paused(obj: JsonObject) -> bool:
    return value_at(obj, ("spec", "paused")) is True


class _Review:
    """One object under review: what is found wrong with it, and what an update found so already.

    Of each rule, and of each item, no more is asked for than can be listed: what is found may be
    hundreds of times as long as the object.
    """

    def __init__(self, definition: Kind, changes: Changes | Everything, now: datetime) -> None:
        self._definition = definition
        self._changes = changes
        self._now = now
        self._errors: list[FieldError] = []
        self._warnings: list[FieldWarning] = []

    def verdict(self, spec: Any, shape: list[FieldError], was: Any = None) -> Verdict:
        """All of it, in the order of the schema. `spec` is typed, as far as it is valid; `shape` is
        what is wrong with its shape; `was` is the spec that it is an update of."""
        for error in shape:
            self._add(error, new=self._changes.touch((error.path,)))
        # Beside a field that the schema does not know all others can still be read.
        broken = [error.path for error in shape if error.reason is not ErrorReason.FORBIDDEN]
        for rule in self._definition.rules:
            if isinstance(rule, ItemRule):
                self._ask_of_items(rule, spec, broken)
            elif not broken or not any(touches(path, n) for n in rule.needs for path in broken):
                self._take(rule.check(spec, self._now), rule.needs)
        if was is not None:
            self._errors += self._definition.update_errors(was, spec)
        if not self._errors and not self._warnings:
            return SILENT
        by_schema = any(
            error.reason is ErrorReason.DUPLICATE or error.path in self._definition.immutable
            for error in self._errors
        )
        return Verdict(
            errors=_listed(self._definition, self._errors, FieldError.and_more),
            warnings=_listed(self._definition, self._warnings, FieldWarning.and_more),
            malformed=bool(self._errors and (shape or by_schema)),
        )

    def _ask_of_items(self, rule: ItemRule, spec: Model, broken: list[Path]) -> None:
        depth = len(rule.items)
        if any(touches(path, rule.items) for path in broken if len(path) <= depth):
            return
        mistaken: dict[Step, list[Path]] = {}
        for path in broken:
            if path[:depth] == rule.items:
                mistaken.setdefault(path[depth], []).append(path)
        if not broken and rule.clean is not None and rule.clean(spec):
            return
        for step, item in _items(attribute_at(spec, rule.items[1:])):
            where = (*rule.items, step)
            needs = tuple((*where, name) for name in rule.needs) or (where,)
            if not any(touches(path, need) for path in mistaken.get(step, ()) for need in needs):
                self._take(rule.check(where, item, self._now), needs)

    def _take(self, findings: Iterator[Finding], needs: tuple[Path, ...]) -> None:
        first = next(findings, None)
        if first is None:
            return
        new = self._changes.touch(needs)
        for finding in (first, *islice(findings, MAX_LISTED)):
            if isinstance(finding, FieldWarning):
                self._warnings.append(finding)
            else:
                self._add(finding, new=new)

    def _add(self, error: FieldError, *, new: bool) -> None:
        if new:
            self._errors.append(error)
        else:
            self._warnings.append(FieldWarning(error.path, error.message))


def _typed(definition: Kind, raw: Any) -> tuple[Any, list[FieldError]]:
    """The spec, as far as it is valid, and what is wrong with its shape."""
    try:
        return definition.spec_parser.validate_python(raw), []
    except ValidationError as failure:
        model, count = definition.spec_model, failure.error_count()
        if count > MAX_COUNTED:
            message = f"Too many: {count} values of a wrong form"
            return partial(model, None), [FieldError(SPEC, ErrorReason.TOO_MANY, message)]
        return partial(model, raw), shape_errors(model, failure, SPEC)


def _name_errors(definition: Kind, obj: JsonObject) -> Iterable[FieldError]:
    return definition.name.errors(value_at(obj, NAME), value_at(obj, GENERATE_NAME))


def _items(holder: Any) -> Iterable[tuple[Step, Any]]:
    if isinstance(holder, dict):
        return ((MapKey(key), item) for key, item in holder.items())
    return enumerate(holder or ())


def _unknown_top_level(obj: JsonObject) -> Iterable[FieldError]:
    unknown = (name for name in obj if name not in _TOP_LEVEL)
    return [unknown_field((name,), _TOP_LEVEL) for name in islice(unknown, MAX_LISTED + 1)]


def _listed(
    definition: Kind, findings: list[Listed], and_more: Callable[[Path], Listed]
) -> tuple[Listed, ...]:
    """In the order of the schema, and no more than are read."""
    found = sorted(findings, key=lambda one: order(definition.model, one.path))
    if len(found) > MAX_LISTED:
        found[MAX_LISTED:] = [and_more(SPEC)]
    return tuple(found)
