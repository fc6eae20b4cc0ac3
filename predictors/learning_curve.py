"""Learning curves: how a predictor's error falls with the rows that it is fitted on.

For each seed the rows are split anew: a third of them (at most 400) are held out, and a predictor
is fitted on the first n of the rest; the same rows for all predictors, and fewer are a part of
more. No network is in both parts (``latbench.predictors.folds``). (scikit-learn's
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
from latbench.predictors.folds import shuffled
from latbench.report.data import CurvePoint
from latbench.spaces.base import Ints

Floats = npt.NDArray[np.float64]
SPLITS = 3
_ROUND = (1, 2, 5)
# The last point has all rows that are left where these are so many times the last round number.
_FURTHER = 1.25


def rows_to_fit(rows: int) -> int:
    """How many of all rows are not held out."""
    return rows - min(400, rows // 3)


def round_sizes(rows: int) -> tuple[int, ...]:
    """Numbers of rows to fit on: 10, 20, 50, 100, ... as far as ``rows`` measurements go."""
    left = rows_to_fit(rows)
    sizes = [m * 10**d for d in range(1, len(str(left))) for m in _ROUND if m * 10**d <= left]
    return (*sizes, left) if sizes and left >= _FURTHER * sizes[-1] else tuple(sizes)


def held_out(
    predictor: LatencyPredictor, X: npt.NDArray[np.float32] | Floats, y: Floats, networks: Ints,
    n: int, seed: int,
) -> tuple[Floats, Floats]:  # fmt: skip
    """The true values and the predictions of the rows held out, by a copy of ``predictor`` fitted
    on n others."""
    test, rest = shuffled(networks, len(y) - rows_to_fit(len(y)), seed)
    train = rest[:n]
    return y[test], clone(predictor).fit(X[train], y[train]).predict(X[test])


def learning_curve(
    predictor: LatencyPredictor, X: npt.NDArray[np.float32], y: Floats, networks: Ints,
    seed: int = 0, done: Callable[[], None] = lambda: None,
) -> tuple[CurvePoint, ...]:  # fmt: skip
    """The MAPE at each of ``round_sizes``, on ``SPLITS`` splits; ``done`` is called after a fit."""

    def mape(n: int, split: int) -> float:
        both = held_out(predictor, X, y, networks, n, seed + split)
        error = float(mean_absolute_percentage_error(*both))
        done()
        return error

    return tuple(
        CurvePoint(n, tuple(mape(n, split) for split in range(SPLITS))) for n in round_sizes(len(y))
    )
