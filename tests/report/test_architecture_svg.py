"""Drawings of cells outside the page: well formed, with their own colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from latbench import notebook
from latbench.report import ReportData
from latbench.report.cells.architecture_svg import architecture_svg
from latbench.report.theme import LIGHT
from latbench.spaces import darts, make_space, nasbench201

notebook.show_drawings()
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


def test_it_needs_no_style_sheet() -> None:
    drawn = "".join(
        architecture_svg(space().sample(0, i)) for space in (darts, nasbench201) for i in range(20)
    )
    assert set(re.findall(r"#[0-9a-f]{6}", drawn)) <= set(LIGHT.values())
    assert LIGHT["c0"] in drawn
    assert not re.search(r"class=|var\(|<style", drawn)


def test_a_report_is_framed_apart_from_the_notebook(report: ReportData) -> None:
    html = notebook.report_page(report)
    assert html.startswith("<iframe srcdoc=")
    assert html.count("<") == 2  # the page is all in the attribute
    assert 'sandbox="allow-scripts"' in html
    assert "&lt;!doctype html&gt;" in html.lower()
    assert repr(report).startswith(f"<ReportData {report.title!r}: ")
    assert len(repr(report)) < 300


def test_a_space_without_a_drawing_shows_its_choices() -> None:
    layer = make_space("isolated_layers").reference()
    assert f"layer={layer}" in architecture_svg(layer)
