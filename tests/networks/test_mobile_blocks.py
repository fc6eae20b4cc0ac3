"""Mobile and residual blocks by themselves: their layers, counts, numbers and refusals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from latbench.errors import UsageError
from latbench.export.torch import run_layers
from latbench.networks.mobile_blocks import (
    HSIGMOID,
    HSWISH,
    RELU6,
    SILU,
    SqueezeExcite,
    divisible,
    fused_inverted_residual,
    inverted_residual,
    separable,
    shuffle_unit,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, ChannelShuffle, Conv, Slice
from latbench.networks.residual_blocks import basic_block, bottleneck
from latbench.networks.weights import make_input, make_weights

SHAPE = (2, 8, 6, 6)


def kinds(network: Network) -> list[str]:
    """The layers in order, an activation and a sum or product by their kind."""
    return [getattr(layer.op, "kind", type(layer.op).__name__) for layer in network.layers[1:]]


def convolutions(network: Network) -> list[tuple[int, int, int, int]]:
    """Of each convolution its output channels, kernel, stride and groups."""
    ops = [layer.op for layer in network.layers]
    return [
        (op.out_channels, op.kernel, op.stride, op.groups) for op in ops if isinstance(op, Conv)
    ]


def computed(network: Network) -> tuple[Tensor, npt.NDArray[np.float32]]:
    """The network's output, and its input."""
    x = make_input(network)
    return run_layers(network, make_weights(network), torch.from_numpy(x)), x


@pytest.mark.parametrize(
    ("value", "divisor", "least", "expected"),
    [
        (32, 8, 0.9, 32),
        (16 * 1.4, 8, 0.9, 24),  # MobileNetV2 1.4: 22.4
        (24 * 0.75, 8, 0.9, 24),  # 18: 16 is less than nine tenths of it
        (20, 8, 0.9, 24),  # halves upwards
        (12, 8, 0.9, 16),
        (19.9, 8, 0.9, 24),
        (3, 8, 0.9, 8),
        (3, 8, 0.0, 8),  # at least one
        (0.5, 4, 0.9, 4),
        (17.7, 8, 0.9, 16),  # 0.904 of it
        (17.7, 8, 0.95, 24),
        (16.8, 8, 0.95, 16),  # 0.952
        (50, 4, 0.95, 52),
    ],
)
def test_channels_are_rounded_as_published(
    value: float, divisor: int, least: float, expected: int
) -> None:
    assert divisible(value, divisor, least) == expected


def test_the_defaults_are_those_of_google() -> None:
    assert [divisible(v) for v in (17.7, 17.8)] == [16, 24]


EXCITE = ["GlobalAvgPool", "Conv", "relu", "Conv", "hsigmoid", "mul"]


@pytest.mark.parametrize("early", [False, True])
def test_where_a_squeeze_excite_stands(early: bool) -> None:
    b = NetworkBuilder(SHAPE)
    se = SqueezeExcite(4, early=early)
    network = b.build(inverted_residual(b, b.input, 8, 3, 1, 16, HSWISH, se, residual=True))
    deep = [*EXCITE, "hswish"] if early else ["hswish", *EXCITE]
    assert kinds(network) == [
        "Conv", "BatchNorm", "hswish", "Conv", "BatchNorm", *deep, "Conv", "BatchNorm", "add",
    ]  # fmt: skip
    mean = kinds(network).index("GlobalAvgPool") + 1
    product = network.layers[kinds(network).index("mul") + 1]
    # The product is of what the means are of: before the activation where it is early.
    assert product.inputs[0] == network.layers[mean].inputs[0]
    before = network.layers[product.inputs[0]].op
    assert (before == HSWISH) is not early
    assert convolutions(network) == [
        (16, 1, 1, 1), (16, 3, 1, 16), (4, 1, 1, 1), (16, 1, 1, 1), (8, 1, 1, 1),
    ]  # fmt: skip


def test_a_squeeze_excite_has_its_own_activations() -> None:
    b = NetworkBuilder(SHAPE)
    se = SqueezeExcite(4, inner=SILU, gate=Activation("sigmoid"))
    network = b.build(separable(b, b.input, 12, 3, 2, RELU6, last=HSWISH, se=se))
    assert kinds(network) == [
        "Conv", "BatchNorm", "relu6", "GlobalAvgPool", "Conv", "silu", "Conv", "sigmoid", "mul",
        "Conv", "BatchNorm", "hswish",
    ]  # fmt: skip
    assert network.output_shape == (2, 12, 3, 3)
    assert SqueezeExcite(4).gate == HSIGMOID


def test_pointwise_convolutions_in_groups_are_shuffled_between() -> None:
    b = NetworkBuilder(SHAPE)
    network = b.build(inverted_residual(b, b.input, 8, 5, 1, 16, RELU6, groups=2))
    assert kinds(network)[2:5] == ["relu6", "ChannelShuffle", "Conv"]
    assert convolutions(network) == [(16, 1, 1, 2), (16, 5, 1, 16), (8, 1, 1, 2)]


def test_a_fused_block_is_a_dense_convolution() -> None:
    b = NetworkBuilder(SHAPE)
    network = b.build(fused_inverted_residual(b, b.input, 8, 3, 1, None, SILU, residual=True))
    assert kinds(network) == ["Conv", "BatchNorm", "silu", "add"]
    assert network.parameters == 8 * 8 * 9 + 2 * 8
    assert network.macs == 2 * 8 * 36 * 8 * 9
    b = NetworkBuilder(SHAPE)
    se = SqueezeExcite(2)
    network = b.build(fused_inverted_residual(b, b.input, 12, 3, 2, 16, SILU, se))
    assert kinds(network) == [
        "Conv", "BatchNorm", "silu", *EXCITE, "Conv", "BatchNorm",
    ]  # fmt: skip
    assert convolutions(network) == [
        (16, 3, 2, 1), (2, 1, 1, 1), (16, 1, 1, 1), (12, 1, 1, 1),
    ]  # fmt: skip
    excite = 16 * 2 + 2 + 2 * 16 + 16
    assert network.parameters == 8 * 16 * 9 + 2 * 16 + excite + 16 * 12 + 2 * 12
    assert network.output_shape == (2, 12, 3, 3)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 6, 12])
def test_a_shuffle_transposes_groups_and_channels(groups: int) -> None:
    b = NetworkBuilder((2, 12, 2, 3))
    got, x = computed(b.build(b.add(ChannelShuffle(groups), b.input)))
    order = np.arange(12).reshape(groups, -1).T.reshape(-1)
    np.testing.assert_array_equal(got.numpy(), x[:, order])
    assert order.tolist() != list(range(12)) or groups in (1, 12)


@pytest.mark.parametrize("xception", [False, True])
def test_a_shuffle_unit_of_stride_1_keeps_the_even_channels(xception: bool) -> None:
    b = NetworkBuilder(SHAPE)
    network = b.build(shuffle_unit(b, b.input, 8, 3, 1, xception))
    got, x = computed(network)
    assert network.output_shape == SHAPE
    np.testing.assert_array_equal(got.numpy()[:, :4], x[:, ::2])
    # The branch reads the odd ones alone.
    odd = x.copy()
    odd[:, ::2] = 0
    again = run_layers(network, make_weights(network), torch.from_numpy(odd))
    np.testing.assert_array_equal(again.numpy()[:, 4:], got.numpy()[:, 4:])
    assert not np.array_equal(got.numpy()[:, 4:], x[:, 1::2])


@pytest.mark.parametrize(("xception", "count"), [(False, 5), (True, 8)])
def test_a_shuffle_unit_of_stride_2_reads_all_twice(xception: bool, count: int) -> None:
    b = NetworkBuilder(SHAPE)
    network = b.build(shuffle_unit(b, b.input, 20, 3, 2, xception))
    assert network.output_shape == (2, 20, 3, 3)
    assert not any(isinstance(layer.op, ChannelShuffle | Slice) for layer in network.layers)
    found = convolutions(network)
    assert len(found) == count
    assert found[:2] == [(8, 3, 2, 8), (8, 1, 1, 1)]  # the kept branch
    inside = [(8, 3, 2, 8), (10, 1, 1, 1), (10, 3, 1, 10), (10, 1, 1, 1), (10, 3, 1, 10)]
    plain = [(10, 1, 1, 1), (10, 3, 2, 10)]
    assert found[2:] == [*(inside if xception else plain), (12, 1, 1, 1)]


@pytest.mark.parametrize(
    ("channels", "stride", "inputs", "message"),
    [
        (10, 1, 8, "stride 1 keeps an even number of channels, got 8 to 10"),
        (7, 1, 7, "stride 1 keeps an even number of channels, got 7 to 7"),
        (8, 2, 8, "stride 2 adds to its channels .* got 8 to 8"),
        (11, 2, 8, "stride 2 adds to its channels .* got 8 to 11"),
    ],
)
def test_a_shuffle_unit_refuses_other_channels(
    channels: int, stride: int, inputs: int, message: str
) -> None:
    b = NetworkBuilder((1, inputs, 4, 4))
    with pytest.raises(UsageError, match=message):
        shuffle_unit(b, b.input, channels, 3, stride)


@pytest.mark.parametrize("projected", [False, True])
def test_a_basic_block_has_two_convolutions_and_a_sum(projected: bool) -> None:
    channels, stride = (12, 2) if projected else (8, 1)
    b = NetworkBuilder(SHAPE)
    network = b.build(basic_block(b, b.input, channels, stride, projected))
    assert network.output_shape == (2, channels, 6 // stride, 6 // stride)
    assert kinds(network)[-2:] == ["add", "relu"]
    shortcut = [(12, 1, 2, 1)] if projected else []
    assert convolutions(network) == [(channels, 3, stride, 1), (channels, 3, 1, 1), *shortcut]
    own = 9 * 8 * channels + 9 * channels**2 + 4 * channels
    assert network.parameters == own + (8 * 12 + 2 * 12 if projected else 0)
    pixels = 2 * (6 // stride) ** 2
    assert network.macs == pixels * (
        9 * 8 * channels + 9 * channels**2 + (8 * 12 if projected else 0)
    )


@pytest.mark.parametrize("projected", [False, True])
def test_a_bottleneck_has_its_stride_in_the_middle(projected: bool) -> None:
    channels, stride = (16, 2) if projected else (8, 1)
    b = NetworkBuilder(SHAPE)
    network = b.build(bottleneck(b, b.input, 4, channels, stride, projected))
    assert network.output_shape == (2, channels, 6 // stride, 6 // stride)
    shortcut = [(16, 1, 2, 1)] if projected else []
    assert convolutions(network) == [
        (4, 1, 1, 1), (4, 3, stride, 1), (channels, 1, 1, 1), *shortcut,
    ]  # fmt: skip
    own = 8 * 4 + 9 * 4 * 4 + 4 * channels + 2 * (4 + 4 + channels)
    assert network.parameters == own + (8 * 16 + 2 * 16 if projected else 0)


def test_an_unprojected_sum_of_other_shapes_is_refused() -> None:
    b = NetworkBuilder(SHAPE)
    with pytest.raises(UsageError, match="cannot add tensors"):
        basic_block(b, b.input, 12, 1, projected=False)
    with pytest.raises(UsageError, match="cannot add tensors"):
        bottleneck(b, b.input, 4, 8, 2, projected=False)
