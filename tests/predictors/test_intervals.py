"""Intervals: coverage over many data sets, and what must not change it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import NotEnoughData, ParseError, UsageError
from latbench.predictors.base import Floats
from latbench.predictors.families.ridge import RidgeCounts
from latbench.predictors.intervals import MAX_SCORES, conformal_scores, interval_factor
from latbench.predictors.safe_arrays import read_arrays, write_arrays

LEVEL, CALIBRATION, TEST, SEEDS = 0.9, 29, 50, 150


def _data(seed: int, rows: int) -> tuple[Floats, Floats]:
    """An additive truth that the model does not quite match, with a heavy-tailed error."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 5, (rows, 6)).astype(float)
    truth = 5 + X @ np.array([3.0, 2.0, 1.0, 1.0, 0.5, 0.0]) + 0.3 * X[:, 0] * X[:, 1]
    return X, truth * np.exp(0.05 * rng.standard_t(4, rows))


def _coverages(in_sample: bool) -> Floats:
    """Of 150 data sets, the share of fresh rows inside intervals of 90 %."""
    found = []
    for seed in range(SEEDS):
        X, y = _data(seed, 30 + CALIBRATION + TEST)
        train, held, test = slice(30), slice(30, 30 + CALIBRATION), slice(30 + CALIBRATION, None)
        predictor = RidgeCounts((1e-2,)).fit(X[train], y[train])
        scored = train if in_sample else held
        predictor.calibrate(y[scored], predictor.predict(X[scored]))
        _, low, high = predictor.predict(X[test], return_interval=LEVEL)
        found.append(np.mean((low <= y[test]) & (y[test] <= high)))
    return np.array(found)


def _deviation() -> float:
    """Of the mean coverage: a Beta law over calibration sets, a binomial one over fresh rows."""
    rank = math.ceil((CALIBRATION + 1) * LEVEL)
    a, b = rank, CALIBRATION + 1 - rank
    beta = a * b / ((a + b) ** 2 * (a + b + 1))
    return math.sqrt((beta + LEVEL * (1 - LEVEL) / TEST) / SEEDS)


def test_split_conformal_intervals_cover_as_promised() -> None:
    # 29 rows: the rank is 27, and its coverage is 27/30 exactly, however wrong the model is.
    assert abs(_coverages(in_sample=False).mean() - LEVEL) < 4 * _deviation()


def test_the_coverage_test_can_fail() -> None:
    assert _coverages(in_sample=True).mean() < LEVEL - 4 * _deviation()


def test_cross_conformal_intervals_cover_about_the_level() -> None:
    found = []
    for seed in range(60):
        X, y = _data(seed, 40 + TEST)
        held_out = np.empty(40)
        for fold in range(5):
            test = np.arange(40) % 5 == fold
            fitted = RidgeCounts((1e-2,)).fit(X[:40][~test], y[:40][~test])
            held_out[test] = fitted.predict(X[:40][test])
        predictor = RidgeCounts((1e-2,)).fit(X[:40], y[:40]).calibrate(y[:40], held_out)
        _, low, high = predictor.predict(X[40:], return_interval=LEVEL)
        found.append(np.mean((low <= y[40:]) & (y[40:] <= high)))
    assert 0.86 < np.mean(found) < 0.96


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-9, 1e12), st.sampled_from([0.5, 0.8, 0.9]))
def test_intervals_scale_with_the_unit(unit: float, level: float) -> None:
    X, y = _data(0, 40)
    held = y[:20] * np.linspace(0.9, 1.2, 20)
    ends = []
    for c in (1.0, unit):
        predictor = RidgeCounts().fit(X, c * y).calibrate(c * y[:20], c * held)
        ends.append(np.stack(predictor.predict(X, return_interval=level)) / c)
    assert np.allclose(ends[0], ends[1], rtol=1e-6, atol=0)


@settings(deadline=None)
@given(st.lists(st.floats(0.5, 2.0), min_size=30, max_size=60))
def test_a_higher_level_is_never_narrower(ratios: list[float]) -> None:
    scores = conformal_scores(np.ones(len(ratios)), ratios)
    factors = [interval_factor(scores, level) for level in (0.1, 0.5, 0.8, 0.9, 0.95)]
    assert factors == sorted(factors)
    assert factors[0] >= 1


@pytest.mark.parametrize(("level", "rows"), [(0.9, 9), (0.8, 4), (0.99, 99), (0.5, 1)])
def test_too_few_rows_for_the_level_are_refused_and_counted(level: float, rows: int) -> None:
    scores = np.arange(rows) / 100
    assert interval_factor(scores, level) == pytest.approx(math.exp(scores[-1]))
    with pytest.raises(NotEnoughData, match=f"needs {rows} calibration rows, there are {rows - 1}"):
        interval_factor(scores[:-1], level)


@pytest.mark.parametrize("n", [MAX_SCORES, MAX_SCORES + 1, 1234, 9999])
def test_many_scores_are_thinned_and_still_cover(n: int) -> None:
    kept = conformal_scores(np.ones(n), np.exp(np.arange(1, n + 1) / n))
    assert len(kept) == min(n, MAX_SCORES)
    for level in (0.05, 0.5, 0.9, 0.95, 0.999):
        rank = round(math.log(interval_factor(kept, level)) * n)  # among all of them
        assert rank >= round((n + 1) * level, 9)
        assert rank <= (n + 1) * (level + 1.1 / MAX_SCORES) + 1


@pytest.mark.parametrize("level", [0, 1, -0.1, 90, True, "0.9", math.nan])
def test_levels_that_are_none_are_refused(level: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        interval_factor(np.zeros(100), level)


@pytest.mark.parametrize("bad", [[1.0], [1.0, 0.0], [1.0, math.inf], [[1.0], [2.0]]])
def test_scores_of_impossible_predictions_are_refused(bad: list[float]) -> None:
    with pytest.raises(UsageError):
        conformal_scores([1.0, 2.0], bad)


def test_a_new_fit_forgets_the_calibration() -> None:
    X, y = _data(0, 30)
    predictor = RidgeCounts().fit(X, y).calibrate(y, y)
    predictor.predict(X, return_interval=0.9)
    with pytest.raises(UsageError, match="calibrat"):
        predictor.fit(X, y).predict(X, return_interval=0.9)


def test_damaged_scores_are_refused(tmp_path: Path) -> None:
    X, y = _data(0, 30)
    RidgeCounts().fit(X, y).calibrate(y, 1.1 * y).save_state(tmp_path)
    arrays = read_arrays(tmp_path / "state.safetensors")
    arrays["calibration_scores"] = -arrays["calibration_scores"]
    write_arrays(tmp_path / "state.safetensors", arrays)
    with pytest.raises(ParseError, match="ascend"):
        RidgeCounts().load_state(tmp_path)
