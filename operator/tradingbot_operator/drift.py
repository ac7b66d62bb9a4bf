"""Whether a live child still is as declared.

The API server fills in much that nobody declared, so the comparison is one-sided: everything that
is declared must be there, with the same value. Items of lists that server-side apply merges by
name are found by their name; what others have added beside ours is theirs.
"""

from decimal import ROUND_CEILING, Decimal
from typing import Any

from tradingbot_api.quantity import parse_quantity

_ATOMIC = frozenset({"selector", "secretKeyRef"})
"""Maps that server-side apply replaces as a whole: what others add to them is drift."""

_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})


def covers(live: Any, declared: Any, *, key: str = "") -> bool:
    """Whether `live` holds all of `declared`."""
    if isinstance(declared, dict) and key not in _ATOMIC:
        return isinstance(live, dict) and all(
            covers(live.get(name), value, key=name) for name, value in declared.items()
        )
    if isinstance(declared, list):
        return isinstance(live, list) and _covers_list(live, declared)
    if key in _QUANTITIES and isinstance(live, str) and isinstance(declared, str):
        return live == declared or _milli(live) == _milli(declared) is not None
    return bool(live == declared)


def _milli(quantity: str) -> Decimal | None:
    """Thousandths, rounded up as the API server does to what it stores."""
    number = parse_quantity(quantity)
    return None if number is None else (number * 1000).to_integral_value(ROUND_CEILING)


def _covers_list(live: list[Any], declared: list[Any]) -> bool:
    merge_key = next(
        (
            name
            for name in ("uid", "name")
            if all(isinstance(one, dict) and name in one for one in declared)
        ),
        None,
    )
    if merge_key is None:
        return len(live) == len(declared) and all(map(covers, live, declared))
    found = {one.get(merge_key): one for one in live if isinstance(one, dict)}
    return all(covers(found.get(one[merge_key]), one) for one in declared)
