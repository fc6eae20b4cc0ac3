"""The chart of widths: how many channels pruning left of each group."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt

import latbench.report.charts.marks as marks
from latbench.report.theme import LIGHT
from latbench.text import listing

BAR = 18  # pixels a group


def widths_chart(before: Mapping[str, int], kept: Mapping[str, int]) -> alt.LayerChart:
    """Draws the channels of each group, from a network's beginning to its end.

    Args:
        before: How many channels each group had, by the first layer in which they are.
        kept: How many of them are left.

    Returns:
        The chart: a pale bar for what there was, and a strong one for what is left.
    """
    rows = marks.data(
        {"layer": name, "before": n, "kept": kept[name]} for name, n in before.items()
    )
    x = alt.X("layer:N", title="Layer", sort=list(before), axis=alt.Axis(labelAngle=-60))
    tooltip = [
        alt.Tooltip("layer:N", title="Layer"), alt.Tooltip("before:Q", title="Channels before"),
        alt.Tooltip("kept:Q", title="Channels left"),
    ]  # fmt: skip
    whole = (
        alt.Chart(rows)
        .mark_bar(color=LIGHT["edge"])
        .encode(x, alt.Y("before:Q", title="Channels"), tooltip=tooltip)
    )
    left = (
        alt.Chart(rows)
        .mark_bar(color=LIGHT["c0"], size=BAR // 2)
        .encode(x, alt.Y("kept:Q", title="Channels"), tooltip=tooltip)
    )
    said = [f"{name}: {kept[name]} of {n}" for name, n in before.items()]
    more = " and so on" if len(said) > 12 else ""
    text = f"Channels that are left of each group: {listing(said[:12])}{more}."
    return marks.layered([whole, left], text, (BAR * len(before), 180))
