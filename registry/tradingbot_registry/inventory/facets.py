"""How many assets there are of each type, status, manager and tag."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_registry.inventory.filters import Listing, selection
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
    text, values = selection(db, listing).walked()
    columns = "asset.type, asset.status, asset.managed_by, asset.effective_status"
    found = db.query(f"SELECT {columns}, COUNT(*) {text} GROUP BY {columns}", *values)
    tags = db.query(
        "SELECT tag.name, COUNT(*) FROM asset_tag JOIN tag ON tag.id = asset_tag.tag"  # noqa: S608
        f" WHERE asset_tag.asset IN (SELECT asset.seq {text})"
        f" GROUP BY tag.name ORDER BY 2 DESC, tag.name LIMIT {MAX_TAGS + 1}",
        *values,
    )
    return Facets(
        total=sum(row[-1] for row in found),
        type=_sums((row[0], row[-1]) for row in found),
        status=_sums((row[1], row[-1]) for row in found),
        effective_status=_sums((row[3], row[-1]) for row in found),
        managed_by=_sums((row[2], row[-1]) for row in found),
        tag=tuple((str(name), int(number)) for name, number in tags[:MAX_TAGS]),
        more_tags=len(tags) > MAX_TAGS,
    )


def _sums(pairs: Any) -> Counts:
    sums: dict[str, int] = {}
    for value, number in pairs:
        sums[str(value)] = sums.get(str(value), 0) + int(number)
    ordered: Sequence[tuple[str, int]] = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ordered)
