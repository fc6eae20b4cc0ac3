"""The chart of pruned networks: what they know over what they were measured to take."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

import latbench.report.charts.marks as marks
from latbench.comparison.fronts import BudgetMean, budget_means, by_model
from latbench.report.theme import LIGHT
from latbench.results import PrunedResult
from latbench.text import number, short_percent, shorten
from latbench.timing.metric import LATENCY

FEWEST = 3  # points of a front


def pruned_front(results: Sequence[PrunedResult]) -> alt.LayerChart | None:
    """Draws accuracy over measured latency: each model before pruning and at its budgets.

    A line joins those of one model that no other one of it beats; an upright one is the standard
    deviation of the accuracies of several seeds. None is returned for a few points only, which say
    nothing.
    """
    groups = {_named(of): budget_means(of) for of in by_model(results).values()}
    rows: list[marks.Row] = [
        {"ms": LATENCY.scale * one.latency_s, "accuracy": one.accuracy, "series": name,
         "run": name, "budget": one.budget or "before pruning", "best": one.on_front,
         "low": one.accuracy - (one.deviation or 0.0),
         "high": one.accuracy + (one.deviation or 0.0)}
        for name, means in groups.items()
        for one in means
    ]  # fmt: skip
    if len(rows) < FEWEST:
        return None
    x = marks.axis(alt.X, "ms", f"Measured {LATENCY.label} ({LATENCY.shown_unit})")
    y = marks.axis(alt.Y, "accuracy", "Accuracy", form=marks.PERCENT)
    data, names = marks.data(rows), list(groups)
    low = marks.axis(alt.Y, "low", "Accuracy", form=marks.PERCENT)
    drawn = [
        marks.lines(data, x, y, names).transform_filter("datum.best"),
        alt.Chart(data).mark_rule(color=LIGHT["soft"]).encode(x, low, alt.Y2("high:Q")),
        marks.points(data, x, y, names, 50, told={"budget": "Budget"}),
        alt.Chart(data)
        .mark_text(align="left", baseline="bottom", dx=6, dy=-3, color=LIGHT["soft"])
        .encode(x, y, text="budget:N"),
    ]
    said = "; ".join(f"{name}: {', '.join(map(_said, means))}" for name, means in groups.items())
    text = f"Accuracy over the latency measured on {results[0].backend}. {said}."
    return marks.layered(drawn, text, (420, 280))


def _named(of: Sequence[PrunedResult]) -> str:
    return shorten(of[0].name, 60)


def _said(one: BudgetMean) -> str:
    ms = f"{number(LATENCY.scale * one.latency_s)} {LATENCY.shown_unit}"
    return f"{one.budget or 'before pruning'} {short_percent(one.accuracy)} at {ms}"
