"""Which architectures next: covering, disagreement, and their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.predictors.families.ridge import RidgeCounts
from latbench.sampling.choosing import disagreement, most_informative, space_filling, standardised


def _pool(seed: int, rows: int = 80, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width))


def _radius(pool: np.ndarray, chosen: np.ndarray) -> float:
    X = standardised(pool)
    distances = np.linalg.norm(X[:, None] - X[chosen][None], axis=2)
    return float(distances.min(axis=1).max())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(0, 39))
def test_a_longer_choice_begins_with_the_shorter_one(seed: int, n: int, more: int) -> None:
    pool = _pool(seed)
    long = space_filling(pool, n + more)
    assert np.array_equal(long[:n], space_filling(pool, n))
    assert len(set(long.tolist())) == n + more
    assert np.array_equal(long[n:], space_filling(pool, more, taken=long[:n]))


@pytest.mark.parametrize("n", [5, 15, 40])
def test_it_covers_better_than_a_random_choice(n: int) -> None:
    for seed in range(5):
        pool = _pool(seed, 200)
        assert _radius(pool, space_filling(pool, n)) < _radius(pool, np.arange(n))


def test_a_unit_of_a_feature_does_not_matter() -> None:
    pool = _pool(0)
    scaled = pool * [1, 1e6, 1e-6, 1]
    assert np.array_equal(space_filling(pool, 20), space_filling(scaled, 20))


def test_equal_rows_and_constant_features_are_no_trouble() -> None:
    pool = np.ones((10, 3))
    assert sorted(space_filling(pool, 10).tolist()) == list(range(10))


@pytest.mark.parametrize(("n", "taken"), [(81, []), (-1, []), (80, [3])])
def test_more_than_the_pool_is_refused(n: int, taken: list[int]) -> None:
    with pytest.raises(UsageError, match="pool of 80"):
        space_filling(_pool(0), n, taken)


def test_an_ensemble_disagrees_where_it_has_seen_nothing() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=40), 0.05 * rng.normal(size=40)])
    y = 10 + X @ [1.0, 1.0] + 0.1 * rng.normal(size=40)
    pool = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    found = disagreement(RidgeCounts((1e-3,)), X, y, pool, seed=0)
    assert found[2] > 3 * found[1] > 0


def test_a_batch_is_uncertain_and_spread() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 3))
    y = 20 + X.sum(axis=1) + 0.2 * rng.normal(size=30)
    near = rng.normal(size=(100, 3))
    # Forty copies of one far architecture: the most uncertain rows, all the same question.
    pool = np.vstack([near, np.tile([6.0, 6.0, -6.0], (40, 1)), 3 * near[:20]])
    chosen = most_informative(RidgeCounts(), X, y, pool, 12, seed=0)
    assert len(set(chosen.tolist())) == 12
    doubt = disagreement(RidgeCounts(), X, y, pool, seed=0)
    assert doubt[chosen].mean() > doubt.mean()
    assert doubt[chosen[0]] == doubt.max()
    pool = np.vstack([near, np.tile([6.0, 6.0, -6.0], (5, 1)), 3 * near[:20]])
    chosen = most_informative(RidgeCounts(), X, y, pool, 12, seed=0)
    assert np.isin(chosen, np.arange(100, 105)).sum() == 1


def test_a_choice_depends_on_the_seed_only() -> None:
    X, pool = _pool(2, 30), _pool(3)
    y = 20 + X.sum(axis=1)
    first = most_informative(RidgeCounts(), X, y, pool, 10, seed=5)
    np.random.random(3)
    assert np.array_equal(first, most_informative(RidgeCounts(), X, y, pool, 10, seed=5))
    assert not np.array_equal(first, most_informative(RidgeCounts(), X, y, pool, 10, seed=6))


@pytest.mark.parametrize("n", [0, 81])
def test_a_batch_larger_than_the_pool_is_refused(n: int) -> None:
    X = _pool(2, 30)
    with pytest.raises(UsageError, match="pool of 80"):
        most_informative(RidgeCounts(), X, 20 + X.sum(axis=1), _pool(0), n, seed=0)
