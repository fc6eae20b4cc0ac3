"""Charts of what pruning left of each layer: how many channels, or what share of its groups."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt

import latbench.report.charts.marks as marks
from latbench.report.theme import LIGHT
from latbench.results import PrunedResult
from latbench.text import listing, short_percent

BAR, NARROWEST = 18, 220  # pixels a group, and of the chart
FIELDS = ("before", "kept")


def left_chart(result: PrunedResult) -> alt.LayerChart:
    """Draws what pruning left of each layer: channels by their number, groups of weights by their
    share, since layers have few or thousands of them."""
    if result.method == "channels":
        return widths_chart(result.widths_before, result.widths)
    return densities_chart(result.widths_before, result.widths)


def widths_chart(before: Mapping[str, int], kept: Mapping[str, int]) -> alt.LayerChart:
    """Draws the channels of each group, from a network's beginning to its end.

    ``before`` and ``kept`` are how many it had and has, by the first layer in which they are. A
    pale bar is what there was, and a strong one what is left.
    """
    said = [f"{name}: {kept[name]} of {n}" for name, n in before.items()]
    y = ("Channels", marks.PLAIN, float(max(before.values(), default=1)))
    whole, left = dict(before), dict(kept)
    return _bars(whole, left, y, f"Channels that are left of each layer: {_first(said)}.")


def densities_chart(before: Mapping[str, int], kept: Mapping[str, int]) -> alt.LayerChart:
    """Draws the share of its groups of weights that each layer keeps, from a network's beginning to
    its end.

    ``before`` and ``kept`` are how many it had and has, by the layers' names.
    """
    left = {name: kept[name] / max(n, 1) for name, n in before.items()}
    said = [f"{name}: {short_percent(share)}" for name, share in left.items()]
    y = ("Groups of weights that are left", marks.PERCENT, 1.0)
    text = f"Groups of weights that are left of each layer: {_first(said)}."
    return _bars(dict.fromkeys(before, 1.0), left, y, text)


def _first(said: list[str]) -> str:
    return f"{listing(said[:12])}{' and so on' if len(said) > 12 else ''}"


def _bars(
    before: Mapping[str, float], kept: Mapping[str, float], y: tuple[str, str, float], text: str
) -> alt.LayerChart:
    """Bars of a layer each; ``y`` is the axis' title, how its numbers are written, and its end."""
    title, form, most = y
    rows = marks.data(
        {"layer": name, "before": n, "kept": kept[name]} for name, n in before.items()
    )
    x = alt.X("layer:N", title="Layer", sort=list(before), axis=alt.Axis(labelAngle=-60))
    tooltip = [
        alt.Tooltip("layer:N", title="Layer"),
        alt.Tooltip("before:Q", title="Before", format=form),
        alt.Tooltip("kept:Q", title="Left", format=form),
    ]
    whole, left = (marks.axis(alt.Y, f, title, form=form, ends=(0, most)) for f in FIELDS)
    base = alt.Chart(rows)
    drawn = [
        base.mark_bar(color=LIGHT["edge"]).encode(x, whole, tooltip=tooltip),
        base.mark_bar(color=LIGHT["c0"], size=BAR // 2).encode(x, left, tooltip=tooltip),
    ]
    return marks.layered(drawn, text, (max(BAR * len(before), NARROWEST), 180))
