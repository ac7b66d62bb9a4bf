"""List the fields that others have added to a bot's children, by their `managedFields`.

The operator leaves these fields alone; the condition `ForeignFields` lists them for people. Tenants
can write `managedFields`, so no decision depends on them. They may be of any size, depth and type,
so the walk over them is bounded and does not recurse. Example:

    managedFields of another manager       {"f:spec": {"f:template": {"f:spec": {"f:containers":
                                           {'k:{"name":"sidecar"}': {".": {}, "f:image": {}}}}}}}
    our entry at the same place            {"f:spec": {"f:template": {"f:spec": {"f:containers":
                                           {'k:{"name":"bot"}': {...}}}}}}
    listed                                 spec.template.spec.containers[name=sidecar]
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from tradingbot_api.model import JsonObject

from tradingbot_operator import CHILD_KINDS, FIELD_MANAGER

FOREIGN_FIELDS = "foreignFields"
"""The key of an object in the cache under which `note_foreign_fields` keeps the paths."""

UNREADABLE_FIELDS = "unreadable managedFields"
NOT_RECORDED = f"managedFields without an entry of {FIELD_MANAGER}"
"""Somebody has removed our entry. The next server-side apply creates a new one."""

MAX_PATHS = 20
MAX_PATH = 200
MAX_MESSAGE = 1000
MAX_ENTRIES = 100
MAX_STEPS = 10_000
"""Fields and list items that are read in all; a Deployment with a sidecar has about 150."""
MAX_TEXT = 800
"""Characters of a path and its last key; the longest key of a label or annotation has 317."""

_MISSING = object()

_SKIPPED = frozenset({"apiVersion", "kind", "status"})
_METADATA = frozenset({"ownerReferences", "finalizers"})
"""The only parts of metadata that are listed: tools add labels and annotations to everything."""

_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "allocateLoadBalancerNodePorts": (True,),
    "clusterIP": (),
    "clusterIPs": (),
    "creationTimestamp": (None,),
    "defaultMode": (420,),
    "dnsPolicy": ("ClusterFirst",),
    "imagePullPolicy": ("Always", "IfNotPresent"),
    "internalTrafficPolicy": ("Cluster",),
    "ipFamilies": (),
    "ipFamilyPolicy": ("SingleStack",),
    "progressDeadlineSeconds": (600,),
    "protocol": ("TCP",),
    "restartPolicy": ("Always",),
    "revisionHistoryLimit": (10,),
    "schedulerName": ("default-scheduler",),
    "serviceAccount": (),
    "sessionAffinity": ("None",),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "storageClassName": (),
    "type": ("ClusterIP",),
    "volumeMode": (),
    "volumeName": (),
}
"""Values that the API server fills in, by field; () stands for any value. A tool that restores or
replaces an object is recorded as the manager of these too, and has added nothing."""


class _UnreadableError(Exception):
    """Raised if `managedFields` are malformed, or larger than the bound."""


class _Step(NamedTuple):
    """A place in the walk: their fields, ours at the same place, the live value, and its path."""

    theirs: JsonObject
    ours: list[JsonObject]
    live: Any
    path: str


def foreign_fields(obj: Any) -> tuple[str, ...]:
    """Return the paths of fields that only others have set, sorted, as in `kubectl explain`.

    At most `MAX_PATHS` paths of at most `MAX_PATH` characters; never raises. An item or map without
    any of our fields is one path.
    """
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    entries = meta.get("managedFields") if isinstance(meta, dict) else None
    if not entries:
        return (NOT_RECORDED,)
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        return (UNREADABLE_FIELDS,)
    theirs: list[Any] = []
    ours: list[Any] = []
    applied = False
    for entry in entries:
        if not isinstance(entry, dict):
            return (UNREADABLE_FIELDS,)
        if entry.get("manager") == FIELD_MANAGER:
            ours.append(entry.get("fieldsV1"))
            applied = applied or entry.get("operation") == "Apply"
        elif entry.get("subresource") not in ("status", "scale"):
            theirs.append(entry.get("fieldsV1") or {})
    if not applied:
        return (NOT_RECORDED,)
    if not theirs:
        return ()
    try:
        return tuple(
            sorted(_walk(theirs, [fields for fields in ours if isinstance(fields, dict)], obj))
        )[:MAX_PATHS]
    except _UnreadableError:
        return (UNREADABLE_FIELDS,)


def note_foreign_fields(obj: JsonObject) -> None:
    """Store the foreign fields of a child in the child itself.

    Call this when an object arrives, before its `managedFields` are dropped. An object that has
    them already is left as it is.
    """
    if obj.get("kind") in CHILD_KINDS and FOREIGN_FIELDS not in obj:
        obj[FOREIGN_FIELDS] = list(foreign_fields(obj))


def foreign_message(children: Iterable[JsonObject | None]) -> str:
    """Return the foreign fields of these children: `Deployment: path, path; Service: path`.

    Empty if there are none; at most `MAX_MESSAGE` characters.
    """
    message = "; ".join(
        f"{child['kind']}: {', '.join(child[FOREIGN_FIELDS])}"
        for child in children
        if child is not None and child.get(FOREIGN_FIELDS)
    )
    if len(message) <= MAX_MESSAGE:
        return message
    whole = message[: MAX_MESSAGE - len(", ...")]
    return whole[: max(whole.rfind(", "), whole.rfind("; "))] + ", ..."


def _walk(theirs: list[Any], ours: list[JsonObject], obj: JsonObject) -> set[str]:
    found: set[str] = set()
    if not all(isinstance(fields, dict) for fields in theirs):
        raise _UnreadableError
    steps = [_Step(fields, ours, obj, "") for fields in theirs]
    left = MAX_STEPS
    while steps:
        at = steps.pop()
        for key, inner in at.theirs.items():
            left -= 1 + (len(at.live) if isinstance(at.live, list) else 0)
            if left < 0 or not isinstance(inner, dict) or len(key) + len(at.path) > MAX_TEXT:
                raise _UnreadableError
            if key == "." or _is_skipped(at.path, key):
                continue
            name, live = _field(key, at.live)
            if live is _MISSING:
                continue
            path = f"{at.path}{name}" if at.path or not name.startswith(".") else name[1:]
            own = [fields[key] for fields in at.ours if isinstance(fields.get(key), dict)]
            if own:
                steps.append(_Step(inner, own, live, path))
            elif not _is_default(key, live):
                found.add(_shortened(path))
    return found


def _is_skipped(path: str, key: str) -> bool:
    if not path:
        return key.removeprefix("f:") in _SKIPPED
    return path == "metadata" and key.removeprefix("f:") not in _METADATA


def _is_default(key: str, live: Any) -> bool:
    if live is None or live in ({}, [], ""):
        return True
    values = _DEFAULTS.get(key.removeprefix("f:"))
    return values is not None and (not values or live in values)


def _field(key: str, live: Any) -> tuple[str, Any]:
    """Return the next step of the path, and the live value there or `_MISSING`.

    A key of `managedFields` is `f:` and a field, `k:` and the JSON of the keys of a list item, or
    `v:` and the JSON of an item of a set.
    """
    sort, _, text = key.partition(":")
    if sort == "f":
        value = live.get(text, _MISSING) if isinstance(live, dict) else _MISSING
        return (f".{text}" if text.isalnum() else f"[{text}]"), value
    if sort not in ("k", "v"):
        raise _UnreadableError
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UnreadableError from error
    items = live if isinstance(live, list) else []
    if sort == "v":
        return f"[{wanted}]", (wanted if wanted in items else _MISSING)
    if not isinstance(wanted, dict):
        raise _UnreadableError
    keys = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
    for item in items:
        if isinstance(item, dict) and all(
            item.get(name, _DEFAULTS.get(name, (_MISSING,))[0]) == value
            for name, value in wanted.items()
        ):
            return f"[{keys}]", item
    return f"[{keys}]", _MISSING


def _shortened(path: str) -> str:
    """Return a path of at most MAX_PATH characters, without control characters."""
    path = "".join(char if char.isprintable() else "?" for char in path[: MAX_PATH + 1])
    return path if len(path) <= MAX_PATH else f"{path[: MAX_PATH - 3]}..."
