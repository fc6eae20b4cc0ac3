"""The ensemble's mean is a good MLP, and its deviations know where the noise is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

from latbench.errors import ParseError, UsageError
from latbench.predictors import make_predictor
from latbench.predictors.families.mlp_ensemble import MLPEnsemble
from latbench.predictors.model import LatencyModel
from latbench.store.dataset import LatencyDataset

MakeDataset = Callable[..., LatencyDataset]


def test_the_deviation_follows_the_noise() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (400, 3)).astype(float)
    noise = np.where(X[:, 0] > 0, 0.10, 0.01)
    y = (5e-3 + X @ [1e-3, 2e-3, 1e-3]) * np.exp(rng.normal(0, noise))
    fitted = MLPEnsemble(steps=400).fit(X, y)
    share = fitted.predict_std(X) / fitted.predict(X)
    assert np.median(share[X[:, 0] > 0]) == pytest.approx(0.10, rel=0.3)
    assert np.median(share[X[:, 0] == 0]) < 0.03


def test_members_disagree_away_from_the_data() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (100, 4))
    fitted = MLPEnsemble().fit(X, np.exp(0.1 * np.sin(2 * X[:, 0])))
    near, far = fitted.predict_std(X).mean(), fitted.predict_std(6 * X).mean()
    assert far > 1.5 * near


def test_deviations_are_in_the_unit_of_y(make_dataset: MakeDataset) -> None:
    data = make_dataset(rows=40)
    X = data.encode("counts")
    predictor = MLPEnsemble(steps=30)
    plain = clone(predictor).fit(X, data.values).predict_std(X)
    bytes_ = clone(predictor).fit(X, 1e9 * data.values).predict_std(X)
    assert (plain > 0).all()
    np.testing.assert_allclose(bytes_, 1e9 * plain, rtol=1e-2)


def test_deviations_are_checked_and_saved(make_dataset: MakeDataset, tmp_path: Path) -> None:
    data = make_dataset(rows=40)
    X = data.encode("counts")
    fitted = MLPEnsemble(steps=20).fit(X, data.values)
    assert fitted.predict_std(X[:0]).shape == (0,)
    with pytest.raises(UsageError, match="fitted on"):
        fitted.predict_std(X[:, 1:])
    fitted.save_state(tmp_path)
    again = MLPEnsemble(steps=20)
    again.load_state(tmp_path)
    np.testing.assert_array_equal(again.predict_std(X), fitted.predict_std(X))
    with pytest.raises(ParseError, match="weight0"):
        MLPEnsemble(members=3).load_state(tmp_path)


def test_the_upper_module_is_mean_and_deviations_with_a_gradient_in_both(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(rows=40)
    model = LatencyModel.fit(data, MLPEnsemble(steps=30))
    x = torch.tensor(data.encode("one_hot"), dtype=torch.float32, requires_grad=True)
    X = data.encode("counts")
    mean, deviation = model.predictor.predict(X), model.predictor.predict_std(X)
    upper = model.as_module(deviations=1.5)(x)
    np.testing.assert_allclose(upper.detach().numpy(), mean + 1.5 * deviation, rtol=1e-4)
    (own,) = torch.autograd.grad(upper.sum(), x)
    (plain,) = torch.autograd.grad(model.as_module()(x).sum(), x)
    assert own.isfinite().all()
    assert not torch.allclose(own, plain, rtol=1e-2)
    with pytest.raises(UsageError, match=r"deviations must be .*-1"):
        model.as_module(deviations=-1)


def test_a_predictor_without_deviations_names_those_with(make_dataset: MakeDataset) -> None:
    model = LatencyModel.fit(make_dataset(rows=40), make_predictor("ridge-counts"))
    with pytest.raises(UsageError, match=r"'ridge-counts' gives no deviation.*mlp-ensemble"):
        model.as_module(deviations=1.0)


def test_parameters_are_checked() -> None:
    with pytest.raises(UsageError, match="members must be an integer"):
        make_predictor("mlp-ensemble", members=0)
