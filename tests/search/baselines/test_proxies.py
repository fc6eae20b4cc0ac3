from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from latbench.errors import UsageError
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation, ActivationKind, Conv, Flatten, GlobalAvgPool, Linear
from latbench.search.baselines.proxies import naswot, synflow
from latbench.search.rng import seeded
from latbench.spaces import darts, nasbench201

SPACE = nasbench201(channels=4, cells=1, resolution=8)
IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["relu", "relu6", "hswish", "silu"])
def test_naswot_counts_rectifiers_in_the_same_state(kind: ActivationKind) -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(Activation(kind), b.add(Conv(5, 3, padding=1), b.input))
    network = b.build(b.add(Linear(2), b.add(Flatten(), b.add(GlobalAvgPool(), x))))
    conv = seeded(1, lambda: torch.nn.Conv2d(3, 5, 3, padding=1, bias=False))
    on = (conv(IMAGES) > 0).flatten(1).numpy()
    same = np.array([[(a == b).sum() for b in on] for a in on], float)
    assert naswot(network, IMAGES, seed=1) == pytest.approx(np.linalg.slogdet(same)[1], rel=1e-5)


def test_naswot_of_images_that_look_the_same_is_the_worst() -> None:
    assert naswot(SPACE.build(SPACE.reference()), IMAGES[:1].repeat(4, 1, 1, 1)) == -math.inf
    with pytest.raises(UsageError, match="2 images or more, got 1"):
        naswot(SPACE.build(SPACE.reference()), IMAGES[:1])


def test_synflow_is_the_sum_over_the_weights_of_a_linear_layer() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    network = b.build(b.add(Linear(2), b.add(Flatten(), b.add(GlobalAvgPool(), b.input))))
    layer = seeded(0, lambda: torch.nn.Linear(3, 2))
    flow = layer.weight.abs().sum() + layer.bias.abs().sum()  # the input is ones
    assert synflow(network) == pytest.approx(math.log(flow.item()), rel=1e-6)


def test_proxies_are_functions_of_the_network_and_leave_the_global_generator_alone() -> None:
    network = SPACE.build(SPACE.reference())
    before = torch.random.get_rng_state()
    assert naswot(network, IMAGES) == naswot(network, IMAGES)
    assert synflow(network) == synflow(network)
    assert naswot(network, IMAGES) != naswot(network, IMAGES, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_cell_of_convolutions_is_worth_more_than_one_that_passes_nothing() -> None:
    full, empty = (SPACE.build(SPACE.of((k,) * 6)) for k in (3, 0))  # nor_conv_3x3, none
    assert naswot(full, IMAGES) > naswot(empty, IMAGES)
    assert synflow(full) > synflow(empty)


def test_they_know_every_layer_of_the_darts_space() -> None:
    space = darts(channels=4, cells=3, resolution=8)
    for i in range(3):
        network = space.build(space.sample(0, i))
        assert math.isfinite(naswot(network, IMAGES))
        assert math.isfinite(synflow(network))
