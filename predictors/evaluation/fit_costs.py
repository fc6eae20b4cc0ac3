"""The costs of a compared predictor: time to fit, speed, size; and how honest its intervals are."""

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
from latbench.results import PredictorCosts

Floats = npt.NDArray[np.float64]
LEVEL = 0.9
# So many rows are predicted at once: a search or a sweep asks for many.
_ROWS = 1000


def costs(
    fitted: LatencyPredictor, X: npt.NDArray[np.float32], fits_s: Sequence[float],
    coverage: float | None,
) -> PredictorCosts:  # fmt: skip
    """Measures the speed and size of a fitted predictor.

    Args:
        fitted: The predictor.
        X: Encodings ``(n, d)`` to predict.
        fits_s: The seconds that each of its fits took.
        coverage: The share of rows inside its intervals, None where it is not known.

    Returns:
        The costs, with the median of ``fits_s``.
    """
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
    """Returns the share of rows inside intervals that the other folds' errors calibrated.

    Args:
        y: The true values ``(n,)``.
        predicted: The out-of-fold predictions ``(n,)`` of ``y``.
        tests: The rows of each fold.
        level: The level of the intervals, between 0 and 1.

    Returns:
        The share; None where the other folds are too few for the level.
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
