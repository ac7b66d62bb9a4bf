"""Queries on the dependency graph.

Recursive queries use UNION, not UNION ALL: in a layered graph the number of paths grows
exponentially with the depth, the number of assets does not.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tradingbot_api.asset import AssetStatus

from tradingbot_registry.problems import Reference
from tradingbot_registry.storage.models import Asset, Dependency, rows

CAUSES = (AssetStatus.FAILED, AssetStatus.INACTIVE)
"""An asset in one of these degrades whatever depends on it."""


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


def reference(asset: Asset) -> Reference:
    """Return the asset as other assets refer to it."""
    return Reference(
        id=str(asset.id),
        name=asset.name,
        type=asset.type,
        status=asset.status,
        external_ref=asset.external_ref,
    )


def neighbours(seq: int, direction: Direction) -> list[Asset]:
    """Return the assets one step away, oldest first."""
    query = (
        Asset.select()
        .join(Dependency, on=(Asset.seq == direction.end))
        .where(direction.start == seq)
        .order_by(Asset.seq)
    )
    return list(query)


def walk(
    seq: int,
    direction: Direction,
    *,
    max_depth: int | None = None,
    types: Collection[str] = (),
    statuses: Collection[str] = (),
) -> list[Reached]:
    """Return all assets within `max_depth` steps, nearest first.

    `types` and `statuses` filter the result, not the traversal.
    """
    first = (
        Dependency.select(direction.end.alias("seq"))
        .where(direction.start == seq)
        .cte("reach", recursive=True, columns=("seq",))
    )
    step = Dependency.select(direction.end).join(first, on=(direction.start == first.c.seq))
    reach = first.union(step)
    edges = Dependency.select(direction.start, direction.end)
    further = edges.join(reach, on=(direction.start == reach.c.seq)).with_cte(reach)
    depths = _depths(seq, [*rows(edges.where(direction.start == seq)), *rows(further)])
    query = Asset.select().join(reach, on=(Asset.seq == reach.c.seq)).with_cte(reach)
    if types:
        query = query.where(Asset.type.in_(list(types)))
    if statuses:
        query = query.where(Asset.status.in_(list(statuses)))
    found = sorted(query, key=lambda asset: (depths[asset.seq], asset.seq))
    return [
        Reached(reference(asset), depths[asset.seq])
        for asset in found
        if max_depth is None or depths[asset.seq] <= max_depth
    ]


def _depths(seq: int, edges: Iterable[tuple[Any, ...]]) -> dict[int, int]:
    """Return the shortest distance of each asset that can be reached from `seq`.

    Breadth first, in time linear in the edges. A depth column in the recursive query takes
    quadratic time: any reader could keep the registry busy with one request.
    """
    ends: dict[int, list[int]] = {}
    for start, end in edges:
        ends.setdefault(start, []).append(end)
    depths: dict[int, int] = {}
    frontier, depth = [seq], 0
    while frontier:
        depth += 1
        reached = {end for start in frontier for end in ends.get(start, ())} - depths.keys()
        depths |= dict.fromkeys(reached, depth)
        frontier = list(reached)
    return depths


def causes(seqs: Sequence[int]) -> dict[int, tuple[Reference, ...]]:
    """Return, for each asset, the Failed and Inactive assets it depends on, also indirectly."""
    if not seqs:
        return {}
    first = (
        Dependency.select(Dependency.src.alias("origin"), Dependency.dst.alias("seq"))
        .where(Dependency.src.in_(list(seqs)))
        .cte("reach", recursive=True, columns=("origin", "seq"))
    )
    step = Dependency.select(first.c.origin, Dependency.dst).join(
        first, on=(Dependency.src == first.c.seq)
    )
    reach = first.union(step)
    query = (
        Asset.select(Asset, reach.c.origin.alias("origin"))
        .join(reach, on=(Asset.seq == reach.c.seq))
        .where(Asset.status.in_(CAUSES))
        .order_by(Asset.seq)
        .with_cte(reach)
    )
    found: Iterable[Any] = query.objects()
    by_origin: dict[int, list[Reference]] = {}
    for asset in found:
        by_origin.setdefault(asset.origin, []).append(reference(asset))
    return {origin: tuple(assets) for origin, assets in by_origin.items()}


def affected() -> Any:
    """Return a query for the `seq` of each asset that depends on a Failed or Inactive one."""
    first = (
        Dependency.select(Dependency.src.alias("seq"))
        .join(Asset, on=(Dependency.dst == Asset.seq))
        .where(Asset.status.in_(CAUSES))
        .cte("affected", recursive=True, columns=("seq",))
    )
    step = Dependency.select(Dependency.src).join(first, on=(Dependency.dst == first.c.seq))
    reach = first.union(step)
    return reach.select_from(reach.c.seq)


def cycle_through(seq: int) -> list[Reference] | None:
    """Return a shortest cycle through the asset, from the asset to itself; None if there is none.

    To be called inside the transaction that wrote the edges: each new edge of a write begins or
    ends at the written asset, so a new cycle passes through it.
    """
    if not Dependency.select().where(Dependency.dst == seq).exists():
        return None  # No edge leads to the asset, as for most new assets: there is no cycle.
    first = (
        Dependency.select(Dependency.dst.alias("seq"))
        .where(Dependency.src == seq)
        .cte("reach", recursive=True, columns=("seq",))
    )
    step = Dependency.select(Dependency.dst).join(first, on=(Dependency.src == first.c.seq))
    reach = first.union(step)
    query = reach.select_from(reach.c.seq).where(reach.c.seq == seq)
    if not query.exists():
        return None
    return _references(_shortest_way_back(seq))


def _shortest_way_back(seq: int) -> list[int]:
    came_from: dict[int, int] = {}
    frontier = [seq]
    while seq not in came_from:
        found = [(src, dst) for src, dst in _edges_from(frontier) if dst not in came_from]
        came_from |= {dst: src for src, dst in reversed(found)}
        frontier = list({dst for _, dst in found})
    way = [seq]
    while len(way) == 1 or way[-1] != seq:
        way.append(came_from[way[-1]])
    return way[::-1]


def _edges_from(sources: Sequence[int]) -> list[tuple[Any, ...]]:
    query = Dependency.select(Dependency.src, Dependency.dst).where(
        Dependency.src.in_(list(sources))
    )
    return rows(query.order_by(Dependency.src, Dependency.dst))


def _references(seqs: Sequence[int]) -> list[Reference]:
    query = Asset.select().where(Asset.seq.in_(list(seqs)))
    found = {asset.seq: reference(asset) for asset in query}
    return [found[seq] for seq in seqs]
