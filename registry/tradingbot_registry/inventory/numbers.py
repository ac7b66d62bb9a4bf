"""Numbers of assets, which the database keeps: for each type, status, effective status and manager.

There are few of these combinations, so a sum of them costs the same whatever the inventory's size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_registry.storage.engine import Database, places

COLUMNS = ("type", "status", "effective_status", "managed_by")

Wanted = Mapping[str, Sequence[str]]
"""The values that a column may have, for each column of a filter."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many assets there are, how many match each filter alone, and how many match all."""

    everything: int
    each: Mapping[str, int]
    all: int


def numbers(db: Database, wanted: Wanted) -> Numbers:
    """Return the numbers for these filters."""
    tests, values = _tests(wanted)
    sums = ["SUM(number)", *(_sum_if(test) for test in tests)]
    if tests:
        sums.append(_sum_if(" AND ".join(tests)))
    statement = f"SELECT {', '.join(sums)} FROM asset_tally"  # noqa: S608
    (found,) = db.query(statement, *values, *values)
    everything, *each = [int(number or 0) for number in found]
    return Numbers(
        everything, dict(zip(wanted, each, strict=False)), each[-1] if tests else everything
    )


def by_column(db: Database, wanted: Wanted) -> list[tuple[Any, ...]]:
    """Return the number of assets that match, for each combination: `COLUMNS`, then the number."""
    tests, values = _tests(wanted)
    return db.query(
        f"SELECT {', '.join(COLUMNS)}, number FROM asset_tally"  # noqa: S608
        f" WHERE {' AND '.join(['number > 0', *tests])}",
        *values,
    )


def _tests(wanted: Wanted) -> tuple[list[str], list[str]]:
    """Return the condition of each filter, and the values of all of them."""
    tests = [f"{column} IN ({places(values)})" for column, values in wanted.items()]
    return tests, [value for values in wanted.values() for value in values]


def _sum_if(test: str) -> str:
    return f"SUM(CASE WHEN {test} THEN number ELSE 0 END)"


def counts(db: Database) -> list[tuple[str, str, int]]:
    """Count the assets by type and status."""
    return [
        (type_, status, int(number))
        for type_, status, number in db.query(
            "SELECT type, status, SUM(number) FROM asset_tally GROUP BY type, status"
            " HAVING SUM(number) > 0"
        )
    ]
