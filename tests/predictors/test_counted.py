"""Counts of networks as exact models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from latbench.errors import UsageError
from latbench.predictors.counted import Counted, counted_model
from latbench.predictors.model import LatencyModel
from latbench.spaces import SPACES, make_space, nasbench201
from latbench.spaces.chains.chain import ChainSpace
from latbench.timing.metric import measured_metric, parse_amount, parse_metric

CHAINS = [name for name in SPACES if isinstance(make_space(name), ChainSpace)]


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("what", ["macs", "parameters"])
def test_they_are_exact(name: str, what: Counted, tmp_path: Path) -> None:
    space = make_space(name, dict(make_space(name).small))
    model = counted_model(space, what)
    sample = [space.sample(1, i) for i in range(12)]
    counted = [getattr(space.build(a), what) for a in sample]
    np.testing.assert_allclose(model.predict(sample), counted, rtol=1e-6)
    x = torch.from_numpy(np.stack([space.one_hot(a) for a in sample]))
    np.testing.assert_allclose(model.as_module()(x), counted, rtol=1e-4)
    model.save(tmp_path / "m")
    loaded = LatencyModel.load(tmp_path / "m", space=space)
    np.testing.assert_array_equal(loaded.predict(sample), model.predict(sample))
    assert loaded.metric.name == what
    assert "exact" in loaded.card.facts()["fitted on"]
    assert loaded.unlike_sample(sample[0]) is None


def test_where_layers_are_no_products_of_options_it_says_so() -> None:
    with pytest.raises(UsageError, match="macs of 'nasbench201' cannot be counted by its layers"):
        counted_model(nasbench201(), "macs")


def test_a_count_is_no_metric_of_a_measurement() -> None:
    with pytest.raises(UsageError, match="multiply-accumulates of a network are counted, not meas"):
        measured_metric("macs")
    assert parse_amount(parse_metric("macs"), "1.5M", 1.0) == 1.5e6
    assert parse_amount(parse_metric("parameters"), "60%", 2e6) == 1.2e6
