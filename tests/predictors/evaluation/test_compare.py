from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from quick_predictors import QUICK

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors import PREDICTORS, make_predictor
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.evaluation.fit_costs import coverage
from latbench.predictors.evaluation.metrics import METRICS, evaluate
from latbench.results import PredictorResult
from latbench.store.dataset import LatencyDataset

MakeDataset = Callable[..., LatencyDataset]
FAST = [name for name in PREDICTORS if name != "gnn"]  # which takes seconds a fit


def test_every_predictor_gets_a_prediction_for_every_row(dataset: LatencyDataset) -> None:
    calls: list[tuple[str, int, int]] = []
    quick = [make_predictor(name, **QUICK.get(name, {})) for name in FAST]
    results = compare(dataset, quick, folds=3, progress=lambda *c: calls.append(c))
    assert [r.name for r in results] == list(FAST)
    assert calls == [(name, i, 3) for name in FAST for i in (1, 2, 3)]
    for result in results:
        assert len(result.predicted) == len(dataset)
        assert tuple(result.metrics) == METRICS
        assert result.metrics == evaluate(dataset.values, result.predicted)


def untimed(results: list[PredictorResult]) -> list[PredictorResult]:
    """What must be the same in every run."""
    return [replace(r, costs=None) for r in results]


def test_what_predictors_take(make_dataset: MakeDataset) -> None:
    rows = make_dataset(rows=400, noise=0.02)
    small, large = compare(rows, ["ridge-cost", "mlp"], folds=4)
    assert small.costs is not None
    assert large.costs is not None
    assert min(small.costs.fit_s, large.costs.fit_s) > 0
    assert small.costs.model_bytes < 10_000 < large.costs.model_bytes
    assert min(small.costs.predicted_per_s, large.costs.predicted_per_s) > 0
    for costs in (small.costs, large.costs):
        assert costs.coverage_90 == pytest.approx(0.9, abs=0.04)


def test_too_few_rows_calibrate_no_intervals() -> None:
    y, tests = np.ones(10), [np.arange(5), np.arange(5, 10)]
    assert coverage(y, y, tests) is None
    assert coverage(y, y, tests, level=0.5) == 1


def test_coverage_counts_rows_inside_the_other_folds_intervals() -> None:
    y, tests = np.ones(40), [np.arange(20), np.arange(20, 40)]
    predicted = np.where(np.arange(40) < 20, 1.1, 1.2)
    # The first fold's errors are smaller than the second's intervals, and not the other way.
    assert coverage(y, predicted, tests) == 0.5


def test_predictions_are_out_of_fold(make_dataset: MakeDataset) -> None:
    # One row is 30 times slower than it should be. Whoever trained on it would come closer.
    honest = make_dataset(rows=30, noise=0)
    latency_s = honest.values.copy()
    latency_s[4] *= 30
    spoilt = LatencyDataset(honest.space, honest.architectures, latency_s, "fake", "test device")
    lone = make_predictor("ridge-counts", alphas=(1e-4,))
    predicted = compare(spoilt, [lone], folds=30 // 2)[0].predicted
    assert predicted[4] < 0.2 * latency_s[4]


def test_the_same_seed_gives_the_same_result(dataset: LatencyDataset) -> None:
    first = compare(dataset, ["ridge-counts", "lightgbm"], seed=5)
    first = untimed(first)
    assert untimed(compare(dataset, ["ridge-counts", "lightgbm"], seed=5)) == first
    alone = untimed(compare(dataset, ["lightgbm"], seed=5))
    assert alone == first[1:]
    assert untimed(compare(dataset, ["lightgbm"], seed=6)) != alone


def test_repeats_average_the_metrics_and_keep_the_first_predictions(
    dataset: LatencyDataset,
) -> None:
    one, two = (compare(dataset, ["ridge-one-hot"], seed=s)[0] for s in (1, 2))
    both = compare(dataset, ["ridge-one-hot"], seed=1, repeats=2)[0]
    assert both.predicted == one.predicted
    mean = np.mean([one.metrics["mape"][0], two.metrics["mape"][0]])
    assert both.metrics["mape"][0] == pytest.approx(mean)


def test_two_of_a_family_keep_apart_and_neither_is_fitted(dataset: LatencyDataset) -> None:
    pair = [make_predictor("ridge-counts"), make_predictor("ridge-counts", alphas=(100.0,))]
    results = compare(dataset, pair)
    assert [r.name for r in results] == ["ridge-counts", "ridge-counts (2)"]
    assert results[0].metrics != results[1].metrics
    assert not any(hasattr(p, "coef_") for p in pair)


def test_refuses_too_little_data_and_bad_arguments(make_dataset: MakeDataset) -> None:
    with pytest.raises(NotEnoughData, match="needs 20 measurements, the set has 19"):
        compare(make_dataset(rows=19), ["ridge-cost"])
    with pytest.raises(NotEnoughData, match="needs 24 measurements"):
        compare(make_dataset(rows=22), ["ridge-cost"], folds=12)
    with pytest.raises(UsageError, match="folds"):
        compare(make_dataset(rows=30), ["ridge-cost"], folds=1)
    with pytest.raises(UsageError, match="unknown predictor"):
        compare(make_dataset(rows=30), ["ridge-const"])


def test_accuracy_on_150_architectures_with_one_per_cent_of_noise(
    make_dataset: MakeDataset,
) -> None:
    data, judged = make_dataset(rows=150), ("ridge-counts", "mlp", "lightgbm", "ridge-cost")
    mape = {r.name: r.metrics["mape"][0] for r in compare(data, list(judged))}
    spread = np.abs(data.values / data.values.mean() - 1).mean()
    assert spread > 0.08  # always predicting the mean is this wrong
    assert mape["ridge-counts"] < 0.012  # the noise alone is 0.8 %
    assert mape["mlp"] < 0.03
    assert mape["lightgbm"] < 0.06
    assert mape["ridge-cost"] > mape["ridge-counts"]
