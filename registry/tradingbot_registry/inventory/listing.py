"""A page of the inventory: filter, order and total."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_registry.inventory.filters import MANY, Listing, Selection, Sort, selection
from tradingbot_registry.inventory.loading import by_seqs
from tradingbot_registry.inventory.numbers import COLUMNS
from tradingbot_registry.inventory.record import Record, seen_from
from tradingbot_registry.rfc3339 import text_of
from tradingbot_registry.storage.engine import Database

SORT_COLUMNS = {
    "created_at": "seq",
    "updated_at": "updated_at",
    "name": "name",
    "type": "type",
    "status": "status",
}


@dataclass(frozen=True, slots=True)
class Page:
    """The assets of one page. `end`: its last position; None if there are no further assets."""

    items: tuple[Record, ...]
    page: int
    page_size: int
    total: int | None
    """Number of all assets that match; None for a page behind a position, which counts none."""
    more: bool
    """Whether there are more than `total`, which were not counted."""
    end: tuple[Any, ...] | None

    @property
    def pages(self) -> int:
        """Number of pages; 0 if there are no assets."""
        return -(-(self.total or 0) // self.page_size)


@dataclass(frozen=True, slots=True)
class _Key:
    """A column of the order."""

    column: str
    descending: bool


def find(db: Database, listing: Listing) -> Page:
    """Return the page. To be called in one snapshot, else the total may not match."""
    chosen, order = selection(db, listing), _order(listing)
    total = None
    lead = None if db.has_statistics else chosen.lead
    driven = lead is not None and lead.in_order and order[0].column == "seq"
    choice = lead is not None and not driven
    if listing.after is None or choice:
        total = _total(db, listing, chosen)
    if choice and total is not None:
        driven = _is_quicker_driven(db, listing, chosen, total)
    seqs: list[int] = []
    end = None
    if total != 0:
        seqs, end = _seqs(db, listing, chosen, order, driven=driven)
    items = tuple(by_seqs(db, seqs, with_causes=listing.with_causes))
    if listing.namespace:
        items = tuple(seen_from(asset, listing.namespace) for asset in items)
    if listing.after is not None:
        total = None
    more = total is not None and total > MANY and not listing.exact_total
    return Page(
        items=items,
        page=listing.page,
        page_size=listing.page_size,
        total=MANY if more else total,
        more=more,
        end=end,
    )


def _total(db: Database, listing: Listing, chosen: Selection) -> int:
    """Return the number of assets that match, at most one more than `MANY` unless it is exact."""
    if chosen.total is not None:
        return chosen.total
    if chosen.at_least > MANY and not listing.exact_total:
        return MANY + 1
    text, values = chosen.driven()
    limit = "" if listing.exact_total else f" LIMIT {MANY + 1}"
    ((total,),) = db.query(f"SELECT COUNT(*) FROM (SELECT 1 {text}{limit}) AS found", *values)  # noqa: S608
    return int(total)


def _is_quicker_driven(db: Database, listing: Listing, chosen: Selection, total: int) -> bool:
    """Whether it takes less to sort all matches than to walk until there are enough of them."""
    ((last,),) = db.query("SELECT COALESCE(MAX(seq), 0) FROM asset")
    first, *others = _order(listing)
    if first.column in COLUMNS and len(others) > 1:
        # A walk sorts all assets with the same value, which may be nearly all.
        return 3 * chosen.size < int(last)
    shown = listing.page_size + (listing.page - 1) * listing.page_size
    walk = min(int(last), shown * int(last) // max(total, 1))
    return total <= MANY and chosen.size + 2 * total < walk


def _seqs(
    db: Database, listing: Listing, chosen: Selection, order: list[_Key], *, driven: bool
) -> tuple[list[int], tuple[Any, ...] | None]:
    """Return the `seq` of the assets of the page, and the position at its end; None: the last."""
    if driven:
        # A sort, unless `lead` has the order: by an index that has it, this would be a walk.
        place = "lead.seq" if chosen.lead is not None and chosen.lead.in_order else "+lead.seq"
        columns = [place if key.column == "seq" else f"+asset.{key.column}" for key in order]
        text, values = chosen.driven(with_rows=len(order) > 1)
    else:
        columns = [f"asset.{key.column}" for key in order]
        text, values = chosen.walked()
        if listing.updated_since is not None and order[0].column == "updated_at":
            # The filter is in the way of no index. Here, it says where the walk begins or ends.
            text, values = (
                f"{text} AND {columns[0]} >= ?",
                [*values, text_of(listing.updated_since)],
            )
    if listing.after is not None:
        condition, position = _behind(columns, order, listing.after)
        text, values = f"{text} AND {condition}", [*values, *position]
    sorting = ", ".join(
        f"{column} {'DESC' if key.descending else 'ASC'}"
        for column, key in zip(columns, order, strict=True)
    )
    # One more than is shown, to know whether there are more.
    statement = f"SELECT {', '.join(columns)} {text} ORDER BY {sorting} LIMIT ?"
    values.append(listing.page_size + 1)
    if listing.after is None and listing.page > 1:
        statement += " OFFSET ?"
        values.append((listing.page - 1) * listing.page_size)
    found = db.query(statement, *values)
    shown = found[: listing.page_size]
    return [row[-1] for row in shown], shown[-1] if len(found) > len(shown) else None


def _order(listing: Listing) -> list[_Key]:
    """Return the columns of the order, the last of which is `seq`.

    Without it, equal rows could change places between pages.
    """
    order: list[_Key] = []
    for sort in (*listing.sort, Sort("created_at")):
        order.append(_Key(SORT_COLUMNS[sort.key], sort.descending))
        if order[-1].column == "seq":
            break
    return order


def position_types(listing: Listing) -> tuple[type, ...]:
    """Return the types of the values of a position."""
    return tuple(int if key.column == "seq" else str for key in _order(listing))


def _behind(
    columns: Sequence[str], order: list[_Key], position: tuple[Any, ...]
) -> tuple[str, list[Any]]:
    """Return the condition for the rows behind a position, and its values.

    The first part, which the others imply, lets an index find the place.
    """
    beyond = ["<" if key.descending else ">" for key in order]
    alternatives = [
        " AND ".join(
            [*(f"{column} = ?" for column in columns[:at]), f"{columns[at]} {beyond[at]} ?"]
        )
        for at in range(len(order))
    ]
    values = [value for at in range(len(order)) for value in position[: at + 1]]
    if len(order) == 1:
        return alternatives[0], values
    begin = f"{columns[0]} {beyond[0]}= ?"
    return f"{begin} AND ({' OR '.join(alternatives)})", [position[0], *values]
