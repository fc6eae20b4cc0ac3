from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import ACTIVATIONS, OPS, networks, spaces_and_architectures

from latbench.backends.ncnn import Ncnn
from latbench.errors import UsageError
from latbench.export.ncnn import INPUT, OUTPUT, to_ncnn
from latbench.export.torch import to_torch
from latbench.network import Network, NetworkBuilder
from latbench.ops import (
    Activation,
    BatchNorm,
    Conv,
    Elementwise,
    Linear,
    Op,
)
from latbench.spaces import AnySpace
from latbench.weights import Array, Weights, make_input, make_weights

ncnn = pytest.importorskip("ncnn")
torch.set_num_threads(1)


def run_ncnn(network: Network, weights: Weights | None = None, fuse: bool = True) -> Array:
    model = to_ncnn(network, weights, fuse=fuse)
    net = ncnn.Net()
    Ncnn().configure(net.opt)
    assert net.load_param_mem(model.param) == 0
    net.load_model_mem(model.weights)
    outputs = []
    for image in make_input(network):
        extractor = net.create_extractor()
        extractor.input(INPUT, ncnn.Mat(image).clone())
        code, output = extractor.extract(OUTPUT)
        assert code == 0
        outputs.append(np.array(output))
    return np.stack(outputs)


def assert_agrees(network: Network, weights: Weights | None = None) -> None:
    with torch.no_grad():
        expected = to_torch(network, weights)(torch.from_numpy(make_input(network))).numpy()
    for fuse in (True, False):
        actual = run_ncnn(network, weights, fuse)
        assert actual.shape == expected.shape
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * scale + 1e-7)


@settings(deadline=None, max_examples=100)
@given(networks())
def test_random_networks_agree_with_torch(network: Network) -> None:
    assert_agrees(network)


@settings(deadline=None, max_examples=10)
@given(spaces_and_architectures())
def test_random_architectures_agree_with_torch(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    assert_agrees(space.build(architecture))


@pytest.mark.parametrize("op", OPS, ids=str)
@pytest.mark.parametrize("scale", [1, 10])
def test_every_kind_of_layer_by_itself(op: Op, scale: int) -> None:
    b = NetworkBuilder((2, 4, 7, 6))
    network = b.build(b.add(op, b.add(BatchNorm(), b.input)))
    weights = make_weights(network)
    weights["1.weight"] *= scale
    assert_agrees(network, weights)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_takes_over_what_follows(
    kind: Any, groups: int, affine: bool, bias: bool
) -> None:
    b = NetworkBuilder((2, 4, 7, 6))
    x = b.add(Conv(4, 3, groups=groups, bias=bias), b.input)
    network = b.build(b.add(Activation(kind), b.add(BatchNorm(affine, 0.1), x)))
    weights = make_weights(network)
    weights["1.weight"] *= 5  # so that both bends of an activation show
    assert_agrees(network, weights)
    assert len(to_ncnn(network).param.splitlines()) == 2 + 2  # the input and the convolution
    assert len(to_ncnn(network, fuse=False).param.splitlines()) == 2 + 4


def test_what_is_read_elsewhere_is_not_taken_over() -> None:
    b = NetworkBuilder((1, 4, 7, 6))
    conv = b.add(Conv(4, 3), b.input)
    norm = b.add(BatchNorm(), conv)
    network = b.build(b.add(Elementwise("add"), b.add(Activation("relu"), norm), norm, conv))
    param = to_ncnn(network).param
    assert "BatchNorm" in param
    assert "ReLU" in param
    assert_agrees(network)


def test_a_network_of_vectors() -> None:
    b = NetworkBuilder((3, 5))
    assert_agrees(b.build(b.add(Activation("relu"), b.add(Linear(4), b.input))))


def test_a_network_that_does_nothing() -> None:
    b = NetworkBuilder((2, 3, 4, 5))
    assert_agrees(b.build(b.input))


def test_the_weights_must_be_the_networks() -> None:
    b = NetworkBuilder((1, 2, 4, 4))
    with pytest.raises(UsageError, match=r"lack '1\.weight'"):
        to_ncnn(b.build(b.add(Conv(1, 1), b.input)), {})
