"""What an update changes: a mistake that was there before and is left as it was is not its own.

Example: a bot is stored with a `riskManagement` that a newer rule refuses, and an update sets
`spec.strategy.image`. The rule needs `spec.riskManagement`, which the update leaves as it was, so
its finding becomes a warning. An update that touches one of the values that the rule needs is
refused.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tradingbot_api.admission.fields import json_equal, value_at
from tradingbot_api.errors import Path
from tradingbot_api.model import JsonObject
from tradingbot_api.rules.findings import EACH

_ABSENT = object()


class FullScope:
    """The scope of a creation, and of an update that is checked in full."""

    def includes(self, paths: tuple[Path, ...]) -> bool:  # noqa: ARG002 - that of UpdateScope
        """Return True."""
        return True


FULL_SCOPE = FullScope()


class UpdateScope:
    """The values that differ between the object `before`, with its defaults, and `new`.

    `list_keys` has the lists whose items are identified by the value of a key instead of their
    index, and that key: `{("spec", "assets"): "name"}`.
    """

    def __init__(self, new: JsonObject, before: JsonObject, list_keys: Mapping[Path, str]) -> None:
        self._new = new
        self._before = before
        self._list_keys = list_keys

    def includes(self, paths: tuple[Path, ...]) -> bool:
        """Return whether the value at one of `paths` differs.

        A path with EACH stands for the values of all items of a list: `assets.*.name`. A value that
        is absent from both objects differs if the object that would hold it is new or removed.
        """
        return any(
            not json_equal(_column(self._new, path), _column(self._before, path))
            if EACH in path
            else self._differs(path)
            for path in paths
        )

    def _differs(self, path: Path) -> bool:
        earlier = self._earlier(path)
        if earlier is None:
            return True
        value = value_at(self._new, path, _ABSENT)
        was = value_at(self._before, earlier, _ABSENT)
        if value is _ABSENT and was is _ABSENT:
            holder = value_at(self._new, path[:-1], _ABSENT)
            held = value_at(self._before, earlier[:-1], _ABSENT)
            return (holder is _ABSENT) != (held is _ABSENT)
        return not json_equal(value, was)

    def _earlier(self, path: Path) -> Path | None:
        """Return where the value at `path` was before, or None if it is below a new item.

        Example: the asset `db` has moved from index 0 to 2. `("spec", "assets", 2, "tags")` was at
        `("spec", "assets", 0, "tags")`.
        """
        for items, key in self._list_keys.items():
            depth = len(items)
            if path[:depth] != items or len(path) == depth:
                continue
            name = value_at(self._new, (*path[: depth + 1], key))
            index = self._indexes[items].get(name) if isinstance(name, str) else None
            return None if index is None else (*items, index, *path[depth + 1 :])
        return path

    @cached_property
    def _indexes(self) -> dict[Path, dict[Any, int]]:
        """For each list, the index that each name had before; the first of a duplicate name."""
        return {
            items: {
                item[key]: index
                for index, item in reversed(list(enumerate(_list_at(self._before, items))))
                if isinstance(item, dict) and isinstance(item.get(key), str)
            }
            for items, key in self._list_keys.items()
        }


def _column(obj: JsonObject, path: Path) -> list[Any]:
    """Return the value that each item of a list has at the part of `path` behind EACH."""
    split = path.index(EACH)
    return [value_at(item, path[split + 1 :]) for item in _list_at(obj, path[:split])]


def _list_at(obj: JsonObject, path: Path) -> list[Any]:
    found = value_at(obj, path)
    return found if isinstance(found, list) else []
