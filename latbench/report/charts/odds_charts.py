"""Charts of what a search was undecided about at its end: odds of operations, and of sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def numbers_drawn(odds: Odds, chosen: Iterable[str]) -> list[str]:
    """Returns the variables of which ``numbers_chart`` draws a line: none where they are fewer than
    two, or have no odds, or options that are no numbers."""
    names = list(chosen)[:ROWS]
    options = [option for name in names for option in odds.get(name, {})]
    return names if len(names) > 1 and options and all(map(str.isdecimal, options)) else []


def numbers_chart(odds: Odds, chosen: Mapping[str, str], title: str) -> alt.LayerChart | None:
    """Draws numbers that were chosen from a network's beginning to its end.

    A line is through them; the areas of squares are the odds of the others. None is returned where
    there is nothing to draw, see ``numbers_drawn``.

    Args:
        odds: The odds of the options by the variables' names.
        chosen: What was chosen of each variable.
        title: What the numbers are.

    Returns:
        The chart.
    """
    names = numbers_drawn(odds, chosen)
    if not names:
        return None
    numbers = [(name, option, p) for name in names for option, p in odds.get(name, {}).items()]
    where = alt.X("variable:N", title=None, sort=names, axis=alt.Axis(labelAngle=-60, grid=True))
    height = marks.axis(alt.Y, "number", title, [float(o) for _, o, _ in numbers])
    squares = (
        alt.Chart(
            marks.data({"variable": n, "number": int(o), "odds": p} for n, o, p in numbers)
        )
        .mark_square(color=LIGHT["c0"], opacity=0.6)
        .encode(
            where, height,
            alt.Size("odds:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0, CELL * CELL])),
            tooltip=[
                alt.Tooltip("variable:N", title="Variable"),
                alt.Tooltip("number:Q", title=title),
                alt.Tooltip("odds:Q", title="Odds", format=marks.PERCENT),
            ],
        )
    )  # fmt: skip
    line = (
        alt.Chart(marks.data({"variable": n, "number": int(chosen[n])} for n in names))
        .mark_line(color=LIGHT["c1"], point=True)
        .encode(where, height)
    )
    said = listing([f"{name}: {chosen[name]}" for name in names[:12]])
    more = " and so on" if len(names) > 12 else ""
    text = f"{title} that was chosen, and the odds of the others: {said}{more}."
    return marks.layered([squares, line], text, (2 * CELL * len(names), 180))


def _said(name: str, of: Mapping[str, float]) -> str:
    best = max(of, key=of.__getitem__)
    return f"{name}: {best} ({short_percent(of[best])})"
