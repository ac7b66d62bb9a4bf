"""Compare a live child with its manifest, and compute how to restore it.

The API server fills in many fields that nobody declared, so the comparison is one-sided: all that
is declared must be live, with the same value (`is_subset_of_live`). What others have added is left
alone, unless `guarded_fields` has a rule for it. Then `corrections` removes it, or `must_replace`
says why that is impossible. Example of a Deployment:

    declared                   live                          what the operator does
    replicas: 1                replicas: 1                   nothing
    (nothing)                  progressDeadlineSeconds: 600  nothing: filled in by the API server
    replicas: 1                replicas: 3                   applies the manifest again
    (nothing)                  minReadySeconds: 60           removes it with `corrections`
    containers: [bot]          containers: [bot, sidecar]    nothing: a container of others
    selector: {bot: a}         selector: {bot: b}            deletes it: `must_replace`
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from posixpath import normpath
from typing import Any

from tradingbot_api.model import JsonObject

from tradingbot_operator import ADDED_METADATA, CREDENTIALS
from tradingbot_operator.bots.children.built_in_types import Field
from tradingbot_operator.bots.children.differences import differences
from tradingbot_operator.bots.children.guarded_fields import (
    DEFAULTS,
    GUARDED,
    LISTS,
    SERVICE_PORTS,
)
from tradingbot_operator.bots.children.storage_claim import release
from tradingbot_operator.cluster.reading.untrusted import mapping, mappings

OTHERS_DATA = 64 * 1024
"""Characters of undeclared keys and values that a ConfigMap may have, of its 1 MiB."""

CORRECTED = ("spec", "data", "binaryData")
"""The parts of a child that are copied to be corrected. Not metadata: others may nest it deeply."""

_Change = Callable[[], object]


def is_subset_of_live(declared: JsonObject, live: Any) -> bool:
    """Return whether a live object has all that a manifest declares (see `differences`)."""
    return next(differences(declared, live), None) is None


def differs(live: JsonObject, declared: JsonObject) -> bool:
    """Return whether a live child has to be written: applied, corrected or replaced."""
    if not is_subset_of_live(declared, live) or next(_changes(live, declared), None) is not None:
        return True
    if outdated_annotations(live, declared) is not None:
        return True
    if declared["kind"] == "PersistentVolumeClaim" and release(live, declared) is not None:
        return True
    return must_replace(live, declared) is not None


def outdated_annotations(live: JsonObject, declared: JsonObject) -> JsonObject | None:
    """Return the merge patch that removes our annotations that are no longer declared, or None.

    An apply removes them with the labels that ADDED_METADATA names, but not where another manager
    owns them: that of a restore from a backup, or a person. So send the patch after the apply.
    """
    found, own = (
        mapping(mapping(child.get("metadata")).get("annotations")) for child in (live, declared)
    )
    gone = [name for name in (ADDED_METADATA, CREDENTIALS) if name in found and name not in own]
    return {"metadata": {"annotations": dict.fromkeys(gone)}} if gone else None


def corrections(live: JsonObject, declared: JsonObject) -> JsonObject | None:
    """Return a JSON merge patch (RFC 7396) that removes guarded fields from `live`, or None.

    Send it before the server-side apply, since some of these fields make the API server refuse the
    apply, and compute it again afterwards: a Deployment that others have paused is resumed only
    after its template is as declared, since until then it would roll out the wrong template.

    A merge patch replaces lists as a whole. So a patch with a list has the `resourceVersion` of
    `live`: if somebody else changes the list meanwhile, the API server answers with a conflict.
    """
    if declared["kind"] == "PersistentVolumeClaim":
        return release(live, declared)
    fixed = corrected(live, declared)
    if fixed is None:
        return None
    before = {part: live[part] for part in fixed}
    patch = _difference(before, fixed)
    version = mapping(live.get("metadata")).get("resourceVersion")
    if version is not None and _has_list(patch):
        patch["metadata"] = {"resourceVersion": version}
    return patch


def corrected(live: JsonObject, declared: JsonObject) -> JsonObject | None:
    """Return the parts of `live` without guarded fields that are drift; None if it has none."""
    if next(_changes(live, declared), None) is None:
        return None
    fixed = {part: copy.deepcopy(live[part]) for part in CORRECTED if part in live}
    # Twice: the first pass may restore the template, and only then may `paused` be removed.
    for _ in range(2):
        for change in list(_changes({**live, **fixed}, declared)):
            change()
    return fixed


def must_replace(live: JsonObject, declared: JsonObject) -> str | None:
    """Return why `live` has to be deleted and created again; None if a patch can restore it.

    The pods of a Deployment must be gone before it is created again: an old and a new pod would
    each use the whole limit.
    """
    if declared["kind"] == "ConfigMap" and live.get("immutable") and not declared.get("immutable"):
        return "it is immutable"
    spec, own = mapping(live.get("spec")), mapping(declared.get("spec"))
    is_headless = spec.get("clusterIP") == "None" != own.get("clusterIP")
    if declared["kind"] == "Service" and is_headless:
        return "it is headless: spec.clusterIP is None"
    if declared["kind"] == "Deployment" and spec.get("selector") != declared["spec"]["selector"]:
        return "spec.selector is not the bot's, and can't be changed"
    return None


def without_guarded_fields(template: JsonObject) -> JsonObject:
    """Return a live pod template without its guarded fields, so that it may be declared again."""
    live = {"spec": {"template": template}}
    containers = mappings(mapping(template.get("spec")).get("containers"))
    own = {"containers": [{"name": container.get("name")} for container in containers]}
    declared = {"kind": "Deployment", "spec": {"template": {"spec": own}}}
    patched = copy.deepcopy(live)
    for change in list(_removals(patched, declared)):
        change()
    return dict(patched["spec"]["template"])


def _changes(live: JsonObject, declared: JsonObject) -> Iterator[_Change]:
    """Yield each change that `live` needs, as a function that makes it in place.

    A caller that only wants to know whether there is one stops at the first and copies nothing.
    """
    yield from _removals(live, declared)
    kind, spec, own = declared["kind"], live.get("spec"), mapping(declared.get("spec"))
    if kind == "ConfigMap":
        yield from _data_changes(live, declared)
    elif kind == "Service" and isinstance(spec, dict):
        yield from _list_change(spec, own, "ports", SERVICE_PORTS, alone=True)
    elif kind == "Deployment" and isinstance(spec, dict):
        yield from _map_change(spec, own, "strategy")
        yield from _pod_changes(
            mapping(mapping(spec.get("template")).get("spec")),
            mapping(mapping(own.get("template")).get("spec")),
        )


def _removals(live: JsonObject, declared: JsonObject) -> Iterator[_Change]:
    for steps, guarded in GUARDED.get(declared["kind"], {}).items():
        for holder, own in _holders(live, declared, steps):
            for field in guarded.keys() & holder.keys():
                if field in own or _is_neutral(holder[field], guarded[field]):
                    continue
                # Resumed now, it would roll out a template that is not the declared one.
                if field != "paused" or is_subset_of_live(declared, live):
                    yield partial(holder.pop, field, None)


def _holders(live: Any, declared: Any, steps: tuple[str, ...]) -> Iterator[tuple[Any, JsonObject]]:
    """Yield the live maps at a path, each with the declared map at the same place or an empty one.

    With the path ("spec", "template", "spec", "containers[]"), each live container whose name is
    declared, with its declaration. A container of others is not yielded: it is left alone.
    """
    if not isinstance(live, dict):
        return
    if not steps:
        yield live, mapping(declared)
        return
    step, rest = steps[0], steps[1:]
    own = mapping(declared).get(step.removesuffix("[]"))
    if not step.endswith("[]"):
        yield from _holders(live.get(step), own, rest)
        return
    key_of = LISTS[step.removesuffix("[]")].key_of
    for item in mappings(live.get(step.removesuffix("[]"))):
        for declared_item in mappings(own):
            if key_of(item) == key_of(declared_item):
                yield from _holders(item, declared_item, rest)


def _is_neutral(value: Any, neutral: object) -> bool:
    # 0 and false are not neutral by themselves: runAsUser: 0 means root.
    return value in (None, "", [], {}) or value == neutral


def _data_changes(live: JsonObject, declared: JsonObject) -> Iterator[_Change]:
    own = mapping(declared.get("data"))
    parts = [part for part in map(live.get, ("data", "binaryData")) if isinstance(part, dict)]
    size = sum(len(key) + len(str(part[key])) for part in parts for key in part if key not in own)
    for part in parts:
        for key in list(part):
            is_own = key in own
            if (is_own and part is live.get("binaryData")) or (not is_own and size > OTHERS_DATA):
                yield partial(part.pop, key, None)


def _pod_changes(pod: JsonObject, own: JsonObject) -> Iterator[_Change]:
    context, own_context = (mapping(spec.get("securityContext")) for spec in (pod, own))
    yield from _map_change(context, own_context, "seccompProfile")
    yield from _list_change(pod, own, "volumes", LISTS["volumes"])
    names = [container.get("name") for container in mappings(own.get("containers"))]
    first = pod.get("initContainers")
    kept = [container for container in mappings(first) if container.get("name") not in names]
    if isinstance(first, list) and len(kept) != len(first):
        yield partial(pod.update, initContainers=kept)
    for container in mappings(pod.get("containers")):
        for declared in mappings(own.get("containers")):
            if container.get("name") == declared.get("name"):
                for name in ("env", "ports", "volumeMounts"):
                    yield from _list_change(container, declared, name, LISTS[name])
    for container in mappings(pod.get("initContainers")):
        for declared in mappings(own.get("initContainers")):
            if container.get("name") == declared.get("name"):
                for name in ("env", "ports", "volumeMounts"):
                    yield from _list_change(
                        container, declared, name, LISTS[name], alone=name == "env"
                    )


def _map_change(holder: JsonObject, own: JsonObject, name: str) -> Iterator[_Change]:
    """Restore a map with undeclared keys: with both the API server would refuse the apply."""
    if name in own and _has_more(holder.get(name), own[name]):
        yield partial(holder.update, {name: copy.deepcopy(own[name])})


def _list_change(
    holder: JsonObject,
    own: JsonObject,
    name: str,
    merged: Field,
    *,
    alone: bool = False,
) -> Iterator[_Change]:
    """Restore declared items with undeclared keys; with `alone`, also remove undeclared items."""
    live, declared = holder.get(name), mappings(own.get(name))
    if not isinstance(live, list) or not declared or live == declared:
        return
    fixed = _own_items(live, declared, merged)
    own_keys = [merged.key_of(item) for item in declared]
    if alone and (fixed != live or any(merged.key_of(item) not in own_keys for item in live)):
        fixed = declared
    if fixed != live:
        yield partial(holder.update, {name: copy.deepcopy(fixed)})


def _own_items(live: list[Any], declared: list[JsonObject], merged: Field) -> list[Any]:
    """Return the live items without duplicates of declared items and without items that hide one.

    A declared item with undeclared keys is replaced by its declaration; items of others stay.
    """
    found: list[Any] = []
    done = []
    names = (
        [item["name"] for item in declared if "name" in item]
        if "name" not in (merged.keys or ())
        else []
    )
    for item in live:
        key = merged.key_of(item)
        own = next((wanted for wanted in declared if merged.key_of(wanted) == key), None)
        if own is None:
            # Names of ports are unique: a port of others with a declared name blocks the declared.
            is_namesake = merged == LISTS["ports"] and mapping(item).get("name") in names
            if not is_namesake and not _hides_mount(item, declared):
                found.append(item)
        elif own not in done:
            done.append(own)
            found.append(own if _has_more(item, own) else item)
    return found


def _hides_mount(item: Any, declared: list[JsonObject]) -> bool:
    """Return whether a mount is at or below a declared read-only mount, which has bot.json."""
    path = mapping(item).get("mountPath")
    return isinstance(path, str) and any(
        mount.get("readOnly") and _directory(path).startswith(_directory(mount["mountPath"]))
        for mount in declared
        if "mountPath" in mount
    )


def _directory(path: str) -> str:
    return normpath(f"/{path.lstrip('/')}") + "/"


def _has_more(live: Any, declared: Any) -> bool:
    """Return whether `live` has a field that is neither declared nor a default."""
    if not isinstance(live, dict) or not isinstance(declared, dict):
        return False
    return any(
        _has_more(value, declared[name]) if name in declared else _does_something(name, value)
        for name, value in live.items()
    )


def _does_something(name: str, value: Any) -> bool:
    """Return whether an undeclared field is set. An empty map is: `emptyDir: {}` is a volume."""
    if name in DEFAULTS:
        return bool(value != DEFAULTS[name])
    return value not in (None, "", [])


def _difference(before: JsonObject, after: JsonObject) -> JsonObject:
    """Return the merge patch that turns `before` into `after`."""
    patch: JsonObject = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if old == value:
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        patch[name] = _difference(before[name], value) if both else value
    return patch


def _has_list(patch: Any) -> bool:
    if isinstance(patch, dict):
        return any(map(_has_list, patch.values()))
    return isinstance(patch, list)
