"""The parts about searches: their course, the networks that they derived, and these drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from latbench.errors import UsageError
from latbench.report.cells.draw import draw, graphs_of
from latbench.report.charts import search_charts as charts
from latbench.report.charts.odds_charts import (
    COLUMNS,
    ROWS,
    Odds,
    left_out,
    numbers_chart,
    numbers_drawn,
    odds_chart,
)
from latbench.report.contents import Entry, Figure, Part, Table
from latbench.report.sections.front_sections import front_parts, worth_parts
from latbench.report.sections.page_tables import searches_table
from latbench.report.sections.same_network import by_network, shared_sentences
from latbench.results import ReportData, SearchResult
from latbench.spaces.drawing import ChainGraph, Drawing
from latbench.text import known, listing, shorten
from latbench.timing.metric import LATENCY, Metric

CELLS_DRAWN = 16
ODDS_DRAWN = 4
ODDS = (
    "The area of a square is the odds of a value of the variable in its row, given that the "
    "variable exists: one large square is a choice that was made, many equal ones are none."
)
NUMBERS = (
    "The line is what was chosen, from the beginning of the network to its end. The area of a "
    "square is the odds that the search gave an option at its end."
)
SETS = (
    "A set of inputs is written as their numbers. What is derived is the likeliest one; invalid "
    "are all sets together that no network may have."
)
CHAINS = (
    "A row is a block: its name, what was chosen for it, and its channels. The longer a bar, the "
    "more channels (it goes with their square root); the fuller a box, the more the block expands "
    "them inside. The colour is that of its kernel. Lines part the resolutions."
)


def search_parts(data: ReportData) -> list[Part]:
    """Returns all parts about the searches, of which there is at least one."""
    metrics = dict.fromkeys(s.metric for s in data.searches)
    parts = [part for metric in metrics for part in _of_metric(data, metric)]
    return [*parts, _cells(data), *_settings(data)]


def _settings(data: ReportData) -> Iterator[Part]:
    if data.settings:
        rows = tuple(tuple(Entry(shorten(text, 500)) for text in row) for row in data.settings)
        columns = ("Setting", "Here", "Default")
        table = Table("What differs from the defaults", columns, rows, text_columns=3)
        yield Part("Settings of the searches", table=table)


def _of_metric(data: ReportData, metric: Metric) -> Iterator[Part]:
    """The searches that paid for a metric; what they are worth across backends comes first."""
    yield from worth_parts(data, metric)
    searches = [s for s in data.searches if s.metric == metric]
    runs = searches[: charts.RUNS_DRAWN]
    traced = [s for s in runs if s.history]
    more = len(searches) - len(runs)
    remarks = (f"The first {len(runs)} runs are drawn, {more:,} more are not.",) if more else ()
    if metric != LATENCY:
        remarks = (f"These searches pay for {metric.label}, not for latency.", *remarks)
    if drawn := tuple(_courses(traced, metric)):
        told = (*remarks, *_predicted_by(traced))
        yield Part("Course of the search", told, drawn, layout="pairs")
    yield from _odds(runs)
    yield from _numbers(runs)
    yield Part(
        "Derived networks",
        (*remarks, *shared_sentences(searches)),
        tuple(_truths(runs)),
        table=searches_table(data, metric),
    )
    yield from front_parts(data, metric)


def _predicted_by(runs: Sequence[SearchResult]) -> Iterator[str]:
    """Whose predictions the plots of costs show, where it is known."""
    if guide := charts.predictors(runs, lambda s: s.guide):
        yield (
            f"Expected: the mean over the networks that a search stands for, as {guide} predicts "
            "it, which gives the penalty its gradient."
        )
    held = [s for s in runs if any(known(e.derived) for e in s.history)]
    if keeper := charts.predictors(held, lambda s: s.keeper):
        yield (
            f"If derived: the network that the search would end with after that epoch, as {keeper} "
            "predicts it, which says whether a target is kept. What a search with a target found "
            "came closest to it from below in the last epoch that had such a network, so it may "
            "cost more than the one at that epoch's end."
        )


def _courses(runs: Sequence[SearchResult], metric: Metric) -> Iterator[Figure]:
    """What happened over the epochs; costs of each backend by themselves."""
    backends = list(dict.fromkeys(s.backend for s in runs))
    for what in charts.readings(metric):
        apart = what.is_cost and len(backends) > 1
        for backend in backends if apart else [""]:
            if (drawn := charts.course(runs, what, backend)) is not None:
                yield Figure(drawn)


def _with_odds(runs: Sequence[SearchResult]) -> list[SearchResult]:
    return [s for s in runs if s.odds or s.set_odds]


def _options(run: SearchResult) -> Odds:
    """The odds of options that are not in a chart of numbers."""
    drawn = {name for of in run.numbers.values() for name in numbers_drawn(run.odds, of)}
    return {name: of for name, of in run.odds.items() if name not in drawn}


def _odds(runs: Sequence[SearchResult]) -> Iterator[Part]:
    """How undecided searches were at their end, about operations and about sets of inputs; what
    ``_numbers`` draws is left to it."""
    with_odds = _with_odds(runs)
    figures, shown = [], with_odds[:ODDS_DRAWN]
    for run in shown:
        for odds, title in ((_options(run), "Option"), (run.set_odds, "Set of inputs")):
            if (drawn := odds_chart(odds, title)) is not None:
                figures.append(Figure(drawn, shorten(run.label, 60)))
    if not figures:
        return
    remarks = [ODDS]
    if any(s.set_odds for s in with_odds):
        remarks.append(SETS)
    if any(left_out(odds) for run in shown for odds in (_options(run), run.set_odds)):
        remarks.append(
            f"The first {ROWS} variables are drawn, and the {COLUMNS} values that are likeliest "
            "anywhere."
        )
    if len(with_odds) > ODDS_DRAWN:
        remarks.append(f"The first {ODDS_DRAWN} of {len(with_odds):,} runs are drawn.")
    yield Part("Odds at the end", tuple(remarks), tuple(figures), layout="pairs")


def _numbers(runs: Sequence[SearchResult]) -> Iterator[Part]:
    """How wide the found networks are, layer by layer."""
    with_odds = _with_odds(runs)
    drawn = [
        Figure(chart, shorten(run.label, 60))
        for run in with_odds[:ODDS_DRAWN]
        for kind, chosen in run.numbers.items()
        if (chart := numbers_chart(run.odds, chosen, kind.capitalize())) is not None
    ]
    if drawn:
        remarks = [NUMBERS]
        if any(len(chosen) > ROWS for run in with_odds for chosen in run.numbers.values()):
            remarks.append(f"The first {ROWS} variables are drawn.")
        if len(with_odds) > ODDS_DRAWN:
            remarks.append(f"The first {ODDS_DRAWN} of {len(with_odds):,} runs are drawn.")
        yield Part("Widths that were chosen", tuple(remarks), tuple(drawn), layout="pairs")


def _truths(runs: Sequence[SearchResult]) -> list[Figure]:
    figures = []
    for backend in dict.fromkeys(s.backend for s in runs):
        own = [s for s in runs if s.backend == backend]
        drawn = charts.predicted_and_measured(own)
        noisy = any(s.noise.get(backend) for s in own)
        band = "; the bar is ± the noise of its measurement" if noisy else ""
        if drawn is not None:
            who = charts.predictors(own, lambda s: s.judge)
            hollow = f"Hollow: predicted{f' by {who}' if who else ''}"
            figures.append(Figure(drawn, backend, f"{hollow}. Filled: measured{band}."))
    return figures


def _cells(data: ReportData) -> Part:
    """The derived architectures drawn, each one once, with the runs that found it."""
    found = {text: [s.label for s in by] for text, by in by_network(data.searches).items()}
    shown = list(found)[:CELLS_DRAWN]
    remarks = list[str]()
    drawn = {text: _drawn(text, data.space) for text in shown}
    graphs = [g for one in drawn.values() if not isinstance(one, str) for g in one]
    remarks += dict.fromkeys(g.note for g in graphs if g.note)
    if len(found) > len(shown):
        remarks.append(f"The first {len(shown)} of {len(found):,} different networks are drawn.")
    figures = tuple(_cell_figure(text, found[text], drawn[text]) for text in shown)
    if graphs and all(isinstance(g, ChainGraph) for g in graphs):
        # They are narrow and tall, and stand beside each other.
        return Part("Derived chains", (*remarks, CHAINS), figures, layout="cells chains")
    return Part("Derived cells", tuple(remarks), figures, layout="cells")


def _drawn(architecture: str, space: str) -> Sequence[Drawing] | str:
    """The drawing of an architecture, or why there is none."""
    try:
        return graphs_of(architecture, space)
    except UsageError as error:
        return f"Not drawn: {shorten(str(error), 300)}."


def _cell_figure(architecture: str, labels: list[str], graphs: Sequence[Drawing] | str) -> Figure:
    by = listing([shorten(label, 60) for label in labels[:5]])
    if len(labels) > 5:
        by += f" and {len(labels) - 5} more"
    if isinstance(graphs, str):
        return Figure(heading=by, caption=graphs, text=shorten(architecture, 1000))
    cells = [
        Markup(
            '<div class="cell-box" role="group" tabindex="0" aria-label="{0}"><p>{0}</p>{1}</div>'
        ).format(g.title, _sized(g))
        for g in graphs
    ]
    row = Markup('<div class="cells-row">{}</div>').format(Markup("").join(cells))
    return Figure(drawing=row, heading=by, text=architecture)


def _sized(graph: Drawing) -> Markup:
    drawn = draw(graph)
    return drawn.svg(class_="cell", style=f"width:{drawn.width:g}px")
