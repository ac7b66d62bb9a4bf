"""What assets are selected by, as SQL.

Assets are found by a walk in the order of the page, which checks all filters for each; or from the
index of the filter with the fewest assets, the lead, for which the other filters are probed. SQLite
has no statistics to choose by, and would take any index that it can: so the lead is chosen here.
PostgreSQL walks, and chooses by its statistics what that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingbot_api.asset import MAX_TAGS

from tradingbot_registry.rfc3339 import text_of
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import folded
from tradingbot_registry.storage.models import LAST_CHARACTER

MANY = 10_000
"""Assets up to which totals are exact."""
LIMITS = (MANY + 1, 10 * MANY + 1)
"""How far the assets of a filter are counted, and how far if all have more."""


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
    """Whether the assets' causes are needed."""
    exact_total: bool = False
    """Whether all assets are counted, however many there are."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter. `condition` is for a row of `asset`, `probe` for `lead.seq`.

    `found` selects the `seq` of its assets from an index; empty: no index has them. `in_order`:
    whether `found` has them in the order of `seq`.
    """

    condition: str
    values: tuple[Any, ...]
    found: str = ""
    probe: str = ""
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """The assets that match all filters, and two ways to them.

    `lead` finds `size` assets, for which the others are probed; None: only the walk is possible.
    """

    filters: tuple[Filter, ...]
    lead: Filter | None = None
    size: int = 0

    def walked(self) -> tuple[str, list[Any]]:
        """Return FROM and WHERE that check all filters for each asset, and their values."""
        conditions = [each.condition for each in self.filters] or ["1 = 1"]
        values = [value for each in self.filters for value in each.values]
        return f"FROM asset WHERE {' AND '.join(conditions)}", values

    def driven(self, *, with_rows: bool = False) -> tuple[str, list[Any]]:
        """Return FROM and WHERE that begin with `lead`, and their values; without one, the walk.

        Only `lead.seq` can be selected; `with_rows` also columns of `asset`, which then are read.
        """
        if self.lead is None:
            return self.walked()
        others = [each for each in self.filters if each is not self.lead]
        source = f"({self.lead.found}) AS lead"
        conditions = [each.probe for each in others] or ["1 = 1"]
        if with_rows:
            source += " CROSS JOIN asset"
            conditions.insert(0, "asset.seq = lead.seq")
        values = [value for each in (self.lead, *others) for value in each.values]
        return f"FROM {source} WHERE {' AND '.join(conditions)}", values


def selection(db: Database, listing: Listing) -> Selection:
    """Return the assets that the filters of `listing` select."""
    filters = tuple(_filters(db, listing))
    indexed = [each for each in filters if each.found]
    if db.has_statistics or not indexed:
        return Selection(filters)
    sizes = _sizes(db, indexed, LIMITS[0])
    if len(indexed) > 1 and min(sizes) == LIMITS[0]:
        sizes = _sizes(db, indexed, LIMITS[1])
    size, _, lead = min(
        (size, not each.in_order, place)
        for place, (size, each) in enumerate(zip(sizes, indexed, strict=True))
    )
    return Selection(filters, indexed[lead], size)


def _sizes(db: Database, filters: Sequence[Filter], limit: int) -> tuple[int, ...]:
    """Return how many assets each filter finds, at most `limit`."""
    counts = ", ".join(
        f"(SELECT COUNT(*) FROM ({each.found} LIMIT {limit:d}))"  # noqa: S608
        for each in filters
    )
    (sizes,) = db.query(f"SELECT {counts}", *(value for each in filters for value in each.values))
    return sizes


def _filters(db: Database, listing: Listing) -> list[Filter]:
    filters = [
        _column(db, column, values)
        for column, values in (
            ("type", listing.type),
            ("status", listing.status),
            ("effective_status", listing.effective_status),
            ("managed_by", listing.managed_by),
            ("namespace", listing.namespace),
        )
        if values
    ]
    if listing.tag or listing.any_tag:
        filters += _tags(db, listing)
    if listing.q:
        filters.append(_of_row(db.contains_text("asset.search"), (folded(listing.q),)))
    if listing.updated_since is not None:
        since = (text_of(listing.updated_since),)
        filters.append(_range(db, "updated_at", ">= ?", since))
    if listing.external_ref_prefix:
        prefix = listing.external_ref_prefix
        # A range, not LIKE: a range uses the index and has no wildcards to escape.
        ends = (prefix, prefix + LAST_CHARACTER)
        filters.append(_range(db, "external_ref", "BETWEEN ? AND ?", ends))
    return filters


def _column(db: Database, column: str, values: Sequence[str]) -> Filter:
    among = f"IN ({_places(values)})"
    return Filter(
        f"{db.without_index(f'asset.{column}')} {among}",
        tuple(values),
        f"SELECT seq FROM asset WHERE {column} {among}",  # noqa: S608
        # From the small index, and not from the row.
        f"EXISTS (SELECT 1 FROM asset AS probe INDEXED BY asset_{column}"  # noqa: S608
        f" WHERE probe.{column} {among} AND probe.seq = lead.seq)",
        in_order=len(values) == 1,
    )


def _range(db: Database, column: str, test: str, values: tuple[str, ...]) -> Filter:
    return _of_row(
        f"{db.without_index(f'asset.{column}')} {test}",
        values,
        f"SELECT seq FROM asset WHERE {column} {test}",  # noqa: S608
    )


def _of_row(condition: str, values: tuple[Any, ...], found: str = "") -> Filter:
    """Return a filter which has to read the row."""
    probe = f"EXISTS (SELECT 1 FROM asset WHERE asset.seq = lead.seq AND {condition})"  # noqa: S608
    return Filter(condition, values, found, probe)


def _tags(db: Database, listing: Listing) -> list[Filter]:
    names = (*listing.tag, *listing.any_tag)
    known = dict(db.query(f"SELECT name, id FROM tag WHERE name IN ({_places(names)})", *names))  # noqa: S608
    any_of = [known[name] for name in listing.any_tag if name in known]
    impossible = len(listing.tag) > MAX_TAGS or not all(name in known for name in listing.tag)
    if impossible or (listing.any_tag and not any_of):
        return [Filter("1 = 0", (), "SELECT seq FROM asset WHERE 1 = 0", "1 = 0")]
    filters = [_carried(name_ids) for name_ids in ((known[name],) for name in listing.tag)]
    return [*filters, *([_carried(tuple(any_of))] if any_of else [])]


def _carried(tags: tuple[int, ...]) -> Filter:
    """Return the filter for assets with one of these tags."""
    among = f"tag IN ({_places(tags)})"
    one = len(tags) == 1
    carried = f"EXISTS (SELECT 1 FROM asset_tag WHERE {among} AND asset_tag.asset = "  # noqa: S608
    return Filter(
        f"{carried}asset.seq)",
        tags,
        f"SELECT {'' if one else 'DISTINCT '}asset AS seq FROM asset_tag WHERE {among}",  # noqa: S608
        f"{carried}lead.seq)",
        in_order=one,
    )


def _places(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
