"""Search a whole graph for a cycle."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

_NEW, _OPEN, _DONE = 0, 1, 2


def find_cycle(nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> Sequence[int]:
    """Return the nodes of a cycle in their order, without its end; empty if there is none.

    `nodes` are in ascending order, `edges` in that of their sources; edges of unknown nodes are
    ignored. Time is linear. Memory is 17 bytes for each node and 8 for each edge.
    """
    names = array("q", nodes)
    first, targets = _adjacency(names, edges)
    state = bytearray(len(names))
    position = array("q", first)
    for root in range(len(names)):
        way = [root] if state[root] == _NEW else []
        while way:
            node = way[-1]
            state[node] = _OPEN
            if position[node] == first[node + 1]:
                state[node] = _DONE
                way.pop()
                continue
            target = targets[position[node]]
            position[node] += 1
            if state[target] == _OPEN:
                return [names[each] for each in way[way.index(target) :]]
            if state[target] == _NEW:
                way.append(target)
    return ()


def _adjacency(
    names: "array[int]", edges: Iterable[tuple[int, int]]
) -> tuple["array[int]", "array[int]"]:
    """Return where the targets of each node begin, and the targets, by position in `names`."""
    first, targets = array("q"), array("q")
    for source, target in edges:
        start, end = _place(names, source), _place(names, target)
        if start is None or end is None:
            continue
        while len(first) <= start:
            first.append(len(targets))
        targets.append(end)
    while len(first) <= len(names):
        first.append(len(targets))
    return first, targets


def _place(names: "array[int]", name: int) -> int | None:
    place = bisect_left(names, name)
    return place if place < len(names) and names[place] == name else None
