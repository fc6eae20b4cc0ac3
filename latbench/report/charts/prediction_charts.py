"""Charts of measured and predicted values of a metric, and of learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np

import latbench.report.charts.marks as marks
from latbench.report.sample import (
    POINTS_A_PLOT,
    Floats,
    drawn_rows,
    floor_of,
    measured,
    positive,
    predicted,
    reachable_of,
    relative_errors,
)
from latbench.results import BackendResult, CurvePoint, PredictorResult
from latbench.text import known, number, plural, short_percent, shorten, signed
from latbench.timing.metric import LATENCY

QUANTILES = 120
SQUARE, WIDE = (340, 340), (420, 290)
DENSE = {True: 0.45, False: 0.75}  # opacity of points


def predicted_against_measured(
    backend: BackendResult, predictor: PredictorResult, limit: int = POINTS_A_PLOT
) -> alt.LayerChart | None:
    """Draws one predictor's values over the measured ones.

    The diagonal, a band of ±10 % and that of the noise floor lie below. None is returned when no
    row has both values. No more than ``limit`` points are drawn.
    """
    metric, unit = backend.metric, backend.metric.shown_unit
    truth, guess = metric.scale * measured(backend), metric.scale * predicted(predictor)
    drawable = positive(truth) & positive(guess)
    if not drawable.any():
        return None
    both = np.concatenate([truth[drawable], guess[drawable]])
    ends = (0.96 * float(both.min()), 1.04 * float(both.max()))
    x = marks.axis(alt.X, "measured", f"Measured ({unit})", ends=ends)
    y = marks.axis(alt.Y, "predicted", f"Predicted ({unit})", ends=ends)
    rows = drawn_rows(drawable, limit)
    data = marks.data(
        {"measured": float(truth[i]), "predicted": float(guess[i]), "series": predictor.name,
         "architecture": shorten(backend.architectures[i], 300),
         "error": signed(float(guess[i] / truth[i] - 1))}
        for i in rows
    )  # fmt: skip
    names = [p.name for p in backend.predictors]
    told = {"architecture": "Architecture", "error": "Error"}
    cloud = marks.points(data, x, y, names, 18, DENSE[len(rows) > 250], told, legend=False)
    bands = [(0.1, "c0", 0.1), (0.0, "soft", 1.0)]
    if floor := floor_of(backend):
        bands.insert(1, (floor, "c6", 0.2))
    below = [marks.ratio_line(x, y, ends, *band) for band in bands]
    error = float(np.median(np.abs(guess[drawable] / truth[drawable] - 1)))
    said = (
        f"{metric.title} predicted by {predictor.name} against measured, "
        f"{plural(int(drawable.sum()), 'point')}. Median absolute error {short_percent(error)}."
    )
    return marks.layered([*below, cloud], said, SQUARE)


def steps(
    x: alt.X, y: alt.Y, names: Sequence[str], samples: Sequence[Floats], end: float
) -> list[alt.Chart]:
    """Draws the empirical distribution of each sample as a step line.

    Args:
        x: The horizontal axis, of the field ``value``.
        y: The vertical axis, of the field ``share``: of values that are not above it.
        names: The names of the samples.
        samples: The values of each.
        end: The value that every line reaches to.

    Returns:
        The lines, and the points that say what they show.
    """
    rows = []
    for name, values in zip(names, samples, strict=True):
        if not values.size:
            continue
        shares = np.linspace(0, 1, min(QUANTILES, values.size) + 1)
        at = np.quantile(values, shares, method="inverted_cdf")
        rows += [
            {"value": v, "share": share, "series": name, "run": name,
             "marked": marks.is_marked(i, len(shares))}
            for i, (v, share) in enumerate(
                [*zip(at.tolist(), shares.tolist(), strict=True), (end, 1.0)]
            )
        ]  # fmt: skip
    data = marks.data(rows)
    line = marks.lines(data, x, y, names, interpolate="step-after")
    return [line, marks.points(data, x, y, names, only="marked")]


def error_distribution(backend: BackendResult) -> alt.LayerChart | None:
    """Draws the share of architectures whose relative error is below x.

    There is a step line for each predictor, and the mean error of a perfect one. None is returned
    when there are no errors to show.
    """
    errors = [relative_errors(backend, p) for p in backend.predictors]
    pooled = np.concatenate(errors) if errors else np.empty(0)
    pooled = pooled[pooled > 0]
    if not pooled.size:
        return None
    reachable = reachable_of(backend)
    shown = [float(np.quantile(pooled, 0.01)), float(pooled.max()), reachable or 0.1]
    low, high = 0.9 * max(min(shown), 1e-5), 1.1 * max(*shown, 0.11)
    x = marks.axis(
        alt.X, "value", "Absolute relative error", form=marks.PERCENT, log=True, ends=(low, high)
    )
    label = "Share of architectures with a smaller error"
    y = marks.axis(alt.Y, "share", label, form="%", ends=(0, 1))
    at = {0.1: ""} if low < 0.1 else {}
    if reachable:
        at[reachable] = f"perfect predictor {short_percent(reachable)}"
    names = [shorten(p.name, 60) for p in backend.predictors]
    drawn = steps(x, y, names, [np.maximum(e, low) for e in errors], high)
    said = "; ".join(
        f"{p.name}: half below {short_percent(float(np.median(e)))}"
        for p, e in zip(backend.predictors, errors, strict=True)
        if e.size
    )
    description = f"Distribution of prediction errors on {backend.backend}. {said}."
    # The lines rise to the right.
    rules = marks.references(x, at, left=(reachable or 0) > low**0.7 * high**0.3)
    return marks.layered([*rules, *drawn], description, WIDE)


def measured_histogram(backend: BackendResult) -> alt.LayerChart | None:
    """Draws how many architectures have which measured value; None without any."""
    metric, unit = backend.metric, backend.metric.shown_unit
    values = metric.scale * measured(backend)
    values = values[positive(values)]
    if not values.size:
        return None
    low, high, median = (float(f(values)) for f in (np.min, np.max, np.median))
    drawn, x = marks.bars(values, f"Measured {metric.label} ({unit})", unit, high / low > 50)
    said = (
        f"{metric.title} distribution of the sample on {backend.backend}. From {number(low)} to "
        f"{number(high)} {unit}, median {number(median)} {unit}."
    )
    rule = marks.references(x, {median: f"median {number(median)} {unit}"})
    return marks.layered([drawn, *rule], said, (420, 230))


def backend_against_backend(
    names: Sequence[str], x: Floats, y: Floats, backends: tuple[str, str],
    limit: int = POINTS_A_PLOT,
) -> alt.LayerChart:  # fmt: skip
    """Draws the latency of the same architectures on two backends.

    Each axis has its own range: what counts is the order, not the level.

    Args:
        names: The architectures' texts.
        x: Their latencies on the first backend in seconds, all positive.
        y: Those on the second one.
        backends: The names of both.
        limit: How many points are drawn at most.

    Returns:
        A scatter plot.
    """
    first, second = (LATENCY.scale * seconds for seconds in (x, y))
    titles = [f"{shorten(name, 40)} ({LATENCY.shown_unit})" for name in backends]
    data = marks.data(
        {"first": float(first[i]), "second": float(second[i]), "series": "",
         "architecture": shorten(names[i], 300)}
        for i in drawn_rows(positive(x), limit)
    )  # fmt: skip
    cloud = marks.points(
        data,
        marks.axis(alt.X, "first", titles[0], first.tolist()),
        marks.axis(alt.Y, "second", titles[1], second.tolist()),
        [""], 18, DENSE[len(x) > 250], {"architecture": "Architecture"},
    )  # fmt: skip
    said = (
        f"Latency on {backends[1]} against latency on {backends[0]}. "
        f"{plural(len(x), 'shared architecture')}."
    )
    return marks.layered([cloud], said, SQUARE)


def curve_of(points: tuple[CurvePoint, ...]) -> list[CurvePoint]:
    """Returns the points that a logarithmic axis can show."""
    return [p for p in points if p.n > 0 and all(known(e) and e > 0 for e in p.mape)]


def learning_curves(backend: BackendResult) -> alt.LayerChart | None:
    """Draws the MAPE over the number of rows fitted on.

    There is a line for each predictor, its mean over random splits with bars from the best to the
    worst, and the error of a perfect one on measurements of this noise. None is returned without
    curves.
    """
    curves = {shorten(p.name, 60): curve_of(p.curve) for p in backend.predictors}
    found = [p for curve in curves.values() for p in curve]
    if not found:
        return None
    reachable, names = reachable_of(backend), list(curves)
    errors = [*(e for p in found for e in p.mape), *([reachable] if reachable else [])]
    label = "Mean absolute relative error (MAPE)"
    x = marks.axis(
        alt.X, "n", "Architectures fitted on", [p.n for p in found], form=marks.WHOLE, log=True
    )
    y = marks.axis(alt.Y, "mape", label, errors, form=marks.PERCENT, log=True)
    data = marks.data(
        {"n": p.n, "mape": p.mean, "best": min(p.mape), "worst": max(p.mape), "series": name,
         "run": name}
        for name, curve in curves.items()
        for p in curve
    )  # fmt: skip
    best, colour = alt.Y("best:Q", title=label), marks.looks(names)["color"]
    bar = alt.Chart(data).mark_rule(opacity=0.6).encode(x, best, alt.Y2("worst:Q"), colour)
    at = {reachable: f"perfect predictor {short_percent(reachable)}"} if reachable else {}
    said = "; ".join(f"{name}: {_from_to(curve)}" for name, curve in curves.items() if curve)
    description = f"Learning curves on {backend.backend}. {said}."
    drawn = [marks.lines(data, x, y, names), marks.points(data, x, y, names, 40)]
    return marks.layered([bar, *drawn, *marks.references(y, at)], description, WIDE)


def _from_to(curve: list[CurvePoint]) -> str:
    first, last = curve[0], curve[-1]
    return (
        f"{short_percent(first.mean)} from {first.n:,}, {short_percent(last.mean)} from {last.n:,}"
    )
