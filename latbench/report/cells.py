"""Drawings of cells: what reads what, and through which operation.

Every edge ends in a box with the operation's name before the node that sums its inputs, so that
names never lie on each other or on an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latbench.errors import UsageError
from latbench.report.layers import Layout, layout
from latbench.report.svg import drawing, element, group
from latbench.report.text import listing
from latbench.spaces import make_space
from latbench.spaces.genotypes import Cell, Genotype
from latbench.spaces.nasbench201 import Cell201

BOX = (84, 19)  # an operation's width and height
PITCH = 154  # from layer to layer
RADIUS = 11
TERMINAL = 48  # width of the boxes for inputs and output
MARGIN = 6


@dataclass(frozen=True)
class Node:
    """A node of a drawn cell: its name and its incoming (operation, source) edges.

    An empty operation is a plain edge.
    """

    name: str
    edges: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Graph:
    """One cell. The first ``inputs`` nodes are what it reads, the last one is its output."""

    title: str
    inputs: int
    nodes: tuple[Node, ...]


def cell_graphs(architecture: str, space: str) -> list[Graph]:
    """The cells of an architecture's text.

    Raises ParseError when the text is not in the space, UsageError for a space without drawing.
    """
    return graphs_of(make_space(space, source="the report").parse(architecture))


def graphs_of(architecture: object) -> list[Graph]:
    """The cells of an architecture. Raises UsageError for one of a space without drawing."""
    if isinstance(architecture, Genotype):
        normal, reduce = architecture.normal, architecture.reduce
        return [_darts("Normal cell", normal), _darts("Reduction cell", reduce)]
    if isinstance(architecture, Cell201):
        return [_nasbench201(architecture)]
    raise UsageError(
        f"{str(architecture)[:80]} cannot be drawn; expected one of darts or nasbench201"
    )


def _darts(title: str, cell: Cell) -> Graph:
    nodes = [Node("c k−2"), Node("c k−1")]
    nodes += [Node(str(i), node) for i, node in enumerate(cell)]
    output = Node("concat", tuple(("", i + 2) for i in range(len(cell))))
    return Graph(title, 2, (*nodes, output))


def _nasbench201(cell: Cell201) -> Graph:
    def incoming(node: int) -> tuple[tuple[str, int], ...]:
        kept = [(op, s) for (t, s), op in cell.edges() if t == node and op != "none"]
        return tuple(kept)

    inner = [Node(str(i), incoming(i) or (("none", 0),)) for i in (1, 2, 3)]
    return _live(Graph("Cell", 1, (Node("input"), *inner, Node("output", (("", 3),)))))


def _live(graph: Graph) -> Graph:
    """The graph without nodes that its output does not need; runtimes leave them out as well."""
    needed = {*range(graph.inputs), len(graph.nodes) - 1}
    for i in reversed(range(len(graph.nodes))):
        if i in needed:
            needed.update(source for _, source in graph.nodes[i].edges)
    renumbered = {old: new for new, old in enumerate(sorted(needed))}
    nodes = [
        Node(graph.nodes[old].name, tuple((op, renumbered[s]) for op, s in graph.nodes[old].edges))
        for old in renumbered
    ]
    return Graph(graph.title, graph.inputs, tuple(nodes))


def draw_cell(architecture: str, space: str) -> str:
    """The SVG drawings of an architecture's cells, one ``<svg>`` after the other.

    They use the colours of the report's page. Raises as ``cell_graphs`` does.
    """
    return "".join(draw_graph(graph) for graph in cell_graphs(architecture, space))


def operation_name(operation: str) -> str:
    """How an operation is written in a box: ``"sep conv 3×3"``."""
    short = {"skip_connect": "skip", "none": "zero"}
    name = short.get(operation, operation.removeprefix("nor_").replace("_", " "))
    head, _, size = name.rpartition(" ")
    return f"{head} {size.replace('x', '×')}" if head else name


def family(operation: str) -> str:
    """The CSS class of an operation's kind."""
    for start, kind in (("sep", "sep"), ("dil", "dil"), ("nor", "conv"), ("skip", "skip")):
        if operation.startswith(start):
            return f"op-{kind}"
    return "op-pool" if "pool" in operation else "op-none"


def describe(graph: Graph) -> str:
    """The graph in words, for a screen reader."""
    said = []
    for node in graph.nodes[graph.inputs :]:
        read = [
            f"{operation_name(op)} of {graph.nodes[s].name}" if op else graph.nodes[s].name
            for op, s in node.edges
        ]
        said.append(f"{node.name} is {listing(read)}")
    return "; ".join(said) + "."


def draw_graph(graph: Graph, **attributes: str | None) -> Markup:
    """One cell as an ``<svg>`` with these attributes, inputs at the left, output at the right."""
    sources = [[s for _, s in node.edges] for node in graph.nodes]
    heights = [max(22.0, 24.0 * sum(1 for op, _ in n.edges if op)) for n in graph.nodes]
    heights[-1] = 30.0
    placed = layout(sources, graph.inputs, heights)
    ends = [(placed.rows[level][i], heights[i] / 2) for i, level in enumerate(placed.depth)]
    ends += [(y, 1.0) for row in placed.rows for y in row.values()]
    top = MARGIN - min(y - half for y, half in ends)
    height = top + max(y + half for y, half in ends) + MARGIN
    pen = _Pen(graph, placed, top)
    width = pen.column(max(placed.depth)) + TERMINAL + MARGIN
    children = [*pen.wires(), *pen.nodes()]
    return drawing(width, height, children, graph.title, describe(graph),
                   class_="cell", style=f"width:{width:g}px", **attributes)  # fmt: skip


@dataclass(frozen=True)
class _Pen:
    graph: Graph
    placed: Layout
    top: float

    def column(self, level: int) -> float:
        """Left edge of a layer."""
        return MARGIN + TERMINAL + 34 + (level - 1) * PITCH if level else MARGIN

    def y(self, level: int, item: int) -> float:
        return self.placed.rows[level][item] + self.top

    def right(self, level: int) -> float:
        """Where edges leave a layer."""
        return self.column(level) + (TERMINAL if level == 0 else BOX[0] + 14 + 2 * RADIUS)

    def boxes(self, node: int) -> list[tuple[str, int, float]]:
        """A node's incoming (operation, source, y), sorted as their sources lie."""
        level = self.placed.depth[node]
        edges = sorted(self.graph.nodes[node].edges, key=lambda e: self.y(level - 1, e[1]))
        middle, pitch = self.y(level, node), 24 if edges and edges[0][0] else 6
        first = middle - pitch * (len(edges) - 1) / 2
        return [(op, source, first + i * pitch) for i, (op, source) in enumerate(edges)]

    def wires(self) -> Iterator[Markup]:
        """All edges, behind the nodes."""
        for level, row in enumerate(self.placed.rows[1:], start=1):
            start, stop = self.right(level - 1), self.column(level)
            for item in row:
                if self.placed.depth[item] != level:
                    yield _curve(start, self.y(level - 1, item), stop, self.y(level, item), "wire",
                                 self.right(level))  # fmt: skip
                    continue
                for op, source, y in self.boxes(item):
                    kind = f"wire {family(op)}" if op else "wire"
                    yield _curve(start, self.y(level - 1, source), stop, y, kind)

    def nodes(self) -> Iterator[Markup]:
        """All nodes with the boxes of their operations."""
        for item, node in enumerate(self.graph.nodes):
            level = self.placed.depth[item]
            x, y = self.column(level), self.y(level, item)
            if item < self.graph.inputs or item == len(self.graph.nodes) - 1:
                yield _terminal(node.name, x, y)
                continue
            centre = x + BOX[0] + 14 + RADIUS
            for op, _, at in self.boxes(item):
                yield _curve(x + BOX[0], at, centre - RADIUS, y, f"wire {family(op)}")
                yield _box(op, x, at)
            yield element("circle", class_="node", cx=centre, cy=y, r=RADIUS)
            yield element("text", node.name, class_="name", x=centre, y=y + 4)


def _curve(
    x1: float, y1: float, x2: float, y2: float, kind: str, end: float | None = None
) -> Markup:
    bend = (x1 + x2) / 2
    straight = f"H{end:g}" if end is not None else ""
    d = f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}{straight}"
    return element("path", class_=kind, d=d)


def _box(op: str, x: float, y: float) -> Markup:
    width, height = BOX
    return group(
        [
            element("rect", x=x, y=y - height / 2, width=width, height=height, rx=4),
            element("text", operation_name(op), x=x + width / 2, y=y + 4),
        ],
        class_=f"op {family(op)}",
    )


def _terminal(name: str, x: float, y: float) -> Markup:
    letter, _, index = name.partition(" ")
    parts: Sequence[str] = [letter]
    if index:
        parts = [letter, element("tspan", index, dy=3, class_="index")]
    return group(
        [
            element("rect", class_="terminal", x=x, y=y - 14, width=TERMINAL, height=28, rx=6),
            element("text", *parts, class_="name", x=x + TERMINAL / 2, y=y + 4),
        ]
    )
