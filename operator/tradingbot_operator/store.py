"""The newest known version of every watched object.

Filled by kopf's watches, by the answers to our own writes and by full listings, whichever is the
newest; so a reconcile right after a write already sees what it wrote.
"""

from collections.abc import Iterator

from tradingbot_api.model import JsonObject

ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""

DELETED_MEMORY = 10_000
"""How many deletions are remembered, so that a late answer does not bring an object back."""


def key_of(obj: JsonObject) -> ObjectKey:
    """The key of an object."""
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def _version(obj: JsonObject) -> int:
    """The object's place in history; resource versions of one kind are comparable integers."""
    return int(obj["metadata"].get("resourceVersion") or 0)


class Store:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, JsonObject] = {}
        self._deleted: dict[str, int] = {}
        """The version that each deletion by uid was seen at."""

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """The object, or None if none is known."""
        return self._objects.get((kind, namespace, name))

    def keys(self, kind: str) -> Iterator[tuple[str, str]]:
        """Namespace and name of every known object of a kind."""
        return iter([(ns, name) for known, ns, name in self._objects if known == kind])

    def objects(self, kind: str) -> Iterator[JsonObject]:
        """Every known object of a kind."""
        return iter([obj for (known, _, _), obj in self._objects.items() if known == kind])

    def put(self, obj: JsonObject) -> None:
        """Keep `obj` unless a newer version is known or it is gone."""
        key = key_of(obj)
        known = self._objects.get(key)
        if _version(obj) <= self._deleted.get(obj["metadata"].get("uid", ""), -1):
            return
        if known is None or _version(obj) >= _version(known):
            meta = {
                name: value for name, value in obj["metadata"].items() if name != "managedFields"
            }
            self._objects[key] = {**obj, "metadata": meta}

    def remove(self, obj: JsonObject) -> None:
        """The object is gone; one of the same name that has come since stays.

        A watch also says so of one that has lost the label that it selects by: a later version of
        that one is taken up again.
        """
        key = key_of(obj)
        known = self._objects.get(key)
        uid = obj["metadata"].get("uid", "")
        if known is not None and known["metadata"].get("uid", "") == uid:
            del self._objects[key]
        self._deleted.pop(uid, None)
        self._deleted[uid] = _version(obj)
        if len(self._deleted) > DELETED_MEMORY:
            del self._deleted[next(iter(self._deleted))]
