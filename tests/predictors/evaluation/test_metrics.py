from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.evaluation.metrics import (
    METRICS,
    _weighted_kendall,
    _weighted_spearman,
    evaluate,
)


def test_values_worked_out_by_hand() -> None:
    true = [0.010, 0.020, 0.040, 0.050]
    predicted = [0.0105, 0.018, 0.052, 0.050]  # +5 %, -10 %, +30 %, 0
    metrics = evaluate(true, predicted)
    assert tuple(metrics) == METRICS
    value = {name: v for name, (v, _, _) in metrics.items()}
    assert value["mape"] == pytest.approx(0.45 / 4)
    assert value["rmse"] == pytest.approx(1e-3 * math.sqrt((0.25 + 4 + 144 + 0) / 4))
    assert value["within_5"] == 0.5
    assert value["within_10"] == 0.75
    # Ranks 1 2 4 3: rho = 1 - 6 * 2 / (4 * 15); one of six pairs is the wrong way round.
    assert value["spearman"] == pytest.approx(0.8)
    assert value["kendall"] == pytest.approx((5 - 1) / 6)
    assert all(low <= v <= high for v, low, high in metrics.values())


def test_perfect_predictions() -> None:
    y = np.linspace(0.01, 0.02, 30)
    metrics = evaluate(y, y)
    assert metrics["mape"] == metrics["rmse"] == (0, 0, 0)
    assert metrics["within_5"] == (1, 1, 1)
    assert metrics["spearman"] == pytest.approx((1, 1, 1))
    assert metrics["kendall"] == pytest.approx((1, 1, 1))


def test_a_constant_ranks_nothing() -> None:
    metrics = evaluate([0.01, 0.02, 0.03], [0.02, 0.02, 0.02])
    assert metrics["spearman"] == metrics["kendall"] == (0, 0, 0)


small = st.lists(st.integers(0, 6), min_size=4, max_size=12)


@settings(deadline=None, max_examples=60)
@given(small, st.integers(0, 2**31))
def test_resampled_correlations_are_scipys(values: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = np.array(values, float)
    b = rng.integers(0, 6, len(a)).astype(float)
    counts = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size=3).astype(float)
    rho, tau = _weighted_spearman(a, b, counts), _weighted_kendall(a, b, counts)
    for row, c in enumerate(counts.astype(int)):
        x, y = np.repeat(a, c), np.repeat(b, c)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            assert rho[row] == tau[row] == 0
        else:
            assert rho[row] == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)
            assert tau[row] == pytest.approx(kendalltau(x, y).statistic, abs=1e-9)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    # Relative errors are half-normal of scale 4 %, so the true MAPE is 0.04 * sqrt(2 / pi).
    truth = 0.04 * math.sqrt(2 / math.pi)
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = rng.uniform(0.01, 0.02, 60)
        _, low, high = evaluate(y, y * (1 + rng.normal(0, 0.04, 60)), n_boot=100)["mape"]
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_capped_rank_intervals_agree_with_full_ones() -> None:
    rng = np.random.default_rng(0)
    y = rng.uniform(0.01, 0.02, 3000)
    predicted = y * (1 + rng.normal(0, 0.1, 3000))
    value, low, high = evaluate(y, predicted, n_boot=200)["spearman"]
    boots = [
        spearmanr(y[i], predicted[i]).statistic
        for i in (rng.integers(3000, size=3000) for _ in range(100))
    ]
    assert value == pytest.approx(spearmanr(y, predicted).statistic)
    assert high - low == pytest.approx(np.ptp(np.percentile(boots, [2.5, 97.5])), rel=0.35)
    assert low < value < high


def test_same_seed_same_intervals() -> None:
    y = np.linspace(0.01, 0.02, 20)
    predicted = y[::-1] * 1.1
    assert evaluate(y, predicted, seed=3) == evaluate(y, predicted, seed=3)
    assert evaluate(y, predicted, seed=3) != evaluate(y, predicted, seed=4)


@pytest.mark.parametrize(
    ("true", "predicted", "error"),
    [
        ([0.01, 0.0], [0.01, 0.01], UsageError),
        ([0.01, 0.02], [0.01], UsageError),
        ([0.01, 0.02], [0.01, float("nan")], UsageError),
        ([[0.01, 0.02]], [[0.01, 0.02]], UsageError),
        ([0.01], [0.01], NotEnoughData),
        ([], [], NotEnoughData),
    ],
)
def test_refuses_what_cannot_be_judged(
    true: list[float], predicted: list[float], error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluate(true, predicted)
