"""What assets are selected by, as SQL.

Assets are found by a walk in the order of the page, which checks all filters for each; or from the
index of the filter with the fewest assets, the lead, for which the other filters are probed. SQLite
has no statistics to choose by, and would take any index that it can: so the lead is chosen here.
PostgreSQL walks, and chooses by its statistics what that is; but it counts from a lead of tags,
since it would read far more assets for ten thousand of them.

How many assets there are is known without counting them where the database keeps the number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tradingbot_api.asset import MAX_TAGS

from tradingbot_registry.inventory.numbers import COLUMNS, numbers
from tradingbot_registry.rfc3339 import text_of
from tradingbot_registry.storage.engine import Database, places
from tradingbot_registry.storage.folding import folded
from tradingbot_registry.storage.models import LAST_CHARACTER

MANY = 10_000
"""Assets up to which totals are exact."""
LIMITS = (MANY + 1, 3 * MANY + 1)
"""How far the assets of a filter are counted, and how far if all filters have more."""
ORDERS = ("name", "updated_at")
"""Orders whose indexes have the columns whose numbers are kept."""


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
class Found:
    """The `seq` of the assets of a filter, from an index.

    `in_order`: whether they come in the order of `seq`. `size`: how many there are, if the database
    keeps that. `with_columns`: whether `of_index` of other filters can be added to the text.
    `of_tags`: whether they are found by their tags.
    """

    text: str
    values: tuple[Any, ...]
    in_order: bool = False
    size: int | None = None
    with_columns: bool = False
    of_tags: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter. `condition` is for a row of `asset`, `probe` for `lead.seq`.

    `found` is None if no index has its assets. `of_index` is a condition for a row of an index that
    has the columns whose numbers are kept, which are in those of orders.
    """

    condition: str
    values: tuple[Any, ...]
    probe: str
    found: Found | None = None
    of_index: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """The assets that match all filters, and two ways to them.

    `lead` finds `size` assets, for which the others are probed; None: only the walk is possible.
    `total` is the number of assets, None if that is not known, and `at_least` what is known of it.
    """

    filters: tuple[Filter, ...]
    lead: Found | None = None
    size: int = 0
    total: int | None = None
    at_least: int = 0

    def walked(self) -> tuple[str, list[Any]]:
        """Return FROM and WHERE that check all filters for each asset, and their values."""
        conditions = [each.condition for each in self.filters] or ["1 = 1"]
        values = [value for each in self.filters for value in each.values]
        return f"FROM asset WHERE {' AND '.join(conditions)}", values

    def driven(self, *, with_rows: bool = False) -> tuple[str, list[Any]]:
        """Return FROM and WHERE that begin with `lead`, and their values; without one, the walk.

        Only `lead.seq` can be selected; `with_rows` also columns of `asset`, which then are read.
        """
        lead = self.lead
        if lead is None:
            return self.walked()
        others = [each for each in self.filters if each.found is not lead]
        within = [each for each in others if lead.with_columns and each.of_index]
        probed = [each for each in others if each not in within]
        source = f"({' AND '.join([lead.text, *(each.of_index for each in within)])}) AS lead"
        conditions = [each.probe for each in probed] or ["1 = 1"]
        if with_rows:
            source += " CROSS JOIN asset"
            conditions.insert(0, "asset.seq = lead.seq")
        values = [*lead.values, *(value for each in (*within, *probed) for value in each.values)]
        return f"FROM {source} WHERE {' AND '.join(conditions)}", values


def selection(db: Database, listing: Listing) -> Selection:
    """Return the assets that the filters of `listing` select."""
    wanted = of_columns(listing)
    kept = numbers(db, wanted)
    columns = [
        _column(db, column, values, size=kept.each[column]) for column, values in wanted.items()
    ]
    others = _others(db, listing)
    filters = (*columns, *others)
    indexed = [each.found for each in filters if each.found is not None]
    sizes = [found.size or 0 for found in indexed] if db.has_statistics else _sizes(db, indexed)
    known = {id(found): size for found, size in zip(indexed, sizes, strict=True)}
    # What does not fit beside one another into the inventory is in both of two filters.
    at_least = kept.all - sum(kept.everything - known.get(id(each.found), 0) for each in others)
    chosen = Selection(filters, total=None if others else kept.all, at_least=max(0, at_least))
    if db.has_statistics or not indexed:
        only = filters[0].found if len(filters) == 1 else None
        if only is not None and only.size is not None:
            return replace(chosen, total=only.size)
        tags = [found for found in indexed if found.of_tags]
        lead = min(tags, key=lambda found: (found.size is None, found.size or 0), default=None)
        return replace(chosen, lead=lead)
    # Of those with more than the limit, one in the order of a page needs no sorting.
    _, _, _, place = min(
        (min(size, LIMITS[1]), not found.in_order, size, place)
        for place, (size, found) in enumerate(zip(sizes, indexed, strict=True))
    )
    lead, size = indexed[place], sizes[place]
    counted = len(filters) == 1 and (lead.size is not None or size < LIMITS[0])
    return replace(chosen, lead=lead, size=size, total=size if counted else chosen.total)


def of_columns(listing: Listing) -> Mapping[str, tuple[str, ...]]:
    """Return the filters by columns whose numbers are kept."""
    wanted = {column: getattr(listing, column) for column in COLUMNS}
    return {column: values for column, values in wanted.items() if values}


def _sizes(db: Database, indexed: Sequence[Found]) -> list[int]:
    """Return how many assets each finds: up to a limit, unless that is kept."""
    sizes = _counted(db, indexed, LIMITS[0])
    if len(indexed) > 1 and min(sizes) >= LIMITS[0]:
        return _counted(db, indexed, LIMITS[1])
    return sizes


def _counted(db: Database, indexed: Sequence[Found], limit: int) -> list[int]:
    unknown = [found for found in indexed if found.size is None]
    counts = ", ".join(
        f"(SELECT COUNT(*) FROM ({found.text} LIMIT {limit:d}))"  # noqa: S608
        for found in unknown
    )
    values = [value for found in unknown for value in found.values]
    counted = iter(db.query(f"SELECT {counts}", *values)[0] if unknown else ())
    return [next(counted) if found.size is None else found.size for found in indexed]


def _others(db: Database, listing: Listing) -> list[Filter]:
    """Return the filters for whose assets no number is kept."""
    filters = [_column(db, "namespace", listing.namespace)] if listing.namespace else []
    if listing.tag or listing.any_tag:
        filters += _tags(db, listing)
    if listing.q:
        filters.append(_search(db, folded(listing.q)))
    if listing.updated_since is not None:
        since = (text_of(listing.updated_since),)
        filters.append(_range(db, "updated_at", ">= ?", since))
    if listing.external_ref_prefix:
        prefix = listing.external_ref_prefix
        # A range, not LIKE: a range uses the index and has no wildcards to escape.
        ends = (prefix, prefix + LAST_CHARACTER)
        filters.append(_range(db, "external_ref", "BETWEEN ? AND ?", ends))
    return filters


def _column(db: Database, column: str, values: Sequence[str], *, size: int | None = None) -> Filter:
    among = f"IN ({places(values)})"
    return Filter(
        f"{db.without_index(f'asset.{column}')} {among}",
        tuple(values),
        # From the small index, and not from the row.
        f"EXISTS (SELECT 1 FROM asset AS probe {db.by_index(f'asset_{column}')}"  # noqa: S608
        f" WHERE probe.{column} {among} AND probe.seq = lead.seq)",
        Found(
            f"SELECT seq FROM asset WHERE {column} {among}",  # noqa: S608
            tuple(values),
            in_order=len(values) == 1,
            size=size,
        ),
        of_index=f"+{column} {among}" if column in COLUMNS else "",
    )


def _range(db: Database, column: str, test: str, values: tuple[str, ...]) -> Filter:
    return _of_row(
        f"{db.without_index(f'asset.{column}')} {test}",
        values,
        Found(
            f"SELECT seq FROM asset WHERE {column} {test}",  # noqa: S608
            values,
            with_columns=column in ORDERS,
        ),
    )


def _search(db: Database, text: str) -> Filter:
    index = db.search_index(text)
    return _of_row(
        db.contains_text("asset.search"),
        (db.sought(text),),
        None if index is None else Found(*index, in_order=True),
    )


def _of_row(condition: str, values: tuple[Any, ...], found: Found | None = None) -> Filter:
    """Return a filter which has to read the row."""
    probe = f"EXISTS (SELECT 1 FROM asset WHERE asset.seq = lead.seq AND {condition})"  # noqa: S608
    return Filter(condition, values, probe, found)


def _tags(db: Database, listing: Listing) -> list[Filter]:
    names = (*listing.tag, *listing.any_tag)
    known = {
        name: (tag, number)
        for name, tag, number in db.query(
            f"SELECT name, id, number FROM tag WHERE name IN ({places(names)})",  # noqa: S608
            *names,
        )
    }
    any_of = [known[name] for name in listing.any_tag if name in known]
    impossible = len(listing.tag) > MAX_TAGS or not all(name in known for name in listing.tag)
    if impossible or (listing.any_tag and not any_of):
        return [_nothing()]
    filters = [_carried(db, [known[name]]) for name in listing.tag]
    return [*filters, *([_carried(db, any_of)] if any_of else [])]


def _nothing() -> Filter:
    """Return the filter that no asset matches."""
    return Filter("1 = 0", (), "1 = 0", Found("SELECT seq FROM asset WHERE 1 = 0", (), size=0))


def _carried(db: Database, tags: Sequence[tuple[int, int]]) -> Filter:
    """Return the filter for assets with one of these tags, each with the number of its assets."""
    ids = tuple(tag for tag, _ in tags)
    among = f"tag IN ({places(ids)})"
    one = len(ids) == 1
    carried = f"EXISTS (SELECT 1 FROM asset_tag WHERE {among} AND asset_tag.asset = "  # noqa: S608
    return Filter(
        f"{carried}asset.seq)",
        ids,
        f"EXISTS (SELECT 1 FROM asset_tag {db.by_index('asset_tag_tag')}"  # noqa: S608
        f" WHERE {among} AND asset_tag.asset = lead.seq)",
        Found(
            f"SELECT {'' if one else 'DISTINCT '}asset AS seq FROM asset_tag WHERE {among}",  # noqa: S608
            ids,
            in_order=one,
            size=tags[0][1] if one else None,
            of_tags=True,
        ),
    )
