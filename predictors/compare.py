"""Predictors side by side: cross-validated on the same folds of the same measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from latbench.dataset import LatencyDataset
from latbench.errors import NotEnoughData, UsageError
from latbench.predictors import make_predictor, predictor_name
from latbench.predictors.base import LatencyPredictor
from latbench.predictors.costs import costs, coverage
from latbench.predictors.folds import Folds, folds_of
from latbench.predictors.learning_curve import SPLITS, learning_curve, round_sizes
from latbench.predictors.metrics import METRICS, Interval, evaluate
from latbench.report.data import PredictorCosts, PredictorResult

Floats = npt.NDArray[np.float64]


def min_rows(folds: int) -> int:
    """Fewest measurements worth a cross-validation."""
    return max(20, 2 * folds)


def _out_of_fold(
    predictor: LatencyPredictor, X: npt.NDArray[np.float32], y: Floats, folds: Folds,
    done: Callable[[], None],
) -> tuple[Floats, PredictorCosts]:  # fmt: skip
    predicted, fits_s = np.empty(len(y)), []
    for train, test in folds:
        start = time.perf_counter()
        fitted = clone(predictor).fit(X[train], y[train])
        fits_s.append(time.perf_counter() - start)
        predicted[test] = fitted.predict(X[test])
        done()
    covered = coverage(y, predicted, [test for _, test in folds])
    return predicted, costs(fitted, X, fits_s, covered)


def _mean_metrics(repeats: Sequence[dict[str, Interval]]) -> dict[str, Interval]:
    def mean(name: str) -> Interval:
        value, low, high = np.mean([metrics[name] for metrics in repeats], axis=0)
        return float(value), float(low), float(high)

    return {name: mean(name) for name in METRICS}


def labels(predictors: Sequence[LatencyPredictor]) -> list[str]:
    """The predictors' names; a second one of a family becomes ``"mlp (2)"``."""
    names = list(map(predictor_name, predictors))
    before = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{n} ({b + 1})" if b else n for n, b in zip(names, before, strict=True)]


def compare(
    dataset: LatencyDataset,
    predictors: Sequence[LatencyPredictor | str],
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    curves: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[PredictorResult]:
    """Cross-validates each predictor (or registry name) on ``dataset``, all on the same folds.

    All rows of one network (``SearchSpace.canonical``) lie in one fold. ``predicted`` are the first
    repeat's out-of-fold predictions, row by row, in the dataset's unit; the metrics and their
    intervals are the mean over ``repeats`` shuffles (averaging the predictions instead would judge
    an ensemble). ``curves`` adds learning curves, which take two to three times as long as a
    cross-validation with five folds. ``progress(name, done, total)`` is called after each fit. The
    result depends on the data and ``seed`` only, but for the timings in ``costs``. Raises
    NotEnoughData for fewer than ``max(20, 2 * folds)`` rows or fewer networks than folds,
    UsageError for bad arguments.
    """
    if folds < 2 or repeats < 1:
        raise UsageError(f"folds must be 2 or more and repeats 1 or more, got {folds}, {repeats}")
    if len(dataset) < min_rows(folds):
        raise NotEnoughData(
            f"comparing predictors with {folds} folds needs {min_rows(folds)} measurements, the "
            f"set has {len(dataset)}; measure more architectures"
        )
    made = [make_predictor(p) if isinstance(p, str) else p for p in predictors]
    y = np.asarray(dataset.values, np.float64)
    networks = dataset.networks
    splits = [folds_of(networks, folds, seed + r) for r in range(repeats)]
    fits = folds * repeats + (SPLITS * len(round_sizes(len(y))) if curves else 0)
    encoded = {e: dataset.encode(e) for e in {p.encoding for p in made}}
    results = []
    for label, predictor in zip(labels(made), made, strict=True):
        count = 0

        def done(label: str = label) -> None:
            nonlocal count
            count += 1
            if progress is not None:
                progress(label, count, fits)

        X = encoded[predictor.encoding]
        runs = [_out_of_fold(predictor, X, y, split, done) for split in splits]
        metrics = _mean_metrics([evaluate(y, run, seed=seed) for run, _ in runs])
        first, taken = runs[0]
        curve = learning_curve(predictor, X, y, networks, seed, done) if curves else ()
        results.append(PredictorResult(label, tuple(map(float, first)), metrics, taken, curve))
    return results
