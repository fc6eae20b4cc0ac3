"""The charts of a sweep: throughput and latency along what was swept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

import latbench.report.charts.marks as marks
from latbench.report.theme import LIGHT
from latbench.text import number, shorten
from latbench.timing.metric import LATENCY


def sweep_charts(axes: Sequence[str], points: Sequence[Mapping[str, Any]]) -> list[alt.LayerChart]:
    """Draws the images a second and the latency of a run over the first axis of a sweep.

    Args:
        axes: The names of what was swept; all but the first tell curves apart.
        points: The points: ``network``, the values ``at`` each axis as texts, ``latency_s`` with
            the ends of its interval (``low_s``, ``high_s``) and ``images_per_s``; None where one
            was not measured.

    Returns:
        The two charts.
    """
    rows = [
        {"at": p["at"][axes[0]], "series": _series(axes, p), "run": _series(axes, p),
         "images": p["images_per_s"],
         **{k: v and LATENCY.scale * v for k, v in
            {"ms": p["latency_s"], "low": p["low_s"], "high": p["high_s"]}.items()}}
        for p in points
        if p["latency_s"] is not None
    ]  # fmt: skip
    return [
        _chart(axes[0], rows, "images", "Images a second", ""),
        _chart(axes[0], rows, "ms", f"{LATENCY.title} of a run ({LATENCY.shown_unit})", "low"),
    ]


def _series(axes: Sequence[str], p: Mapping[str, Any]) -> str:
    """A curve's name; a legend has little room, and a resolution is known as such."""
    at = p["at"]
    further = [at[name] if name == "resolution" else f"{name} {at[name]}" for name in axes[1:]]
    return ", ".join([shorten(p["network"], 60), *further])


def _chart(
    axis: str, rows: Sequence[dict[str, Any]], field: str, title: str, low: str
) -> alt.LayerChart:  # fmt: skip
    """One chart; the values stand at equal distances, in the order in which they were asked for."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    x: alt.X = alt.X(
        "at:N", title=axis, sort=list(dict.fromkeys(row["at"] for row in rows)),
        scale=alt.Scale(type="point", padding=0.5), axis=alt.Axis(labelAngle=0),
    )  # fmt: skip
    values = [row[field] for row in rows]
    y, data = marks.axis(alt.Y, field, title, values), marks.data(rows)
    drawn = [marks.lines(data, x, y, names), marks.points(data, x, y, names, 50)]
    if low:
        ends = marks.axis(alt.Y, low, title, values)
        drawn.insert(1, alt.Chart(data).mark_rule(color=LIGHT["soft"]).encode(
            x, ends, alt.Y2("high:Q")
        ))  # fmt: skip
    said = "; ".join(
        f"{name}: "
        + ", ".join(f"{number(r[field])} at {r['at']}" for r in rows if r["series"] == name)
        for name in names
    )
    return marks.layered(drawn, f"{title} over {axis}. {said}.", (320, 240))
