"""The fields in which a live child differs from what is declared, by the API server's own schema.

The comparison is one-sided: a field that is not declared does not count. Items of lists, atomic
lists and maps, and quantities are compared as server-side apply merges them. Example:

    declared  volumeMounts: [{name: config, mountPath: /etc/bot}]
    live      volumeMounts: [{name: config, mountPath: /etc/bot}, {name: config, mountPath: /x}]

has no difference, since the key of a mount is its path. Paths are spelled as in `foreign_fields`:
`spec.template.spec.containers[name=bot].image`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from tradingbot_api.model import JsonObject
from tradingbot_api.quantity import thousandths

from tradingbot_operator.bots.children.built_in_types import Field, of_kind

Step = str | tuple[tuple[str, Any], ...]
"""A field's name, or the keys of an item of a list."""


class _Missing:
    """The value of a field that is not there."""

    def __repr__(self) -> str:
        return "MISSING"

    def __deepcopy__(self, _memo: object) -> "_Missing":
        return self


MISSING: Final = _Missing()

ABSENT_MEANS_TRUE = frozenset(
    {"allowPrivilegeEscalation", "automountServiceAccountToken", "enableServiceLinks", "hostUsers"}
)
"""Booleans that are true if they are absent. All others are false then, and the API server leaves
them out of an object when they are."""

_FILLED_IN = {"apiVersion": "v1", "divisor": "0"}
"""What the API server adds to some atomic maps (`fieldRef`, `resourceFieldRef`)."""


class Difference(NamedTuple):
    """A field that is declared and live with different values."""

    steps: tuple[Step, ...]
    declared: Any
    live: Any

    @property
    def path(self) -> str:
        """Return the path of the field, for people."""
        return path_text(self.steps)


def path_text(steps: Iterable[Step]) -> str:
    """Return a path as text."""
    text = ""
    for step in steps:
        if isinstance(step, tuple):
            text += f"[{','.join(f'{key}={value}' for key, value in sorted(step))}]"
        elif step.isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{step}]"
    return text


def differences(declared: JsonObject, live: Any) -> Iterator[Difference]:
    """Yield each difference of a live object from a manifest."""
    yield from differences_of(declared, live, of_kind(str(declared.get("kind"))))


def differences_of(
    declared: Any, live: Any, field: Field, steps: tuple[Step, ...] = ()
) -> Iterator[Difference]:
    """Yield each difference of a live value from a declared one."""
    # `True == 1` in Python: a live object may have any type in any place.
    if declared == live and type(declared) is type(live):
        return
    if live is MISSING or live is None:
        if not _may_be_absent(declared, field, steps):
            yield Difference(steps, declared, live)
    elif field.is_quantity:
        if not _same_quantity(declared, live):
            yield Difference(steps, declared, live)
    elif field.is_atomic:
        if not _same_atomic(declared, live):
            yield Difference(steps, declared, live)
    elif isinstance(declared, dict) and isinstance(live, dict):
        yield from _map_differences(declared, live, field, steps)
    elif isinstance(declared, list) and isinstance(live, list):
        yield from _list_differences(declared, live, field, steps)
    else:
        yield Difference(steps, declared, live)


def _map_differences(
    declared: JsonObject, live: JsonObject, field: Field, steps: tuple[Step, ...]
) -> Iterator[Difference]:
    for name, value in declared.items():
        found = live.get(name, MISSING)
        if found is MISSING and field.is_map:
            # A label with an empty value, unlike an empty field of a struct, is stored.
            yield Difference((*steps, name), value, found)
        else:
            yield from differences_of(value, found, field.child(name), (*steps, name))


def _list_differences(
    declared: list[Any], live: list[Any], field: Field, steps: tuple[Step, ...]
) -> Iterator[Difference]:
    if field.keys is None:
        pairs = zip(declared, live, strict=False)
        same = len(declared) == len(live) and not any(
            next(differences_of(*pair, field.item), None) for pair in pairs
        )
        if not same:
            yield Difference(steps, declared, live)
    elif not field.keys:
        yield from (
            Difference((*steps, str(item)), item, MISSING) for item in declared if item not in live
        )
    else:
        # As text: a live key that has been edited may be of a type that can't be a key.
        found = {str(field.key_of(item)): item for item in live if isinstance(item, dict)}
        for item in declared:
            key = field.key_of(item)
            step = tuple(zip(field.keys, key, strict=True))
            there = found.get(str(key), MISSING)
            yield from differences_of(item, there, field.item, (*steps, step))


def _may_be_absent(declared: Any, field: Field, steps: tuple[Step, ...]) -> bool:
    """Return whether the API server leaves out a field with this value."""
    if declared in (None, "", []):
        return True
    if declared is False:
        return not steps or steps[-1] not in ABSENT_MEANS_TRUE
    return bool(declared == {} and field.is_map)


def _same_atomic(declared: Any, live: Any) -> bool:
    if isinstance(declared, list) and isinstance(live, list):
        return len(declared) == len(live) and all(map(_same_atomic, declared, live))
    if not isinstance(declared, dict) or not isinstance(live, dict):
        return bool(declared == live)
    added = {key: value for key, value in live.items() if key not in declared}
    return all(_FILLED_IN.get(key, MISSING) == value for key, value in added.items()) and all(
        # The API server leaves out empty lists and maps, but not an empty value of a label.
        _same_atomic(value, live[key]) if key in live else value in (None, [], {})
        for key, value in declared.items()
    )


def _same_quantity(declared: Any, live: Any) -> bool:
    """Return whether two quantities are equal: the API server stores "0.5" as "500m"."""
    if not isinstance(declared, str) or not isinstance(live, str):
        return bool(declared == live)
    return thousandths(declared) == thousandths(live) is not None
