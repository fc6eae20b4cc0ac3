"""The parts about searches: their course, the networks that they derived, and these drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from latbench.errors import UsageError
from latbench.metric import LATENCY, Metric
from latbench.report import search_plots
from latbench.report.cells import cell_graphs, draw_graph
from latbench.report.data import ReportData, SearchResult
from latbench.report.films import film_part
from latbench.report.fronts import front_parts
from latbench.report.marks import legend
from latbench.report.parts import Figure, Part
from latbench.report.same import by_network, shared_sentences
from latbench.report.tables import Entry, Table, searches_table
from latbench.report.text import known, listing, shorten

CELLS_DRAWN = 16


def search_parts(data: ReportData) -> list[Part]:
    """All parts about the searches, of which there is at least one."""
    metrics = dict.fromkeys(s.metric for s in data.searches)
    parts = [part for metric in metrics for part in _of_metric(data, metric)]
    film = film_part(data)
    return [*parts, _cells(data), *([film] if film else []), *_settings(data)]


def _settings(data: ReportData) -> Iterator[Part]:
    if data.settings:
        rows = tuple(tuple(Entry(shorten(text, 500)) for text in row) for row in data.settings)
        columns = ("Setting", "Here", "Default")
        table = Table("What differs from the defaults", columns, rows, text_columns=3)
        yield Part("Settings of the searches", table=table)


def _of_metric(data: ReportData, metric: Metric) -> Iterator[Part]:
    """The searches that paid for a metric."""
    searches = [s for s in data.searches if s.metric == metric]
    runs = searches[: search_plots.RUNS_DRAWN]
    traced = [s for s in runs if s.history]
    names, series = search_plots.series_of(traced)
    more = len(searches) - len(runs)
    remarks = (f"The first {len(runs)} runs are drawn, {more:,} more are not.",) if more else ()
    if metric != LATENCY:
        remarks = (f"These searches pay for {metric.label}, not for latency.", *remarks)
    drawn = tuple(f for f in _courses(traced, series, metric) if f.drawing)
    if drawn:
        yield Part(
            "Course of the search",
            (*remarks, *_predicted_by(traced)),
            drawn,
            legend(names, True),
            layout="pairs",
        )
    yield Part(
        "Derived networks",
        (*remarks, *shared_sentences(searches)),
        tuple(_truths(runs)),
        table=searches_table(data, metric),
    )
    yield from front_parts(data, metric)


def _predicted_by(runs: Sequence[SearchResult]) -> Iterator[str]:
    """Whose predictions the plots of costs show, where it is known."""
    if guide := search_plots.predictors(runs, lambda s: s.guide):
        yield (
            f"Expected: the mean over networks sampled from the search, as {guide} predicts it, "
            "which gives the penalty its gradient."
        )
    held = [s for s in runs if any(known(e.derived) for e in s.history)]
    if keeper := search_plots.predictors(held, lambda s: s.keeper):
        yield (
            f"If derived: the network that the search would end with after that epoch, as {keeper} "
            "predicts it, which says whether a target is kept. What a search with a target found "
            "came closest to it from below in the last epoch that had such a network, so it may "
            "cost more than the one at that epoch's end."
        )


def _courses(
    runs: Sequence[SearchResult], series: Sequence[int], metric: Metric
) -> Iterator[Figure]:
    """What happened over the epochs; costs of each backend by themselves."""
    backends = list(dict.fromkeys(s.backend for s in runs))
    for what in search_plots.courses(metric):
        if not what.is_cost or len(backends) < 2:
            yield Figure(search_plots.course(runs, series, what))
            continue
        for backend in backends:
            own = [i for i, s in enumerate(runs) if s.backend == backend]
            yield Figure(
                search_plots.course([runs[i] for i in own], [series[i] for i in own], what, backend)
            )


def _truths(runs: Sequence[SearchResult]) -> list[Figure]:
    figures = []
    for backend in dict.fromkeys(s.backend for s in runs):
        own = [s for s in runs if s.backend == backend]
        drawn = search_plots.dumbbells(own)
        noisy = any(s.noise.get(backend) for s in own)
        band = "; the bar is ± the noise of its measurement" if noisy else ""
        if drawn:
            who = search_plots.predictors(own, lambda s: s.judge)
            hollow = f"Hollow: predicted{f' by {who}' if who else ''}"
            figures.append(Figure(drawn, backend, f"{hollow}. Filled: measured{band}."))
    return figures


def _cells(data: ReportData) -> Part:
    """The derived cells, each architecture once, with the runs that found it."""
    found = {text: [s.label for s in by] for text, by in by_network(data.searches).items()}
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
