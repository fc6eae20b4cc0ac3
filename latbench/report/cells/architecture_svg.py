"""Drawings of architectures that stand alone: one SVG for a notebook or a file.

Its colours are always the light ones, on white, because a drawing does not know what it is shown
on.
"""

from __future__ import annotations

from markupsafe import Markup

from latbench.report.cells.draw import draw
from latbench.report.cells.svg import element
from latbench.report.theme import FONT, LIGHT
from latbench.spaces.architecture import Architecture

TITLE = 22  # height of a drawing's heading
GAP = 10


def architecture_svg(architecture: Architecture) -> Markup:
    """Draws what the architecture's space says of it, below each other, as one ``<svg>``."""
    placed: list[Markup] = []
    width, top = 0.0, GAP
    for graph in architecture.drawing():
        drawn = draw(graph, LIGHT)
        placed.append(element("text", graph.title, x=GAP, y=top + 14, fill=LIGHT["ink"]))
        size = {"width": f"{drawn.width:g}", "height": f"{drawn.height:g}"}
        placed.append(drawn.svg(x=GAP, y=top + TITLE, **size))
        width = max(width, drawn.width + 2 * GAP)
        top += TITLE + int(drawn.height) + GAP
    return element(
        "svg",
        element("rect", width="100%", height="100%", fill=LIGHT["page"]),
        *placed,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:g} {top:g}", width=f"{width:g}",
        height=f"{top:g}", role="img", aria_label=str(architecture), font_family=FONT,
        font_size=11,
    )  # fmt: skip
