"""The places of the nodes of a small directed acyclic graph, so that its edges stay readable.

The method is Sugiyama's (Sugiyama et al., 1981): a node's layer is its longest path from an input;
an edge that passes over layers keeps a free lane in each of them; layers are sorted to cross few
edges; rows are then moved towards their neighbours. All edges that leave one node share a lane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

GAP = 16.0


@dataclass(frozen=True)
class Layout:
    """The places of a graph's nodes.

    ``depth`` is the layer of each node, and ``rows`` are, for each layer, its items from top to
    bottom with their middle. An item is a node that stands in the layer or a node whose edges pass
    through it.
    """

    depth: tuple[int, ...]
    rows: tuple[dict[int, float], ...]


def depths(sources: Sequence[Sequence[int]], inputs: int) -> tuple[int, ...]:
    """Returns the length of the longest path from an input to each node.

    ``sources[i]`` are the nodes that i reads. Nodes are in topological order; the first ``inputs``
    of them read nothing.
    """
    found: list[int] = []
    for i, reads in enumerate(sources):
        found.append(0 if i < inputs else 1 + max((found[s] for s in reads), default=0))
    return tuple(found)


def layout(sources: Sequence[Sequence[int]], inputs: int, heights: Sequence[float]) -> Layout:
    """Places every node; ``heights`` are the nodes' sizes, a lane takes none."""
    depth = depths(sources, inputs)
    last = {s: max(depth[i] for i, reads in enumerate(sources) if s in reads)
            for reads in sources for s in reads}  # fmt: skip
    layers = [
        [i for i in range(len(sources)) if depth[i] <= level <= max(depth[i], last.get(i, 0) - 1)]
        for level in range(max(depth) + 1)
    ]
    links = [_links(layers, level, sources, depth) for level in range(1, len(layers))]
    ordered = _order(layers, links)
    sizes = [{i: heights[i] if depth[i] == level else 0.0 for i in layer}
             for level, layer in enumerate(ordered)]  # fmt: skip
    return Layout(depth, _place(ordered, links, sizes))


Links = list[tuple[int, int]]


def _links(
    layers: Sequence[Sequence[int]], level: int, sources: Sequence[Sequence[int]],
    depth: Sequence[int],
) -> Links:  # fmt: skip
    """Pairs of joined items in the layers ``level - 1`` and ``level``."""
    pairs: Links = []
    for item in layers[level]:
        pairs += [(s, item) for s in sources[item]] if depth[item] == level else [(item, item)]
    return pairs


def _crossings(above: Sequence[int], below: Sequence[int], links: Links) -> int:
    at = [(above.index(a), below.index(b)) for a, b in links]
    return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(at, 2))


def _sorted_by(layer: Sequence[int], fixed: Sequence[int], pairs: Links) -> list[int]:
    """The layer by the mean position of what its items are joined to in ``fixed``."""

    def centre(item: int) -> float:
        joined = [fixed.index(a) for a, b in pairs if b == item]
        return sum(joined) / len(joined) if joined else layer.index(item)

    return sorted(layer, key=centre)


def _order(layers: list[list[int]], links: Sequence[Links]) -> list[list[int]]:
    best, fewest = layers, _total(layers, links)
    current = [list(layer) for layer in layers]
    for _ in range(4):
        for level in range(1, len(current)):
            current[level] = _sorted_by(current[level], current[level - 1], links[level - 1])
        total = _total(current, links)
        if total < fewest:
            best, fewest = [list(layer) for layer in current], total
        # The inputs keep their order: a reader expects c_{k-2} above c_{k-1}.
        for level in range(len(current) - 2, 0, -1):
            flipped = [(b, a) for a, b in links[level]]
            current[level] = _sorted_by(current[level], current[level + 1], flipped)
    return best


def _total(layers: Sequence[Sequence[int]], links: Sequence[Links]) -> int:
    return sum(
        _crossings(above, below, pairs)
        for above, below, pairs in zip(layers, layers[1:], links, strict=False)
    )


def _place(
    layers: Sequence[Sequence[int]], links: Sequence[Links], sizes: Sequence[Mapping[int, float]]
) -> tuple[dict[int, float], ...]:
    """Middles of all items, after a few rounds of moving each towards what it is joined to."""
    rows = [
        _spread(dict.fromkeys(layer, 0.0), size) for layer, size in zip(layers, sizes, strict=True)
    ]
    for _ in range(12):
        for level, layer in enumerate(layers):
            wanted = {}
            for item in layer:
                near = (
                    [rows[level - 1][a] for a, b in links[level - 1] if b == item] if level else []
                )
                if level < len(links):
                    near += [rows[level + 1][b] for a, b in links[level] if a == item]
                wanted[item] = sum(near) / len(near) if near else rows[level][item]
            rows[level] = _spread(wanted, sizes[level])
    top = min(y for row in rows for y in row.values())
    return tuple({i: round(y - top, 1) for i, y in row.items()} for row in rows)


def _spread(wanted: Mapping[int, float], sizes: Mapping[int, float]) -> dict[int, float]:
    """Rows in the given order, near where they want to be, and never closer than GAP."""
    placed: dict[int, float] = {}
    previous: int | None = None
    for item, y in wanted.items():
        if previous is not None:
            room = (sizes[previous] + sizes[item]) / 2 + GAP
            y = max(y, placed[previous] + room)
        placed[item] = y
        previous = item
    excess = sum(placed[i] - wanted[i] for i in wanted) / max(len(wanted), 1)
    return {i: y - excess for i, y in placed.items()}
