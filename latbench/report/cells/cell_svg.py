"""Drawings of cells: what reads what, and through which operation.

Every edge ends in a box with the operation's name before the node that sums its inputs, so that
names never lie on each other or on an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latbench.report.cells.layout import Layout, layout
from latbench.report.cells.svg import SvgDrawing, element, group
from latbench.report.theme import VARIABLES
from latbench.spaces.drawing import CellGraph
from latbench.text import listing

BOX = (84, 19)  # an operation's width and height
PITCH = 154  # from layer to layer
RADIUS = 11
TERMINAL = 48  # width of the boxes for inputs and output
MARGIN = 6
# The colour of an operation's kind, by the beginning of its name.
KINDS = {"sep": "c0", "dil": "c3", "nor": "c1", "skip": "c4"}


def operation_name(operation: str) -> str:
    """Returns how an operation is written in a box: ``"sep conv 3×3"``."""
    short = {"skip_connect": "skip", "none": "zero"}
    name = short.get(operation, operation.removeprefix("nor_").replace("_", " "))
    head, _, size = name.rpartition(" ")
    return f"{head} {size.replace('x', '×')}" if head else name


def colour_name(operation: str) -> str:
    """Returns the theme's name for the colour of an operation's kind, or of a plain edge."""
    found = (c for start, c in KINDS.items() if operation.startswith(start))
    return next(found, "c2" if "pool" in operation else "soft")


def describe(graph: CellGraph) -> str:
    """Describes the graph in words, for a screen reader."""
    said = []
    for node in graph.nodes[graph.inputs :]:
        read = [
            f"{operation_name(op)} of {graph.nodes[s].name}" if op else graph.nodes[s].name
            for op, s in node.edges
        ]
        said.append(f"{node.name} is {listing(read)}")
    return "; ".join(said) + "."


def draw_cell(graph: CellGraph, colours: Mapping[str, str] = VARIABLES) -> SvgDrawing:
    """Draws one cell in a theme's colours, inputs at the left, output at the right."""
    sources = [[s for _, s in node.edges] for node in graph.nodes]
    heights = [max(22.0, 24.0 * sum(1 for op, _ in n.edges if op)) for n in graph.nodes]
    heights[-1] = 30.0
    placed = layout(sources, graph.inputs, heights)
    ends = [(placed.rows[level][i], heights[i] / 2) for i, level in enumerate(placed.depth)]
    ends += [(y, 1.0) for row in placed.rows for y in row.values()]
    top = MARGIN - min(y - half for y, half in ends)
    height = top + max(y + half for y, half in ends) + MARGIN
    pen = _Pen(graph, placed, top, colours)
    width = pen.column(max(placed.depth)) + TERMINAL + MARGIN
    wires = group(pen.wires(), fill="none", stroke_width=1.4)
    nodes = group(pen.nodes(), fill=colours["ink"], text_anchor="middle")
    return SvgDrawing(graph.title, describe(graph), (wires, nodes), width, height)


@dataclass(frozen=True)
class _Pen:
    graph: CellGraph
    placed: Layout
    top: float
    colours: Mapping[str, str]

    def colour(self, operation: str) -> str:
        """Returns the colour that an operation is drawn with."""
        return self.colours[colour_name(operation)]

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
                y = self.y(level, item)
                if self.placed.depth[item] != level:
                    came = self.y(level - 1, item)
                    yield _curve(start, came, stop, y, self.colour(""), self.right(level))
                    continue
                for op, source, at in self.boxes(item):
                    yield _curve(start, self.y(level - 1, source), stop, at, self.colour(op))
                    if op and not self.is_terminal(item):
                        x, end = stop + BOX[0], stop + BOX[0] + 14
                        yield _curve(x, at, end, y, self.colour(op))

    def is_terminal(self, item: int) -> bool:
        """Whether a node is an input or the output."""
        return item < self.graph.inputs or item == len(self.graph.nodes) - 1

    def nodes(self) -> Iterator[Markup]:
        """All nodes with the boxes of their operations."""
        shape = {"fill": self.colours["page"], "stroke": self.colours["soft"]}
        for item, node in enumerate(self.graph.nodes):
            level = self.placed.depth[item]
            x, y = self.column(level), self.y(level, item)
            if self.is_terminal(item):
                middle = x + TERMINAL / 2
                yield element("rect", x=x, y=y - 14, width=TERMINAL, height=28, rx=6, **shape)
                yield element("text", *_name(node.name), x=middle, y=y + 4)
                continue
            for op, _, at in self.boxes(item):
                yield from self.box(op, x, at)
            centre = x + BOX[0] + 14 + RADIUS
            yield element("circle", cx=centre, cy=y, r=RADIUS, **shape)
            yield element("text", node.name, x=centre, y=y + 4)

    def box(self, op: str, x: float, y: float) -> Iterator[Markup]:
        """An operation with its name."""
        (width, height), colour = BOX, self.colour(op)
        yield element("rect", x=x, y=y - height / 2, width=width, height=height, rx=4,
                      fill=colour, fill_opacity=0.16, stroke=colour)  # fmt: skip
        yield element("text", operation_name(op), x=x + width / 2, y=y + 4)


def _curve(
    x1: float, y1: float, x2: float, y2: float, colour: str, end: float | None = None
) -> Markup:
    bend = (x1 + x2) / 2
    straight = f"H{end:g}" if end is not None else ""
    d = f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}{straight}"
    return element("path", stroke=colour, d=d)


def _name(name: str) -> Sequence[str]:
    """A letter and what stands below it: "c k−1"."""
    letter, _, index = name.partition(" ")
    return [letter, element("tspan", index, dy=3, font_size=8.5)] if index else [letter]
