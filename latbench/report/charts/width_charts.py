"""The chart of widths: how many channels, or groups of weights, pruning left of each layer."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt

import latbench.report.charts.marks as marks
from latbench.report.theme import LIGHT
from latbench.text import listing

BAR = 18  # pixels a group


def widths_chart(
    before: Mapping[str, int], kept: Mapping[str, int], what: str = "channels"
) -> alt.LayerChart:
    """Draws the channels of each group, from a network's beginning to its end.

    Args:
        before: How many channels each group had, by the first layer in which they are.
        kept: How many of them are left.
        what: What they are: channels, or groups of weights.

    Returns:
        The chart: a pale bar for what there was, and a strong one for what is left.
    """
    rows = marks.data(
        {"layer": name, "before": n, "kept": kept[name]} for name, n in before.items()
    )
    title = what.capitalize()
    x = alt.X("layer:N", title="Layer", sort=list(before), axis=alt.Axis(labelAngle=-60))
    tooltip = [
        alt.Tooltip("layer:N", title="Layer"), alt.Tooltip("before:Q", title=f"{title} before"),
        alt.Tooltip("kept:Q", title=f"{title} left"),
    ]  # fmt: skip
    whole = (
        alt.Chart(rows)
        .mark_bar(color=LIGHT["edge"])
        .encode(x, alt.Y("before:Q", title=title), tooltip=tooltip)
    )
    left = (
        alt.Chart(rows)
        .mark_bar(color=LIGHT["c0"], size=BAR // 2)
        .encode(x, alt.Y("kept:Q", title=title), tooltip=tooltip)
    )
    said = [f"{name}: {kept[name]} of {n}" for name, n in before.items()]
    more = " and so on" if len(said) > 12 else ""
    text = f"{title} that are left of each layer: {listing(said[:12])}{more}."
    return marks.layered([whole, left], text, (BAR * len(before), 180))
