"""Predictors side by side: cross-validated on the same folds of the same measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from latbench.encodings import Encoding, encoding_of
from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.base import LatencyPredictor
from latbench.predictors.evaluation.fit_costs import costs, coverage
from latbench.predictors.evaluation.folds import Folds, folds_of
from latbench.predictors.evaluation.learning_curve import SPLITS, learning_curve, round_sizes
from latbench.predictors.evaluation.metrics import METRICS, Interval, evaluate
from latbench.predictors.registry import make_predictor, predictor_name
from latbench.results import PredictorCosts, PredictorResult
from latbench.store.dataset import LatencyDataset

Floats = npt.NDArray[np.float64]


def min_rows(folds: int) -> int:
    """Returns the fewest measurements worth a cross-validation."""
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
    """Returns the predictors' names; a second one of a family becomes ``"mlp (2)"``."""
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
    """Cross-validates predictors on a dataset, all on the same folds.

    All rows of one network (``SearchSpace.canonical``) lie in one fold. The result depends on the
    data and ``seed`` only, but for the timings in ``costs``.

    Args:
        dataset: The measurements.
        predictors: The predictors, or their names in the registry.
        folds: The number of folds, 2 or more.
        repeats: The number of shuffles, 1 or more.
        seed: The seed of the shuffles.
        curves: Whether to add learning curves, which take two to three times as long as a
            cross-validation with five folds (2026-11-29).
        progress: Called with the predictor's name, the fits done and all fits after each fit.

    Returns:
        One result a predictor. ``predicted`` are the first repeat's out-of-fold predictions, row by
        row, in the dataset's unit; the metrics and their intervals are the mean over ``repeats``
        (averaging the predictions instead would judge an ensemble).

    Raises:
        NotEnoughData: For fewer than ``max(20, 2 * folds)`` rows or fewer networks than folds.
        UsageError: For bad arguments.
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
    encoded = _encoded(dataset, made)
    results = []
    for label, predictor, X in zip(labels(made), made, encoded, strict=True):
        count = 0

        def done(label: str = label) -> None:
            nonlocal count
            count += 1
            if progress is not None:
                progress(label, count, fits)

        runs = [_out_of_fold(predictor, X, y, split, done) for split in splits]
        metrics = _mean_metrics([evaluate(y, run, seed=seed) for run, _ in runs])
        first, taken = runs[0]
        curve = learning_curve(predictor, X, y, networks, seed, done) if curves else ()
        values = tuple(map(float, first))
        gradient = predictor.guides(dataset.space)
        results.append(PredictorResult(label, values, metrics, taken, curve, gradient))
    return results


def _encoded(
    dataset: LatencyDataset, predictors: Sequence[LatencyPredictor]
) -> list[npt.NDArray[np.float32]]:
    """The encodings that predictors read, one each; the same array for the same encoding."""
    found: list[tuple[Encoding, npt.NDArray[np.float32]]] = []
    for encoding in (encoding_of(p.encoding) for p in predictors):
        X = next((X for other, X in found if other is encoding), None)
        found.append((encoding, dataset.encode(encoding) if X is None else X))
    return [X for _, X in found]


def cross_validate(
    dataset: LatencyDataset, predictors: Sequence[LatencyPredictor | str], folds: int, seed: int,
    curves: bool = False, bar: bool = True,
) -> list[PredictorResult]:  # fmt: skip
    """Cross-validates predictors with a progress bar, see ``compare``.

    Args:
        dataset: The measurements.
        predictors: The predictors, or their names in the registry.
        folds: The number of folds.
        seed: The seed of the folds.
        curves: Whether to add learning curves.
        bar: Whether the progress bar is seen.

    Returns:
        One result a predictor.
    """
    from latbench.progress import Bars, across

    made = [make_predictor(p) if isinstance(p, str) else p for p in predictors]
    with Bars(shown=bar).bar(f"cross-validation, {dataset.backend}") as step:
        progress = across(labels(made), step)
        return compare(dataset, made, folds=folds, seed=seed, curves=curves, progress=progress)
