"""Measurements whose truth is known: an additive cost an operation, and 1 % of noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from latbench.spaces import AnySpace, darts, nasbench201
from latbench.store.dataset import LatencyDataset

MakeDataset = Callable[..., LatencyDataset]


def _space(name: str) -> AnySpace:
    return darts(channels=4, cells=3) if name == "darts" else nasbench201(channels=4, cells=1)


def _dataset(name: str = "darts", rows: int = 60, noise: float = 0.01) -> LatencyDataset:
    space = _space(name)
    architectures = tuple(a for _, a in space.unique_samples(0, rows))
    rng = np.random.default_rng(7)
    counts = np.stack([space.counts(a) for a in architectures]).astype(float)
    # Costs of 0.2 to 5 ms an operation on a base of 8 ms: about 10 % of spread on DARTS.
    costs_s = np.exp(rng.uniform(np.log(2e-4), np.log(5e-3), counts.shape[1]))
    latency_s = (8e-3 + counts @ costs_s) * np.exp(rng.normal(0, noise, rows))
    return LatencyDataset(
        space, architectures, latency_s, "fake", "test device", noise_floor=0.014,
        conditions={"protocol": {"visits": 3}},
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """``make_dataset(space_name="darts", rows=60, noise=0.01)``."""
    return _dataset


@pytest.fixture(scope="session")
def dataset() -> LatencyDataset:
    return _dataset()
