"""Queries on the dependency graph.

Recursive queries use UNION, not UNION ALL: in a layered graph the number of paths grows
exponentially with the depth, the number of assets does not. They collect assets and nothing else:
with a second column, such as a depth or an origin, the time is quadratic. What else is needed is
computed here from the edges between those assets, in time linear in them.
"""

import bisect
import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import peewee
from tradingbot_api.asset import AssetStatus

from tradingbot_registry.inventory.effective import UNHEALTHY
from tradingbot_registry.inventory.record import Record, id_text
from tradingbot_registry.refusals import Reference
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import (
    Asset,
    Dependency,
    has_ref_prefix,
    rows,
)

T = TypeVar("T")

CAUSES = (AssetStatus.FAILED, AssetStatus.INACTIVE)
"""An asset in one of these degrades whatever depends on it."""

MAX_CAUSES = 10
"""Causes that are listed of one asset."""
MAX_NEIGHBOURS = 500
"""Dependents or dependencies that are listed of one asset."""
FEW_STEPS = 4
"""Depth up to which a query counts the steps: each asset is then found at most as often."""
MAX_VALUES = 1000
"""Values of one statement."""

Adjacency = Mapping[int, Sequence[int]]


class Direction(Enum):
    """Direction of a traversal: to dependencies or to dependents."""

    DEPENDENCIES = "dependencies"
    DEPENDENTS = "dependents"

    @property
    def start(self) -> Any:
        """The column of the near end of an edge."""
        return Dependency.src if self is Direction.DEPENDENCIES else Dependency.dst

    @property
    def end(self) -> Any:
        """The column of the far end of an edge."""
        return Dependency.dst if self is Direction.DEPENDENCIES else Dependency.src


@dataclass(frozen=True, slots=True)
class Reached:
    """An asset of a traversal, and the length of the shortest path to it."""

    asset: Reference
    depth: int


@dataclass(frozen=True, slots=True)
class Walk:
    """Parameters of a traversal, and of a page of its result.

    `types`, `statuses` and `namespaces` filter the result, not the traversal. The page begins
    behind the position `after`: a depth and a `seq`.
    """

    direction: Direction
    max_depth: int | None = None
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    page_size: int = 500
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class WalkPage:
    """A page of a traversal, nearest first.

    `total`: number of assets in all pages. `end`: the last position; None if no more follow.
    """

    items: tuple[Reached, ...]
    total: int
    end: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Some:
    """The oldest assets of a set, and how many there are in all."""

    listed: tuple[Reference, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Causes:
    """The oldest Failed and Inactive assets that an asset depends on; `more`: there are others."""

    listed: tuple[Reference, ...] = ()
    more: bool = False


def reference(asset: Asset | Record) -> Reference:
    """Return the asset as other assets refer to it."""
    return Reference(
        id=str(asset.id),
        name=asset.name,
        type=asset.type,
        status=asset.status,
        external_ref=asset.external_ref,
    )


def neighbours(
    db: Database,
    seq: int,
    direction: Direction,
    *,
    status: AssetStatus | None = None,
    ref_prefix: str = "",
) -> Some:
    """Return the assets one step away, oldest first.

    With `status`, only those in it; with `ref_prefix`, only those whose external reference has this
    prefix.
    """
    query = (
        Asset.select()
        .join(Dependency, on=(Asset.seq == direction.end))
        .where(direction.start == seq)
    )
    if status is not None:
        query = query.where(Asset.status == status)
    if ref_prefix:
        query = query.where(has_ref_prefix(ref_prefix))
    # One more than is listed: to count is needed only beyond.
    found = list(query.order_by(Asset.seq).limit(MAX_NEIGHBOURS + 1).execute(db))
    total = len(found) if len(found) <= MAX_NEIGHBOURS else query.count(db)
    return Some(tuple(reference(asset) for asset in found[:MAX_NEIGHBOURS]), total)


def walk(db: Database, seq: int, wanted: Walk) -> WalkPage:
    """Return a page of the assets within `max_depth` steps, nearest first."""
    depths = depths_below(db, seq, wanted)
    found = sorted((depths[end], end) for end in filtered(db, depths, wanted))
    begin = 0 if wanted.after is None else bisect.bisect(found, wanted.after)
    places = found[begin : begin + wanted.page_size]
    references = references_to(db, [end for _, end in places])
    return WalkPage(
        items=tuple(Reached(references[end], depth) for depth, end in places),
        total=len(found),
        end=places[-1] if begin + len(places) < len(found) else None,
    )


def depths_below(db: Database, seq: int, wanted: Walk) -> dict[int, int]:
    """Return the distance of each asset within `max_depth` steps."""
    limit = wanted.max_depth
    if limit is None or limit > FEW_STEPS:
        depths = _depths(seq, edges_from(db, [seq], wanted.direction))
        return {end: depth for end, depth in depths.items() if limit is None or depth <= limit}
    # Of a few steps, not everything that can be reached is asked for.
    start, end = wanted.direction.start, wanted.direction.end
    first = (
        Dependency.select(end.alias("seq"), peewee.Value(1).alias("depth"))
        .where(start == seq)
        .cte("near", recursive=True, columns=("seq", "depth"))
    )
    step = (
        Dependency.select(end, first.c.depth + 1)
        .join(first, on=(start == first.c.seq))
        .where(first.c.depth < limit)
    )
    near = first.union(step)
    nearest = near.select_from(near.c.seq, peewee.fn.MIN(near.c.depth)).group_by(near.c.seq)
    return dict(rows(db, nearest))


def filtered(db: Database, depths: Mapping[int, int], wanted: Walk) -> Iterable[int]:
    """Return those of the assets that a traversal shows."""
    if not wanted.types and not wanted.statuses and not wanted.namespaces:
        return depths
    query = Asset.select(Asset.seq)
    if wanted.types:
        query = query.where(Asset.type.in_(list(wanted.types)))
    if wanted.statuses:
        query = query.where(Asset.status.in_(list(wanted.statuses)))
    if wanted.namespaces:
        query = query.where(Asset.namespace.in_(list(wanted.namespaces)))
    return [
        seq for part in batched(depths) for (seq,) in rows(db, query.where(Asset.seq.in_(part)))
    ]


def batched(values: Iterable[T]) -> Iterator[list[T]]:
    """Split `values` into lists that one statement can have."""
    remaining = iter(values)
    while part := list(itertools.islice(remaining, MAX_VALUES)):
        yield part


def _below(start: str, end: str, wanted: str) -> str:
    """Return the statement for what can be reached from some assets; `d` is an edge from there."""
    return (
        f"WITH RECURSIVE reach(seq) AS (SELECT {end} FROM dependency WHERE {start} IN ??"  # noqa: S608
        f" UNION SELECT d.{end} FROM reach CROSS JOIN dependency d WHERE d.{start} = reach.seq)"
        f" {wanted}"
    )


def _edges_below(start: str, end: str) -> str:
    further = f"SELECT d.{start}, d.{end} FROM reach CROSS JOIN dependency d"  # noqa: S608
    return _below(start, end, f"{further} WHERE d.{start} = reach.seq")


_ENDS = {Direction.DEPENDENCIES: ("src", "dst"), Direction.DEPENDENTS: ("dst", "src")}
_FIRST_EDGES = {
    direction: f"SELECT {start}, {end} FROM dependency WHERE {start} IN ??"  # noqa: S608
    for direction, (start, end) in _ENDS.items()
}
_FURTHER_EDGES = {direction: _edges_below(*ends) for direction, ends in _ENDS.items()}
_IS_BELOW_ITSELF = _below("src", "dst", "SELECT 1 FROM reach WHERE seq = ? LIMIT 1")


def is_below_itself(db: Database, seq: int) -> bool:
    """Whether the asset depends on itself."""
    return bool(db.query(_IS_BELOW_ITSELF, [seq], seq))


def edges_from(db: Database, seqs: Sequence[int], direction: Direction) -> Adjacency:
    """Return the edges from `seqs` and from all assets that can be reached from them."""
    ends: dict[int, list[int]] = {}
    for edges in (_FIRST_EDGES, _FURTHER_EDGES):
        for start, end in db.query(edges[direction], list(seqs)):
            ends.setdefault(start, []).append(end)
    return ends


def _depths(seq: int, ends: Adjacency) -> dict[int, int]:
    """Return the shortest distance of each asset that can be reached from `seq`."""
    depths: dict[int, int] = {}
    frontier, depth = [seq], 0
    while frontier:
        depth += 1
        reached = {end for start in frontier for end in ends.get(start, ())} - depths.keys()
        depths |= dict.fromkeys(reached, depth)
        frontier = list(reached)
    return depths


# CROSS JOIN: SQLite joins in this order then, and not from the index of all unhealthy assets.
_UNHEALTHY_EDGES = f"""WITH RECURSIVE reach(seq) AS (
    SELECT seq FROM asset WHERE seq IN ??
    UNION SELECT d.dst FROM reach CROSS JOIN dependency d CROSS JOIN asset target
        WHERE d.src = reach.seq AND target.seq = d.dst AND target.effective_status IN {UNHEALTHY}
)
SELECT d.src, d.dst, target.status FROM reach CROSS JOIN dependency d CROSS JOIN asset target
    WHERE d.src = reach.seq AND target.seq = d.dst AND target.effective_status IN {UNHEALTHY}"""  # noqa: S608


def causes(db: Database, seqs: Sequence[int]) -> dict[int, Causes]:
    """Return, for each asset that has any, the Failed and Inactive assets that it depends on.

    All assets are handled in one traversal, in time linear in the unhealthy graph below them.
    """
    if not seqs:
        return {}
    ends: dict[int, list[int]] = {}
    bad: set[int] = set()
    for start, end, status in db.query(_UNHEALTHY_EDGES, list(seqs)):
        ends.setdefault(start, []).append(end)
        if status in CAUSES:
            bad.add(end)
    found = _oldest_below(ends, bad, seqs)
    listed = {seq for seqs_below in found.values() for seq in seqs_below[:MAX_CAUSES]}
    references = references_to(db, listed)
    return {
        seq: Causes(
            tuple(references[cause] for cause in below[:MAX_CAUSES]), len(below) > MAX_CAUSES
        )
        for seq, below in found.items()
        if below
    }


def _oldest_below(
    ends: Adjacency, bad: Collection[int], origins: Sequence[int]
) -> dict[int, list[int]]:
    """Return, for each origin, the first of `bad` below it: one more than is listed, in order.

    The first ones of an asset are among its dependencies and the first ones of these, so each
    asset is visited once and never has more than that.
    """
    first: dict[int, list[int]] = {}
    begun: set[int] = set()
    stack = [(seq, False) for seq in origins]
    while stack:
        seq, below_done = stack.pop()
        below = ends.get(seq, ())
        if below_done:
            known = {cause for end in below for cause in first.get(end, ())}
            first[seq] = heapq.nsmallest(
                MAX_CAUSES + 1, known | {end for end in below if end in bad}
            )
        elif seq not in begun:
            begun.add(seq)
            stack.append((seq, True))
            stack.extend((end, False) for end in below if end not in begun)
    return {seq: first[seq] for seq in origins}


_REFERENCES = "SELECT seq, id, name, type, status, external_ref FROM asset WHERE seq IN ??"


def references_to(db: Database, seqs: Iterable[int]) -> dict[int, Reference]:
    """Return the assets as other assets refer to them, by `seq`."""
    return {
        seq: Reference(id_text(key), *others)
        for seq, key, *others in db.query(_REFERENCES, list(seqs))
    }
