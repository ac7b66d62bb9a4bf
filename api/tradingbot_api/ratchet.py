"""What an update touches: a mistake that it leaves as it was is not its own."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tradingbot_api.errors import Path
from tradingbot_api.fields import same, value_at
from tradingbot_api.model import JsonObject
from tradingbot_api.rules import EACH

_ABSENT = object()


class Everything:
    """A creation, and an update that is checked in full."""

    def touch(self, places: tuple[Path, ...]) -> bool:  # noqa: ARG002 - that of Changes
        """Yes."""
        return True


class Changes:
    """An update of the object `before`, defaulted, to `new`.

    `list_keys` names the lists whose items are known by the value of a key and not by their place,
    and that key.
    """

    def __init__(self, new: JsonObject, before: JsonObject, list_keys: Mapping[Path, str]) -> None:
        self._new = new
        self._before = before
        self._list_keys = list_keys

    def touch(self, places: tuple[Path, ...]) -> bool:
        """Whether one of the values at `places` differs.

        Where one is missing in both, it does if what it is missing from was not there before.
        """
        return any(
            not same(_column(self._new, place), _column(self._before, place))
            if EACH in place
            else self._differ(place)
            for place in places
        )

    def _differ(self, place: Path) -> bool:
        earlier = self._earlier(place)
        if earlier is None:
            return True
        value = value_at(self._new, place, _ABSENT)
        was = value_at(self._before, earlier, _ABSENT)
        if value is _ABSENT and was is _ABSENT:
            holder = value_at(self._new, place[:-1], _ABSENT)
            held = value_at(self._before, earlier[:-1], _ABSENT)
            return (holder is _ABSENT) != (held is _ABSENT)
        return not same(value, was)

    def _earlier(self, place: Path) -> Path | None:
        """Where what is now at `place` was before: an item with a key may have moved, or be new."""
        for path, key in self._list_keys.items():
            end = len(path)
            if place[:end] != path or len(place) == end:
                continue
            name = value_at(self._new, (*place[: end + 1], key))
            index = self._indexes[path].get(name) if isinstance(name, str) else None
            return None if index is None else (*path, index, *place[end + 1 :])
        return place

    @cached_property
    def _indexes(self) -> dict[Path, dict[Any, int]]:
        """By list and name, where an item was before; of a name that stood twice, the first."""
        return {
            path: {
                item[key]: index
                for index, item in reversed(list(enumerate(_list_at(self._before, path))))
                if isinstance(item, dict) and isinstance(item.get(key), str)
            }
            for path, key in self._list_keys.items()
        }


def _column(obj: JsonObject, place: Path) -> list[Any]:
    """What each item of a list has at the rest of the place."""
    split = place.index(EACH)
    return [value_at(item, place[split + 1 :]) for item in _list_at(obj, place[:split])]


def _list_at(obj: JsonObject, path: Path) -> list[Any]:
    found = value_at(obj, path)
    return found if isinstance(found, list) else []
