"""What a compared predictor takes: time to fit, speed, size; and how honest its intervals are."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latbench.errors import NotEnoughData
from latbench.predictors.base import LatencyPredictor
from latbench.predictors.intervals import conformal_scores, interval_factor
from latbench.report.data import PredictorCosts

Floats = npt.NDArray[np.float64]
LEVEL = 0.9
# So many rows are predicted at once: a search or a sweep asks for many.
_ROWS = 1000


def costs(
    fitted: LatencyPredictor, X: npt.NDArray[np.float32], fits_s: Sequence[float],
    coverage: float | None,
) -> PredictorCosts:  # fmt: skip
    """Of a ``fitted`` predictor whose fits took ``fits_s`` seconds each."""
    rows = np.resize(X, (_ROWS, X.shape[1]))
    start = time.perf_counter()
    fitted.predict(rows)
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        fitted.save_state(Path(folder))
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    return PredictorCosts(statistics.median(fits_s), _ROWS / seconds, size, coverage)


def coverage(
    y: Floats, predicted: Floats, tests: Sequence[npt.NDArray[np.int_]], level: float = LEVEL
) -> float | None:
    """Share of rows inside intervals of ``level`` that the other folds' errors calibrated.

    ``predicted`` are out-of-fold predictions of ``y``, and ``tests`` the rows of each fold. None
    where the other folds are too few for the level.
    """
    inside = np.zeros(len(y), bool)
    for rows in tests:
        others = np.setdiff1d(np.arange(len(y)), rows)
        try:
            factor = interval_factor(conformal_scores(y[others], predicted[others]), level)
        except NotEnoughData:
            return None
        inside[rows] = np.abs(np.log(predicted[rows] / y[rows])) <= np.log(factor)
    return float(inside.mean())
