"""A page of the inventory: filter, order and total."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any

import peewee

from tradingbot_registry.inventory.loading import records
from tradingbot_registry.inventory.record import Record, seen_from
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import folded
from tradingbot_registry.storage.models import (
    Asset,
    AssetTag,
    Tag,
    has_ref_prefix,
    rows,
)

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
    namespace: tuple[str, ...] = ()
    sort: tuple[Sort, ...] = (Sort("created_at"),)
    page: int = 1
    page_size: int = 50
    after: tuple[Any, ...] | None = None
    """A position of `positions`: the page begins behind it, and `page` is not used."""
    with_causes: bool = True
    """Whether the assets' causes and effective status are needed."""


@dataclass(frozen=True, slots=True)
class Page:
    """The assets of one page. `end`: its last position; None if there are no further assets."""

    items: tuple[Record, ...]
    page: int
    page_size: int
    total: int | None
    """Number of all assets that match; None for a page behind a position, which counts none."""
    end: tuple[Any, ...] | None

    @property
    def pages(self) -> int:
        """Number of pages; 0 if there are no assets."""
        return -(-(self.total or 0) // self.page_size)


def find(db: Database, listing: Listing) -> Page:
    """Return the page. To be called in one snapshot, else the total may not match."""
    query = selected(db, listing)
    order = [sort_key.column for sort_key in _order(listing)]
    chosen = query.order_by(*order)
    total = None
    if listing.after is None:
        total = query.count(db)
        chosen = chosen.offset((listing.page - 1) * listing.page_size)
    else:
        chosen = chosen.where(_behind(_order(listing), listing.after))
    # One more than is shown, to know whether there are more.
    found = list(chosen.limit(listing.page_size + 1).execute(db))
    shown = found[: listing.page_size]
    items = tuple(records(db, shown, with_causes=listing.with_causes))
    if listing.namespace:
        items = tuple(seen_from(asset, listing.namespace) for asset in items)
    return Page(
        items=items,
        page=listing.page,
        page_size=listing.page_size,
        total=total,
        end=_position(listing, shown[-1]) if len(found) > len(shown) else None,
    )


def selected(db: Database, listing: Listing, *columns: Any) -> Any:
    """Return the query for these columns of all assets that match the filters."""
    query = Asset.select(*columns)
    conditions = _conditions(db, listing)
    return query.where(reduce(and_, conditions)) if conditions else query


@dataclass(frozen=True, slots=True)
class _Key:
    """A column of the order."""

    field: Any
    descending: bool

    @property
    def column(self) -> Any:
        return self.field.desc() if self.descending else self.field.asc()

    def behind(self, value: Any) -> Any:
        return self.field < value if self.descending else self.field > value


def _order(listing: Listing) -> list[_Key]:
    """Return the columns of the order, the last of which is unique.

    Without a unique one, equal rows could change places between pages.
    """
    order: list[_Key] = []
    for sort in (*listing.sort, Sort("created_at")):
        order.append(_Key(SORT_COLUMNS[sort.key], sort.descending))
        if order[-1].field is Asset.seq:
            break
    return order


def position_types(listing: Listing) -> tuple[type, ...]:
    """Return the types of the values of a position."""
    return tuple(int if key.field is Asset.seq else str for key in _order(listing))


def _position(listing: Listing, asset: Asset) -> tuple[Any, ...]:
    return tuple(key.field.db_value(getattr(asset, key.field.name)) for key in _order(listing))


def _behind(order: list[_Key], position: tuple[Any, ...]) -> Any:
    """Return the condition for the rows behind a position.

    The first part, which the others imply, lets an index find the place.
    """
    # As they are stored: the fields have converted them already.
    values = [peewee.Value(value, converter=False) for value in position]
    alternatives = [
        reduce(
            and_,
            [
                *(key.field == value for key, value in zip(order[:at], values, strict=False)),
                order[at].behind(values[at]),
            ],
        )
        for at in range(len(order))
    ]
    first, value = order[0].field, values[0]
    begin = first <= value if order[0].descending else first >= value
    return begin & reduce(or_, alternatives)


def _conditions(db: Database, listing: Listing) -> list[Any]:
    conditions: list[Any] = []
    for column, values in (
        (Asset.type, listing.type),
        (Asset.status, listing.status),
        (Asset.effective_status, listing.effective_status),
        (Asset.managed_by, listing.managed_by),
        (Asset.namespace, listing.namespace),
    ):
        if values:
            conditions.append(column.in_(list(values)))
    if listing.tag:
        conditions.append(_carries(listing.tag, at_least=len(listing.tag)))
    if listing.any_tag:
        conditions.append(_carries(listing.any_tag, at_least=1))
    if listing.q:
        conditions.append(db.contains(Asset.search, folded(listing.q)))
    if listing.updated_since is not None:
        conditions.append(Asset.updated_at >= listing.updated_since)
    if listing.external_ref_prefix:
        conditions.append(has_ref_prefix(listing.external_ref_prefix))
    return conditions


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


def counts(db: Database) -> list[tuple[str, str, int]]:
    """Count the assets by type and status."""
    query = Asset.select(Asset.type, Asset.status, peewee.fn.COUNT(Asset.seq)).group_by(
        Asset.type, Asset.status
    )
    return [(type_, status, int(count)) for type_, status, count in rows(db, query)]
