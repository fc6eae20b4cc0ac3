"""The choice of a way of transferring to a device, by cross-validation on its samples alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.base import Floats, LatencyPredictor, check_features, check_latencies
from latbench.predictors.evaluation.folds import folds_of
from latbench.predictors.transfer.methods import METHODS
from latbench.predictors.transfer.prior import Prior
from latbench.spaces.base import Ints

MIN_SAMPLES = 5
DEFAULT = "mixture"
_FOLDS = 5
# Evidence has already weighed the samples in the default: only a plain gain displaces it.
_MARGIN = 3.0


@dataclass(frozen=True)
class Choice:
    """The chosen ``method`` fitted on all samples, and every candidate's ``predicted`` values of
    samples that it was not fitted on, ``(n,)`` each, in the order of the samples."""

    method: str
    predictor: LatencyPredictor
    predicted: dict[str, Floats]


def choose(
    prior: Prior, X: Floats, y: Floats, *, methods: Sequence[str] = tuple(METHODS), seed: int = 0,
    networks: Ints | None = None,
) -> Choice:  # fmt: skip
    """Cross-validates methods of transferring on a device's samples and fits the best.

    The error is the mean of abs(log(predicted / measured)): five folds, one network a fold below
    ten. ``mixture`` keeps its place unless another is better by more than three standard errors of
    their paired difference: the best of four on 20 samples is often luck.

    Args:
        prior: What other devices teach.
        X: The samples' one-hot encodings ``(n, d)``.
        y: Their measured values ``(n,)``.
        methods: The names of the methods, of ``METHODS``.
        seed: The seed of the folds.
        networks: The number ``(n,)`` of each sample's network (``LatencyDataset.networks``); by
            default all are different.

    Returns:
        The choice, its fitted predictor and each method's out-of-fold predictions.

    Raises:
        NotEnoughData: For fewer than five samples.
        UsageError: For an unknown method.
    """
    unknown = [m for m in methods if m not in METHODS]
    if unknown or not methods:
        raise UsageError(f"methods must be some of {', '.join(METHODS)}; got {list(methods)}")
    X = check_features(X, len(prior.devices.center))
    y = check_latencies(y, len(X))
    if len(y) < MIN_SAMPLES:
        raise NotEnoughData(
            f"a transfer needs {MIN_SAMPLES} samples of the new device, got {len(y)}; measure more"
        )
    networks = np.arange(len(y)) if networks is None else networks
    different = int(networks.max()) + 1
    folds = different if different < 2 * _FOLDS else _FOLDS
    predicted = {m: np.empty(len(y)) for m in methods}
    for train, test in folds_of(networks, max(folds, 2), seed):
        for m in methods:
            predicted[m][test] = METHODS[m](prior, X[train], y[train]).predict(X[test])
    best = best_method({m: np.abs(np.log(p / y)) for m, p in predicted.items()})
    return Choice(best, METHODS[best](prior, X, y), predicted)


def best_method(
    errors: dict[str, Floats], default: str = DEFAULT, margin: float = _MARGIN
) -> str:  # fmt: skip
    """Returns the method of the smallest mean error, but ``default`` unless that is better by more
    than ``margin`` standard errors; ``errors`` are of the same samples, ``(n,)`` each."""
    best = min(errors, key=lambda m: float(errors[m].mean()))
    if default not in errors or best == default:
        return best
    gain = errors[default] - errors[best]
    return best if gain.mean() > margin * gain.std(ddof=1) / np.sqrt(len(gain)) else default
