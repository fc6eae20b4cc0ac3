"""The page's parts in reading order, each a heading with its figures, tables and remarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from markupsafe import Markup

from latbench.errors import UsageError
from latbench.report import plots, search_plots
from latbench.report.cells import cell_graphs, draw_graph
from latbench.report.data import BackendResult, ReportData, SearchResult
from latbench.report.headline import noise_floor_of
from latbench.report.marks import legend
from latbench.report.sample import PLOTS_A_BACKEND, Floats, Names, measured, points_a_plot, positive
from latbench.report.tables import (
    Table,
    agreement_table,
    architectures_table,
    floor_text,
    predictors_table,
    searches_table,
    unique_names,
)
from latbench.report.text import known, listing, number, percent, plural, shorten

CELLS_DRAWN = 16
BACKENDS_COMPARED = 7
PAIRS_DRAWN = 6
SHARED_FROM = 3  # a rank correlation of fewer says nothing


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; ``heading`` stands above it."""

    drawing: Markup
    heading: str = ""
    caption: str = ""
    text: str = ""


@dataclass(frozen=True)
class Part:
    """A level-3 heading and what stands below it. ``layout`` is a CSS class for the figures."""

    heading: str
    remarks: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    legend: str = ""
    table: Table | None = None
    layout: str = "wide"
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A level-2 heading, its anchor and its parts."""

    id: str
    heading: str
    parts: tuple[Part, ...]
    intro: str = ""


def sections(data: ReportData, page: Names) -> list[Section]:
    """All sections that have something to show."""
    limit = points_a_plot(data)
    ends = max(5, min(25, 500 // max(1, len(data.backends))))
    names = unique_names(data.backends)
    found = [
        Section(
            f"backend-{i}", f"Latency on {name}", tuple(_backend(b, limit, ends, page)), _intro(b)
        )
        for i, (b, name) in enumerate(zip(data.backends, names, strict=True))
    ]
    if agreement := _agreement(data, limit, page):
        found.append(Section("agreement", "Backend against backend", (agreement,)))
    if data.searches:
        found.append(Section("searches", "Searches", tuple(_searches(data))))
    return found


def _intro(backend: BackendResult) -> str:
    on = f" on {backend.device}" if backend.device else ""
    failed = f"; {backend.failed:,} failed" if backend.failed else ""
    return f"{plural(len(backend.architectures), 'architecture')} measured{on}{failed}."


def noise_remark(noise_floor: float | None) -> str:
    """What the noise floor means for the errors beside it."""
    if noise_floor is None or not known(noise_floor):
        return "Noise floor: not measured, so there is no telling how much of an error is chance."
    return (
        f"Noise floor: {percent(noise_floor)}. Two independent timings of the same architecture "
        "differ by this much; no predictor can be expected to do better."
    )


def _backend(backend: BackendResult, limit: int, ends: int, page: Names) -> list[Part]:
    parts = []
    if backend.predictors:
        parts = [_scatters(backend, limit, page), _errors(backend)]
        parts.append(
            Part("Predictors compared", (noise_remark(backend.noise_floor),),
                 table=predictors_table(backend))
        )  # fmt: skip
    sample = plots.histogram(backend)
    remarks = () if backend.predictors else (noise_remark(backend.noise_floor),)
    if not sample:
        return [*parts, Part("Latency distribution", (*remarks, "There is no latency to show."))]
    parts.append(Part("Latency distribution of the sample", remarks, (Figure(sample),)))
    parts.append(Part("Architectures", table=architectures_table(backend, ends), folded=True))
    return parts


def _scatters(backend: BackendResult, limit: int, page: Names) -> Part:
    shown = backend.predictors[:PLOTS_A_BACKEND]
    figures = []
    for i, predictor in enumerate(shown):
        drawn = plots.predicted_against_measured(backend, predictor, i, limit, page)
        caption = "" if drawn else "No architecture has both a measured and a predicted latency."
        figures.append(Figure(drawn, predictor.name, caption))
    bands = "the light band is ±10 %"
    if backend.noise_floor:
        bands += f", the darker one the noise floor, ±{percent(backend.noise_floor)}"
    remarks = [f"The line is a perfect prediction; {bands}."]
    known_rows = int(positive(measured(backend)).sum())
    if known_rows > limit:
        remarks.append(
            f"Each plot shows {limit:,} of {known_rows:,} architectures, picked at random; "
            "all figures in words and tables use every one."
        )
    if unknown := len(backend.measured_s) - known_rows:
        remarks.append(f"{plural(unknown, 'row')} without a positive latency left out.")
    if more := len(backend.predictors) - len(shown):
        remarks.append(f"{plural(more, 'further predictor')} only in the table below.")
    return Part("Predicted against measured", tuple(remarks), tuple(figures), layout="multiples")


def _errors(backend: BackendResult) -> Part:
    drawn = plots.error_distribution(backend)
    remark = "The further left a line, the smaller the errors." if drawn else "No errors to show."
    names = [shorten(p.name, 60) for p in backend.predictors]
    figures = (Figure(drawn),) if drawn else ()
    return Part(
        "Error distribution", (remark,), figures, legend(names, True) if drawn else Markup("")
    )


Pair = tuple[str, str, int, float]


def _agreement(data: ReportData, limit: int, page: Names) -> Part | None:
    """Pairs of backends that share architectures; None when none do."""
    names = unique_names(data.backends)[:BACKENDS_COMPARED]
    rows: list[Pair] = []
    figures: list[Figure] = []
    for (i, a), (j, b) in combinations(enumerate(data.backends[:BACKENDS_COMPARED]), 2):
        shared, x, y = shared_rows(a, b)
        if len(shared) < SHARED_FROM:
            continue
        rho = spearman(x, y)
        rows.append((names[i], names[j], len(shared), rho))
        if len(figures) < PAIRS_DRAWN:
            drawn = plots.backend_against_backend(shared, x, y, (names[i], names[j]), limit, page)
            caption = f"Spearman {number(rho)} over {plural(len(shared), 'architecture')}."
            figures.append(Figure(drawn, f"{names[i]} and {names[j]}", caption))
    if not rows:
        return None
    remarks = ["Points on a rising curve: the backends rank architectures alike (Spearman near 1)."]
    if len(data.backends) > BACKENDS_COMPARED:
        remarks.append(f"Only the first {BACKENDS_COMPARED} backends are compared.")
    table = agreement_table(rows) if len(rows) > 1 else None
    return Part("The same architectures elsewhere", tuple(remarks), tuple(figures), table=table,
                layout="multiples")  # fmt: skip


def shared_rows(a: BackendResult, b: BackendResult) -> tuple[list[str], Floats, Floats]:
    """Architectures with a positive latency on both, and these latencies in seconds."""
    seconds = dict(zip(b.architectures, measured(b).tolist(), strict=True))
    first = dict(zip(a.architectures, measured(a).tolist(), strict=True))
    shared = [n for n, s in first.items() if 0 < s < np.inf and 0 < seconds.get(n, 0) < np.inf]
    return shared, np.array([first[n] for n in shared]), np.array([seconds[n] for n in shared])


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation; NaN when one side is constant."""
    from scipy.stats import rankdata

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _searches(data: ReportData) -> list[Part]:
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
