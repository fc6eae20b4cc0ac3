"""Learning curves: how a predictor's error falls with the rows that it is fitted on.

For each seed the rows are split anew: a third of them (at most 400) are held out, and a predictor
is fitted on the first n of the rest; the same rows for all predictors, and fewer are a part of
more. No network is in both parts (``latbench.predictors.evaluation.folds``). (scikit-learn's
``learning_curve`` gives a single score, no predictions, and spends a prediction of the training
rows on each point.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.metrics import mean_absolute_percentage_error

from latbench.predictors.base import LatencyPredictor
from latbench.predictors.evaluation.folds import shuffled
from latbench.results import CurvePoint
from latbench.spaces.base import Ints

Floats = npt.NDArray[np.float64]
SPLITS = 3
_ROUND = (1, 2, 5)
# The last point has all rows that are left where these are so many times the last round number.
_FURTHER = 1.25


def rows_to_fit(rows: int) -> int:
    """Returns how many of all rows are not held out."""
    return rows - min(400, rows // 3)


def round_sizes(rows: int) -> tuple[int, ...]:
    """Returns numbers of rows to fit on: 10, 20, 50, 100, ... as far as ``rows`` measurements
    go."""
    left = rows_to_fit(rows)
    sizes = [m * 10**d for d in range(1, len(str(left))) for m in _ROUND if m * 10**d <= left]
    return (*sizes, left) if sizes and left >= _FURTHER * sizes[-1] else tuple(sizes)


def held_out(
    predictor: LatencyPredictor, X: npt.NDArray[np.float32] | Floats, y: Floats, networks: Ints,
    n: int, seed: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Fits a copy of a predictor and predicts rows that were held out.

    Args:
        predictor: The predictor.
        X: The encodings ``(m, d)``.
        y: The true values ``(m,)``.
        networks: The number ``(m,)`` of each row's network; rows of one network stay together.
        n: The number of rows to fit on.
        seed: The seed of the split.

    Returns:
        The true values and the predictions of the rows held out.
    """
    test, rest = shuffled(networks, len(y) - rows_to_fit(len(y)), seed)
    train = rest[:n]
    return y[test], clone(predictor).fit(X[train], y[train]).predict(X[test])


def learning_curve(
    predictor: LatencyPredictor, X: npt.NDArray[np.float32], y: Floats, networks: Ints,
    seed: int = 0, done: Callable[[], None] = lambda: None,
) -> tuple[CurvePoint, ...]:  # fmt: skip
    """Measures the MAPE at each of ``round_sizes``, on ``SPLITS`` splits.

    Args:
        predictor: The predictor; copies of it are fitted.
        X: The encodings ``(m, d)``.
        y: The true values ``(m,)``.
        networks: The number ``(m,)`` of each row's network.
        seed: The seed of the first split.
        done: Called after each fit.

    Returns:
        One point a size, with one MAPE (a fraction) a split.
    """

    def mape(n: int, split: int) -> float:
        both = held_out(predictor, X, y, networks, n, seed + split)
        error = float(mean_absolute_percentage_error(*both))
        done()
        return error

    return tuple(
        CurvePoint(n, tuple(mape(n, split) for split in range(SPLITS))) for n in round_sizes(len(y))
    )
