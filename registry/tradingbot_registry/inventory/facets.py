"""How many assets there are of each type, status, manager and tag.

All numbers are exact. Those of the whole inventory are kept by the database, and so are those of
assets with certain types, statuses and managers, but for their tags. Otherwise the assets that the
filters select are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_registry.inventory.filters import Listing, Selection, of_columns, selection
from tradingbot_registry.inventory.numbers import COLUMNS, by_column
from tradingbot_registry.storage.engine import Database

MAX_TAGS = 200
"""Tags that are listed, the most frequent ones."""

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Facets:
    """Numbers of assets by value, the most frequent value first; `more_tags`: there are others."""

    total: int
    type: Counts
    status: Counts
    effective_status: Counts
    managed_by: Counts
    tag: Counts
    more_tags: bool


def count(db: Database, listing: Listing) -> Facets:
    """Count the assets that the filters of `listing` select. To be called in one snapshot."""
    chosen = selection(db, listing)
    wanted = of_columns(listing)
    of_columns_alone = len(chosen.filters) == len(wanted)
    found = by_column(db, wanted) if of_columns_alone else _by_column(db, chosen)
    tags = _tags(db, chosen) if chosen.filters else _all_tags(db)
    return Facets(
        total=sum(row[-1] for row in found),
        **{
            column: _sums((row[place], row[-1]) for row in found)
            for place, column in enumerate(COLUMNS)
        },
        tag=tuple((str(name), int(number)) for name, number in tags[:MAX_TAGS]),
        more_tags=len(tags) > MAX_TAGS,
    )


def _by_column(db: Database, chosen: Selection) -> list[tuple[Any, ...]]:
    columns = ", ".join(f"asset.{column}" for column in COLUMNS)
    text, values = chosen.driven(with_rows=True)
    return db.query(f"SELECT {columns}, COUNT(*) {text} GROUP BY {columns}", *values)


def _tags(db: Database, chosen: Selection) -> list[tuple[Any, ...]]:
    text, values = chosen.driven()
    seq = "asset.seq" if chosen.lead is None else "lead.seq"
    return db.query(
        "SELECT tag.name, COUNT(*) FROM asset_tag JOIN tag ON tag.id = asset_tag.tag"  # noqa: S608
        f" WHERE asset_tag.asset IN (SELECT {seq} {text})"
        f" GROUP BY tag.name ORDER BY 2 DESC, tag.name LIMIT {MAX_TAGS + 1}",
        *values,
    )


def _all_tags(db: Database) -> list[tuple[Any, ...]]:
    return db.query(
        "SELECT name, number FROM tag WHERE number > 0"  # noqa: S608
        f" ORDER BY number DESC, name LIMIT {MAX_TAGS + 1}"
    )


def _sums(pairs: Any) -> Counts:
    sums: dict[str, int] = {}
    for value, number in pairs:
        sums[str(value)] = sums.get(str(value), 0) + int(number)
    ordered: Sequence[tuple[str, int]] = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ordered)
