"""The chart of a profile: a bar a kernel from a network's beginning to its end, and its kinds."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

import latbench.report.charts.marks as marks
from latbench.profiling import NetworkProfile
from latbench.report.theme import COLOURS, LIGHT
from latbench.text import listing, short_percent

BAR, NARROWEST, WIDEST = 9, 320, 1400  # pixels a kernel, and of the chart
HEIGHT, ROW = 200, 18  # of the bars, and of a kind
OTHERS = "others"  # the kinds beyond as many as there are colours


def profile_chart(profile: NetworkProfile) -> alt.VConcatChart:
    """Draws what each kernel takes, in the order in which they run, coloured by its kind, and below
    that what all kernels of a kind take; with short lines for what a predictor says of them."""
    kinds = [one.kind for one in profile.kinds]
    shown = kinds if len(kinds) <= len(COLOURS) else [*kinds[: len(COLOURS) - 1], OTHERS]
    colour = alt.Color(
        "shown:N", title=None, legend=None,
        scale=alt.Scale(domain=shown, range=[COLOURS[i] for i in range(len(shown))]),
    )  # fmt: skip
    chart: alt.VConcatChart = alt.vconcat(
        _bars(profile, shown, colour), _kinds(profile, shown, colour)
    ).properties(title=f"{profile.model.partition('@')[0]} on {profile.backend}")
    return chart


def _tooltip(first: Sequence[tuple[str, str]]) -> list[alt.Tooltip]:
    figures = (("latency", "Milliseconds", marks.PLAIN), ("share", "Share", marks.PERCENT),
               ("predicted", "Predicted", marks.PLAIN))  # fmt: skip
    return [
        *(alt.Tooltip(f"{field}:N", title=title) for field, title in first),
        *(alt.Tooltip(f"{field}:Q", title=title, format=form) for field, title, form in figures),
    ]


def _figures(latency_s: float, predicted_s: float | None, whole_s: float) -> marks.Row:
    predicted = None if predicted_s is None else 1e3 * predicted_s
    return {"latency": 1e3 * latency_s, "share": latency_s / whole_s, "predicted": predicted}


def _bars(profile: NetworkProfile, shown: Sequence[str], colour: alt.Color) -> alt.LayerChart:
    rows = [
        {
            "place": place, "kernel": kernel.name, "does": ", ".join(kernel.words) or kernel.kind,
            "shown": kernel.kind if kernel.kind in shown else OTHERS,
            **_figures(kernel.latency_s, kernel.predicted_s, profile.sum_s),
        }
        for place, kernel in enumerate(profile.kernels, 1)
    ]  # fmt: skip
    x = alt.X("place:O", title="Kernel, in the order in which they run",
              axis=alt.Axis(labelAngle=0))  # fmt: skip
    y, predicted = (
        marks.axis(alt.Y, field, "Milliseconds", ends=(0.0, _most(rows)))
        for field in ("latency", "predicted")
    )
    tooltip = _tooltip((("kernel", "Kernel"), ("does", "Layers")))
    drawn = [alt.Chart(marks.data(rows)).mark_bar().encode(x, y, colour, tooltip=tooltip)]
    if any(row["predicted"] is not None for row in rows):
        drawn.append(
            alt.Chart(marks.data(row for row in rows if row["predicted"] is not None))
            .mark_tick(color=LIGHT["ink"], thickness=2, clip=True)
            .encode(x, predicted, tooltip=tooltip)
        )
    slowest = sorted(profile.kernels, key=lambda kernel: -kernel.latency_s)[:5]
    said = [f"{', '.join(k.words) or k.name} {short_percent(k.latency_s / profile.sum_s)}"
            for k in slowest]  # fmt: skip
    text = (
        f"Time of each kernel of {profile.model} on {profile.backend}; most take {listing(said)}."
    )
    width = max(NARROWEST, min(WIDEST, BAR * len(rows)))
    return marks.layered(drawn, text, (width, HEIGHT))


def _kinds(profile: NetworkProfile, shown: Sequence[str], colour: alt.Color) -> alt.LayerChart:
    rows = [
        {
            "kind": one.kind, "shown": one.kind if one.kind in shown else OTHERS,
            **_figures(one.latency_s, one.predicted_s, profile.sum_s),
        }
        for one in profile.kinds
    ]  # fmt: skip
    y = alt.Y("kind:N", title=None, sort=[str(row["kind"]) for row in rows])
    x, predicted = (
        marks.axis(alt.X, field, "Milliseconds of all kernels of a kind", ends=(0.0, _most(rows)))
        for field in ("latency", "predicted")
    )
    tooltip = _tooltip((("kind", "Kind"),))
    drawn = [alt.Chart(marks.data(rows)).mark_bar().encode(x, y, colour, tooltip=tooltip)]
    if any(row["predicted"] is not None for row in rows):
        drawn.append(
            alt.Chart(marks.data(row for row in rows if row["predicted"] is not None))
            .mark_tick(color=LIGHT["ink"], thickness=2, clip=True)
            .encode(predicted, y, tooltip=tooltip)
        )
    said = [f"{r['kind']} {short_percent(r['share'])}" for r in rows]
    text = f"Time of all kernels of a kind: {listing(said)}."
    return marks.layered(drawn, text, (NARROWEST, ROW * len(rows)))


def _most(rows: Sequence[marks.Row]) -> float:
    """The end of the axis: of what was measured, and of predictions up to twice as much."""
    measured = float(max(row["latency"] for row in rows))
    predicted = max((row["predicted"] or 0.0 for row in rows), default=0.0)
    return 1.05 * max(measured, min(predicted, 2 * measured))
