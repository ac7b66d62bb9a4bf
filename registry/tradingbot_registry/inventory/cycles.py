"""No asset depends on itself, directly or not.

A write of one asset asks for a cycle through it. For a batch, which would ask for each item, one
traversal answers for all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import or_

from tradingbot_registry.inventory.graph import (
    Adjacency,
    Direction,
    Some,
    batched,
    edges_from,
    is_below_itself,
    references_to,
)
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Dependency, rows

MAX_CYCLE = 100
"""Assets of a cycle that are listed."""

Rewiring = tuple[int, frozenset[int]]
"""An asset, and what it depends on from then on."""

Mask = int
"""A set of assets, one bit each: of 500, for each of thousands, sets take too long."""


def cycle_through(db: Database, seq: int) -> Some | None:
    """Return a shortest cycle through the asset, from the asset to itself; None if there is none.

    The total is the number of its edges. To be called inside the transaction that wrote the edges:
    each new edge of a write begins or ends at the written asset, so a new cycle passes through it.
    """
    if not db.query("SELECT 1 FROM dependency WHERE dst = ? LIMIT 1", seq):
        return None  # No edge leads to the asset, as for most new assets: there is no cycle.
    if not is_below_itself(db, seq):
        return None
    way = _shortest_way_back(seq, edges_from(db, [seq], Direction.DEPENDENCIES))
    listed = way[:MAX_CYCLE]
    references = references_to(db, set(listed))
    return Some(tuple(references[step] for step in listed), len(way) - 1)


def _shortest_way_back(seq: int, ends: Adjacency) -> list[int]:
    came_from: dict[int, int] = {}
    frontier = [seq]
    while seq not in came_from:
        found = [
            (start, end)
            for start in sorted(frontier)
            for end in sorted(ends.get(start, ()))
            if end not in came_from
        ]
        came_from |= {end: start for start, end in reversed(found)}
        frontier = list({end for _, end in found})
    way = [seq]
    while len(way) == 1 or way[-1] != seq:
        way.append(came_from[way[-1]])
    return way[::-1]


def closing_none(db: Database, rewirings: Sequence[Rewiring]) -> frozenset[int]:
    """Return the assets whose rewiring closes no cycle: those before the first one that does.

    Each asset is in `rewirings` at most once, and each step is judged by the graph as it is then:
    what a later one removes is still there. To be called inside the transaction that writes the
    edges, before it does. The graph below the new targets is read once, and its work is linear.
    """
    sources = [seq for seq, _ in rewirings]
    targets = frozenset[int]().union(*(after for _, after in rewirings))
    entered = _with_dependents(db, sources) | targets.intersection(sources)
    if not entered:
        return frozenset(sources)  # No edge leads to any of them, as to most new assets.
    bits = {seq: 1 << place for place, seq in enumerate(sorted(entered))}
    ends = _below(db, targets)
    first = _first_below(ends, targets, bits)
    if first is None:
        return frozenset()
    steps = {bit: _union(first, ends.get(seq, ())) for seq, bit in bits.items()}
    acyclic: set[int] = set()
    for seq, after in rewirings:
        if seq in bits:
            steps[bits[seq]] = _union(first, after)
            if _leads_back(bits[seq], steps):
                break
        acyclic.add(seq)
    return frozenset(acyclic)


def _with_dependents(db: Database, seqs: Sequence[int]) -> frozenset[int]:
    query = Dependency.select(Dependency.dst).distinct()
    return frozenset(
        seq for part in batched(seqs) for (seq,) in rows(db, query.where(Dependency.dst.in_(part)))
    )


def _below(db: Database, seqs: Collection[int]) -> Adjacency:
    """Return the edges of these assets and of all that can be reached from them."""
    ends: dict[int, Sequence[int]] = {}
    for part in batched(seqs):
        ends |= edges_from(db, part, Direction.DEPENDENCIES)
    return ends


def _first_below(
    ends: Adjacency, origins: Collection[int], bits: Mapping[int, Mask]
) -> dict[int, Mask] | None:
    """Return the assets of `bits` that a path from each asset leads to first; its own bit if any.

    What lies behind an asset of `bits` is not followed, since its edges change. None if there is a
    cycle already, which only a database edited by hand has.
    """
    first: dict[int, Mask] = {}
    begun: set[int] = set()
    stack = [(end, False) for seq in bits for end in ends.get(seq, ())]
    stack += [(seq, False) for seq in origins]
    while stack:
        seq, below_done = stack.pop()
        if seq in bits:
            first[seq] = bits[seq]
        elif below_done:
            first[seq] = _union(first, ends.get(seq, ()))
        elif seq not in begun:
            begun.add(seq)
            stack.append((seq, True))
            stack.extend((end, False) for end in ends.get(seq, ()) if end not in first)
        elif seq not in first:
            return None
    return first


def _union(first: Mapping[int, Mask], seqs: Collection[int]) -> Mask:
    return reduce(or_, (first[seq] for seq in seqs), 0)


def _leads_back(bit: Mask, steps: Mapping[Mask, Mask]) -> bool:
    """Whether steps from the asset lead to itself."""
    seen = frontier = steps[bit]
    while frontier and not seen & bit:
        lowest = frontier & -frontier
        found = steps[lowest] & ~seen
        seen |= found
        frontier = (frontier ^ lowest) | found
    return bool(seen & bit)
