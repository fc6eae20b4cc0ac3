"""The plain data of a drawing of an architecture: a space states it, the report draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latbench.text import JOINED


@dataclass(frozen=True)
class CellNode:
    """A node of a drawn cell: its name and its incoming (operation, source) edges.

    An empty operation is a plain edge.
    """

    name: str
    edges: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class CellGraph:
    """One cell. The first ``inputs`` nodes are what it reads, the last one is its output; ``note``
    says what a reader must know of the drawing."""

    title: str
    inputs: int
    nodes: tuple[CellNode, ...]
    note: str = ""

    def live(self) -> CellGraph:
        """Returns the graph without nodes that its output does not need, as runtimes leave them
        out."""
        needed = {*range(self.inputs), len(self.nodes) - 1}
        for i in reversed(range(len(self.nodes))):
            if i in needed:
                needed.update(source for _, source in self.nodes[i].edges)
        numbers = {old: new for new, old in enumerate(sorted(needed))}
        nodes = [
            CellNode(node.name, tuple((op, numbers[source]) for op, source in node.edges))
            for node in map(self.nodes.__getitem__, numbers)
        ]
        return CellGraph(self.title, self.inputs, tuple(nodes), self.note)


@dataclass(frozen=True)
class ChainStep:
    """A block of a drawn chain: its name, what was chosen for it, and its result's channels and
    height in pixels."""

    name: str
    operation: str
    channels: int
    size: int


@dataclass(frozen=True)
class ChainGraph:
    """A chain of blocks. The first step is the input, the last one the output; ``note`` says what a
    reader must know of the drawing."""

    title: str
    steps: tuple[ChainStep, ...]
    note: str = ""


Drawing = CellGraph | ChainGraph


def choices_graph(values: Mapping[str, str | tuple[str, ...]]) -> CellGraph:
    """Draws the values of an architecture's variables in a row, by their names: what stands for a
    space that has no drawing of its own."""
    nodes = [CellNode("input")]
    for i, (name, value) in enumerate(values.items()):
        said = value if isinstance(value, str) else JOINED.join(value)
        nodes.append(CellNode(str(i), ((f"{name}={said}", i),)))
    return CellGraph("Choices", 1, (*nodes, CellNode("output", (("", len(nodes) - 1),))))
