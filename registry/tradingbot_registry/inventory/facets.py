"""How many assets there are of each type, status, manager and tag."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import peewee

from tradingbot_registry.inventory.listing import Listing, selected
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Asset, AssetTag, Tag, rows

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
    found = rows(
        db,
        selected(
            db,
            listing,
            Asset.type,
            Asset.status,
            Asset.managed_by,
            Asset.effective_status,
            peewee.fn.COUNT(Asset.seq),
        ).group_by(Asset.type, Asset.status, Asset.managed_by, Asset.effective_status),
    )
    tags = rows(db, _tags(db, listing))
    return Facets(
        total=sum(row[-1] for row in found),
        type=_sums((row[0], row[-1]) for row in found),
        status=_sums((row[1], row[-1]) for row in found),
        effective_status=_sums((row[3], row[-1]) for row in found),
        managed_by=_sums((row[2], row[-1]) for row in found),
        tag=tuple((str(name), int(number)) for name, number in tags[:MAX_TAGS]),
        more_tags=len(tags) > MAX_TAGS,
    )


def _tags(db: Database, listing: Listing) -> Any:
    number = peewee.fn.COUNT(AssetTag.asset)
    return (
        Tag.select(Tag.name, number)
        .join(AssetTag, on=(AssetTag.tag == Tag.id))
        .where(AssetTag.asset.in_(selected(db, listing, Asset.seq)))
        .group_by(Tag.name)
        .order_by(number.desc(), Tag.name)
        .limit(MAX_TAGS + 1)
    )


def _sums(pairs: Any) -> Counts:
    sums: dict[str, int] = {}
    for value, number in pairs:
        sums[str(value)] = sums.get(str(value), 0) + int(number)
    ordered: Sequence[tuple[str, int]] = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ordered)
