"""What of the data is drawn: finite values only, and no more points than a page can carry.

Statistics on the page always use all rows; only the points drawn are a sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.noise import reachable_error
from latbench.report.data import BackendResult, PredictorResult, ReportData
from latbench.report.text import known, shorten

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

POINTS_A_PLOT = 2_000
NAMED_ROWS = 6_000  # architectures whose text is on the page for its tooltips
POINTS_A_PAGE = 40_000
PLOTS_A_BACKEND = 12


@dataclass
class Names:
    """The page's list of architecture texts; points refer to it by number."""

    texts: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, architecture: str) -> int:
        """The architecture's place in the list; it is added when it is new."""
        if architecture not in self._numbers:
            self._numbers[architecture] = len(self.texts)
            self.texts.append(shorten(architecture, 300))
        return self._numbers[architecture]


def points_a_plot(data: ReportData) -> int:
    """How many points each scatter plot may draw, so that the page stays below 5 MB."""
    plots = sum(min(len(b.predictors), PLOTS_A_BACKEND) for b in data.backends)
    backends = max(1, len(data.backends))
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
    """Which values can be measured ones: finite and above zero."""
    return np.asarray(np.isfinite(values) & (values > 0))


def floor_of(backend: BackendResult) -> float | None:
    """The backend's noise floor as a fraction; None when it is unknown or means nothing."""
    floor = backend.noise_floor
    return floor if known(floor) and floor > 0 else None


def reachable_of(backend: BackendResult) -> float | None:
    """The mean relative error of a perfect predictor on the backend's rows, a fraction; None where
    the noise floor is not known."""
    return reachable_error(floor_of(backend))


def measured(backend: BackendResult) -> Floats:
    """Measured values in the metric's unit, all rows."""
    return np.asarray(backend.measured, np.float64)


def predicted(predictor: PredictorResult) -> Floats:
    """Predicted values in the metric's unit, all rows."""
    return np.asarray(predictor.predicted, np.float64)


def relative_errors(backend: BackendResult, predictor: PredictorResult) -> Floats:
    """Absolute relative errors of the rows where both values are known, as fractions."""
    truth, guess = measured(backend), predicted(predictor)
    rows = positive(truth) & np.isfinite(guess)
    return np.abs(guess[rows] / truth[rows] - 1)


def drawn_rows(drawable: npt.NDArray[np.bool_], limit: int) -> Rows:
    """Row numbers to draw: all that can be, or ``limit`` of them picked at random.

    The pick depends on nothing but the rows, so a page can be made again.
    """
    rows = np.flatnonzero(drawable)
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
