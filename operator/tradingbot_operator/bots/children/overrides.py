"""Fields that admission control of the cluster changes on every write of the operator.

A policy may rewrite images to a mirror, or extend `capabilities.drop`. The answer to a write of the
operator then differs from what it has written, each time. To write the field again changes nothing,
so after the second such answer the field is left as it is, and the condition `FieldsOverridden`
says so. Only answers count: an edit by anyone shows up later, and is restored each time.

    declared            live                 recognised          what the operator does
    example/arb:1.0     mirror/arb:1.0       1.0 -> mirror:1.0   nothing
    example/arb:1.0     other/image:9        1.0 -> mirror:1.0   writes: somebody has edited it
    example/arb:2.0     mirror/arb:1.0       1.0 -> mirror:1.0   writes, and learns the new pair

The number of replicas is never left alone: a stop goes on until it succeeds.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tradingbot_api.model import JsonObject, digest

from tradingbot_operator.bots.children.built_in_types import of_kind
from tradingbot_operator.bots.children.differences import (
    MISSING,
    Difference,
    Step,
    differences,
    differences_of,
)
from tradingbot_operator.bots.children.drift import corrected, must_replace

NEVER_LEFT = frozenset({("Deployment", "spec.replicas")})

MOST = 20
"""Overridden fields that are recognised of one bot; any more are written again and again."""

LONGEST_PATH = 400

_Key = tuple[str, str]
"""Kind and path of a field."""


@dataclass(frozen=True)
class Override:
    """Digests of the value that was declared, and of the one that admission makes of it."""

    declared: str
    live: str

    @classmethod
    def of(cls, found: Difference) -> "Override":
        """Return the override of a difference between a write and its answer."""
        return cls(_digest(found.declared), _digest(found.live))


@dataclass
class Overrides:
    """The overridden fields of a bot's children."""

    recognised: dict[_Key, Override] = field(default_factory=dict)
    suspected: set[_Key] = field(default_factory=set)
    """Fields that one answer has shown changed."""

    @classmethod
    def stored(cls, status: JsonObject) -> "Overrides":
        """Return those that an earlier operator has recognised, from the status of the bot."""
        found = cls()
        items = status.get("overriddenFields")
        for item in items[:MOST] if isinstance(items, list) else ():
            try:
                key = (str(item["kind"]), str(item["path"]))
                found.recognised[key] = Override(str(item["declared"]), str(item["live"]))
            except (KeyError, TypeError):
                continue
        return found

    def status(self) -> list[JsonObject]:
        """Return `status.overriddenFields`."""
        return [
            {"kind": kind, "path": path, "declared": known.declared, "live": known.live}
            for (kind, path), known in sorted(self.recognised.items())
        ]

    @property
    def undoes_stops(self) -> bool:
        """Return whether admission changes the number of replicas that the operator writes."""
        return not NEVER_LEFT.isdisjoint(self.recognised)

    @property
    def undecided(self) -> bool:
        """Return whether another write will show if a field is overridden."""
        return bool(self.suspected) and len(self.recognised) < MOST

    def excuses(self, kind: str, found: Difference) -> bool:
        """Return whether a difference is what admission makes of the declared value."""
        key = (kind, found.path)
        known = self.recognised.get(key)
        return known is not None and key not in NEVER_LEFT and known == Override.of(found)

    def expected(self, manifest: JsonObject, live: JsonObject) -> JsonObject:
        """Return the manifest as admission changes it, so far as `live` shows just that."""
        kind = manifest["kind"]
        if not any(key[0] == kind for key in self.recognised):
            return manifest
        excused = [found for found in deviations(manifest, live) if self.excuses(kind, found)]
        return _with_live_values(manifest, excused) if excused else manifest

    def note_answer(self, manifest: JsonObject, answer: JsonObject, *, forget: bool = True) -> None:
        """Note in what the answer to a write of `manifest` differs from it.

        With `forget`, a field that is as declared is not overridden any more.
        """
        kind = manifest["kind"]
        found = {
            (kind, changed.path): Override.of(changed)
            for changed in deviations(manifest, answer)
            if len(changed.path) <= LONGEST_PATH
        }
        if forget:
            self._forget_others(kind, found)
        for key, override in found.items():
            if key in self.recognised:
                self.recognised[key] = override
            elif key not in self.suspected and key not in NEVER_LEFT:
                self.suspected.add(key)
            elif len(self.recognised) < MOST:
                self.suspected.discard(key)
                self.recognised[key] = override

    def note_observed(self, manifest: JsonObject, live: JsonObject) -> None:
        """Forget the fields of a child that are as declared: the policy may be gone."""
        if any(key[0] == manifest["kind"] for key in (*self.recognised, *self.suspected)):
            found = {(manifest["kind"], known.path) for known in deviations(manifest, live)}
            self._forget_others(manifest["kind"], found)

    def _forget_others(self, kind: str, found: Iterable[_Key]) -> None:
        gone = {key for key in (*self.recognised, *self.suspected) if key[0] == kind} - set(found)
        for key in gone:
            self.recognised.pop(key, None)
            self.suspected.discard(key)


def deviations(manifest: JsonObject, live: JsonObject) -> Iterator[Difference]:
    """Yield each field for which `live` has to be written: declared, guarded or to be replaced."""
    yield from differences(manifest, live)
    for part, fixed in (corrected(live, manifest) or {}).items():
        field_of_part = of_kind(manifest["kind"]).child(part)
        for found in differences_of(live[part], fixed, field_of_part, (part,)):
            yield Difference(found.steps, found.live, found.declared)
    if must_replace(live, manifest) is not None:
        for steps in (("immutable",), ("spec", "clusterIP")):
            value = _value(live, steps)
            if value is not MISSING and value in (True, "None"):
                yield Difference(steps, MISSING, value)


def _value(obj: Any, steps: Iterable[str]) -> Any:
    for step in steps:
        obj = obj.get(step, MISSING) if isinstance(obj, dict) else MISSING
    return obj


def _digest(value: Any) -> str:
    return "" if value is MISSING else digest(value)


def _with_live_values(manifest: JsonObject, found: Iterable[Difference]) -> JsonObject:
    result = copy.deepcopy(manifest)
    for difference in found:
        _put(result, difference.steps, copy.deepcopy(difference.live))
    return result


def _put(holder: Any, steps: tuple[Step, ...], value: Any) -> None:
    """Set the value at a path, or remove it if it is MISSING."""
    step, rest = steps[0], steps[1:]
    if isinstance(holder, list):
        index = next((at for at, item in enumerate(holder) if _is(item, step)), None)
        if rest:
            if index is None:
                holder.append(dict(step) if isinstance(step, tuple) else step)
            _put(holder[-1 if index is None else index], rest, value)
        elif value is MISSING:
            holder[:] = [item for item in holder if not _is(item, step)]
        elif index is None:
            holder.append(value)
        else:
            holder[index] = value
    elif isinstance(holder, dict) and isinstance(step, str):
        if rest:
            _put(holder.setdefault(step, [] if isinstance(rest[0], tuple) else {}), rest, value)
        elif value is MISSING:
            holder.pop(step, None)
        else:
            holder[step] = value


def _is(item: Any, step: Step) -> bool:
    """Return whether a step leads to this item of a list."""
    if not isinstance(step, tuple):
        return str(item) == step
    return isinstance(item, dict) and all(item.get(key, value) == value for key, value in step)
