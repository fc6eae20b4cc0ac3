"""Charts of what a search was undecided about at its end: odds of operations, and of sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

import latbench.report.charts.marks as marks
from latbench.report.theme import LIGHT
from latbench.text import listing, short_percent, shorten

CELL = 15  # pixels a side of a place
ROWS, COLUMNS = 60, 40  # at most so many are drawn

Odds = Mapping[str, Mapping[str, float]]  # of each variable's values, by their texts


def left_out(odds: Odds) -> bool:
    """Returns whether there is more than a chart of odds shows."""
    shown = list(odds.values())[:ROWS]
    return len(odds) > ROWS or len({value for of in shown for value in of}) > COLUMNS


def odds_chart(odds: Odds, title: str) -> alt.LayerChart | None:
    """Draws the odds of variables' values: a row each, and squares whose areas are the odds.

    The values with a column are those that are likeliest anywhere, in the order in which variables
    name them. None is returned where there is nothing to draw.

    Args:
        odds: The odds.
        title: What the values are.

    Returns:
        The chart.
    """
    shown = {name: dict(of) for name, of in list(odds.items())[:ROWS] if of}
    if not shown:
        return None
    most: dict[str, float] = {}
    for of in shown.values():
        for value, p in of.items():
            most[value] = max(p, most.get(value, 0.0))
    kept = set(sorted(most, key=most.__getitem__, reverse=True)[:COLUMNS])
    values = [value for value in most if value in kept]
    rows = marks.data(
        {"variable": shorten(name, 40), "value": value, "odds": of[value]}
        for name, of in shown.items() for value in values if value in of
    )  # fmt: skip
    place: dict[str, Any] = {"grid": True, "labelLimit": 120}
    drawn = (
        alt.Chart(rows)
        .mark_square(color=LIGHT["c0"], opacity=0.9)
        .encode(
            alt.X("value:N", title=title, sort=values, axis=alt.Axis(labelAngle=-60, **place)),
            alt.Y("variable:N", title=None, sort=list(shown), axis=alt.Axis(**place)),
            alt.Size("odds:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0, CELL * CELL])),
            tooltip=[
                alt.Tooltip("variable:N", title="Variable"),
                alt.Tooltip("value:N", title=title),
                alt.Tooltip("odds:Q", title="Odds", format=marks.PERCENT),
            ],
        )
    )
    said = listing([_said(name, of) for name, of in list(shown.items())[:12]])
    more = " and so on" if len(shown) > 12 else ""
    size = (CELL * len(values), CELL * len(shown))
    return marks.layered([drawn], f"{title} and their odds; the likeliest: {said}{more}.", size)


def _said(name: str, of: Mapping[str, float]) -> str:
    best = max(of, key=of.__getitem__)
    return f"{name}: {best} ({short_percent(of[best])})"
