"""Drawings of cells that stand alone: one SVG with its styles, for a notebook or a file.

Colours and rules are those of the report's page, read from its style sheet; always the light ones,
on white, because a drawing does not know what it is shown on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from latbench.report.cells import draw_graph, graphs_of
from latbench.report.svg import element

CLASS = "latbench-cells"
TITLE = 22  # height of a cell's heading
GAP = 10
# The selectors of the page that a cell's elements need.
_SELECTOR = re.compile(r"svg (?:text|\.(?:wire|op|name|node|terminal|index)\b.*)|\.op-\w+")
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


def _rules(sheet: str) -> Iterator[str]:
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", sheet):
        names = [name.strip() for name in selectors.split(",")]
        if all(_SELECTOR.fullmatch(name) for name in names):
            inside = ", ".join(f".{CLASS} {name.removeprefix('svg ')}" for name in names)
            yield f"{inside} {{{body}}}"


@cache
def style() -> str:
    """The rules for a cell, inside an element of class ``CLASS``, with the page's light colours."""
    text = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    sheet = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", sheet.partition("}")[0]))
    rules = "\n".join(_rules(sheet))
    font = f".{CLASS} {{ font-family: system-ui, sans-serif; }}"
    return font + "\n" + re.sub(r"var\(--(?!c\b)(\w+)\)", lambda m: colours[m[1]], rules)


def architecture_svg(architecture: object) -> Markup:
    """The architecture's cells below each other as one ``<svg>``.

    Raises UsageError for an architecture of a space whose cells cannot be drawn.
    """
    placed: list[Markup] = []
    width, top = 0.0, GAP
    for graph in graphs_of(architecture):
        cell = draw_graph(graph)
        size = _SIZE.search(cell)
        assert size is not None
        w, h = float(size[1]), float(size[2])
        heading = element("text", graph.title, x=GAP, y=top + 14)
        at = f'<svg x="{GAP}" y="{top + TITLE}" width="{w:g}" height="{h:g}" '
        placed += [heading, Markup(cell.replace("<svg ", Markup(at), 1))]
        width, top = max(width, w + 2 * GAP), top + TITLE + int(h) + GAP
    return element(
        "svg",
        element("style", Markup(style())),
        element("rect", width="100%", height="100%", fill="#fff"),
        *placed,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:g} {top:g}", width=f"{width:g}",
        height=f"{top:g}", class_=CLASS, role="img", aria_label=str(architecture),
    )  # fmt: skip
