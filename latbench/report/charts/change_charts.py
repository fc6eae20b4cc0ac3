"""Charts of what changed between two sides."""

from __future__ import annotations

import altair as alt
import numpy as np

import latbench.report.charts.marks as marks
from latbench.comparison.significance import Comparison
from latbench.report.charts.prediction_charts import DENSE, steps
from latbench.report.sample import POINTS_A_PLOT, Rows, drawn_rows
from latbench.text import number, plural, shorten, signed
from latbench.timing.metric import LATENCY

KINDS = ("within the noise", "beyond the noise")
TITLE = "Change from A to B"
SIZE = (420, 300)


def rows_to_draw(comparison: Comparison, limit: int) -> Rows:
    """Returns all rows, or ``limit`` of them: those beyond the noise first, others at random."""
    beyond = comparison.absolute.beyond
    if beyond.size <= limit:
        return np.arange(beyond.size)
    first = drawn_rows(beyond, limit)
    rest = drawn_rows(~beyond, limit - len(first))
    return np.sort(np.concatenate([first, rest]))


def change_against_latency(comparison: Comparison, limit: int = POINTS_A_PLOT) -> alt.LayerChart:
    """Draws each shared architecture's change over its latency on side A."""
    rows = rows_to_draw(comparison, limit)
    change, whole = comparison.absolute.change, comparison.whole.value
    a_ms, beyond = LATENCY.scale * comparison.a_s, comparison.absolute.beyond
    label = f"Latency on A ({LATENCY.shown_unit})"
    x = marks.axis(alt.X, "latency", label, a_ms.tolist())
    y = marks.axis(alt.Y, "change", TITLE, form=marks.PERCENT)
    data = marks.data(
        {"latency": float(a_ms[i]), "change": float(change[i]), "series": KINDS[int(beyond[i])],
         "architecture": shorten(comparison.text(i), 300)}
        for i in rows
    )  # fmt: skip
    told = {"architecture": "Architecture"}
    cloud = marks.points(data, x, y, KINDS, 18, DENSE[len(rows) > 500], told)
    levels = {whole: f"mean {signed(whole)}"}
    if abs(whole) > 0.02 * float(np.ptp([*change, 0.0, whole])):
        levels[0.0] = "no change"
    said = (
        f"Change of latency from A to B over latency on A, {plural(len(rows), 'point')}. "
        f"{int(beyond.sum()):,} of {len(change):,} beyond the noise. Mean {signed(whole)}."
    )
    return marks.layered([cloud, *marks.references(y, levels)], said, SIZE)


def change_histogram(comparison: Comparison) -> alt.LayerChart:
    """Draws how many shared architectures changed by how much."""
    change = 100 * comparison.absolute.change
    drawn, x = marks.bars(change, f"{TITLE} (%)", "%", inside=0.0)
    said = (
        f"Distribution of the changes from A to B. From {number(float(change.min()))} % to "
        f"{number(float(change.max()))} %."
    )
    return marks.layered([drawn, *marks.references(x, {0.0: "no change"})], said, SIZE)


def distributions(comparison: Comparison) -> alt.LayerChart:
    """Draws the share of each side's sample that is faster than x."""
    sides = (comparison.a, comparison.b)
    samples = [
        np.exp(s.log_relative[s.sampled] if s.sampled.sum() > 1 else s.log_relative) * s.anchor_s
        for s in sides
    ]
    shown = [LATENCY.scale * seconds for seconds in samples]
    together = np.concatenate(shown).tolist()
    x = marks.axis(alt.X, "value", f"Latency ({LATENCY.shown_unit})", together)
    y = marks.axis(alt.Y, "share", "Share of architectures", form="%", ends=(0, 1))
    said = "; ".join(
        f"{side}: half below {LATENCY.show(float(np.median(seconds)), 3)}"
        for side, seconds in zip("AB", samples, strict=True)
    )
    description = f"Distributions of latency on A and on B. {said}."
    return marks.layered(steps(x, y, ("A", "B"), shown, max(together)), description, SIZE)
