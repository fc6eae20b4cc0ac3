"""Roofline and lookup table: they find the coefficients that made the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from latbench.encodings import encode
from latbench.encodings.layers import GROUPS, LAYER_FEATURES, unpack_layers
from latbench.errors import ParseError, UsageError
from latbench.networks.network import Network
from latbench.networks.ops import Conv
from latbench.predictors import make_predictor
from latbench.predictors.base import Floats
from latbench.predictors.families import ridge_layers
from latbench.predictors.families.lookup_table import LookupTable
from latbench.predictors.families.ridge_layers import RidgeLayers
from latbench.predictors.families.roofline import Roofline
from latbench.predictors.safe_arrays import read_arrays, write_arrays
from latbench.spaces import darts, make_space, nasbench201

SPACE = nasbench201(channels=8, cells=2)
TRUE = np.array([2e-10, 5e-10, 3e-6, 1e-4])


@pytest.fixture(scope="module")
def X() -> Floats:
    architectures = [a for _, a in SPACE.unique_samples(0, 80)]
    return encode(SPACE, architectures, "layers").astype(float)


def roofline(X: Floats) -> Floats:
    a, b, c, d = TRUE
    count, macs, moved, *_ = unpack_layers(X)
    return np.asarray((count * (np.maximum(a * macs, b * moved) + c)).sum(axis=1) + d)


def test_the_roofline_is_found_from_a_few_rows(X: Floats) -> None:
    y = roofline(X)
    fitted = Roofline().fit(X[:10], y[:10])
    np.testing.assert_allclose(fitted.predict(X[10:]), y[10:], rtol=5e-3)
    found = Roofline().fit(X, y).coefficients_
    np.testing.assert_allclose(found[:2], TRUE[:2], rtol=0.1)


def test_the_roofline_reaches_other_sizes_of_the_space(X: Floats) -> None:
    """It has no features of the space in it: coefficients of one hold in another."""
    fitted = Roofline().fit(X, roofline(X))
    other = nasbench201(channels=12, cells=1)
    Z = encode(other, [other.sample(0, i) for i in range(20)], "layers").astype(float)
    np.testing.assert_allclose(fitted.predict(Z), roofline(Z), rtol=0.02)


def test_the_rooflines_ridge_is_no_plane(X: Floats) -> None:
    """Both sides of the max are in use: neither alone fits."""
    y = roofline(X)
    count, macs, moved, *_ = unpack_layers(X)
    bound = (count * (TRUE[0] * macs > TRUE[1] * moved)).sum(axis=1)
    assert (bound > 0).any()
    assert (bound < count.sum(axis=1)).all()
    assert (Roofline().fit(X, y).coefficients_ > 0).all()


def test_a_roofline_with_negative_coefficients_is_refused(X: Floats, tmp_path: Path) -> None:
    Roofline().fit(X, roofline(X)).save_state(tmp_path)
    path = tmp_path / "state.safetensors"
    arrays = read_arrays(path)
    write_arrays(path, {**arrays, "coefficients": -arrays["coefficients"]})
    with pytest.raises(ParseError, match="negative coefficient"):
        Roofline().load_state(tmp_path)


def test_the_layers_encoding_is_required() -> None:
    with pytest.raises(UsageError, match="'layers' encoding"):
        Roofline().fit(np.ones((4, 7)), np.ones(4))


def test_a_table_needs_few_rows_and_corrects_for_fusion(X: Floats) -> None:
    """Layers alone pay 10 µs for their run; in a network all are 20 % faster."""
    rng = np.random.default_rng(0)
    costs = rng.uniform(1e-6, 1e-4, len(SPACE.layer_kinds()))
    y = 2e-4 + 0.8 * (unpack_layers(X).counts @ costs)
    table = tuple(costs + 1e-5)
    fitted = LookupTable(table).fit(X[:6], y[:6])
    np.testing.assert_allclose(fitted.predict(X), y, rtol=1e-6)
    np.testing.assert_allclose(fitted.costs_, 0.8 * costs, rtol=1e-6)
    without = LookupTable().fit(X[:6], y[:6])
    assert np.abs(without.predict(X) / y - 1).mean() > 0.01


def test_without_a_table_costs_are_fitted_and_never_negative(X: Floats) -> None:
    rng = np.random.default_rng(1)
    costs = rng.uniform(1e-6, 1e-4, len(SPACE.layer_kinds()))
    y = 1e-4 + unpack_layers(X).counts @ costs
    fitted = LookupTable().fit(X[:60], y[:60])
    assert (fitted.costs_ >= 0).all()
    np.testing.assert_allclose(fitted.predict(X[60:]), y[60:], rtol=1e-2)


def test_a_table_of_another_space_is_refused(X: Floats) -> None:
    table = [1e-6] * len(darts(channels=4, cells=5).layer_kinds())
    with pytest.raises(UsageError, match="measure the layers of this space"):
        make_predictor("lookup", table=table).fit(X, np.ones(len(X)))
    with pytest.raises(UsageError, match="a value of table"):
        make_predictor("lookup", table=[0.0])


def saving_backend(X: Floats) -> Floats:
    """Each layer costs its bytes; what an optimiser can save costs nothing."""
    layers = unpack_layers(X)
    return np.asarray(1e-4 + (layers.run(optimised=True) * layers.bytes_moved).sum(axis=1) * 1e-9)


@pytest.mark.parametrize("name", ["ridge-layers", "roofline", "lookup"])
def test_the_rows_tell_whether_the_backend_optimises(name: str, X: Floats) -> None:
    plain = unpack_layers(X)
    every_layer = 1e-4 + (plain.counts * plain.bytes_moved).sum(axis=1) * 1e-9
    for y, optimised in ((every_layer, False), (saving_backend(X), True)):
        fitted = make_predictor(name).fit(X[:40], y[:40])
        assert fitted.optimised_ is optimised
        assert np.abs(fitted.predict(X[40:]) / y[40:] - 1).mean() < 0.01


def depthwise_is_dear(networks: Sequence[Network]) -> Floats:
    """A multiply-accumulate of a depthwise convolution costs twenty of others."""
    found = []
    for network in networks:
        seconds = 1e-4
        for layer in network.layers:
            shapes = network.input_shapes(layer)
            dear = isinstance(layer.op, Conv) and layer.op.depthwise(shapes[0])
            seconds += (2e-8 if dear else 1e-9) * network.layer_macs(layer)
        found.append(seconds)
    return np.array(found)


def test_sums_of_operators_reach_sizes_that_were_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two resolutions tell what a depthwise convolution costs at others, where no layer is one
    that was seen."""
    sizes = {"resolutions": (32, 48, 64, 96), "depths": (1, 2), "width": 0.25}
    space = make_space("ofa", {"classes": 10, **sizes})
    drawn = [a for _, a in space.unique_samples(0, 120)]
    networks = [space.build(a) for a in drawn]
    X, y = encode(space, drawn, "layers").astype(float), depthwise_is_dear(networks)
    seen = np.array([a["resolution"] in ("32", "96") for a in drawn])

    def error() -> float:
        fitted = RidgeLayers().fit(X[seen], y[seen])
        return float(np.abs(fitted.predict(X[~seen]) / y[~seen] - 1).mean())

    assert 40 < seen.sum() < 80
    with_sums = error()
    monkeypatch.setattr(ridge_layers, "OF_GROUP", 0.0)
    assert with_sums < 0.02
    assert error() > 3 * with_sums


def test_a_wrong_group_is_refused_by_fit_and_predict(X: Floats) -> None:
    y, wrong = roofline(X), X.copy()
    fitted = RidgeLayers().fit(X, y)
    wrong[:, len(LAYER_FEATURES) - 1] = GROUPS
    for ask in (lambda: RidgeLayers().fit(wrong, y), lambda: fitted.predict(wrong)):
        with pytest.raises(UsageError, match=f"the group {GROUPS} in its slot 0 "):
            ask()


@pytest.mark.parametrize("name", ["ridge-layers", "roofline", "lookup"])
def test_an_optimised_fit_is_saved_and_is_the_same_as_its_module(
    name: str, X: Floats, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    fitted = make_predictor(name).fit(X, saving_backend(X))
    fitted.save_state(tmp_path)
    loaded = make_predictor(name)
    loaded.load_state(tmp_path)
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    values = loaded.as_module()(torch.from_numpy(X.astype(np.float32))).numpy()
    np.testing.assert_allclose(values, fitted.predict(X), rtol=1e-4)
