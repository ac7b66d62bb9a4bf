"""The difference of two JSON documents as an RFC 6902 patch. Pure."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Operation(TypedDict):
    op: Literal["add", "replace", "remove", "test"]
    path: str
    value: NotRequired[Any]


def no_change(path: str, value: Any) -> Operation:
    """Return the operation that changes nothing where `path` has this value."""
    return {"op": "test", "path": path, "value": value}


def diff(before: Any, after: Any) -> list[Operation]:
    """Return operations that turn `before` into `after`, in the order to apply them in.

    Only differences are listed: a missing member is added whole, a changed scalar is replaced.
    Lists are compared by position, which suits defaulting: it never moves an element.
    """
    operations: list[Operation] = []
    _compare(before, after, "", operations)
    return operations


def _compare(before: Any, after: Any, path: str, operations: list[Operation]) -> None:
    if before is after:
        return
    if type(before) is not type(after):  # also True and 1, which Python takes for equal
        operations.append({"op": "replace", "path": path, "value": after})
    elif isinstance(before, dict):
        _compare_objects(before, after, path, operations)
    elif isinstance(before, list):
        _compare_arrays(before, after, path, operations)
    elif before != after:
        operations.append({"op": "replace", "path": path, "value": after})


def _compare_objects(
    before: dict[str, Any], after: dict[str, Any], path: str, operations: list[Operation]
) -> None:
    operations += [
        {"op": "remove", "path": f"{path}/{_escaped(key)}"} for key in before if key not in after
    ]
    for key, value in after.items():
        place = f"{path}/{_escaped(key)}"
        if key in before:
            _compare(before[key], value, place, operations)
        else:
            operations.append({"op": "add", "path": place, "value": value})


def _compare_arrays(
    before: list[Any], after: list[Any], path: str, operations: list[Operation]
) -> None:
    common = min(len(before), len(after))
    for index in range(common):
        _compare(before[index], after[index], f"{path}/{index}", operations)
    operations += [
        {"op": "remove", "path": f"{path}/{index}"}
        for index in reversed(range(common, len(before)))
    ]
    operations += [
        {"op": "add", "path": f"{path}/{index}", "value": after[index]}
        for index in range(common, len(after))
    ]


def _escaped(key: str) -> str:
    if "~" in key or "/" in key:
        return key.replace("~", "~0").replace("/", "~1")
    return key
