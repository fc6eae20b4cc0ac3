"""The average over gains and noises finds what a few samples say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.predictors.transfer.evidence import average, noise_scale

RNG = np.random.default_rng(0)
FEATURES = [RNG.normal(size=(200, m)) / np.sqrt(m) for m in (3, 4, 30)]
TRUE = [RNG.normal(size=m) for m in (3, 4, 30)]


def rms(kind: int, noise: float, n: int = 20) -> tuple[float, float]:
    """Errors on rows that were not samples of an average, and of the mean, over the spread."""
    y = 10 + FEATURES[kind] @ TRUE[kind] + RNG.normal(0, noise, 200)
    found = average([f[:n] for f in FEATURES], y[:n])
    predicted = found.constant + sum(f @ w for f, w in zip(FEATURES, found.weights, strict=True))
    rest = (predicted - y)[n:], (y[:n].mean() - y)[n:]
    return float(np.sqrt((rest[0] ** 2).mean())), float(np.sqrt((rest[1] ** 2).mean()))


def test_it_leans_on_the_kind_that_explains_the_samples() -> None:
    for kind in (0, 1):
        ours, plain = rms(kind, 0.01)
        assert ours < 0.15 * plain


def test_pure_noise_is_not_explained() -> None:
    y = 10 + RNG.normal(0, 1, 200)
    found = average([f[:20] for f in FEATURES], y[:20])
    assert abs(found.constant - 10) < 1
    predicted = sum(f @ w for f, w in zip(FEATURES, found.weights, strict=True))
    assert np.std(predicted) < 0.6


@settings(deadline=None, max_examples=10)
@given(n=st.integers(5, 20), value=st.floats(0.5, 2))
def test_equal_samples_give_that_value(n: int, value: float) -> None:
    found = average([f[:n] for f in FEATURES], np.full(n, value))
    assert np.isclose(found.constant, value)
    assert all(np.abs(w).max() < 1e-6 for w in found.weights)


def test_a_sample_near_zero_does_not_decide_alone() -> None:
    y = np.linspace(1, 2, 20)
    y[0] = 1e-6
    assert noise_scale(y).min() > 0.5
    assert average([f[:20] for f in FEATURES], y).constant > 1


def test_the_right_features_have_more_evidence() -> None:
    y = 10 + FEATURES[0] @ TRUE[0]
    right, wrong = ([FEATURES[kind][:20]] for kind in (0, 1))
    assert average(right, y[:20]).log_evidence > 5 + average(wrong, y[:20]).log_evidence
