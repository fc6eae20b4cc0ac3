"""Groups of layers that spaces share. Each appends to a builder and returns the result's index.

The order inside (ReLU, convolution, batch norm) and FactorizedReduce are those of DARTS
(Liu et al., 2019, https://arxiv.org/abs/1806.09055) and NAS-Bench-201 (Dong and Yang, 2020,
https://arxiv.org/abs/2001.00326).
"""

from __future__ import annotations

from collections.abc import Sequence

from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Pad,
    Pool,
    Slice,
    Zero,
)

RELU = Activation("relu")


def conv_bn(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int = 1, groups: int = 1,
    affine: bool = True,
) -> int:  # fmt: skip
    """Appends a convolution with 'same' padding and a batch norm.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The kernel's side in pixels.
        stride: The stride in pixels.
        groups: The number of groups of the convolution.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    x = b.add(Conv(channels, kernel, stride, padding=kernel // 2, groups=groups), x)
    return b.add(BatchNorm(affine), x)


def relu_conv_bn(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int = 1, affine: bool = True
) -> int:
    """Appends a ReLU, a convolution with 'same' padding and a batch norm.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The kernel's side in pixels.
        stride: The stride in pixels.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    x = b.add(Conv(channels, kernel, stride, padding=kernel // 2), b.add(RELU, x))
    return b.add(BatchNorm(affine), x)


def factorized_reduce(b: NetworkBuilder, x: int, channels: int, affine: bool = True) -> int:
    """Halves the resolution with two 1x1 convolutions of stride 2, one of them shifted by a pixel.

    An odd height or width, which the published code cannot take, is padded by one zero first.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    x = b.add(RELU, x)
    h, w = b.shape(x)[2:]
    shifted = b.add(Pad(h % 2, w % 2), x) if h % 2 or w % 2 else x
    shifted = b.add(Slice(3, 1), b.add(Slice(2, 1), shifted))
    left = b.add(Conv(channels // 2, 1, stride=2), x)
    right = b.add(Conv(channels - channels // 2, 1, stride=2), shifted)
    return b.add(BatchNorm(affine), b.add(Concat(), left, right))


def depthwise_separable(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int, dilation: int, affine: bool
) -> int:
    """Appends a ReLU, a depthwise and a pointwise convolution and a batch norm.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of output channels.
        kernel: The side of the depthwise kernel in pixels; its padding is 'same'.
        stride: The stride of the depthwise convolution in pixels.
        dilation: The dilation of the depthwise convolution in pixels.
        affine: Whether the batch norm has scale and shift.

    Returns:
        The index of the last layer.
    """
    c = b.shape(x)[1]
    padding = dilation * (kernel // 2)
    x = b.add(Conv(c, kernel, stride, padding, dilation, groups=c), b.add(RELU, x))
    return b.add(BatchNorm(affine), b.add(Conv(channels, 1), x))


def pool_3x3(b: NetworkBuilder, x: int, kind: str, stride: int = 1) -> int:
    """Appends a 3x3 pooling with padding 1.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        kind: "max", or else an average.
        stride: The stride in pixels.

    Returns:
        The index of the new layer.
    """
    return b.add(Pool("max" if kind == "max" else "avg", 3, stride, padding=1), x)


def add_all(b: NetworkBuilder, xs: Sequence[int]) -> int:
    """Appends the sum of one or more tensors."""
    return xs[0] if len(xs) == 1 else b.add(Elementwise("add"), *xs)


def zero(b: NetworkBuilder, x: int, stride: int = 1) -> int:
    """Appends the 'none' operation."""
    return b.add(Zero(stride), x)


def classifier(b: NetworkBuilder, x: int, classes: int) -> int:
    """Appends global average pooling and one linear layer."""
    return b.add(Linear(classes), b.add(Flatten(), b.add(GlobalAvgPool(), x)))
