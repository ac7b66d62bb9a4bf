"""Trims an object to the fields that the operator uses, before it is kept.

A tenant may put a megabyte into an object with the operator's labels, and most of a pod is not
needed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tradingbot_api import API_VERSION
from tradingbot_api.entry_grant import ANNOTATION
from tradingbot_api.model import JsonObject

from tradingbot_operator import (
    ADDED_METADATA,
    BOT_LABEL,
    CONFIG_KEY,
    MANAGED_BY,
    RESTART_HASH,
    UNREADABLE,
)
from tradingbot_operator.cluster.reading.foreign_fields import FOREIGN_FIELDS, note_foreign_fields
from tradingbot_operator.cluster.reading.untrusted import mapping, mappings

LONGEST_MESSAGE = 300
"""Characters of a message of a kubelet about a pod or a container."""

LONGEST_ANNOTATION = 1024
"""Characters of an annotation of a pod. The operator itself writes hashes and names only."""

MOST_OF_A_POD = 16
"""Maximum labels, owners and finalizers of a pod: a tenant may add thousands."""

LONGEST_CONFIG = 1024 * 1024
"""Bytes of bot.json; more than etcd allows for an object."""

_OURS = ("trading.io/", "velero.io/")
"""Prefixes of the annotations that the operator reads or writes."""
_SUFFIXES = {"ConfigMap": "-config", "PersistentVolumeClaim": "-data"}
"""What the name of a child has behind that of its bot."""
_POD_LABELS = frozenset({BOT_LABEL, "pod-template-hash", *MANAGED_BY})
_POD_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "ownerReferences",
)
_STATES: Mapping[str, tuple[str, ...]] = {
    "waiting": ("reason", "message"),
    "running": ("startedAt",),
    # Without the message: the image of a terminated container writes it.
    "terminated": ("reason", "exitCode"),
}


def child_name(kind: str, bot: str) -> str:
    """Return the name of a bot's child of that kind."""
    return bot + _SUFFIXES.get(kind, "")


def bot_of(obj: JsonObject) -> str | None:
    """Return the name of the bot that a child belongs to, by its controller or its label."""
    meta = obj["metadata"]
    # The controller of a pod is a ReplicaSet; an owner reference to a bot can be forged.
    owners = [] if obj["kind"] == "Pod" else mappings(meta.get("ownerReferences"))
    for owner in owners:
        is_bot = owner.get("kind") == "TradingBot" and owner.get("apiVersion") == API_VERSION
        if is_bot and owner.get("controller"):
            name = owner.get("name")
            return name if isinstance(name, str) else None
    name = mapping(meta.get("labels")).get(BOT_LABEL)
    if isinstance(name, str):
        return name
    # Of an object that can't be read, only the name may be known.
    suffix = _SUFFIXES.get(obj["kind"], "")
    return str(meta["name"]).removesuffix(suffix) if UNREADABLE in obj else None


def trimmed(obj: JsonObject) -> JsonObject:
    """Return the object as it is kept. Does not change the argument."""
    if UNREADABLE in obj:
        return obj
    if obj["kind"] == "Pod":
        return _pod(obj)
    obj = dict(obj)
    note_foreign_fields(obj)
    if obj["kind"] == "ConfigMap":
        return _config_map(obj)
    return {**obj, "metadata": _metadata(obj["metadata"])}


def _metadata(metadata: JsonObject) -> JsonObject:
    """Return metadata without managedFields and without the annotations of others.

    ADDED_METADATA names those of the bot's user.
    """
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    if kept.get("annotations"):
        annotations = mapping(kept["annotations"])
        added = str(annotations.get(ADDED_METADATA, "")).split(",")
        ours = {
            key: value
            for key, value in annotations.items()
            if key.startswith(_OURS) or key in added
        }
        if ours:
            kept["annotations"] = ours
        else:
            del kept["annotations"]
    return kept


def _config_map(obj: JsonObject) -> JsonObject:
    kept = {
        "apiVersion": obj.get("apiVersion", "v1"),
        "kind": "ConfigMap",
        "metadata": _metadata(obj["metadata"]),
    }
    kept |= {key: obj[key] for key in ("immutable", FOREIGN_FIELDS) if key in obj}
    if CONFIG_KEY in mapping(obj.get("binaryData")):
        kept["binaryData"] = {
            CONFIG_KEY: ""
        }  # its presence keeps the key in `data` from being written
    text = mapping(obj.get("data")).get(CONFIG_KEY)
    is_config = obj["metadata"]["name"] == child_name("ConfigMap", str(bot_of(obj)))
    if is_config and isinstance(text, str) and len(text) <= LONGEST_CONFIG:
        kept["data"] = {CONFIG_KEY: text}
    return kept


def _pod(obj: JsonObject) -> JsonObject:
    meta, status = obj["metadata"], mapping(obj.get("status"))
    metadata = _picked(meta, _POD_METADATA)
    for part in ("finalizers", "ownerReferences"):
        if isinstance(metadata.get(part), list):
            metadata[part] = _most(metadata[part], first=_is_controller)
    labels = mapping(meta.get("labels"))
    standard = [key for key in labels if key.startswith("app.kubernetes.io/")]
    wanted = {*_POD_LABELS, *standard[:MOST_OF_A_POD]}
    metadata["labels"] = {key: value for key, value in labels.items() if key in wanted}
    annotations = [
        (key, value)
        for key, value in mapping(meta.get("annotations")).items()
        if key.startswith(_OURS) and isinstance(value, str) and len(value) <= LONGEST_ANNOTATION
    ]
    metadata["annotations"] = dict(_most(annotations, first=_is_own))
    kept = _picked(status, ("phase", "podIP", "startTime", "reason"))
    kept["conditions"] = [
        _picked(condition, ("type", "status", "reason", "message"))
        for condition in mappings(status.get("conditions"))
    ]
    for containers in ("containerStatuses", "initContainerStatuses"):
        kept[containers] = [_container(container) for container in mappings(status.get(containers))]
    return {
        "apiVersion": obj.get("apiVersion", "v1"),
        "kind": "Pod",
        "metadata": metadata,
        "spec": _picked(mapping(obj.get("spec")), ("nodeName",)),
        "status": kept,
    }


def _container(status: JsonObject) -> JsonObject:
    kept = _picked(status, ("name", "ready", "started", "restartCount"))
    state = mapping(status.get("state"))
    kept["state"] = {
        name: _picked(mapping(state[name]), parts)
        for name, parts in _STATES.items()
        if name in state
    }
    if mapping(status.get("lastState")):
        kept["lastState"] = {"terminated": {}}  # only that it has run before
    return kept


def _most(found: list[Any], *, first: Callable[[Any], bool]) -> list[Any]:
    """Return the first items of a list, and before them those that `first` selects."""
    if len(found) <= MOST_OF_A_POD:
        return found
    return sorted(found, key=lambda item: not first(item))[:MOST_OF_A_POD]


def _is_controller(owner: Any) -> bool:
    return isinstance(owner, dict) and owner.get("controller") is True


def _is_own(annotation: tuple[str, str]) -> bool:
    return annotation[0] in {RESTART_HASH, ANNOTATION}


def _picked(obj: JsonObject, parts: Iterable[str]) -> JsonObject:
    picked = {part: obj[part] for part in parts if part in obj}
    if isinstance(picked.get("message"), str):
        picked["message"] = picked["message"][:LONGEST_MESSAGE]
    return picked
