"""A page of the inventory: filter, order and total."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any

import peewee
from tradingbot_api.asset import AssetStatus

from tradingbot_registry.inventory.graph import affected
from tradingbot_registry.inventory.loading import records
from tradingbot_registry.inventory.record import EffectiveStatus, Record
from tradingbot_registry.storage.database import SqliteFile
from tradingbot_registry.storage.folding import folded
from tradingbot_registry.storage.models import Asset, AssetTag, Tag, has_ref_prefix, rows

SORT_COLUMNS = {
    "created_at": Asset.seq,
    "updated_at": Asset.updated_at,
    "name": Asset.name,
    "type": Asset.type,
    "status": Asset.status,
}


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order."""

    key: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Parameters of a page.

    All filters must match. Of the values of one filter any may match, except `tag`: an asset must
    have all of them.
    """

    type: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    effective_status: tuple[str, ...] = ()
    managed_by: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    any_tag: tuple[str, ...] = ()
    q: str | None = None
    updated_since: datetime | None = None
    external_ref_prefix: str | None = None
    sort: tuple[Sort, ...] = (Sort("created_at"),)
    page: int = 1
    page_size: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """The assets of one page, and the total."""

    items: tuple[Record, ...]
    page: int
    page_size: int
    total: int

    @property
    def pages(self) -> int:
        """Number of pages; 0 if there are no assets."""
        return -(-self.total // self.page_size)


def find(db: SqliteFile, listing: Listing) -> Page:
    """Return the page. To be called in one snapshot, else the total may not match."""
    query = Asset.select()
    conditions = _conditions(listing)
    if conditions:
        query = query.where(reduce(and_, conditions))
    order = [
        SORT_COLUMNS[sort.key].desc() if sort.descending else SORT_COLUMNS[sort.key].asc()
        for sort in listing.sort
    ]
    # seq last: without a unique key at the end, equal rows could change places between pages.
    chosen = query.order_by(*order, Asset.seq).paginate(listing.page, listing.page_size)
    return Page(
        items=tuple(records(db, list(chosen.execute(db)))),
        page=listing.page,
        page_size=listing.page_size,
        total=query.count(db),
    )


def _conditions(listing: Listing) -> list[Any]:
    conditions: list[Any] = []
    for column, values in (
        (Asset.type, listing.type),
        (Asset.status, listing.status),
        (Asset.managed_by, listing.managed_by),
    ):
        if values:
            conditions.append(column.in_(list(values)))
    if listing.effective_status:
        conditions.append(
            reduce(or_, [_effectively(status) for status in listing.effective_status])
        )
    if listing.tag:
        conditions.append(_carries(listing.tag, at_least=len(listing.tag)))
    if listing.any_tag:
        conditions.append(_carries(listing.any_tag, at_least=1))
    if listing.q:
        conditions.append(peewee.fn.INSTR(Asset.search, folded(listing.q)) > 0)
    if listing.updated_since is not None:
        conditions.append(Asset.updated_at >= listing.updated_since)
    if listing.external_ref_prefix:
        conditions.append(has_ref_prefix(listing.external_ref_prefix))
    return conditions


def _effectively(status: str) -> Any:
    if status == EffectiveStatus.FAILED:
        return Asset.status == AssetStatus.FAILED
    if status == EffectiveStatus.DEGRADED:
        return (Asset.status != AssetStatus.FAILED) & Asset.seq.in_(affected())
    return (Asset.status == status) & Asset.seq.not_in(affected())


def _carries(names: Collection[str], *, at_least: int) -> Any:
    # One query for any number of tags: a condition for each would exceed what SQLite can nest.
    carriers = (
        AssetTag.select(AssetTag.asset)
        .join(Tag, on=(AssetTag.tag == Tag.id))
        .where(Tag.name.in_(list(names)))
        .group_by(AssetTag.asset)
        .having(peewee.fn.COUNT(AssetTag.tag) >= at_least)
    )
    return Asset.seq.in_(carriers)


def counts(db: SqliteFile) -> list[tuple[str, str, int]]:
    """Count the assets by type and status."""
    query = Asset.select(Asset.type, Asset.status, peewee.fn.COUNT(Asset.seq)).group_by(
        Asset.type, Asset.status
    )
    return [(type_, status, int(count)) for type_, status, count in rows(db, query)]
