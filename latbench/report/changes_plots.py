"""The plots of what changed between two sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from latbench.changes import Comparison
from latbench.metric import LATENCY
from latbench.numerals import number
from latbench.report import marks
from latbench.report.sample import Floats, Names, Rows, drawn_rows
from latbench.report.svg import Axis, Frame, log_span, span
from latbench.report.tables import signed
from latbench.report.text import plural

QUANTILES = 120
LOG_FROM = 8.0
UNIT = LATENCY.shown_unit
KINDS = ("within the noise", "beyond the noise")


def latency_axis(seconds: Floats, label: str) -> Axis:
    """Over positive latencies, in the unit that is shown."""
    shown = LATENCY.scale * seconds
    low, high = float(shown.min()), float(shown.max())
    log = high / low > LOG_FROM
    return Axis(*(log_span((low, high)) if log else span((low, high))), label, log)


def rows_to_draw(comparison: Comparison, limit: int) -> Rows:
    """All rows, or ``limit`` of them: those beyond the noise first, others picked at random."""
    beyond = comparison.absolute.beyond
    if beyond.size <= limit:
        return np.arange(beyond.size)
    first = drawn_rows(beyond, limit)
    rest = drawn_rows(~beyond, limit - len(first))
    return np.sort(np.concatenate([first, rest]))


def change_against_latency(
    comparison: Comparison, limit: int, page: Names, name_of: Callable[[int], str]
) -> Markup:
    """Each shared architecture's change (per cent) over its latency on side A."""
    rows = rows_to_draw(comparison, limit)
    change = 100 * comparison.absolute.change
    whole = 100 * comparison.whole.value
    x_axis = latency_axis(comparison.a_s, f"Latency on A ({UNIT})")
    y_axis = Axis(*span([*change.tolist(), 0.0, whole], 0.08), "Change from A to B (%)")
    frame = Frame(x_axis, y_axis, 420, 300)
    drawn: list[Markup] = []
    cloud: list[tuple[float, float]] = []
    for series, wanted in enumerate((False, True)):
        some = [int(r) for r in rows if comparison.absolute.beyond[r] == wanted]
        at = [(LATENCY.scale * float(comparison.a_s[r]), float(change[r])) for r in some]
        numbers = [page.number(name_of(int(comparison.ranks[r]))) for r in some]
        cloud += at
        if some:
            drawn.append(marks.points(frame, at, series, numbers))
    levels = {whole: f"mean {signed(comparison.whole.value)}"}
    if abs(frame.y(0.0) - frame.y(whole)) > 1:
        levels[0.0] = "no change"
    drawn += marks.levels(frame, levels, [], cloud)
    beyond = int(comparison.absolute.beyond.sum())
    said = f"{beyond:,} of {len(change):,} beyond the noise. Mean {signed(comparison.whole.value)}."
    return frame.draw(
        drawn, f"Change of latency from A to B over latency on A, {plural(len(rows), 'point')}",
        said, x="on A", y="change", unit=UNIT, y_unit="%",
    )  # fmt: skip


def change_histogram(comparison: Comparison) -> Markup:
    """How many shared architectures changed by how much."""
    change = 100 * comparison.absolute.change
    n = int(np.clip(2 * change.size ** (1 / 3), 6, 40))
    low, high = span([*change.tolist(), 0.0], 0.0)
    edges = np.linspace(low, high, n + 1)
    counts = np.histogram(np.clip(change, edges[0], edges[-1]), edges)[0]
    y_axis = Axis(0, float(counts.max()) * 1.08, "Architectures", whole=True)
    frame = Frame(Axis(*span(edges, 0.03), "Change from A to B (%)"), y_axis, 420, 300)
    titles = [
        f"{number(a)} to {number(b)} %: {plural(int(c), 'architecture')}"
        for a, b, c in zip(edges, edges[1:], counts, strict=False)
    ]
    drawn = [marks.bars(frame, edges.tolist(), counts.tolist(), titles)]
    drawn += marks.vertical(frame, 0.0, "no change")
    said = f"From {number(float(change.min()))} % to {number(float(change.max()))} %."
    return frame.draw(drawn, "Distribution of the changes from A to B", said)


def distributions(comparison: Comparison) -> Markup:
    """The share of each side's sample that is faster than x."""
    sides = (comparison.a, comparison.b)
    values = [
        np.exp(s.log_relative[s.sampled] if s.sampled.sum() > 1 else s.log_relative) * s.anchor_s
        for s in sides
    ]
    x_axis = latency_axis(np.concatenate(values), f"Latency ({UNIT})")
    frame = Frame(x_axis, Axis(0, 1, "Share of architectures", percent=True), 420, 300)
    drawn, said = [], []
    for series, (name, seconds) in enumerate(zip("AB", values, strict=True)):
        shares = np.linspace(0, 1, min(QUANTILES, seconds.size) + 1)
        at = LATENCY.scale * np.quantile(seconds, shares, method="inverted_cdf")
        steps = list(zip(at.tolist(), shares.tolist(), strict=True))
        drawn.append(marks.step(frame, [*steps, (frame.x_axis.high, 1.0)], series, name))
        said.append(f"{name}: half below {LATENCY.show(float(np.median(seconds)), 3)}")
    return frame.draw(drawn, "Distributions of latency on A and on B", "; ".join(said) + ".")
