"""The drawing of an architecture and the page of a report that a notebook shows, drawn above.

Neither class knows of the report that draws it, so the two methods that notebooks look for are
given to them from outside, when ``import latbench`` finds itself in a notebook.
"""

from __future__ import annotations

from latbench.results import ReportData
from latbench.spaces.architecture import Architecture


def architecture_svg(architecture: Architecture) -> str:
    """Draws the architecture's cells, as the text of one SVG."""
    from latbench.report.cells.architecture_svg import architecture_svg

    return str(architecture_svg(architecture))


def report_page(report: ReportData) -> str:
    """Writes the report's page, in a frame of its own."""
    from latbench.report.page import framed

    return framed(report)


def show_drawings() -> None:
    """Gives the classes the methods by which a notebook shows them."""
    for cls, method, show in (
        (Architecture, "_repr_svg_", architecture_svg),
        (ReportData, "_repr_html_", report_page),
    ):
        setattr(cls, method, show)
