"""A bounded part of the dependency graph, to draw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from tradingbot_registry.inventory.graph import (
    Direction,
    Walk,
    batched,
    depths_below,
    filtered,
    references_to,
)
from tradingbot_registry.refusals import Reference
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Asset, Dependency, rows

MAX_EDGES = 50_000
"""Dependencies of one picture: each asset may have a thousand."""


@dataclass(frozen=True, slots=True)
class View:
    """What to show: all assets, or those around a root, at most `limit`, nearest or oldest first.

    Of a root: its dependencies and dependents within `depth` steps (None: all), or one of the two.
    """

    limit: int
    depth: int | None = None
    direction: Direction | None = None
    namespaces: tuple[str, ...] = ()
    """Only assets of these, and the dependencies among them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Assets, and the dependencies among them as pairs of ids.

    `truncated`: there are more of one or the other.
    """

    nodes: tuple[Reference, ...]
    edges: tuple[tuple[str, str], ...]
    truncated: bool


def picture(db: Database, root: int | None, view: View) -> Picture:
    """Return the part of the graph. To be called in one snapshot."""
    seqs = _oldest(db, view) if root is None else _around(db, root, view)
    shown = seqs[: view.limit]
    found = references_to(db, shown)
    edges = tuple(islice(_edges_among(db, shown, found), MAX_EDGES + 1))
    return Picture(
        nodes=tuple(found[seq] for seq in shown),
        edges=edges[:MAX_EDGES],
        truncated=len(seqs) > len(shown) or len(edges) > MAX_EDGES,
    )


def _edges_among(
    db: Database, seqs: Sequence[int], found: Mapping[int, Reference]
) -> Iterator[tuple[str, str]]:
    for part in batched(seqs):
        edges = (
            Dependency.select(Dependency.src, Dependency.dst)
            .where(Dependency.src.in_(part), Dependency.dst.in_(list(seqs)))
            .order_by(Dependency.src, Dependency.dst)
            # A driver may hold all rows of an answer.
            .limit(MAX_EDGES + 1)
        )
        for src, dst in rows(db, edges):
            yield found[src].id, found[dst].id


def _oldest(db: Database, view: View) -> list[int]:
    query = Asset.select(Asset.seq).order_by(Asset.seq).limit(view.limit + 1)
    if view.namespaces:
        query = query.where(Asset.namespace.in_(list(view.namespaces)))
    return [seq for (seq,) in rows(db, query)]


def _around(db: Database, root: int, view: View) -> list[int]:
    depths = {root: 0}
    for direction in Direction if view.direction is None else (view.direction,):
        wanted = Walk(direction, max_depth=view.depth, namespaces=view.namespaces)
        found = depths_below(db, root, wanted)
        below = {seq: found[seq] for seq in filtered(db, found, wanted)}
        depths |= {seq: min(depth, depths.get(seq, depth)) for seq, depth in below.items()}
    return sorted(depths, key=lambda seq: (depths[seq], seq))
