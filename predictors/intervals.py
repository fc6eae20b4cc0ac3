"""Conformal intervals around any predictor's values, from its errors on held-out rows.

The score of a row that the predictor has not seen is ``abs(log(predicted / true))``, so an interval
is a factor around the prediction and does not depend on the unit. With ``n`` scores the factor for
a level is the ``ceil((n + 1) * level)``-th smallest of them: a new row that is exchangeable with
the scored ones is covered with at least that probability, whatever the predictor and the
distribution (Vovk, Gammerman and Shafer, 2005; Lei et al., 2018, "Distribution-free predictive
inference for regression"). That holds as stated for scores of rows held out once (split conformal).
Scores of a cross-validation, which use every row, cover about the level too; their guarantee is
weaker (Barber et al., 2021, "Predictive inference with the jackknife+": 2 * level - 1 for CV+).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import NotEnoughData, UsageError

Floats = npt.NDArray[np.float64]
# What is kept of more rows than this: levels up to 99.9 % stay possible.
MAX_SCORES = 1000


def check_level(level: float) -> float:
    """Returns ``level`` itself. Raises UsageError unless it lies between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise UsageError(f"the level of an interval must lie between 0 and 1, got {level!r}")
    return float(level)


def conformal_scores(y_true: Any, y_pred: Any) -> Floats:
    """Returns the scores of held-out predictions ``y_pred`` of ``y_true``, both ``(n,)``,
    ascending.

    Of more than ``MAX_SCORES`` rows only so many order statistics are kept, each rounded upwards,
    so that the intervals keep their coverage. Raises UsageError for values that are not positive
    and finite or of different lengths, NotEnoughData for none.
    """
    true, predicted = (np.asarray(v, np.float64) for v in (y_true, y_pred))
    if true.ndim != 1 or true.shape != predicted.shape:
        raise UsageError(
            f"calibration needs a prediction for each value, got shapes {predicted.shape} and "
            f"{true.shape}"
        )
    if not all((np.isfinite(v) & (v > 0)).all() for v in (true, predicted)):
        raise UsageError("calibration needs positive, finite values and predictions")
    if not len(true):
        raise NotEnoughData("calibration needs held-out rows, got none")
    return _thinned(np.sort(np.abs(np.log(predicted / true))))


def _thinned(scores: Floats) -> Floats:
    """At most ``MAX_SCORES`` order statistics: the k-th kept has rank ceil(k (n + 1) / (m + 1)),
    which is never below the rank that a level needs among all ``n``."""
    n, m = len(scores), MAX_SCORES
    if n <= m:
        return scores
    ranks = -(-np.arange(1, m + 1) * (n + 1) // (m + 1))
    return np.asarray(scores[ranks - 1])


def interval_factor(scores: Floats, level: float) -> float:
    """Returns by what factor (1 or more) an interval of ``level`` reaches above and below a
    prediction.

    ``scores`` ascend, see ``conformal_scores``. Raises NotEnoughData when they are too few for the
    level: 90 % needs 9 rows, 99 % needs 99.
    """
    check_level(level)
    # The rounding takes back what binary fractions add: 10 * 0.9 must be the ninth.
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    if rank > len(scores):
        needed = math.ceil(round(level / (1 - level), 9))
        raise NotEnoughData(
            f"an interval of level {level:g} needs {needed} calibration rows, there are "
            f"{len(scores)}; measure more architectures or ask for a lower level"
        )
    return math.exp(float(scores[rank - 1]))
