from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_predictors import QUICK
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from latbench.encodings.graph import GRAPH_FEATURES
from latbench.encodings.layers import LAYER_FEATURES
from latbench.errors import NotEnoughData, UsageError
from latbench.predictors import PREDICTORS, make_predictor, predictor_class
from latbench.predictors.base import Floats, LatencyPredictor
from latbench.predictors.families.ridge import RidgeCounts
from latbench.store.dataset import LatencyDataset
from latbench.testing.predictor_checks import check_predictor

MakeDataset = Callable[..., LatencyDataset]
DIFFERENTIABLE = [n for n in PREDICTORS if predictor_class(n).differentiable]


@pytest.mark.parametrize("space", ["darts", "nasbench201"])
@pytest.mark.parametrize("name", PREDICTORS)
def test_keeps_the_contract(name: str, space: str, make_dataset: MakeDataset) -> None:
    check_predictor(make_predictor(name, **QUICK.get(name, {})), make_dataset(space, rows=40))


class Negative(RidgeCounts):
    """Breaks the contract: its clip is gone."""

    def predict(self, X: Any, return_interval: Any = None) -> Any:
        return self._predict(np.asarray(X, float))


class Forgetful(RidgeCounts):
    """Breaks the contract: saves other numbers than it uses."""

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**super()._arrays(), "coef": self.coef_ * 1.001}


class Random(RidgeCounts):
    """Breaks the contract: depends on numpy's global generator."""

    def _fit(self, X: Floats, y: Floats) -> None:
        super()._fit(X, y * np.random.uniform(0.99, 1.01, len(y)))


class InSeconds(RidgeCounts):
    """Breaks the contract: takes every value for seconds."""

    def _predict(self, X: Floats) -> Floats:
        return super()._predict(X) + 1e-3


class Uncalibrated(RidgeCounts):
    """Breaks the contract: saves no calibration."""

    def save_state(self, directory: Path) -> None:
        scores = self.__dict__.pop("scores_", None)
        super().save_state(directory)
        if scores is not None:
            self.scores_ = scores


class WrongEncoding(RidgeCounts):
    encoding: ClassVar[str] = "adjacency"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Negative, "not positive and finite"),
        (Forgetful, "otherwise after save_state"),
        (Random, "another result for the same data"),
        (InSeconds, "otherwise in another unit"),
        (Uncalibrated, "no calibration"),
        (WrongEncoding, "no encoding"),
    ],
)
def test_the_conformance_check_finds_what_is_broken(
    broken: type[LatencyPredictor], says: str, dataset: LatencyDataset
) -> None:
    with pytest.raises(AssertionError, match=says):
        check_predictor(broken(), dataset)


@pytest.mark.parametrize("name", PREDICTORS)
@settings(deadline=None, max_examples=6)
@given(exponent=st.floats(-6, 9), share=st.floats(0.01, 1))
def test_predictions_scale_with_the_unit(
    name: str, exponent: float, share: float, make_dataset: MakeDataset
) -> None:
    """Seconds, bytes and joules alike, whether architectures differ a lot or by a hundredth."""
    data, c = make_dataset(rows=40), 10**exponent
    y = data.values.mean() * (1 - share) + data.values * share
    predictor = make_predictor(name, **QUICK.get(name, {}))
    X = data.encode(predictor.encoding)
    plain = clone(predictor).fit(X, y)
    scaled = clone(predictor).fit(X, c * y)
    np.testing.assert_allclose(scaled.predict(X), c * plain.predict(X), rtol=1e-3)
    np.testing.assert_allclose(scaled.range_, c * plain.range_)


# Differentiable, but in features that are no function of a relaxed architecture.
IN_COSTS = ("lookup", "ridge-cost", "ridge-layers", "roofline")


@pytest.mark.parametrize("name", [*DIFFERENTIABLE, *IN_COSTS])
@pytest.mark.parametrize("c", [1e-6, 1e9])
def test_modules_scale_with_the_unit(name: str, c: float, dataset: LatencyDataset) -> None:
    import torch

    predictor = make_predictor(name, **QUICK.get(name, {}))
    X = dataset.encode(predictor.encoding)
    gradients = []
    for factor in (1.0, c):
        fitted = clone(predictor).fit(X, factor * dataset.values)
        x = torch.tensor(X, dtype=torch.float32, requires_grad=True)
        values = fitted.as_module()(x)
        np.testing.assert_allclose(values.detach().numpy(), fitted.predict(X), rtol=1e-4)
        values.sum().backward()
        assert x.grad is not None
        gradients.append(x.grad.numpy() / factor)
    largest = np.abs(gradients[0]).max()
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=0, atol=1e-3 * largest)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "mixture-one-hot" else n for n in PREDICTORS],
)
def test_works_in_cross_val_score(name: str, dataset: LatencyDataset) -> None:
    params = {"steps": 100, "epochs": 1} if name == "gnn" else {}  # for time
    predictor = make_predictor(name, **params)
    scores = cross_val_score(
        predictor, dataset.encode(predictor.encoding), dataset.values, cv=3,
        scoring="neg_mean_absolute_percentage_error",
    )  # fmt: skip
    # Always predicting the mean is off by about 25 %.
    assert -0.2 < scores.mean() < 0
    assert not hasattr(predictor, "range_")


@pytest.mark.parametrize("name", PREDICTORS)
def test_fits_on_a_dataset_as_on_its_vectors(name: str, dataset: LatencyDataset) -> None:
    params = QUICK.get(name, {})
    predictor = make_predictor(name, **params)
    vectors = dataset.encode(predictor.encoding)
    by_hand = make_predictor(name, **params).fit(vectors, dataset.values).predict(vectors)
    np.testing.assert_array_equal(predictor.fit(dataset).predict(dataset), by_hand)


def test_naming_predictors_imports_no_framework() -> None:
    code = (
        "import sys, latbench.predictors; "
        "print([m for m in ('torch', 'sklearn', 'lightgbm', 'scipy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("mpl", {}, "expected one of gnn, lightgbm, lookup, mixture-one-hot, mlp"),
        ("mlp", {"layers": 3}, "no parameter 'layers'; it has hidden"),
        ("mlp", {"hidden": ()}, "hidden"),
        ("mlp", {"hidden": [64, -1]}, "a width in hidden"),
        ("mlp", {"steps": 1.5}, "steps must be an integer"),
        ("mlp", {"steps": True}, "steps must be an integer"),
        ("mlp", {"learning_rate": float("nan")}, "learning_rate"),
        ("lightgbm", {"num_leaves": 1}, "num_leaves must be an integer from 2"),
        ("lightgbm", {"subsample": "all"}, "subsample must be a number"),
        ("ridge-counts", {"alphas": [0.0]}, "alpha must be"),
        ("ridge-counts", {"alphas": []}, "alphas must be"),
    ],
)
def test_refuses_bad_names_and_parameters(name: str, params: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_predictor(name, **params)


def test_takes_lists_where_the_default_is_a_tuple() -> None:
    assert make_predictor("mlp", hidden=[8, 4]).get_params()["hidden"] == (8, 4)


@pytest.mark.parametrize("name", PREDICTORS)
def test_says_so_when_it_is_not_fitted(name: str) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        make_predictor(name).predict(np.zeros((1, 3)))


def test_needs_two_rows() -> None:
    with pytest.raises(NotEnoughData, match="got 1"):
        make_predictor("ridge-cost").fit(np.ones((1, 4)), [0.01])


@pytest.mark.parametrize("name", PREDICTORS)
def test_survives_constant_data(name: str) -> None:
    predictor = make_predictor(name, **QUICK.get(name, {}))
    widths = {"graph": len(GRAPH_FEATURES), "layers": len(LAYER_FEATURES)}
    X = np.ones((12, widths.get(str(predictor.encoding), 3)))
    fitted = predictor.fit(X, np.full(12, 0.02))
    assert np.allclose(fitted.predict(X[:2]), 0.02, rtol=5e-3)  # the GNN takes 10 steps


def test_the_mlp_depends_on_its_seed_alone(dataset: LatencyDataset) -> None:
    import torch

    X, y = dataset.encode("counts"), dataset.values
    mlp = make_predictor("mlp", steps=20)
    first = clone(mlp).fit(X, y).predict(X)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    assert np.array_equal(clone(mlp).fit(X, y).predict(X), first)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    other = make_predictor("mlp", steps=20, random_state=1).fit(X, y).predict(X)
    assert not np.array_equal(other, first)


def test_ridge_finds_the_costs_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (60, 3)).astype(float)
    fitted = RidgeCounts().fit(X, 5e-3 + X @ [1e-3, 2e-3, 0.0])
    assert np.allclose(fitted.coef_, [1e-3, 2e-3, 0.0], atol=2e-6)


def test_ridge_judges_relative_errors() -> None:
    # Two groups that no line fits: weighting by 1/y^2 must favour the fast one.
    X = np.repeat([[0.0], [1.0], [2.0]], 20, axis=0)
    y = np.repeat([1e-3, 1e-3, 20e-3], 20)
    predicted = RidgeCounts().fit(X, y).predict([[0.0], [1.0], [2.0]])
    plain = np.polyval(np.polyfit(X[:, 0], y, 1), [0, 1, 2])
    truth = np.array([1e-3, 1e-3, 20e-3])
    assert np.abs(predicted / truth - 1).mean() < 0.5 * np.abs(plain / truth - 1).mean()


def test_large_sets_are_trained_in_batches() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (700, 4)).astype(float)
    y = 5e-3 + X @ [1e-3, 2e-3, 5e-4, 0.0]
    fitted = make_predictor("mlp").fit(X[:600], y[:600])
    assert np.abs(fitted.predict(X[600:]) / y[600:] - 1).mean() < 0.015


def test_the_differentiable_ones_are_named(dataset: LatencyDataset) -> None:
    for name in PREDICTORS:
        fitted = make_predictor(name, **QUICK.get(name, {}))
        fitted.fit(dataset.encode(fitted.encoding), dataset.values)
        if name in ("lightgbm", "xgboost", "gnn"):
            with pytest.raises(UsageError, match="use one that has, such as mlp"):
                fitted.as_module()
        else:
            assert name in (*DIFFERENTIABLE, *IN_COSTS)
            fitted.as_module()
