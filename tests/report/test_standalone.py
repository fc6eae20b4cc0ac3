"""Drawings of cells outside the page: well formed, with their styles, reaching nothing around."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.report import ReportData
from latbench.report.standalone import CLASS, architecture_svg, style
from latbench.spaces import darts, make_space, nasbench201
from latbench.spaces.genotypes import DARTS_V2

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("space", [darts(), nasbench201()])
@pytest.mark.parametrize("index", range(5))
def test_an_architecture_shows_its_cells(space, index: int) -> None:  # type: ignore[no-untyped-def]
    architecture = space.sample(0, index)
    root = ET.fromstring(architecture._repr_svg_())
    assert root.tag == f"{SVG}svg"
    assert root.get("aria-label") == str(architecture)
    cells = root.findall(f"{SVG}svg")
    assert len(cells) == (2 if space.name == "darts" else 1)
    width, height = (float(root.attrib[k]) for k in ("width", "height"))
    bottom = 0.0
    for cell in cells:
        x, y, w, h = (float(cell.attrib[k]) for k in ("x", "y", "width", "height"))
        assert cell.attrib["viewBox"] == f"0 0 {w:g} {h:g}"
        assert y >= bottom
        assert x + w <= width
        bottom = y + h
    assert bottom <= height


def test_every_class_has_a_rule_and_every_colour_a_value() -> None:
    drawn = {
        name
        for architecture in (DARTS_V2, *(nasbench201().sample(0, i) for i in range(20)),
                             *(darts().sample(0, i) for i in range(20)))
        for names in re.findall(r'class="([^"]+)"', architecture_svg(architecture))
        for name in names.split()
    }  # fmt: skip
    ruled = set(re.findall(r"\.([a-z-]+)", style()))
    assert drawn - {"cell"} <= ruled
    assert {"op-sep", "wire", "terminal"} <= drawn
    assert set(re.findall(r"var\(--(\w+)", style())) == {"c"}


def test_the_styles_stay_inside_the_drawing() -> None:
    for selectors in re.findall(r"([^{}]+)\{", style()):
        for selector in selectors.split(","):
            assert selector.strip().startswith(f".{CLASS}")


def test_a_report_is_framed_apart_from_the_notebook(report: ReportData) -> None:
    html = report._repr_html_()
    assert html.startswith("<iframe srcdoc=")
    assert html.count("<") == 2  # the page is all in the attribute
    assert 'sandbox="allow-scripts"' in html
    assert "&lt;!doctype html&gt;" in html.lower()
    assert repr(report).startswith(f"<ReportData {report.title!r}: ")
    assert len(repr(report)) < 300


def test_what_has_no_cells_is_refused() -> None:
    layer = make_space("isolated_layers").reference()
    with pytest.raises(UsageError, match="cannot be drawn"):
        architecture_svg(layer)


def test_the_style_sheet_is_that_of_the_page() -> None:
    sheet = Path(__file__).parents[2] / "latbench" / "report" / "page.css"
    assert re.search(r"--c0: (#\w+)", sheet.read_text())[1] in style()  # type: ignore[index]
