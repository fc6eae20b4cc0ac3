from __future__ import annotations

import numpy as np
import pytest

from latbench.models import Model
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import conv_bn_act, inverted_residual
from latbench.networks.network import NetworkBuilder
from latbench.networks.weights import make_weights
from latbench.sparse.groups import (
    drawn_groups,
    group_energies,
    kept_groups_of,
    prunable_layers,
    thinned,
    with_groups,
)
from latbench.sparse.libraries import can_be_had
from latbench.sparse.running import SparseNetwork

needs_engine = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")


@pytest.fixture(scope="module")
def model() -> Model:
    b = NetworkBuilder((1, 3, 20, 20))
    x = conv_bn_act(b, b.input, 24, 3, 1, RELU)
    x = inverted_residual(b, x, 24, 3, 1, 48, RELU, residual=True)
    x = conv_bn_act(b, x, 40, 3, 2, RELU)
    network = b.build(classifier(b, x, 10))
    return Model("a net", network, make_weights(network))


def test_layers_that_may_be_pruned(model: Model) -> None:
    # Not the one that reads the image, nor the depthwise one, nor the classifier.
    shapes = [model.arrays[f"{i}.weight"].shape for i in prunable_layers(model.network)]
    assert shapes == [(48, 24, 1, 1), (24, 48, 1, 1), (40, 24, 3, 3)]


def test_groups_are_consecutive_filters_of_one_channel_and_tap() -> None:
    weight = np.zeros((20, 2, 1, 2), np.float32)
    weight[17, 1, 0, 1] = 3
    weight[2:4, 0, 0, 0] = 2
    energies = group_energies(weight, 16)
    assert energies.shape == (2, 2, 1, 2)
    assert (energies[1, 1, 0, 1], energies[0, 0, 0, 0], energies.sum()) == (9, 8, 17)
    weights = {"3.weight": np.ones_like(weight), "4.weight": weight}
    left = with_groups(weights, {3: energies > 0}, 16)
    assert (left["3.weight"].sum(axis=(1, 2, 3)) == 1).all()
    assert left["4.weight"] is weight


@needs_engine
@pytest.mark.parametrize("density", [0.5, 0.05])
def test_a_thinned_model_has_such_a_share_of_groups(model: Model, density: float) -> None:
    with SparseNetwork(model.network, thinned(model, 8, density), group=8) as loaded:
        kept, every = loaded.groups().sum(axis=0)
    assert kept < every
    for layer in prunable_layers(model.network):
        energies = group_energies(thinned(model, 8, density)[f"{layer}.weight"], 8)
        assert (energies > 0).mean() == pytest.approx(density, abs=1 / energies.size)


def test_drawn_groups_are_of_the_shapes_of_the_energies(model: Model) -> None:
    drawn = drawn_groups(model.network, 16, 0.3, seed=1)
    left = Model("thin", model.network, thinned(model, 16, 0.3, seed=1))
    assert kept_groups_of(left, 16) == {layer: int(of.sum()) for layer, of in drawn.items()}
    for layer, stays in drawn.items():
        assert (group_energies(left.arrays[f"{layer}.weight"], 16) > 0).tolist() == stays.tolist()
