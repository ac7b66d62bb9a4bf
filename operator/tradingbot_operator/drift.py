"""Whether a live child still is as declared.

The API server fills in much that nobody declared, so the comparison is one-sided: everything that
is declared must be there, with the same value. Items of lists that server-side apply merges by
name are found by their name; what others have added beside ours is theirs.
"""

from collections.abc import Mapping
from typing import Any

from tradingbot_api.quantity import parse_quantity

_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})


def covers(live: Any, declared: Any, *, key: str = "") -> bool:
    """Whether `live` holds all of `declared`."""
    if isinstance(declared, Mapping):
        return isinstance(live, Mapping) and all(
            name in live and covers(live[name], value, key=name) for name, value in declared.items()
        )
    if isinstance(declared, list):
        return isinstance(live, list) and _covers_list(live, declared)
    if key in _QUANTITIES and isinstance(live, str) and isinstance(declared, str):
        return parse_quantity(live) == parse_quantity(declared)
    return bool(live == declared)


def _covers_list(live: list[Any], declared: list[Any]) -> bool:
    merge_key = next(
        (
            name
            for name in ("uid", "name")
            if all(isinstance(one, Mapping) and name in one for one in declared)
        ),
        None,
    )
    if merge_key is None:
        return len(live) == len(declared) and all(map(covers, live, declared))
    found = {one.get(merge_key): one for one in live if isinstance(one, Mapping)}
    return all(covers(found.get(one[merge_key]), one) for one in declared)
