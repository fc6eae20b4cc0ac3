"""The parts about searches: their course, the networks that they derived, and these drawn."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from latbench.errors import UsageError
from latbench.report import search_plots
from latbench.report.cells import cell_graphs, draw_graph
from latbench.report.data import ReportData, SearchResult
from latbench.report.headline import noise_floor_of
from latbench.report.marks import legend
from latbench.report.parts import Figure, Part
from latbench.report.tables import floor_text, searches_table
from latbench.report.text import listing, shorten

CELLS_DRAWN = 16


def search_parts(data: ReportData) -> list[Part]:
    """All parts about the searches, of which there is at least one."""
    runs = data.searches[: search_plots.RUNS_DRAWN]
    names, series = search_plots.series_of(runs)
    more = len(data.searches) - len(runs)
    left_out = (f"The first {len(runs)} runs are drawn, {more:,} more are not.",) if more else ()
    courses = [Figure(search_plots.course(runs, series, what)) for what in search_plots.COURSES]
    drawn = tuple(f for f in courses if f.drawing)
    parts = []
    if drawn:
        parts.append(
            Part("Course of the search", left_out, drawn, legend(names, True), layout="pairs")
        )
    parts.append(Part("Derived networks", left_out, tuple(_truths(data, runs)),
                      table=searches_table(data)))  # fmt: skip
    return [*parts, _cells(data)]


def _truths(data: ReportData, runs: Sequence[SearchResult]) -> list[Figure]:
    figures = []
    for backend in dict.fromkeys(s.backend for s in runs):
        floor = noise_floor_of(data, backend)
        drawn = search_plots.dumbbells([s for s in runs if s.backend == backend], floor)
        band = f"; the bar is ± the noise floor, {floor_text(floor)}" if floor else ""
        if drawn:
            figures.append(Figure(drawn, backend, f"Hollow: predicted. Filled: measured{band}."))
    return figures


def _cells(data: ReportData) -> Part:
    """The derived cells, each architecture once, with the runs that found it."""
    found: dict[str, list[str]] = {}
    for s in data.searches:
        found.setdefault(s.architecture, []).append(s.label)
    shown = list(found)[:CELLS_DRAWN]
    remarks = []
    if data.space.startswith("nasbench201"):
        remarks.append("Edges of 'none', and what does not reach the output, are left out.")
    if len(found) > len(shown):
        remarks.append(f"The first {len(shown)} of {len(found):,} different networks are drawn.")
    figures = [_cell_figure(text, found[text], data.space.split("(")[0]) for text in shown]
    return Part("Derived cells", tuple(remarks), tuple(figures), layout="cells")


def _cell_figure(architecture: str, labels: list[str], space: str) -> Figure:
    by = listing([shorten(label, 60) for label in labels[:5]])
    if len(labels) > 5:
        by += f" and {len(labels) - 5} more"
    try:
        graphs = cell_graphs(architecture, space)
    except UsageError as error:
        return Figure(Markup(""), by, f"Not drawn: {shorten(str(error), 300)}.",
                      shorten(architecture, 1000))  # fmt: skip
    cells = [
        Markup(
            '<div class="cell-box" role="group" tabindex="0" aria-label="{0}"><p>{0}</p>{1}</div>'
        ).format(g.title, draw_graph(g))
        for g in graphs
    ]
    row = Markup('<div class="cells-row">{}</div>').format(Markup("").join(cells))
    return Figure(row, by, text=architecture)
