"""Transfer where nothing is known of a network but its timings elsewhere: looked-up latencies.

For tables of whole models (no search space, no encoding): rows are models, columns other devices or
runtimes, and a few models were also timed on the new one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.base import BOUND, Floats, check_latencies
from latbench.predictors.families.mixture import spread_of
from latbench.predictors.families.ridge import ALPHAS
from latbench.predictors.transfer.choice import MIN_SAMPLES, best_method

_PASSES = 20
Indices = npt.NDArray[np.intp]


def complete(table: Floats) -> Floats:
    """Returns the logarithms of a table ``(n, k)`` whose NaN are filled in: a row's effect plus a
    column's.

    Raises UsageError for a row or column without any value, or a value that is not positive.
    """
    known = ~np.isnan(table)
    if not known.any(axis=0).all() or not known.any(axis=1).all():
        raise UsageError("every row and column of the table needs a value; leave empty ones out")
    if not (table[known] > 0).all():
        raise UsageError("the table's values must be positive; leave failed ones out")
    log = np.where(known, np.log(np.where(known, table, 1.0)), 0.0)
    rows, columns = np.zeros((len(log), 1)), np.zeros((1, log.shape[1]))
    for _ in range(_PASSES):
        rows = ((log - columns) * known).sum(axis=1, keepdims=True) / known.sum(1, keepdims=True)
        columns = ((log - rows) * known).sum(axis=0, keepdims=True) / known.sum(0, keepdims=True)
    return np.asarray(np.where(known, log, rows + columns))


def nearest_column(log: Floats, sampled: Indices, y: Floats) -> Floats:
    """Predicts values ``(n,)`` by the column that fits the samples best, times one factor."""
    gap = np.log(y)[:, None] - log[sampled]
    # Leaving a sample out moves the mean gap by this much of the sample's own distance.
    outside = np.abs(gap - gap.mean(axis=0)) * (len(y) / (len(y) - 1))
    best = int(np.argmin(outside.mean(axis=0)))
    return np.asarray(np.exp(log[:, best] + gap[:, best].mean()))


def ridge_columns(log: Floats, sampled: Indices, y: Floats) -> Floats:
    """Predicts values ``(n,)`` by ridge on the logarithms of all columns; within ten times the
    samples' range, as every predictor."""
    features = (log - log.mean(axis=0)) / spread_of(log) / np.sqrt(log.shape[1])
    model = RidgeCV(list(ALPHAS)).fit(features[sampled], np.log(y))
    # Tables of whole models span five decades: a slope of few samples must not run away.
    bounds = np.log(y.min() / BOUND), np.log(y.max() * BOUND)
    return np.asarray(np.exp(np.clip(model.predict(features), *bounds)))


LOOKUPS: dict[str, Callable[[Floats, Indices, Floats], Floats]] = {
    "nearest": nearest_column,
    "ridge": ridge_columns,
}


def transfer_lookup(
    log: Floats, sampled: Indices, y: Floats, *, seed: int = 0
) -> tuple[str, Floats]:
    """Transfers a table of measured architectures to a new device by the best of several ways.

    The choice is by leave-one-out on the samples alone.

    Args:
        log: The table ``(n, k)`` of logarithms, see ``complete``.
        sampled: The rows ``(m,)`` timed on the new device.
        y: The values ``(m,)`` measured there.
        seed: The seed of the order in which samples are left out.

    Returns:
        The name of the chosen way and its values ``(n,)`` for every row.

    Raises:
        NotEnoughData: For fewer than five samples.
    """
    y = check_latencies(y, len(sampled))
    if len(y) < MIN_SAMPLES:
        raise NotEnoughData(
            f"a transfer needs {MIN_SAMPLES} samples of the new device, got {len(y)}; measure more"
        )
    errors = {name: np.empty(len(y)) for name in LOOKUPS}
    for train, test in KFold(len(y), shuffle=True, random_state=seed).split(y):
        for name, method in LOOKUPS.items():
            predicted = method(log, sampled[train], y[train])[sampled[test]]
            errors[name][test] = np.abs(np.log(predicted / y[test]))
    best = best_method(errors, default="ridge", margin=1.0)
    return best, LOOKUPS[best](log, sampled, y)
