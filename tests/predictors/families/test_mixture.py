"""Sums times a network's correction."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import ParseError
from latbench.predictors.base import Floats
from latbench.predictors.families.mixture import Devices, MixtureOneHot, learn_devices
from latbench.predictors.families.ridge import RidgeOneHot

# Every choice of one of three on four edges.
X = np.array([np.eye(3)[list(c)].ravel() for c in itertools.product(range(3), repeat=4)])
COSTS = np.random.default_rng(0).uniform(0.1, 1, 12)
SUMS = 1 + X @ COSTS
# Where the first edge takes its first choice, nothing of the last edge is built.
DEAD = SUMS - np.where(X[:, 0] == 1, X[:, 9:] @ COSTS[9:], 0)
NO_COUNTS = np.zeros((12, 0))


def error(values: Floats, y: Floats) -> float:
    return float(np.abs(values / y - 1).mean())


def test_it_corrects_what_sums_miss() -> None:
    plain = RidgeOneHot().fit(X, DEAD)
    corrected = MixtureOneHot().fit(X, DEAD)
    assert error(corrected.predict(X), DEAD) < 0.5 * error(plain.predict(X), DEAD)


def test_sums_stay_sums() -> None:
    devices = learn_devices([(X, SUMS), (X[::-1], 3 * SUMS[::-1])], NO_COUNTS, steps=300)
    values = devices.values(X)
    assert values.shape == (81, 2)
    assert error(values * [SUMS.mean(), SUMS.mean()], SUMS[:, None]) < 0.002


def test_without_a_network_sums_stand_alone() -> None:
    devices = learn_devices([(X, SUMS)], NO_COUNTS, network=False)
    assert devices.layers == ()
    expected = (X - devices.center) @ devices.coefs.T + devices.levels
    assert np.allclose(devices.values(X), expected)


def test_a_sum_below_zero_is_kept_positive() -> None:
    layers = ((np.zeros((1, 12)), np.array([9.0])),)
    devices = Devices(X.mean(axis=0), np.full((1, 12), -9.0), np.array([-5.0]), layers)
    assert np.allclose(devices.values(X), 0.05 * np.exp(3))


def test_a_state_of_other_sizes_is_refused(tmp_path: Path) -> None:
    fitted = MixtureOneHot(steps=5).fit(X, SUMS)
    fitted.weights_ = np.ones(2)
    fitted.save_state(tmp_path)
    with pytest.raises(ParseError, match="weight2"):
        MixtureOneHot(steps=5).load_state(tmp_path)
