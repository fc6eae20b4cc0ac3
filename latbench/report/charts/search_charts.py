"""Charts of searches: their course over epochs, and what they predicted beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

import latbench.report.charts.marks as marks
from latbench.comparison.fronts import Point, pareto
from latbench.report.theme import COLOURS, LIGHT
from latbench.results import SearchEpoch, SearchResult
from latbench.text import known, listing, number, short_percent, shorten
from latbench.timing.metric import Metric, shown

RUNS_DRAWN = 60
FEWEST = 3  # points of a front
ROW = 38  # pixels of a network in the chart of predicted and measured costs


@dataclass(frozen=True)
class Reading:
    """A quantity that is read off an epoch.

    ``field`` holds it in a chart's data, ``label`` names it, and ``read`` gives it, None or NaN
    where there is none. It may be a share, or a cost in the unit that is shown.
    """

    field: str
    label: str
    read: Callable[[SearchEpoch], float | None]
    is_share: bool = False
    is_cost: bool = False
    # Of a prediction: who made it, and the label with ``{}`` for their names.
    predictor: Callable[[SearchResult], str] | None = None
    by: str = ""

    def title(self, searches: Sequence[SearchResult]) -> str:
        """Returns the label, with the predictors of the searches' values where they are known."""
        who = predictors(searches, self.predictor) if self.predictor else ""
        return self.by.format(who) if who else self.label


def predictors(searches: Sequence[SearchResult], predictor: Callable[[SearchResult], str]) -> str:
    """Lists the searches' predictors of a kind, each once; empty where a search names none."""
    names = dict.fromkeys(predictor(s) for s in searches)
    return "" if "" in names else listing(list(names))


def readings(metric: Metric) -> tuple[Reading, ...]:
    """Returns what is drawn over the epochs of searches for a metric."""
    label, unit, scale = metric.label, metric.shown_unit, metric.scale
    return (
        Reading("train", "Training accuracy", lambda e: e.train_accuracy, is_share=True),
        Reading("validation", "Validation accuracy", lambda e: e.validation_accuracy,
                is_share=True),
        Reading("expected", f"Expected {label} ({unit})", lambda e: scale * e.expected,
                is_cost=True, predictor=lambda s: s.guide, by=f"Expected {label} by {{}} ({unit})"),
        Reading("derived", f"Predicted {label} of what would be derived ({unit})",
                lambda e: None if e.derived is None else scale * e.derived, is_cost=True,
                predictor=lambda s: s.keeper, by=f"If derived: {label} by {{}} ({unit})"),
        Reading("entropy", "Entropy of the operations (nats)", lambda e: e.entropy),
        Reading("multiplier", "Multiplier of the target", lambda e: e.multiplier),
    )  # fmt: skip


def series_of(searches: Sequence[SearchResult]) -> tuple[list[str], list[str]]:
    """Returns the names of the series, and that of each run.

    As many runs as there are colours have one series each; more share that of their backend and
    goal.
    """
    if len(searches) <= len(COLOURS):
        of_runs = [shorten(s.label, 60) for s in searches]
    else:
        of_runs = [shorten(f"{s.backend}, {s.goal}", 60) for s in searches]
    return list(dict.fromkeys(of_runs)), of_runs


def course(
    searches: Sequence[SearchResult], what: Reading, backend: str = ""
) -> alt.LayerChart | None:
    """Draws one reading over the epochs of all runs, or of those on one backend.

    The targets lie across a cost. ``searches`` are all that have a place in the legend, so that a
    series looks alike in all courses. None is returned when no run has the reading.
    """
    names, of_runs = series_of(searches)
    own = [(s, n) for s, n in zip(searches, of_runs, strict=True) if backend in ("", s.backend)]
    rows: list[marks.Row] = [
        {"run": s.label, "series": name, "epoch": e.epoch, what.field: what.read(e),
         "marked": marks.is_marked(i, len(s.history))}
        for s, name in own
        for i, e in enumerate(s.history)
    ]  # fmt: skip
    values = [v for row in rows if known(v := row[what.field])]
    if not values:
        return None
    targets = _targets([s for s, _ in own]) if what.is_cost else {}
    title = what.title([s for s, _ in own if s.history])
    label = f"{title}, {shorten(backend, 24)}" if backend else title
    form = marks.PERCENT if what.is_share else marks.PLAIN
    x = marks.axis(alt.X, "epoch", "Epoch", form=marks.WHOLE)
    y = marks.axis(alt.Y, what.field, label, form=form)
    data = marks.data(rows)
    drawn = [
        marks.lines(data, x, y, names),
        marks.points(data, x, y, names, told={"run": "Run"}, only="marked"),
        *marks.references(y, targets),
    ]
    on = f" on {backend}" if backend else ""
    said = "; ".join(filter(None, (_end(s, what) for s, _ in own)))
    description = (
        f"{title} over the epochs of the search{on}. "
        f"{title}{', per cent' if what.is_share else ''}: {said}."
    )
    return marks.layered(drawn, description, (360, 240))


def _targets(searches: Sequence[SearchResult]) -> dict[float, str]:
    """Where the searches' targets are, in the unit that is shown, and what they are called."""
    found = {s.metric.scale * s.target: s for s in searches if known(s.target) and s.history}
    return {at: f"target {shown(s.metric, s.target)}" for at, s in found.items()}


def _end(search: SearchResult, what: Reading) -> str:
    last = what.read(search.history[-1]) if search.history else None
    if not known(last):
        return ""
    return f"{search.label} ends at {number(100 * last if what.is_share else last)}"


def predicted_and_measured(searches: Sequence[SearchResult]) -> alt.LayerChart | None:
    """Draws the predicted (hollow) and the measured (filled) cost of derived networks, a row each.

    The searches are for one metric on one backend. The shaded bar is the measured cost ± its noise.
    None is returned when nothing is known.
    """
    runs = [s for s in searches if known(s.predicted) or known(s.measured)]
    if not runs:
        return None
    metric = searches[0].metric
    title = f"{metric.title} of the derived network ({metric.shown_unit})"
    fields = ("low", "predicted", "measured")
    low, predicted, measured = (marks.axis(alt.X, f, title, log=False) for f in fields)
    base = alt.Chart(marks.data(_in_a_row(i, s) for i, s in enumerate(runs))).encode(
        y=alt.Y("row:O", axis=None)
    )
    tooltip = [alt.Tooltip(f, title=t, format=".4~r" if f[-1] == "Q" else "")
               for f, t in (("run:N", "Run"), ("predicted:Q", "Predicted"),
                            ("measured:Q", "Measured"))]  # fmt: skip
    dot: dict[str, Any] = {"size": 70, "color": COLOURS[0], "opacity": 1, "strokeWidth": 2}
    drawn = [
        base.mark_bar(height=12, color=LIGHT["c6"], opacity=0.2).encode(low, alt.X2("high:Q")),
        base.mark_rule(color=COLOURS[0], strokeWidth=1.8).encode(predicted, alt.X2("measured:Q")),
        base.mark_point(fill=LIGHT["page"], **dot).encode(predicted, tooltip=tooltip),
        base.mark_point(filled=True, **dot).encode(measured, tooltip=tooltip),
        base.mark_text(align="left", dx=2, dy=-13, color=LIGHT["soft"]).encode(
            x=alt.value(0), text="run:N"
        ),
    ]
    said = "; ".join(f"{s.label}: {_said(s)}" for s in runs)
    description = f"Predicted and measured {metric.label} of the derived networks. {said}."
    return marks.layered(drawn, description, (420, ROW * len(runs)))


def _in_a_row(i: int, run: SearchResult) -> marks.Row:
    noise, measured = run.noise.get(run.backend), run.measured
    costs = {"predicted": run.predicted, "measured": measured}
    if noise is not None and measured is not None:
        costs |= {"low": measured * (1 - noise), "high": measured * (1 + noise)}
    scaled = {k: run.metric.scale * v if known(v) else None for k, v in costs.items()}
    absent = dict.fromkeys(("low", "high"))
    return {"row": i, "run": shorten(run.label, 60), **absent, **scaled}


def _said(run: SearchResult) -> str:
    by = f" by {run.judge}" if run.judge else ""
    return (
        f"predicted {shown(run.metric, run.predicted)}{by}, measured "
        f"{shown(run.metric, run.measured)}"
    )


def front(
    groups: Mapping[str, Sequence[SearchResult]], backend: str, metric: Metric
) -> alt.LayerChart | None:
    """Draws accuracy over the cost measured on a backend, for groups of searches by name.

    A line joins those of a group that no other one of it beats. None is returned for a few points
    only, which say nothing.
    """
    rows: list[marks.Row] = []
    said = []
    for name, searches in groups.items():
        found = [s for s in searches if known(s.cost_on(backend)) and known(s.accuracy)]
        points = [(metric.scale * (s.cost_on(backend) or 0), s.accuracy or 0) for s in found]
        best = pareto(points)
        rows += [
            {"cost": cost, "accuracy": accuracy, "series": name, "run": name, "label": s.label,
             "architecture": shorten(s.architecture, 300), "best": i in best}
            for i, ((cost, accuracy), s) in enumerate(zip(points, found, strict=True))
        ]  # fmt: skip
        if best:
            ends = " to ".join(_front_end(points[i], metric) for i in (best[0], best[-1]))
            said.append(f"found for {name}: {ends}")
    if len(rows) < FEWEST:
        return None
    names = list(groups)
    title = f"{metric.title} ({metric.shown_unit})"
    x = marks.axis(alt.X, "cost", title)
    y = marks.axis(alt.Y, "accuracy", "Accuracy", form=marks.PERCENT)
    data = marks.data(rows)
    told = {"architecture": "Architecture", "label": "Search"}
    line = marks.lines(data, x, y, names).transform_filter("datum.best")
    description = f"Front of accuracy and {metric.label} measured on {backend}. {'; '.join(said)}."
    cloud = marks.points(data, x, y, names, 40, told=told)
    return marks.layered([line, cloud], description, (360, 280))


def _front_end(point: Point, metric: Metric) -> str:
    return f"{short_percent(point[1])} at {metric.show(point[0] / metric.scale, 3)}"
