"""The newest known version of every watched object.

Filled by kopf's watches, by the answers to our own writes and by full listings, whichever is the
newest; so a reconcile right after a write already sees what it wrote.

Kept as JSON and parsed on each look: 20,000 objects take 40 MB so, and ten times that as dicts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from sys import intern
from typing import NamedTuple

from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject

ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""

DELETED_MEMORY = 10_000
"""How many deletions are remembered, so that a late answer does not bring an object back."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Kept(NamedTuple):
    """An object as it is kept."""

    version: int
    phase: str
    """`status.phase`, so that counting bots parses none of them."""
    declared: int
    """A hash of what others write of a bot; a write of its status does not change it."""
    text: bytes


def key_of(obj: JsonObject) -> ObjectKey:
    """The key of an object."""
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def version_of(obj: JsonObject) -> int:
    """The object's place in history; resource versions of one kind are comparable integers."""
    return int(obj["metadata"].get("resourceVersion") or 0)


class Store:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Kept]] = {}
        self._deleted: dict[str, int] = {}
        """The version that each deletion by uid was seen at."""

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """The object, or None if none is known; the caller's own, to change as it likes."""
        kept = self._objects.get(kind, {}).get((namespace, name))
        return None if kept is None else _parsed(kept)

    def version(self, kind: str, namespace: str, name: str) -> int | None:
        """The object's version, or None if none is known."""
        kept = self._objects.get(kind, {}).get((namespace, name))
        return None if kept is None else kept.version

    def versions(self, kind: str) -> dict[tuple[str, str], int]:
        """The version of each known object of a kind, by namespace and name."""
        return {key: kept.version for key, kept in self._objects.get(kind, {}).items()}

    def declared(self, kind: str, namespace: str, name: str) -> int | None:
        """What stays the same until somebody declares something else; None if none is known."""
        kept = self._objects.get(kind, {}).get((namespace, name))
        return None if kept is None else kept.declared

    def keys(self, kind: str) -> Iterator[tuple[str, str]]:
        """Namespace and name of every known object of a kind."""
        return iter(list(self._objects.get(kind, ())))

    def objects(self, kind: str) -> Iterator[JsonObject]:
        """Every known object of a kind."""
        return map(_parsed, list(self._objects.get(kind, {}).values()))

    def phases(self, kind: str) -> Mapping[str, int]:
        """How many objects of a kind are in each phase; empty is none yet."""
        return Counter(kept.phase for kept in self._objects.get(kind, {}).values())

    def put(self, obj: JsonObject) -> bool:
        """Keep `obj` unless a newer version is known or it is gone; whether it is news."""
        kind, namespace, name = key_of(obj)
        version = version_of(obj)
        known = self._objects.get(kind, {}).get((namespace, name))
        if version <= self._deleted.get(obj["metadata"].get("uid", ""), -1):
            return False
        if known is not None and version < known.version:
            return False
        phase = intern(str((obj.get("status") or {}).get("phase") or ""))
        kept = Kept(version, phase, _declared(obj["metadata"]), _text(obj))
        if kept == known:
            return False
        self._objects.setdefault(kind, {})[intern(namespace), name] = kept
        return True

    def remove(self, obj: JsonObject) -> None:
        """The object is gone; one of the same name that has come since stays.

        A watch also says so of one that has lost the label that it selects by: a later version of
        that one is taken up again.
        """
        kind, namespace, name = key_of(obj)
        known = self.get(kind, namespace, name)
        uid = obj["metadata"].get("uid", "")
        if known is not None and known["metadata"].get("uid", "") == uid:
            del self._objects[kind][namespace, name]
        self._deleted.pop(uid, None)
        self._deleted[uid] = version_of(obj)
        if len(self._deleted) > DELETED_MEMORY:
            del self._deleted[next(iter(self._deleted))]


def _declared(meta: JsonObject) -> int:
    annotations = (meta.get("annotations") or {}).items()
    return hash((meta.get("generation"), meta.get("deletionTimestamp"), frozenset(annotations)))


def _text(obj: JsonObject) -> bytes:
    """The object without the bookkeeping of who owns which field, which nobody here reads."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if _LAST_APPLIED in (meta.get("annotations") or ()):
        annotations = meta["annotations"].items()
        meta["annotations"] = {key: value for key, value in annotations if key != _LAST_APPLIED}
    return to_json({**obj, "metadata": meta})


def _parsed(kept: Kept) -> JsonObject:
    return dict(from_json(kept.text, cache_strings="keys"))
