"""The plots of measured and predicted values of a metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from latbench.metric import LATENCY
from latbench.numerals import number
from latbench.report import marks
from latbench.report.data import BackendResult, PredictorResult
from latbench.report.sample import (
    Floats,
    Names,
    Rows,
    drawn_rows,
    floor_of,
    measured,
    positive,
    predicted,
    reachable_of,
    relative_errors,
)
from latbench.report.svg import Axis, Frame, log_span, span
from latbench.report.text import percent, plural, shorten

LOG_FROM = 8.0  # a range of more than this ratio gets logarithmic axes
QUANTILES = 120
SQUARE = (340, 340)


def _equal_axes(values: Floats, labels: tuple[str, str]) -> tuple[Axis, Axis]:
    """Two equal axes over positive values."""
    low, high = float(values.min()), float(values.max())
    log = high / low > LOG_FROM
    ends = log_span((low, high)) if log else span((low, high), 0.06)
    ends = (max(ends[0], 0.0), ends[1])
    return Axis(*ends, labels[0], log), Axis(*ends, labels[1], log)


def _scatter(
    x: Floats, y: Floats, rows: Rows, names: Sequence[str], page: Names, series: int,
    labels: tuple[str, str],
) -> tuple[Frame, Markup]:  # fmt: skip
    """Frame and points, as large as given; the axes cover all positive rows, ``rows`` are drawn."""
    known = positive(x) & positive(y)
    frame = Frame(*_equal_axes(np.concatenate([x[known], y[known]]), labels), *SQUARE)
    at = list(zip(x[rows].tolist(), y[rows].tolist(), strict=True))
    return frame, marks.points(frame, at, series, [page.number(names[i]) for i in rows])


def predicted_against_measured(
    backend: BackendResult, predictor: PredictorResult, series: int, limit: int, page: Names
) -> Markup:
    """Scatter of one predictor with the diagonal, a ±10 % band and the noise floor's band.

    Empty when no row has both values.
    """
    metric = backend.metric
    x, y = metric.scale * measured(backend), metric.scale * predicted(predictor)
    known = positive(x) & positive(y)
    if not known.any():
        return Markup("")
    labels = (f"Measured ({metric.shown_unit})", f"Predicted ({metric.shown_unit})")
    rows = drawn_rows(known, limit)
    frame, cloud = _scatter(x, y, rows, backend.architectures, page, series, labels)
    below = [marks.ratio_band(frame, 0.1, "ten"), marks.diagonal(frame)]
    if floor := floor_of(backend):
        below.insert(1, marks.ratio_band(frame, floor, "noise"))
    errors = np.abs(y[known] / x[known] - 1)
    said = f"Median absolute error {percent(float(np.median(errors)))}."
    points = plural(len(errors), "point")
    name = f"{metric.title} predicted by {predictor.name} against measured, {points}"
    return frame.draw(
        [*below, cloud], name, said, x="measured", y="predicted", unit=metric.shown_unit,
        ratio="error",
    )  # fmt: skip


def error_distribution(backend: BackendResult) -> Markup:
    """Share of architectures whose relative error is below x, one step line for each predictor,
    and the mean error of a perfect one.

    Empty when there are no errors to show.
    """
    errors = [relative_errors(backend, p) for p in backend.predictors]
    pooled = np.concatenate(errors) if errors else np.empty(0)
    pooled = pooled[pooled > 0]
    if not pooled.size:
        return Markup("")
    reachable = reachable_of(backend)
    shown = [float(np.quantile(pooled, 0.01)), float(pooled.max()), reachable or 0.1]
    low, high = max(min(shown), 1e-5), max(*shown, 0.11)
    x_axis = Axis(low * 0.9, high * 1.1, "Absolute relative error", log=True, percent=True)
    y_axis = Axis(0, 1, "Share of architectures with a smaller error", percent=True)
    frame = Frame(x_axis, y_axis, 420, 290)
    drawn: list[Markup] = []
    if low < 0.1:
        drawn += marks.vertical(frame, 0.1)
    if reachable:
        drawn += marks.vertical(frame, reachable, f"perfect predictor {percent(reachable)}")
    said = []
    for i, (predictor, error) in enumerate(zip(backend.predictors, errors, strict=True)):
        if error.size:
            drawn.append(_ecdf(frame, error, i, predictor.name))
            said.append(f"{predictor.name}: half below {percent(float(np.median(error)))}")
    name = f"Distribution of prediction errors on {backend.backend}"
    return frame.draw(drawn, name, "; ".join(said) + ".")


def _ecdf(frame: Frame, errors: Floats, series: int, name: str) -> Markup:
    shares = np.linspace(0, 1, min(QUANTILES, errors.size) + 1)
    at = np.maximum(np.quantile(errors, shares, method="inverted_cdf"), frame.x_axis.low)
    steps = list(zip(at.tolist(), shares.tolist(), strict=True))
    return marks.step(frame, [*steps, (frame.x_axis.high, 1.0)], series, name)


def histogram(backend: BackendResult) -> Markup:
    """How many architectures have which measured value; empty without any."""
    metric, unit = backend.metric, backend.metric.shown_unit
    values = metric.scale * measured(backend)
    values = values[positive(values)]
    if not values.size:
        return Markup("")
    n = int(np.clip(2 * values.size ** (1 / 3), 6, 40))
    low, high = float(values.min()), float(values.max())
    log = high / low > 50
    if high - low <= 1e-9 * high:
        low, high = span((low,))
    edges = np.geomspace(low, high, n + 1) if log else np.linspace(low, high, n + 1)
    # Rounding must not push the extremes out of the first and last bin.
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    ends = log_span(edges, 0.03) if log else span(edges, 0.03)
    y_axis = Axis(0, float(counts.max()) * 1.08, "Architectures", whole=True)
    frame = Frame(Axis(*ends, f"Measured {metric.label} ({unit})", log), y_axis, 420, 230)
    titles = [
        f"{number(a)} to {number(b)} {unit}: {plural(int(c), 'architecture')}"
        for a, b, c in zip(edges, edges[1:], counts, strict=False)
    ]
    median = float(np.median(values))
    drawn = [marks.bars(frame, edges.tolist(), counts.tolist(), titles)]
    drawn += marks.vertical(frame, median, f"median {number(median)} {unit}")
    said = f"From {number(low)} to {number(high)} {unit}, median {number(median)} {unit}."
    return frame.draw(
        drawn, f"{metric.title} distribution of the sample on {backend.backend}", said
    )


def backend_against_backend(
    names: Sequence[str], x: Floats, y: Floats, labels: tuple[str, str], limit: int, page: Names
) -> Markup:
    """Scatter of the latency of the same architectures on two backends; all are positive.

    Each axis has its own range: what counts is the order, not the level.
    """
    x, y = LATENCY.scale * x, LATENCY.scale * y
    x_axis, y_axis = (
        _equal_axes(v, (f"{shorten(label, 40)} ({LATENCY.shown_unit})",) * 2)[0]
        for v, label in zip((x, y), labels, strict=True)
    )
    frame = Frame(x_axis, y_axis, *SQUARE)
    rows = drawn_rows(positive(x), limit)
    at = list(zip(x[rows].tolist(), y[rows].tolist(), strict=True))
    cloud = marks.points(frame, at, 0, [page.number(names[i]) for i in rows])
    label = f"Latency on {labels[1]} against latency on {labels[0]}"
    return frame.draw([cloud], label, plural(len(x), "shared architecture"), x=labels[0],
                      y=labels[1], unit=LATENCY.shown_unit)  # fmt: skip
