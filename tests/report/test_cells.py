"""Cell drawings: every edge is there, and nothing lies on anything else."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import ParseError, UsageError
from latbench.report.cells.cell_svg import colour_name, describe, draw_cell
from latbench.report.cells.draw import graphs_of
from latbench.report.cells.layout import layout
from latbench.spaces import darts, make_space
from latbench.spaces.cells.genotypes import PUBLISHED
from latbench.spaces.drawing import CellGraph

N = r'="([\d.]+)"'
RECT = re.compile(rf"<rect x{N} y{N} width{N} height{N}")
CIRCLE = re.compile(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="11"')


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom of everything solid."""
    found = [(float(x), float(y), float(x) + float(w), float(y) + float(h))
             for x, y, w, h in RECT.findall(svg)]  # fmt: skip
    return found + [(float(x) - 11, float(y) - 11, float(x) + 11, float(y) + 11)
                    for x, y in CIRCLE.findall(svg)]  # fmt: skip


def drawn(architecture: str, space: str) -> str:
    return "".join(draw_cell(graph).svg() for graph in cells(architecture, space))


def cells(architecture: str, space: str) -> list[CellGraph]:
    """The drawn graphs of a space of cells."""
    graphs = graphs_of(architecture, space)
    found = [graph for graph in graphs if isinstance(graph, CellGraph)]
    assert len(found) == len(graphs)
    return found


def operations(svg: str) -> int:
    """How many boxes of operations there are."""
    return svg.count('fill-opacity="0.16"')


def size(svg: str) -> tuple[float, float]:
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert match
    return float(match[1]), float(match[2])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["darts", "nasbench201"]), st.integers(0, 10_000))
def test_boxes_and_nodes_never_overlap_and_stay_inside(space: str, index: int) -> None:
    made = make_space(space)
    for graph in cells(str(made.sample(0, index)), space):
        svg = draw_cell(graph).svg()
        width, height = size(svg)
        solid = boxes(svg)
        assert len(solid) == len(graph.nodes) + sum(
            1 for n in graph.nodes for op, _ in n.edges if op
        )
        for a, b in combinations(solid, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert all(x >= 0 and y >= 0 and r <= width and b <= height for x, y, r, b in solid)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000))
def test_no_edge_runs_behind_a_box(index: int) -> None:
    """Lanes pass through a layer's column between its boxes."""
    for graph in cells(str(darts().sample(1, index)), "darts"):
        heights = [24.0 * max(1, len(n.edges)) for n in graph.nodes]
        placed = layout([[s for _, s in n.edges] for n in graph.nodes], graph.inputs, heights)
        for level, row in enumerate(placed.rows):
            for a, b in combinations(row, 2):
                room = sum(heights[i] / 2 for i in (a, b) if placed.depth[i] == level)
                assert abs(row[a] - row[b]) >= room + 8


def test_every_edge_of_the_published_cell_is_told() -> None:
    normal, reduction = cells("DARTS_V2", "darts")
    assert (normal.title, reduction.title) == ("Normal cell", "Reduction cell")
    assert describe(normal) == (
        "0 is sep conv 3×3 of c k−2 and sep conv 3×3 of c k−1; "
        "1 is sep conv 3×3 of c k−2 and sep conv 3×3 of c k−1; "
        "2 is skip of c k−2 and sep conv 3×3 of c k−1; "
        "3 is skip of c k−2 and dil conv 3×3 of 0; concat is 0, 1, 2 and 3."
    )
    svg = draw_cell(normal).svg()
    assert svg.count("sep conv 3×3</text>") == 5
    assert svg.count(f'rx="4" fill="var(--{colour_name("skip_connect")})"') == 2


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_cells_are_drawn_by_name(name: str) -> None:
    assert drawn(name, "darts").count("<svg") == 2


def test_nasbench201_leaves_out_none_edges() -> None:
    text = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    svg = drawn(text, "nasbench201")
    assert operations(svg) == 4
    assert "zero" not in svg


def test_a_nasbench201_node_without_input_is_zero() -> None:
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert drawn(text, "nasbench201").count("zero</text>") == 1


def test_a_node_that_the_output_does_not_need_is_left_out() -> None:
    text = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
    assert operations(drawn(text, "nasbench201")) == 1


def test_what_is_not_a_cell_is_refused() -> None:
    with pytest.raises(ParseError):
        drawn("<script>", "darts")
    with pytest.raises(UsageError, match="unknown space"):
        drawn("x", "resnets")
