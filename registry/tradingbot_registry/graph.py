"""Questions about who depends on whom, each answered by one recursive query.

Recursion uses UNION and not UNION ALL: in a layered graph the number of paths grows
exponentially with depth while the number of assets does not.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import peewee
from tradingbot_api.asset import AssetStatus

from tradingbot_registry.models import Asset, Dependency, rows
from tradingbot_registry.problems import Reference

CAUSES = (AssetStatus.FAILED, AssetStatus.INACTIVE)
"""An asset in one of these degrades whatever depends on it."""


class Direction(Enum):
    """Which way to walk: to what an asset needs, or to what needs it."""

    DEPENDENCIES = "dependencies"
    DEPENDENTS = "dependents"

    @property
    def start(self) -> Any:
        """The column of an edge's near end."""
        return Dependency.src if self is Direction.DEPENDENCIES else Dependency.dst

    @property
    def end(self) -> Any:
        """The column of an edge's far end."""
        return Dependency.dst if self is Direction.DEPENDENCIES else Dependency.src


@dataclass(frozen=True, slots=True)
class Reached:
    """An asset found by walking, and in how many steps at least."""

    asset: Reference
    depth: int


def reference(asset: Asset) -> Reference:
    """The asset as it is named to others."""
    return Reference(
        id=str(asset.id),
        name=asset.name,
        type=asset.type,
        status=asset.status,
        external_ref=asset.external_ref,
    )


def neighbours(seq: int, direction: Direction) -> list[Asset]:
    """The assets one step away, oldest first."""
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
    """Everything within `max_depth` steps of one asset, nearest first.

    `types` and `statuses` choose what is shown, not where the walk goes.
    """
    first = (
        Dependency.select(direction.end.alias("seq"), peewee.Value(1).alias("depth"))
        .where(direction.start == seq)
        .cte("reach", recursive=True, columns=("seq", "depth"))
    )
    step = Dependency.select(direction.end, first.c.depth + 1).join(
        first, on=(direction.start == first.c.seq)
    )
    if max_depth is not None:
        step = step.where(first.c.depth < max_depth)
    reach = first.union(step)
    depth = peewee.fn.MIN(reach.c.depth)
    query = (
        Asset.select(Asset, depth.alias("depth"))
        .join(reach, on=(Asset.seq == reach.c.seq))
        .group_by(Asset.seq)
        .order_by(depth, Asset.seq)
        .with_cte(reach)
    )
    if types:
        query = query.where(Asset.type.in_(list(types)))
    if statuses:
        query = query.where(Asset.status.in_(list(statuses)))
    found: Iterable[Any] = query.objects()
    return [Reached(reference(asset), asset.depth) for asset in found]


def causes(seqs: Sequence[int]) -> dict[int, tuple[Reference, ...]]:
    """For each of the assets, the Failed and Inactive ones that it depends on, directly or not."""
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
    """A query for the `seq` of every asset that depends on a Failed or Inactive one."""
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
    """A shortest cycle that the asset is on, beginning and ending with it; None if there is none.

    To be asked inside the transaction that wrote the edges: every new edge of a write begins or
    ends at the asset written, so a new cycle passes through it.
    """
    if not Dependency.select().where(Dependency.dst == seq).exists():
        return None  # Nothing leads to it, as to most new assets: no need to walk from it.
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
