"""Blocks of mobile networks: inverted residuals, squeeze-and-excite, ShuffleNetV2 units, and how
their channels are rounded.

Sources: MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381), MobileNetV3 (Howard
et al., 2019, https://arxiv.org/abs/1905.02244), EfficientNetV2 for the fused block (Tan and Le,
2021, https://arxiv.org/abs/2104.00298), FBNet for groups and shuffle (Wu et al., 2019,
https://arxiv.org/abs/1812.03443), ShuffleNetV2 and its Xception unit as searched by SPOS (Guo et
al., 2020, https://arxiv.org/abs/1904.00420, megvii-model/SinglePathOneShot).
"""

from __future__ import annotations

from dataclasses import dataclass

from latbench.errors import UsageError
from latbench.networks.blocks import RELU, conv_bn
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import (
    Activation,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    GlobalAvgPool,
    Slice,
)

RELU6, HSWISH, SILU = Activation("relu6"), Activation("hswish"), Activation("silu")
HSIGMOID, SIGMOID = Activation("hsigmoid"), Activation("sigmoid")


def divisible(value: float, divisor: int = 8, least: float = 0.9) -> int:
    """Rounds a number of channels as published networks do (``make_divisible``).

    Args:
        value: The number, such as a width times a multiplier.
        divisor: What the result is a multiple of.
        least: The share of ``value`` below which the result may not fall: 0.9 at Google and MIT,
            ``MOBILE_VISION_LEAST`` in facebookresearch/mobile-vision.

    Returns:
        The nearest multiple, halves upwards, at least one ``divisor``; one more where that is
        below ``least`` times the value.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < least * value else rounded


# ``least`` of ``divisible`` in facebookresearch/mobile-vision (mobile_cv/arch/utils/helper.py).
MOBILE_VISION_LEAST = 0.95


def mobile_vision_squeeze(channels: int) -> int:
    """Returns the width of a squeeze-and-excite of so many channels as
    facebookresearch/mobile-vision has it (mobile_cv/arch/fbnet_v2/irf_block.py): a quarter of them,
    cut to a whole number and rounded."""
    return divisible(channels // 4, least=MOBILE_VISION_LEAST)


@dataclass(frozen=True)
class SqueezeExcite:
    """A factor for every channel, computed from the means of all (https://arxiv.org/abs/1709.01507).

    ``channels`` is the number of the narrow layer in between: papers take a quarter of the block's
    input (MnasNet, EfficientNet) or of what is expanded (MobileNetV3, FBNetV2), rounded in their
    own ways, so that the caller says it. ``early`` puts it before the activation of the depthwise
    convolution rather than behind it.
    """

    channels: int
    inner: Activation = RELU
    gate: Activation = HSIGMOID
    early: bool = False


def squeeze_excite(b: NetworkBuilder, x: int, se: SqueezeExcite) -> int:
    """Appends the factors of a ``SqueezeExcite`` and the product with them; returns the index of
    the product."""
    y = b.add(Conv(se.channels, 1, bias=True), b.add(GlobalAvgPool(), x))
    y = b.add(Conv(b.shape(x)[1], 1, bias=True), b.add(se.inner, y))
    return b.add(Elementwise("mul"), x, b.add(se.gate, y))


def conv_bn_act(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int = 1,
    activation: Activation | None = RELU, groups: int = 1, affine: bool = True,
) -> int:  # fmt: skip
    """Appends a convolution with 'same' padding, a batch norm and an activation.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The kernel's side in pixels.
        stride: The stride in pixels.
        activation: The activation; none where it is None.
        groups: The number of groups of the convolution.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    x = conv_bn(b, x, channels, kernel, stride, groups, affine)
    return x if activation is None else b.add(activation, x)


def depthwise(
    b: NetworkBuilder, x: int, kernel: int, stride: int, activation: Activation | None,
    affine: bool = True,
) -> int:  # fmt: skip
    """Appends a convolution of each channel by itself, a batch norm and an activation.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        kernel: The kernel's side in pixels.
        stride: The stride in pixels.
        activation: The activation; none where it is None.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    c = b.shape(x)[1]
    return conv_bn_act(b, x, c, kernel, stride, activation, c, affine)


def separable(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int = 1,
    activation: Activation = RELU, last: Activation | None = None,
    se: SqueezeExcite | None = None, residual: bool = False,
) -> int:  # fmt: skip
    """Appends a separable convolution: an inverted residual that expands nothing.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The side of the depthwise kernel in pixels.
        stride: The stride of the depthwise convolution in pixels.
        activation: The activation behind the depthwise convolution.
        last: The activation behind the pointwise one, as MobileNetV1 has it; none where it is None.
        se: The squeeze-and-excite between the two, if any.
        residual: Whether ``x`` is added to the result.

    Returns:
        The index of the last layer.
    """
    y = inverted_residual(b, x, channels, kernel, stride, None, activation, se, residual)
    return y if last is None else b.add(last, y)


def inverted_residual(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int, expanded: int | None,
    activation: Activation, se: SqueezeExcite | None = None, residual: bool = False,
    groups: int = 1,
) -> int:  # fmt: skip
    """Appends a pointwise convolution that expands, a depthwise one, and a pointwise one that
    projects, without an activation at the end.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The side of the depthwise kernel in pixels.
        stride: The stride of the depthwise convolution in pixels.
        expanded: The number of channels in between; None leaves the first convolution out.
        activation: The activation behind the first two convolutions.
        se: The squeeze-and-excite of the channels in between, if any.
        residual: Whether ``x`` is added to the result. The caller says it, since a supernet may
            not decide by a width.
        groups: The number of groups of the pointwise convolutions; above 1, channels are shuffled
            behind the first one.

    Returns:
        The index of the last layer.
    """
    y = x
    if expanded is not None:
        y = conv_bn_act(b, y, expanded, 1, activation=activation, groups=groups)
    if groups > 1:
        y = b.add(ChannelShuffle(groups), y)
    if se is None:
        y = depthwise(b, y, kernel, stride, activation)
    else:
        y = depthwise(b, y, kernel, stride, None if se.early else activation)
        y = squeeze_excite(b, y, se)
        y = b.add(activation, y) if se.early else y
    y = conv_bn_act(b, y, channels, 1, activation=None, groups=groups)
    return b.add(Elementwise("add"), x, y) if residual else y


def fused_inverted_residual(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int, expanded: int | None,
    activation: Activation, se: SqueezeExcite | None = None, residual: bool = False,
) -> int:  # fmt: skip
    """Appends an inverted residual whose first two convolutions are one dense one (Fused-MBConv).

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The side of the dense kernel in pixels.
        stride: Its stride in pixels.
        expanded: The number of channels in between; where it is None, the dense convolution is all.
        activation: The activation behind it.
        se: The squeeze-and-excite of the channels in between, if any.
        residual: Whether ``x`` is added to the result.

    Returns:
        The index of the last layer.
    """
    if expanded is None:
        y = conv_bn_act(b, x, channels, kernel, stride, activation)
    else:
        y = conv_bn_act(b, x, expanded, kernel, stride, activation)
        y = y if se is None else squeeze_excite(b, y, se)
        y = conv_bn_act(b, y, channels, 1, activation=None)
    return b.add(Elementwise("add"), x, y) if residual else y


def shuffle_unit(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int, xception: bool = False,
    affine: bool = True, se: SqueezeExcite | None = None,
) -> int:  # fmt: skip
    """Appends a ShuffleNetV2 unit as SPOS searches it.

    With stride 1, channels are split into the even ones, which stay as they are, and the odd ones,
    which go through the branch; with stride 2, both branches read all of them. The branch has half
    as many channels inside as the unit has at the end.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels, an even one.
        kernel: The side of the depthwise kernels in pixels.
        stride: The stride in pixels, 1 or 2.
        xception: Whether the branch has three separable convolutions instead of a pointwise, a
            depthwise and a pointwise one.
        affine: Whether batch norms have scale and shift.
        se: The squeeze-and-excite at the end of the branch, if any.

    Returns:
        The index of the last layer.

    Raises:
        UsageError: Where the numbers of channels do not allow it.
    """
    c = b.shape(x)[1]
    if stride == 1:
        if c != channels or c % 2:
            raise UsageError(
                f"a shuffle unit of stride 1 keeps an even number of channels, got {c} to "
                f"{channels}"
            )
        x = b.add(ChannelShuffle(c // 2), x)
        kept, y = b.add(Slice(1, 0, c // 2), x), b.add(Slice(1, c // 2), x)
    else:
        if channels <= c or channels % 2:
            raise UsageError(
                f"a shuffle unit of stride {stride} adds to its channels and has an even number of "
                f"them, got {c} to {channels}"
            )
        kept = depthwise(b, x, kernel, stride, None, affine)
        kept, y = conv_bn_act(b, kept, c, 1, affine=affine), x
    inside, out = channels // 2, channels - b.shape(kept)[1]
    if xception:
        for i, width in enumerate((inside, inside, out)):
            y = depthwise(b, y, kernel, 1 if i else stride, None, affine)
            y = conv_bn_act(b, y, width, 1, affine=affine)
    else:
        y = conv_bn_act(b, y, inside, 1, affine=affine)
        y = depthwise(b, y, kernel, stride, None, affine)
        y = conv_bn_act(b, y, out, 1, affine=affine)
    y = y if se is None else squeeze_excite(b, y, se)
    return b.add(Concat(), kept, y)
