"""The drawn part of the data: finite values only, and no more points than a page can carry.

Statistics on the page always use all rows; only the points drawn are a sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.results import BackendResult, PredictorResult, ReportData
from latbench.text import known
from latbench.timing.noise import reachable_error

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

POINTS_A_PLOT = 2_000
NAMED_ROWS = 5_000  # architectures whose text is on the page for its tooltips
POINTS_A_PAGE = 30_000
PLOTS_A_PAGE = 60
PLOTS_A_BACKEND = 12


def plots_a_backend(backends: int) -> int:
    """Returns how many predictors of a backend get a scatter plot.

    ``backends`` is how many share the page, which is to be made in seconds.
    """
    return max(2, min(PLOTS_A_BACKEND, PLOTS_A_PAGE // backends))


def points_a_plot(data: ReportData) -> int:
    """Returns how many points each scatter plot may draw, so that the page stays below 3 MB."""
    backends = max(1, len(data.backends))
    plots = sum(min(len(b.predictors), plots_a_backend(backends)) for b in data.backends)
    return max(50, min(POINTS_A_PLOT, NAMED_ROWS // backends, POINTS_A_PAGE // max(1, plots)))


def check(data: ReportData) -> None:
    """Raises UsageError when a backend's columns are not equally long."""
    for backend in data.backends:
        expected = len(backend.architectures)
        columns = {"measured": len(backend.measured)}
        columns |= {f"predicted of {p.name!r}": len(p.predicted) for p in backend.predictors}
        for name, length in columns.items():
            if length != expected:
                raise UsageError(
                    f"backend {backend.backend!r} has {expected:,} architectures but {length:,} "
                    f"values in {name}; give one value for each architecture"
                )


def positive(values: Floats) -> npt.NDArray[np.bool_]:
    """Returns which values can be measured ones: finite and above zero."""
    return np.asarray(np.isfinite(values) & (values > 0))


def floor_of(backend: BackendResult) -> float | None:
    """Returns the backend's noise floor, a fraction; None when it is unknown or means nothing."""
    floor = backend.noise_floor
    return floor if known(floor) and floor > 0 else None


def reachable_of(backend: BackendResult) -> float | None:
    """Returns the mean relative error of a perfect predictor on the backend's rows, a fraction.

    It is None where the noise floor is not known.
    """
    return reachable_error(floor_of(backend))


def measured(backend: BackendResult) -> Floats:
    """Returns the measured values of all rows in the metric's unit."""
    return np.asarray(backend.measured, np.float64)


def predicted(predictor: PredictorResult) -> Floats:
    """Returns the predicted values of all rows in the metric's unit."""
    return np.asarray(predictor.predicted, np.float64)


def relative_errors(backend: BackendResult, predictor: PredictorResult) -> Floats:
    """Returns the absolute relative errors, fractions, of the rows where both values are known."""
    truth, guess = measured(backend), predicted(predictor)
    rows = positive(truth) & np.isfinite(guess)
    return np.abs(guess[rows] / truth[rows] - 1)


def drawn_rows(drawable: npt.NDArray[np.bool_], limit: int) -> Rows:
    """Returns the row numbers to draw: all that can be, or ``limit`` of them picked at random.

    The pick depends on nothing but the rows, so a page can be made again.
    """
    rows = np.flatnonzero(drawable)
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
