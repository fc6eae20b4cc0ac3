"""The drawing of whatever a space says of an architecture: a cell or a chain of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latbench.report.cells.cell_svg import draw_cell
from latbench.report.cells.chain_svg import draw_chain
from latbench.report.cells.svg import SvgDrawing
from latbench.report.theme import VARIABLES
from latbench.spaces import parse_space
from latbench.spaces.drawing import ChainGraph, Drawing


def graphs_of(architecture: str, space: str) -> Sequence[Drawing]:
    """Returns what there is to draw of an architecture's text.

    Raises ParseError when the text is not in the space.
    """
    return parse_space(space, source="the report").parse(architecture).drawing()


def draw(graph: Drawing, colours: Mapping[str, str] = VARIABLES) -> SvgDrawing:
    """Draws a cell or a chain in a theme's colours."""
    if isinstance(graph, ChainGraph):
        return draw_chain(graph, colours)
    return draw_cell(graph, colours)
