"""The newest known version of every watched object.

Filled by watches, by listings and by the answers to the operator's own writes, whichever is newest.
So a reconcile right after a write already reads what it wrote.

Only the version is kept of large objects that belong to no known bot, and of very large ones: any
user may put the operator's label on a megabyte of data. Reconcilers read those when needed.

Objects are kept as JSON and parsed on each read: 20,000 of them take 40 MB, and ten times that as
dicts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from sys import intern
from typing import NamedTuple

from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import BOT_LABEL, CHILD_KINDS, UNREADABLE
from tradingbot_operator.cluster.ended_pods import gateway_has_ended
from tradingbot_operator.cluster.reading.trimming import bot_of, child_name, trimmed

LABELLED_KINDS = (*CHILD_KINDS, "Pod")
"""Kinds of objects that belong to bots and are selected by their labels."""

ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""

SMALL = 8 * 1024
"""Maximum bytes of a child that is kept before its bot is known."""

LARGE = 128 * 1024
"""Bytes of a child or AssetRegistry above which only the version is kept. A tenant may have
hundreds of them, each as large as etcd allows."""

READ_WHEN_NEEDED = frozenset(
    {"Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy", "AssetRegistry"}
)
"""Not ConfigMaps: data that a tenant adds to bot.json is drift, and removed at once."""

DELETED_MEMORY = 10_000
"""Number of deletions that are remembered, so that a late answer does not bring an object back."""


class Kept(NamedTuple):
    """An object in the cache."""

    version: int
    phase: str
    """`status.phase`, so that bots can be counted without parsing them."""
    declared: int
    """A hash of the fields that users write; a write of the status does not change it."""
    text: bytes
    """JSON; empty if only the version is kept."""
    unreadable: str = ""
    """Why the object can't be read."""


def key_of(obj: JsonObject) -> ObjectKey:
    """Return the key of an object."""
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def version_of(obj: JsonObject) -> int:
    """Return the resource version. Those of one kind are integers that can be compared."""
    return int(obj["metadata"].get("resourceVersion") or 0)


class Store:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[NamespacedName, Kept]] = {}
        self._pods: dict[NamespacedName, set[str]] = {}
        """The names of the pods that carry the label of a bot, by bot."""
        self._ended: dict[str, None] = {}
        """The uids of deleted pods whose gateway has certainly ended."""
        self._deleted: dict[str, int] = {}
        """The resource version at which each deleted object, by uid, was last seen."""

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return the object, or None if it is not kept. The caller may change it."""
        kept = self._kept(kind, namespace, name)
        return None if kept is None or not kept.text else _parsed(kept)

    def version(self, kind: str, namespace: str, name: str) -> int | None:
        """Return the object's version, or None if the object is unknown."""
        kept = self._kept(kind, namespace, name)
        return None if kept is None else kept.version

    def versions(self, kind: str) -> dict[NamespacedName, int]:
        """Return the version of each known object of a kind."""
        return {key: kept.version for key, kept in self._objects.get(kind, {}).items()}

    def declared(self, kind: str, namespace: str, name: str) -> int | None:
        """Return a value that changes with what users write; None if the object is unknown."""
        kept = self._kept(kind, namespace, name)
        return None if kept is None else kept.declared

    def keys(self, kind: str) -> Iterator[NamespacedName]:
        """Iterate over the names of all known objects of a kind."""
        return iter(list(self._objects.get(kind, ())))

    def objects(self, kind: str) -> Iterator[JsonObject]:
        """Iterate over all objects of a kind that are kept."""
        return map(_parsed, [kept for kept in self._objects.get(kind, {}).values() if kept.text])

    def unreadable(self) -> Mapping[ObjectKey, str]:
        """Return the objects that can't be read, with the reason."""
        return {
            (kind, *key): kept.unreadable
            for kind, objects in self._objects.items()
            for key, kept in objects.items()
            if kept.unreadable
        }

    def pods(self, namespace: str, bot: str) -> list[JsonObject]:
        """Return the known pods that carry the label of that bot, with any creator."""
        names = sorted(self._pods.get(NamespacedName(namespace, bot), ()))
        return [pod for name in names if (pod := self.get("Pod", namespace, name)) is not None]

    def _kept(self, kind: str, namespace: str, name: str) -> Kept | None:
        return self._objects.get(kind, {}).get(NamespacedName(namespace, name))

    def _index(self, pod: JsonObject) -> None:
        if (bot := _labelled(pod)) is not None:
            self._pods.setdefault(bot, set()).add(pod["metadata"]["name"])

    def _unindex(self, pod: JsonObject) -> None:
        bot = _labelled(pod)
        if bot in self._pods:
            self._pods[bot].discard(pod["metadata"]["name"])
            if not self._pods[bot]:
                del self._pods[bot]

    def phases(self, kind: str) -> Mapping[str, int]:
        """Return the number of objects of a kind in each phase; the empty phase is none yet."""
        return Counter(kept.phase for kept in self._objects.get(kind, {}).values())

    def put(self, obj: JsonObject, *, is_trimmed: bool = False) -> bool:
        """Keep `obj` unless a newer version is known or it is gone. Return whether it is news.

        Trims it first, unless the caller has.
        """
        kind, namespace, name = key_of(obj)
        version = version_of(obj)
        known = self._kept(kind, namespace, name)
        if version <= self._deleted.get(obj["metadata"].get("uid", ""), -1):
            return False
        if known is not None and version < known.version:
            return False
        if not is_trimmed:
            obj = trimmed(obj)
        status = obj.get("status")
        phase = status.get("phase") if isinstance(status, dict) else None
        kept = Kept(
            version,
            intern(phase if isinstance(phase, str) else ""),
            _declared(obj["metadata"]),
            self._text(obj),
            str(obj.get(UNREADABLE, "")),
        )
        if kept == known:
            return False
        if known is None and kind == "TradingBot":
            self._make_room_for_children(namespace, name)
        key = NamespacedName(intern(namespace), name)
        self._objects.setdefault(kind, {})[key] = kept
        if kind == "Pod":
            if known is not None and known.text:
                self._unindex(_parsed(known))
            if kept.text:
                self._index(obj)
        return True

    def _text(self, obj: JsonObject) -> bytes:
        text = to_json(obj)
        if len(text) > LARGE and obj["kind"] in READ_WHEN_NEEDED:
            return b""
        if obj["kind"] not in LABELLED_KINDS:
            return text
        bot = bot_of(obj)
        if bot is None:
            return b""
        bots = self._objects.get("TradingBot", {})
        return text if len(text) <= SMALL or (obj["metadata"]["namespace"], bot) in bots else b""

    def _make_room_for_children(self, namespace: str, bot: str) -> None:
        """Forget children that were too large to keep before the bot was known: the next listing
        reads them again.
        """
        for kind in CHILD_KINDS:
            name = child_name(kind, bot)
            known = self._kept(kind, namespace, name)
            if known is not None and not known.text:
                del self._objects[kind][NamespacedName(namespace, name)]

    def remove(self, obj: JsonObject) -> None:
        """Remove a deleted object. A newer object of the same name is kept.

        A watch also reports an object as deleted that has lost the label of its selector. So the
        deletion is remembered with its version: a later version is kept again.
        """
        kind, namespace, name = key_of(obj)
        uid = obj["metadata"].get("uid", "")
        kept = self._kept(kind, namespace, name)
        known = self.get(kind, namespace, name)
        if kind == "Pod" and gateway_has_ended(obj):
            self._ended[uid] = None
            if len(self._ended) > DELETED_MEMORY:
                del self._ended[next(iter(self._ended))]
        if known is not None and known["metadata"].get("uid", "") == uid:
            del self._objects[kind][NamespacedName(namespace, name)]
            if kind == "Pod":
                self._unindex(known)
        elif known is None and kept is not None and kept.version <= version_of(obj):
            del self._objects[kind][NamespacedName(namespace, name)]
        self._deleted.pop(uid, None)
        self._deleted[uid] = version_of(obj)
        if len(self._deleted) > DELETED_MEMORY:
            del self._deleted[next(iter(self._deleted))]

    def has_ended(self, uid: str) -> bool:
        """Return whether the pod of that uid was deleted after its gateway had certainly ended."""
        return uid in self._ended

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """Forget an object of which only the version is kept."""
        kept = self._kept(kind, namespace, name)
        if kept is not None and not kept.text:
            del self._objects[kind][NamespacedName(namespace, name)]


def _declared(meta: JsonObject) -> int:
    annotations = (meta.get("annotations") or {}).items()  # after trimming
    return hash((meta.get("generation"), meta.get("deletionTimestamp"), frozenset(annotations)))


def _labelled(pod: JsonObject) -> NamespacedName | None:
    meta = pod["metadata"]
    labels = meta.get("labels")
    name = labels.get(BOT_LABEL) if isinstance(labels, dict) else None
    return NamespacedName(meta.get("namespace", ""), name) if isinstance(name, str) else None


def _parsed(kept: Kept) -> JsonObject:
    return dict(from_json(kept.text, cache_strings="keys"))
