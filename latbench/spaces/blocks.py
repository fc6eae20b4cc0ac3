"""Groups of layers that spaces share. Each appends to a builder and returns the result's index.

The order inside (ReLU, convolution, batch norm) and FactorizedReduce are those of DARTS
(Liu et al., 2019, https://arxiv.org/abs/1806.09055) and NAS-Bench-201 (Dong and Yang, 2020,
https://arxiv.org/abs/2001.00326).
"""

from __future__ import annotations

from collections.abc import Sequence

from latbench.network import NetworkBuilder
from latbench.ops import (
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


def conv_bn(b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int = 1) -> int:
    """Convolution with 'same' padding, batch norm."""
    x = b.add(Conv(channels, kernel, stride, padding=kernel // 2), x)
    return b.add(BatchNorm(), x)


def relu_conv_bn(
    b: NetworkBuilder, x: int, channels: int, kernel: int, stride: int = 1, affine: bool = True
) -> int:
    """ReLU, convolution with 'same' padding, batch norm."""
    x = b.add(Conv(channels, kernel, stride, padding=kernel // 2), b.add(RELU, x))
    return b.add(BatchNorm(affine), x)


def factorized_reduce(b: NetworkBuilder, x: int, channels: int, affine: bool = True) -> int:
    """Halves the resolution with two 1x1 convolutions of stride 2, one of them shifted by a pixel.

    An odd height or width, which the published code cannot take, is padded by one zero first.
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
    """ReLU, depthwise convolution with 'same' padding, pointwise convolution, batch norm."""
    c = b.shape(x)[1]
    padding = dilation * (kernel // 2)
    x = b.add(Conv(c, kernel, stride, padding, dilation, groups=c), b.add(RELU, x))
    return b.add(BatchNorm(affine), b.add(Conv(channels, 1), x))


def pool_3x3(b: NetworkBuilder, x: int, kind: str, stride: int = 1) -> int:
    """3x3 pooling, padding 1."""
    return b.add(Pool("max" if kind == "max" else "avg", 3, stride, padding=1), x)


def add_all(b: NetworkBuilder, xs: Sequence[int]) -> int:
    """The sum of one or more tensors."""
    return xs[0] if len(xs) == 1 else b.add(Elementwise("add"), *xs)


def zero(b: NetworkBuilder, x: int, stride: int = 1) -> int:
    """The 'none' operation."""
    return b.add(Zero(stride), x)


def classifier(b: NetworkBuilder, x: int, classes: int) -> int:
    """Global average pooling and one linear layer."""
    return b.add(Linear(classes), b.add(Flatten(), b.add(GlobalAvgPool(), x)))
