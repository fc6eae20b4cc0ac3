from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import networks, spaces_and_architectures

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Linear, Zero
from latbench.networks.weights import Array, Weights, check_weights, make_input, make_weights
from latbench.spaces import AnySpace, make_space

torch.set_num_threads(1)

SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|{}~2|"
HALF_PRECISION_MAX = 65504


def activations(network: Network) -> dict[int, Array]:
    """Every layer's output by its index, computed by torch in evaluation mode."""
    module = to_torch(network)
    found: dict[int, Array] = {}
    for name, layer in module.layers.items():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: found.update({int(name): out.numpy()})
        )
    with torch.no_grad():
        module(torch.from_numpy(make_input(network)))
    return found


def digest(weights: Weights) -> str:
    parts = [name.encode() + weights[name].tobytes() for name in sorted(weights)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@settings(deadline=None)
@given(networks())
def test_there_is_one_float32_array_for_every_tensor(network: Network) -> None:
    weights = make_weights(network)
    assert list(weights) == [name for name, _, _ in network.tensors()]
    check_weights(network, weights)
    assert all(array.flags.c_contiguous for array in weights.values())


def assert_sound(weights: Weights) -> None:
    tiny = np.finfo(np.float32).tiny
    for name, array in weights.items():
        assert np.isfinite(array).all(), name
        assert ((np.abs(array) >= tiny) | (array == 0)).all(), f"{name} holds denormal numbers"
        if name.endswith("running_var"):
            assert (array > 0).all(), name


@settings(deadline=None)
@given(networks(max_layers=12))
def test_values_are_finite_and_normal_in_random_networks(network: Network) -> None:
    assert_sound(make_weights(network))


@settings(deadline=None, max_examples=30)
@given(spaces_and_architectures())
def test_values_are_finite_and_normal_in_architectures(pair: tuple[AnySpace, Any]) -> None:
    assert_sound(make_weights(pair[0].build(pair[1])))


def test_another_process_makes_the_same_weights_and_input() -> None:
    code = (
        "import hashlib; from latbench.spaces import make_space; "
        "from latbench.networks.weights import make_input, make_weights; "
        "s = make_space('darts', {'channels': 8, 'cells': 4}); n = s.build(s.reference()); "
        "w = make_weights(n, 3) | {'input': make_input(n, 3)}; "
        "parts = [k.encode() + w[k].tobytes() for k in sorted(w)]; "
        "print(hashlib.sha256(b''.join(parts)).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "99"}
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    space = make_space("darts", {"channels": 8, "cells": 4})
    network = space.build(space.reference())
    assert printed.strip() == digest(make_weights(network, 3) | {"input": make_input(network, 3)})


def test_seeds_differ() -> None:
    space = make_space("nasbench201", {"cells": 1})
    network = space.build(space.reference())
    by_seed = [make_weights(network, seed) for seed in range(3)]
    assert len({digest(w) for w in by_seed}) == 3
    assert digest(make_weights(network)) == digest(by_seed[0])
    inputs = [make_input(network, seed) for seed in (0, 1, 0)]
    assert not np.array_equal(inputs[0], inputs[1])
    np.testing.assert_array_equal(inputs[0], inputs[2])


def test_no_two_layers_share_their_values() -> None:
    network = make_space("darts").build(make_space("darts").reference())
    weights = {n: w for n, w in make_weights(network).items() if w.ndim > 1}
    starts = {tuple((w.flat[:4] / w.flat[0]).tolist()) for w in weights.values()}
    assert len(starts) == len(weights)


def test_the_weights_of_one_network_are_not_those_of_the_pool() -> None:
    """An in-place change must not reach the next network."""
    b = NetworkBuilder((1, 3, 4, 4))
    network = b.build(b.add(Conv(4, 3), b.input))
    first = make_weights(network)
    kept = digest(first)
    first["1.weight"][:] = 0
    assert digest(make_weights(network)) == kept


def test_a_layer_larger_than_the_pool_of_random_numbers() -> None:
    b = NetworkBuilder((1, 2000))
    network = b.build(b.add(Linear(1500), b.input))
    weight = make_weights(network)["1.weight"]
    assert weight.shape == (1500, 2000)
    assert weight.std() == pytest.approx(2000**-0.5, rel=0.01)
    rows = np.asarray(np.corrcoef(weight[:50]))  # a pool that repeats must not repeat in step
    assert np.abs(rows[~np.eye(50, dtype=bool)]).max() < 0.2


def root_mean_square(array: Array) -> float:
    return float(np.sqrt(np.mean(array.astype(np.float64) ** 2)))


def assert_moderate(network: Network, least: float = 1e-3, most: float = 1e3) -> None:
    for i, array in activations(network).items():
        assert np.isfinite(array).all()
        assert np.abs(array).max() < HALF_PRECISION_MAX / 4
        if array.any():  # 'none' gives zeros
            assert least < root_mean_square(array) < most, f"layer {i}: {network.layers[i].op}"


@pytest.mark.parametrize("index", range(4))
def test_activations_stay_moderate_through_the_darts_network(index: int) -> None:
    space = make_space("darts")  # 36 channels, 20 cells
    assert_moderate(space.build(space.sample(0, index)))


@pytest.mark.parametrize("index", range(12))
def test_activations_stay_moderate_in_small_darts_networks(index: int) -> None:
    """Narrow layers average over fewer weights, so they stray further."""
    space = make_space("darts", {"channels": 8, "cells": 20, "resolution": 16})
    assert_moderate(space.build(space.sample(1, index)))


@pytest.mark.parametrize("index", range(25))
def test_activations_stay_moderate_in_nasbench201(index: int) -> None:
    space = make_space("nasbench201")
    assert_moderate(space.build(space.sample(0, index)))


@pytest.mark.parametrize("last", ["skip_connect", "avg_pool_3x3", "nor_conv_3x3"])
def test_cells_that_only_add_stay_in_half_precisions_range(last: str) -> None:
    """Each cell of skip connections makes four times its input; there is no weight to mend it."""
    space = make_space("nasbench201")
    for text in (SKIP.format(last), SKIP.replace("skip_connect", "avg_pool_3x3").format(last)):
        network = space.build(space.parse(text))
        assert_moderate(network, most=4**5 * 4)
        assert 0.01 < root_mean_square(activations(network)[len(network.layers) - 1]) < 10


def test_a_sum_of_the_same_signal_is_normalised_as_such() -> None:
    """x + x has four times the second moment of x, not twice."""
    b = NetworkBuilder((4, 8, 16, 16))
    x = b.add(Conv(32, 3, padding=1), b.input)
    twice = b.add(Elementwise("add"), x, x)
    network = b.build(b.add(BatchNorm(affine=False), twice))
    found = activations(network)
    assert root_mean_square(found[3]) == pytest.approx(1, rel=0.15)
    assert make_weights(network)["3.running_var"][0] == pytest.approx(4, rel=0.01)


def test_a_sum_of_different_signals_is_normalised_as_such() -> None:
    b = NetworkBuilder((4, 8, 16, 16))
    x = b.add(Elementwise("add"), *(b.add(Conv(32, 3, padding=1), b.input) for _ in range(3)))
    network = b.build(b.add(BatchNorm(affine=False), x))
    assert make_weights(network)["5.running_var"][0] == pytest.approx(3, rel=0.01)
    assert root_mean_square(activations(network)[5]) == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize(
    "conv",
    [
        Conv(64, 3, padding=1),
        Conv(64, 5, stride=2, padding=4, dilation=2),
        Conv(64, 3, padding=3, stride=2),
        Conv(64, 1, padding=2),
        Conv(64, 3, groups=4),
    ],
)
@pytest.mark.parametrize("kind", ["relu", "relu6", "hswish", "silu"])
def test_convolutions_keep_the_second_moment_whatever_they_read(conv: Conv, kind: Any) -> None:
    """Padding counts: half the taps of a dilated kernel fall on it in a small image."""
    b = NetworkBuilder((8, 64, 6, 6))
    x = b.add(Activation(kind), b.add(Conv(64, 1), b.input))
    network = b.build(b.add(conv, x))
    assert root_mean_square(activations(network)[3]) == pytest.approx(1, rel=0.15)


def test_a_zero_input_is_left_alone() -> None:
    b = NetworkBuilder((1, 4, 5, 5))
    x = b.add(Conv(4, 1), b.add(Zero(), b.input))
    network = b.build(b.add(BatchNorm(), x))
    assert_sound(make_weights(network))
    assert not activations(network)[2].any()
    np.testing.assert_array_equal(make_weights(network)["3.running_var"], 1)


def test_a_kernel_that_sees_nothing_but_padding() -> None:
    b = NetworkBuilder((1, 4, 1, 1))
    network = b.build(b.add(Conv(4, 1, stride=3, padding=1), b.input))
    assert_sound(make_weights(network))


def test_weights_fit_one_network_only() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    first, second = (b.build(b.add(Conv(n, 3), b.input)) for n in (4, 5))
    with pytest.raises(UsageError, match=r"'1\.weight' is float32 of shape \(4, 3, 3, 3\)"):
        check_weights(second, make_weights(first))
