from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from latbench.predictors import make_predictor
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.evaluation.learning_curve import (
    SPLITS,
    held_out,
    learning_curve,
    round_sizes,
    rows_to_fit,
)
from latbench.store.dataset import LatencyDataset

MakeDataset = Callable[..., LatencyDataset]


def test_sizes_are_round_and_end_with_all_that_is_left() -> None:
    assert round_sizes(160) == (10, 20, 50, 100)  # 107 are left: hardly more than 100
    assert round_sizes(120) == (10, 20, 50, 80)
    assert round_sizes(20) == (10, 14)
    assert round_sizes(12) == ()
    assert round_sizes(5000) == (10, 20, 50, 100, 200, 500, 1000, 2000, 4600)


@pytest.mark.parametrize("rows", [30, 3000])
def test_a_third_is_held_out_and_smaller_samples_are_part_of_larger_ones(rows: int) -> None:
    class Rows:
        """Remembers the rows that it was fitted on, and predicts each row's number."""

        seen: set[float]

        def __sklearn_clone__(self) -> Rows:
            return self

        def fit(self, X: np.ndarray, y: np.ndarray) -> Rows:
            self.seen = set(X[:, 0].tolist())
            return self

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.asarray(X[:, 0])

    numbers = np.arange(rows, dtype=float)
    seen, tested = [], []
    for n in (10, 15):
        predictor: Any = Rows()
        true, predicted = held_out(predictor, numbers[:, None], numbers, np.arange(rows), n, 3)
        assert (true == predicted).all()
        assert len(predictor.seen) == n
        assert not predictor.seen & set(true.tolist())
        seen.append(predictor.seen)
        tested.append(set(true.tolist()))
    assert seen[0] < seen[1]
    assert tested[0] == tested[1]
    assert len(tested[0]) == rows - rows_to_fit(rows) == min(400, rows // 3)


def test_more_rows_help_and_every_fit_is_told(make_dataset: MakeDataset) -> None:
    data, told = make_dataset(rows=150), []
    predictor = make_predictor("ridge-counts")
    X = data.encode(predictor.encoding)
    curve = learning_curve(predictor, X, data.values, data.networks, done=lambda: told.append(1))
    assert [p.n for p in curve] == [10, 20, 50, 100]
    assert len(told) == 4 * SPLITS == sum(len(p.mape) for p in curve)
    assert curve[0].mean > 2 * curve[-1].mean
    assert curve[-1].mean < 0.015  # the noise alone is 0.8 %
    assert curve == learning_curve(predictor, X, data.values, data.networks)
    assert curve != learning_curve(predictor, X, data.values, data.networks, seed=5)


def test_a_comparison_has_curves_when_asked(dataset: LatencyDataset) -> None:
    calls: list[tuple[str, int, int]] = []
    (plain,) = compare(dataset, ["ridge-cost"], folds=3)
    (more,) = compare(
        dataset, ["ridge-cost"], folds=3, curves=True, progress=lambda *c: calls.append(c)
    )
    assert plain.curve == ()
    assert (more.predicted, more.metrics) == (plain.predicted, plain.metrics)
    assert [p.n for p in more.curve] == [10, 20, 40]
    assert calls == [("ridge-cost", i, 12) for i in range(1, 13)]
