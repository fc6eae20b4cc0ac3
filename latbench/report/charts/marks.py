"""The parts of charts: rows of data, axes, lines of reference, bands, series and bars.

A chart is an ``altair.LayerChart`` without a theme, so that it can be shown in a notebook, joined
with others, or configured by whoever uses it. What a point says when it is pointed at is what it
shows: its axes, its series, and the fields that ``points`` is told of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import altair as alt
import numpy as np

from latbench.report.sample import Floats
from latbench.report.theme import LIGHT, look
from latbench.text import number, plural

LOG_FROM = 8.0  # a range of more than this ratio gets a logarithmic axis
# How d3-format writes numbers, fractions and counts.
PLAIN, PERCENT, WHOLE = ",~r", ".3~%", "~d"
Row = dict[str, Any]
Axis = TypeVar("Axis", alt.X, alt.Y)


def data(rows: Iterable[Row]) -> dict[str, Any]:
    """Turns rows into a chart's data.

    Numbers keep five digits, the last of which a chart cannot show, and what is no number becomes
    None. The rows are in a tuple, which Altair does not copy.
    """

    def written(value: Any) -> Any:
        if not isinstance(value, float):
            return value
        return float(f"{value:.5g}") if math.isfinite(value) else None

    return {"values": tuple({k: written(v) for k, v in row.items()} for row in rows)}


def ticks(low: float, high: float) -> list[float]:
    """Returns the powers of ten with their 2 and 5 fold in a range; none for fewer than two."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{m}e{d}") for d in decades for m in (1, 2, 5)]
    inside = [t for t in found if low <= t <= high]
    return inside if len(inside) > 1 else []


def axis(
    channel: type[Axis], field: str, title: str, values: Iterable[float | None] = (),
    form: str = PLAIN, log: bool | None = None, ends: tuple[float, float] | None = None,
) -> Axis:  # fmt: skip
    """Makes an axis that shows a field's numbers.

    Args:
        channel: The class of the axis, ``alt.X`` or ``alt.Y``.
        field: The name of the field.
        title: The title with the unit.
        values: The numbers that it shows, which decide whether it is logarithmic.
        form: The way in which d3-format writes them.
        log: Whether it is logarithmic; None for yes where all values are positive and far apart.
        ends: The first and the last value that it shows; None for those of the data.

    Returns:
        The encoding, to be shared by the layers of a chart.
    """
    known = [v for v in values if v is not None and math.isfinite(v)]
    low, high = ends or (min(known, default=0), max(known, default=0))
    if log is None:
        log = low > 0 and high / low > LOG_FROM
    scale: dict[str, Any] = {"type": "log" if log else "linear", "nice": False, "zero": False}
    scale |= {"domain": list(ends)} if ends else {"padding": 8}
    written: dict[str, Any] = {"format": form}
    if form == WHOLE:
        written["tickMinStep"] = 1
    if log and (at := ticks(low, high)):
        written["values"] = at
    return channel(f"{field}:Q", title=title, scale=alt.Scale(**scale), axis=alt.Axis(**written))


def _field(shown: alt.X | alt.Y) -> str:
    return str(shown.shorthand).removesuffix(":Q")


def ratio_line(
    x: alt.X, y: alt.Y, ends: tuple[float, float], share: float, colour: str, opacity: float
) -> alt.Chart:
    """Draws the area where y is near x, or the line where both are equal.

    Args:
        x: The horizontal axis.
        y: The vertical axis.
        ends: The first and the last value of the horizontal axis.
        share: How far y may be from x, as a fraction of x; 0 for the line.
        colour: The theme's name of the colour.
        opacity: How much of it is seen, from 0 to 1.

    Returns:
        One layer.
    """
    rows = data({_field(x): e, _field(y): e * (1 - share), "upper": e * (1 + share)} for e in ends)
    look: dict[str, Any] = {"color": LIGHT[colour], "opacity": opacity, "clip": True}
    if share:
        area: alt.Chart = alt.Chart(rows).mark_area(**look).encode(x, y, alt.Y2("upper:Q"))
        return area
    line: alt.Chart = alt.Chart(rows).mark_line(strokeWidth=1, **look).encode(x, y)
    return line


def references(
    shown: alt.X | alt.Y, at: Mapping[float, str], left: bool = False
) -> list[alt.Chart]:
    """Draws dashed lines across an axis with their texts.

    The text of an upright line is beside its top, at the right or at the left; that of a level one
    is above its right end.
    """
    if not at:
        return []
    base = alt.Chart(data({_field(shown): v, "text": t} for v, t in at.items())).encode(shown)
    rule = base.mark_rule(strokeDash=[4, 3], color=LIGHT["soft"])
    if isinstance(shown, alt.X):
        side: dict[str, Any] = {"align": "right", "dx": -4} if left else {"align": "left", "dx": 4}
        label = base.mark_text(baseline="top", color=LIGHT["soft"], **side)
        return [rule, label.encode(y=alt.value(2), text="text:N")]
    label = base.mark_text(align="right", baseline="bottom", dx=-3, color=LIGHT["soft"])
    return [rule, label.encode(x=alt.value("width"), text="text:N")]


def looks(names: Sequence[str], legend: bool = True) -> dict[str, Any]:
    """Says how marks show the field ``series``: by colour, shape and dashes.

    There is a legend where there are several series.
    """
    shown = alt.Legend(title=None) if legend and len(names) > 1 else None
    return {
        kind: channel(
            "series:N",
            title="Series",
            legend=shown,
            scale=alt.Scale(domain=list(names), range=[look(n)[i] for n in range(len(names))]),
        )
        for i, (kind, channel) in enumerate(
            {"color": alt.Color, "shape": alt.Shape, "strokeDash": alt.StrokeDash}.items()
        )
    }


def lines(rows: dict[str, Any], x: alt.X, y: alt.Y, names: Sequence[str], **mark: Any) -> alt.Chart:
    """Draws a line for each ``run`` in the look of its ``series``, broken where y is missing.

    Args:
        rows: The data, with the fields ``run`` and ``series``.
        x: The horizontal axis.
        y: The vertical axis.
        names: The names of all series.
        mark: More properties of Vega-Lite's mark.

    Returns:
        One layer.
    """
    own = looks(names)
    line = alt.Chart(rows).mark_line(strokeWidth=1.8, clip=True, **mark)
    drawn: alt.Chart = line.encode(
        x, y, color=own["color"], strokeDash=own["strokeDash"], detail="run:N"
    )
    return drawn


def points(
    rows: dict[str, Any], x: alt.X, y: alt.Y, names: Sequence[str], size: int = 30,
    opacity: float = 1.0, told: Mapping[str, str] | None = None, only: str = "",
    legend: bool = True,
) -> alt.Chart:  # fmt: skip
    """Draws a point for each row in the look of its ``series``, which says what it is.

    Args:
        rows: The data, with the field ``series``.
        x: The horizontal axis.
        y: The vertical axis.
        names: The names of all series.
        size: The area of a point in square pixels.
        opacity: How much of its colour is seen, from 0 to 1.
        told: Fields that a point says besides what it shows, with their titles.
        only: The field of the rows that are seen, while all can be pointed at; empty for all.
        legend: Whether there is a legend where there are several series.

    Returns:
        One layer.
    """
    own = looks(names, legend)
    encoded: dict[str, Any] = {"color": own["color"], "shape": own["shape"]}
    encoded["detail"] = [alt.Detail(f"{f}:N", title=title) for f, title in (told or {}).items()]
    if only:
        encoded["opacity"] = alt.condition(f"datum.{only}", alt.value(opacity), alt.value(0))
    mark = alt.Chart(rows).mark_point(filled=True, size=size, opacity=opacity, tooltip=True)
    drawn: alt.Chart = mark.encode(x, y, **encoded)
    return drawn


def is_marked(i: int, of: int) -> bool:
    """Says whether the i-th point of a line has a marker, as about five of them do."""
    every = max(1, of // 5)
    return i % every == every // 2


def bars(
    values: Floats, title: str, unit: str, log: bool = False, inside: float | None = None
) -> tuple[alt.Chart, alt.X]:
    """Draws a histogram whose bars say what they count.

    Args:
        values: What is counted.
        title: The title of the horizontal axis.
        unit: The unit of the values.
        log: Whether the bars are of equal ratios rather than of equal widths.
        inside: A value that the axis reaches to as well.

    Returns:
        One layer, and its horizontal axis.
    """
    n = int(np.clip(2 * values.size ** (1 / 3), 6, 40))
    low, high = (float(end([*values, *([] if inside is None else [inside])])) for end in (min, max))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - (0.05 * abs(low) or 0.5), high + (0.05 * abs(high) or 0.5)
    edges = np.geomspace(low, high, n + 1) if log else np.linspace(low, high, n + 1)
    # Rounding must not push the extremes out of the first and last bin.
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].tolist()
    rows = data(
        {"low": float(a), "high": float(b), "count": n,
         "bin": f"{number(a)} to {number(b)} {unit}: {plural(n, 'architecture')}"}
        for (a, b), n in zip(pairwise(edges), counts, strict=True) if n
    )  # fmt: skip
    x = axis(alt.X, "low", title, edges.tolist(), log=log)
    y = axis(alt.Y, "count", "Architectures", form=WHOLE, ends=(0, 1.08 * max(counts)))
    mark = alt.Chart(rows).mark_rect(color=LIGHT["c0"], opacity=0.8)
    ends = {"x2": alt.X2("high:Q"), "y2": alt.datum(0)}
    return mark.encode(x, y, tooltip=[alt.Tooltip("bin:N", title="")], **ends), x


def layered(layers: Sequence[alt.Chart], description: str, size: tuple[int, int]) -> alt.LayerChart:
    """Puts layers into one chart of a width and height, with what a screen reader says of it."""
    chart: alt.LayerChart = alt.layer(*layers).properties(
        width=size[0], height=size[1], description=description
    )
    return chart
