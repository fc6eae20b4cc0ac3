from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ACTIVATIONS

from latbench.errors import UsageError
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Input,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Slice,
    Zero,
)

SHAPE = (2, 4, 5, 6)


@settings(deadline=None, max_examples=200)
@given(
    h=st.integers(1, 8),
    w=st.integers(1, 8),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 3),
)
def test_a_window_fits_for_us_when_it_fits_for_torch(
    h: int, w: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    op = Conv(3, kernel, stride, padding, dilation)
    reference = torch.nn.Conv2d(2, 3, kernel, stride, padding, dilation)
    try:
        expected = tuple(reference(torch.zeros(1, 2, h, w)).shape)
    except RuntimeError:
        with pytest.raises(UsageError, match="does not fit"):
            op.output_shape((1, 2, h, w))
    else:
        assert op.output_shape((1, 2, h, w)) == expected


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_parameters_and_macs(groups: int, bias: bool) -> None:
    op = Conv(8, 3, stride=2, padding=1, groups=groups, bias=bias)
    module = torch.nn.Conv2d(4, 8, 3, groups=groups, bias=bias)
    assert op.parameters(SHAPE) == {k: tuple(v.shape) for k, v in module.named_parameters()}
    # By hand: 2 images, 8 channels of 3 x 3 outputs, each a sum over 4 / groups channels of 3 x 3.
    assert op.macs(op.output_shape(SHAPE), SHAPE) == 2 * 8 * 3 * 3 * (4 // groups) * 9


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (Conv(4, 3, groups=4), True),
        (Conv(4, 1, groups=4), True),
        (Conv(4, 3, groups=2), False),
        (Conv(8, 3, groups=4), False),  # two results for each channel
        (Conv(4, 3), False),
    ],
)
def test_depthwise_is_one_channel_from_each(op: Conv, expected: bool) -> None:
    assert op.depthwise(SHAPE) is expected
    assert not Conv(1, 3).depthwise((2, 1, 5, 6))  # of a single channel, nobody could tell


def test_linear_parameters_and_macs() -> None:
    op = Linear(7)
    assert op.parameters((2, 5)) == {"weight": (7, 5), "bias": (7,)}
    assert op.output_shape((2, 5)) == (2, 7)
    assert op.macs((2, 7), (2, 5)) == 2 * 7 * 5


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_stores_what_torch_stores(affine: bool) -> None:
    op, module = BatchNorm(affine), torch.nn.BatchNorm2d(4, affine=affine)
    stored = op.parameters(SHAPE) | op.buffers(SHAPE)
    state = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    del state["num_batches_tracked"]  # counts steps, computes nothing
    assert stored == state
    assert len(op.parameters(SHAPE)) == 2 * affine


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (GlobalAvgPool(), (2, 4, 1, 1)),
        (Flatten(), (2, 120)),
        (Pad(1, 2), (2, 4, 6, 8)),
        (ChannelShuffle(2), SHAPE),
        (Zero(), SHAPE),
        (Zero(2), (2, 4, 3, 3)),
        (Slice(1, 1), (2, 3, 5, 6)),
        (Slice(2, -2), (2, 4, 2, 6)),
        (Slice(3, 1, -1), (2, 4, 5, 4)),
        (Slice(3, 2, 100), (2, 4, 5, 4)),
        (Pool("max", 3, 2, 1), (2, 4, 3, 3)),
        (Pool("avg", 2, 2), (2, 4, 2, 3)),
        *[(Activation(kind), SHAPE) for kind in ACTIVATIONS],
    ],
)
def test_shapes(op: Op, expected: Shape) -> None:
    assert op.output_shape(SHAPE) == expected
    assert op.parameters(SHAPE) == op.buffers(SHAPE) == {}
    assert op.macs(expected, SHAPE) == 0


def test_joined_shapes() -> None:
    factor = (2, 4, 1, 1)
    assert Elementwise("add").output_shape(SHAPE, SHAPE, SHAPE) == SHAPE
    assert Elementwise("mul").output_shape(SHAPE, factor, SHAPE) == SHAPE
    assert Concat().output_shape(SHAPE, (2, 1, 5, 6)) == (2, 5, 5, 6)
    assert Concat().output_shape((2, 3), (2, 4)) == (2, 7)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        (Elementwise("add"), [SHAPE, (2, 4, 1, 1)]),
        (Elementwise("mul"), [(2, 4, 1, 1), SHAPE]),
        (Elementwise("mul"), [(2, 4), (2, 4, 1, 1)]),
        (Elementwise("mul"), [SHAPE, (1, 4, 1, 1)]),
        (Concat(), [SHAPE, (2, 4, 6, 5)]),
        (Concat(), [SHAPE, (1, 4, 5, 6)]),
        (Concat(), [SHAPE, (2, 4)]),
        (Slice(0, 0, 1), [SHAPE]),
        (Slice(-1, 1), [SHAPE]),
        (Slice(4, 0), [SHAPE]),
        (Slice(2, 5), [SHAPE]),
        (Slice(2, 3, 3), [SHAPE]),
        (Conv(4, 3, groups=3), [SHAPE]),
        (Conv(6, 3, groups=4), [SHAPE]),
        (Conv(4, 3, groups=0), [SHAPE]),
        (Conv(0, 3), [SHAPE]),
        (Conv(4, 0), [SHAPE]),
        (Conv(4, 3, stride=0), [SHAPE]),
        (Conv(4, 3, stride=-1), [SHAPE]),
        (Conv(4, 3, padding=-1), [SHAPE]),
        (Conv(4, 3, dilation=0), [SHAPE]),
        (Conv(4, 7), [SHAPE]),
        (Pool("avg", 2, 2, padding=2), [SHAPE]),
        (Pool("max", 9), [SHAPE]),
        (ChannelShuffle(3), [SHAPE]),
        (ChannelShuffle(0), [SHAPE]),
        (Zero(0), [SHAPE]),
        (Pad(-1, 0), [SHAPE]),
        (Linear(3), [SHAPE]),
        (Linear(0), [(2, 4)]),
        *[(op, [(2, 4)]) for op in (Conv(4, 1), BatchNorm(), Pool("max", 1), Zero(), Pad(1, 1))],
        (ChannelShuffle(2), [(2, 4)]),
        (GlobalAvgPool(), [(2, 4)]),
    ],
)
def test_what_does_not_fit_is_refused(op: Op, inputs: list[Shape]) -> None:
    with pytest.raises(UsageError) as caught:
        op.output_shape(*inputs)
    assert len(str(caught.value)) > 20


def test_channels_that_do_not_divide_are_not_shuffled() -> None:
    with pytest.raises(UsageError, match="4 channels cannot be shuffled in 3 groups; their number"):
        ChannelShuffle(3).output_shape(SHAPE)


def test_ops_are_values() -> None:
    assert Conv(3, 3) == Conv(3, 3, 1, 0, 1, 1, False)
    assert hash(Pool("max", 3)) == hash(Pool("max", 3))
    assert Pool("max", 3) != Pool("avg", 3)


def test_the_output_size_of_every_op_is_positive() -> None:
    """A product of sizes is what the cost features are sums of."""
    builder = NetworkBuilder((1, 1, 1, 1))
    for op in (Conv(1, 1, 3), Pool("max", 1, 3), Zero(3), GlobalAvgPool(), Flatten()):
        assert prod(builder.shape(builder.add(op, builder.input))) == 1


def test_the_input_op_keeps_its_shape() -> None:
    assert Input((1, 2)).output_shape() == (1, 2)
