"""Admission: the defaults of an object, and the verdict on it.

The steps, each a module:

1. `typed_review`: the parser reads a well-formed creation straight into its type. Nearly all
   requests end here, and skip steps 2 to 4.
2. `fields.apply_defaults`: fill in the defaults of the schema. A default that depends on another
   field is never filled in: see `tradingbot_api.effective`.
3. `schema_errors`: check the form of each field. `fields.parse_leniently` keeps the valid part of a
   malformed spec, so that rules can still check it.
4. `update_scope`: compare with the stored object, both in the form of `meaning`.
5. `tradingbot_api.rules`: check fields against each other (`_run_rules`, `_verdict`), and the
   parameters of the built-in strategies.

`defaulted` and `review` serve the webhooks, `tradingbot validate` and the operator, which checks
stored objects again.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from tradingbot_api.admission.fields import (
    apply_defaults,
    attribute_at,
    json_equal,
    order,
    overfull,
    parse_leniently,
    value_at,
)
from tradingbot_api.admission.kinds import GENERATE_NAME, KINDS, NAME, Kind
from tradingbot_api.admission.meaning import by_meaning
from tradingbot_api.admission.schema_errors import schema_errors, unknown_field
from tradingbot_api.admission.typed_review import TypedObject, is_complete
from tradingbot_api.admission.update_scope import FULL_SCOPE, FullScope, UpdateScope
from tradingbot_api.errors import (
    MAX_LISTED,
    ErrorReason,
    FieldError,
    FieldWarning,
    MapKey,
    Path,
    Step,
    Verdict,
    dotted,
)
from tradingbot_api.model import JsonObject, Model
from tradingbot_api.rules.findings import Finding, ItemRule, Part, touches
from tradingbot_api.rules.tradingbot import PARAMETERS
from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES

__all__ = [
    "KINDS",
    "NO_FINDINGS",
    "defaulted",
    "has_defaults",
    "is_well_formed",
    "review",
]

Listed = TypeVar("Listed", FieldError, FieldWarning)

MAX_COUNTED = 5_000
"""Values of a wrong form that are reviewed at most: 3 MiB can hold a million."""
MAX_UNKNOWN = 200
"""Keys that one object may have beyond those of the schema. With more, nothing else is checked."""
SPEC: Path = ("spec",)
ANNOTATIONS: Path = ("metadata", "annotations")

NO_FINDINGS = Verdict()
"""The verdict on an object in which nothing was found."""

_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")


def defaulted(kind: str, obj: JsonObject) -> JsonObject:
    """Return a copy of `obj` with every constant default filled in and fractions as decimal text.

    Total and idempotent: malformed values stay as they are, and a valid string is never changed.
    """
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return obj
    return {**obj, "spec": apply_defaults(KINDS[kind].spec_model, spec)}


def has_defaults(kind: str, obj: TypedObject) -> bool:
    """Return whether the schema accepts the object that `obj` was read from, and `defaulted` would
    return it as it is. Then a mutating webhook has nothing to do."""
    definition, names = KINDS[kind], obj.metadata
    return not (
        not is_complete(obj.spec)
        or definition.breaks_schema(obj.spec)
        or any(definition.name.errors(names.name, names.generate_name))
    )


def is_well_formed(kind: str, new: JsonObject, old: JsonObject | None = None) -> bool:
    """Return whether the schema of the CRD accepts `new`, which has its defaults already.

    No verdict on it is `malformed` then. Takes a third of the time of a review.
    """
    definition, raw = KINDS[kind], new.get("spec")
    if overfull(definition.spec_model, raw, SPEC, MAX_UNKNOWN) is not None:
        return False
    try:
        spec = definition.spec_parser.validate_python(raw)
    except ValidationError:
        return False
    return not (
        definition.breaks_schema(spec)
        or any(_name_errors(definition, new))
        or any(_unknown_top_level(new))
        or (
            old is not None
            and any(
                not json_equal(value_at(new, path), value_at(old, path))
                for path in definition.immutable
            )
        )
    )


def review(
    kind: str,
    new: JsonObject | TypedObject,
    old: JsonObject | None = None,
    *,
    now: datetime,
    strategy_images: frozenset[str] | None = DEFAULT_STRATEGY_IMAGES,
) -> Verdict:
    """Return the verdict on creating `new`, or on updating `old` to it. `new` has its defaults.

    `strategy_images` are the repositories of images that run the built-in strategies, whose
    parameters are checked; with None, no bot's are.

    A creation that the parser read into its type has passed the schema: only its name is left to
    check before the rules. A stop and a change of metadata alone are never refused. On other
    updates a mistake that was there before is only a warning, so that a rule added later never
    blocks an unrelated edit.
    """
    definition = KINDS[kind]
    scope: UpdateScope | FullScope = FULL_SCOPE
    was = None
    if not isinstance(new, dict):
        names = new.metadata
        spec: Any = new.spec
        annotations = names.annotations
        errors = [*definition.name.errors(names.name, names.generate_name)]
    else:
        if old is not None:
            before = defaulted(kind, old)
            meant_before = _by_meaning(definition, before)
            meant = _by_meaning(definition, new)
            if _passes_unchecked(meant, meant_before):
                return NO_FINDINGS
            if not _is_paused(before):
                scope = UpdateScope(meant, meant_before, definition.list_keys)
            was, _ = _typed(definition, before.get("spec"))
        spec, errors = _typed(definition, new.get("spec"))
        errors += [*_name_errors(definition, new), *_unknown_top_level(new)]
        annotations = value_at(new, ANNOTATIONS)
    results = [*_run_rules(definition, spec, errors, now)]
    steps = [] if was is None else [*definition.update_errors(was, spec)]
    if strategy_images is not None and definition.parameter_errors is not None:
        before_update = None if was is None else (was, value_at(old, ANNOTATIONS))
        found = definition.parameter_errors(spec, annotations, strategy_images, before_update)
        results += [([error], paths) for error, paths in islice(found, MAX_LISTED + 1)]
    if not errors and not results and not steps:
        return NO_FINDINGS
    return _verdict(definition, scope, errors, results, steps)


def _by_meaning(definition: Kind, obj: JsonObject) -> JsonObject:
    return {**obj, "spec": by_meaning(definition.spec_model, obj.get("spec"))}


def _passes_unchecked(new: JsonObject, before: JsonObject) -> bool:
    """Return whether an update is admitted unchecked: of a deletion, of metadata, or a stop."""
    deleting = value_at(new, ("metadata", "deletionTimestamp")) is not None
    return deleting or _is_paused(new) or json_equal(new.get("spec"), before.get("spec"))


def _is_paused(obj: JsonObject) -> bool:
    return value_at(obj, ("spec", "paused")) is True


Result = tuple[list[Finding], tuple[Path, ...]]
"""What a rule has found, and the values that it has read."""


def _run_rules(
    definition: Kind, spec: Any, schema_errors: list[FieldError], now: datetime
) -> Iterator[Result]:
    """Run each rule on a spec that is typed as far as it is valid, and yield what is found.

    Two sets of paths decide whether a rule runs: its needs, which are the values that it reads, and
    `broken`, where the schema has found an error. It does not run if a broken path is one of its
    needs, or above or below one of them.

    Example: `exchange.baseURL` is the number 7, so `broken` is {exchange.baseURL}.

    | rule | needs | runs |
    |---|---|---|
    | base_url | exchange.name, exchange.baseURL, mode | no |
    | distinct_key_paths | exchange.apiKeyPath, exchange.apiSecretPath | yes |

    If `exchange` itself were missing, `broken` would be {exchange}, which is above a need of both.
    """
    # A field that the schema does not know keeps no rule from reading the others.
    broken: list[Path] = []
    if schema_errors:
        broken = [e.path for e in schema_errors if e.reason is not ErrorReason.FORBIDDEN]
    for part in definition.parts:
        if part.is_in(spec):
            yield from _run_part(part, spec, broken, now)


def _run_part(part: Part, spec: Any, broken: list[Path], now: datetime) -> Iterator[Result]:
    for rule in part.rules:
        if isinstance(rule, ItemRule):
            if broken or rule.clean is None or not rule.clean(spec):
                yield from _run_on_items(rule, spec, broken, now)
        elif not broken or not any(touches(path, need) for need in rule.needs for path in broken):
            findings = rule.check(spec, now)
            first = next(findings, None)  # most rules find nothing
            if first is not None:
                yield _limited(first, findings), rule.needs


def _run_on_items(
    rule: ItemRule, spec: Model, broken: list[Path], now: datetime
) -> Iterator[Result]:
    """Apply a rule to each item of a list or map whose shape is valid.

    An error in `windows[0]` does not keep `windows[1]` from being checked.
    """
    depth = len(rule.items)
    if any(touches(path, rule.items) for path in broken if len(path) <= depth):
        return
    broken_in_item: dict[Step, list[Path]] = {}
    for path in broken:
        if path[:depth] == rule.items:
            broken_in_item.setdefault(path[depth], []).append(path)
    for step, item in _items(attribute_at(spec, rule.items[1:])):
        item_path = (*rule.items, step)
        needs = tuple((*item_path, name) for name in rule.needs) or (item_path,)
        paths = broken_in_item.get(step, ())
        if not any(touches(path, need) for path in paths for need in needs):
            findings = rule.check(item_path, item, now)
            first = next(findings, None)
            if first is not None:
                yield _limited(first, findings), needs


def _limited(first: Finding, more: Iterator[Finding]) -> list[Finding]:
    """Collect at most MAX_LISTED findings per rule and item, and one that shows that there are
    more: a hostile object of 3 MiB can produce hundreds of megabytes of messages."""
    return [first, *islice(more, MAX_LISTED)]


def _verdict(
    definition: Kind,
    scope: UpdateScope | FullScope,
    schema_errors: list[FieldError],
    results: list[Result],
    update_errors: list[FieldError],
) -> Verdict:
    """Sort findings into errors and warnings.

    An error counts if `scope` includes one of the paths that it is about: its own path, or the
    needs of its rule. Else it becomes a warning. The scope of a creation includes everything.

    Example: a stored bot has a `requests.cpu` above its limit. An update sets `apiSecretPath` to
    the value of `apiKeyPath`, so the scope is {exchange.apiSecretPath}.

    | rule with an error | needs | its error |
    |---|---|---|
    | distinct_key_paths | exchange.apiKeyPath, exchange.apiSecretPath | counts |
    | requests_within_limits | resources | becomes a warning |
    """
    errors: list[FieldError] = []
    warnings: list[FieldWarning] = []
    about: list[Result] = [([error], (error.path,)) for error in schema_errors]
    for findings, paths in (*about, *results):
        counts = scope.includes(paths)
        for finding in findings:
            if isinstance(finding, FieldWarning):
                warnings.append(finding)
            elif counts:
                errors.append(finding)
            else:
                warnings.append(FieldWarning(finding.path, finding.message))
    errors += update_errors
    by_schema = any(
        error.reason is ErrorReason.DUPLICATE
        or error.path in definition.immutable
        or error.path in definition.ruled_by_schema
        or (error.credential and error.path[:-1] == PARAMETERS)
        for error in errors
    )
    return Verdict(
        errors=_listed(definition, errors, FieldError.and_more),
        warnings=_listed(definition, warnings, FieldWarning.and_more),
        malformed=bool(errors and (schema_errors or by_schema)),
    )


def _typed(definition: Kind, raw: Any) -> tuple[Any, list[FieldError]]:
    """Return the spec, as far as it is valid, and the errors in its shape."""
    crowded = overfull(definition.spec_model, raw, SPEC, MAX_UNKNOWN)
    if crowded is not None:
        message = f"Too many: {dotted(crowded)} has over {MAX_UNKNOWN} more fields than it may have"
        error = FieldError(SPEC, ErrorReason.TOO_MANY, message)
        return parse_leniently(definition.spec_model, None), [error]
    try:
        return definition.spec_parser.validate_python(raw), []
    except ValidationError as failure:
        model, count = definition.spec_model, failure.error_count()
        if count > MAX_COUNTED:
            message = f"Too many: {count} values of a wrong form"
            return parse_leniently(model, None), [FieldError(SPEC, ErrorReason.TOO_MANY, message)]
        return parse_leniently(model, raw), schema_errors(model, failure, SPEC)


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
    found = sorted(findings, key=lambda finding: order(definition.model, finding.path))
    if len(found) > MAX_LISTED:
        found[MAX_LISTED:] = [and_more(SPEC)]
    return tuple(found)
