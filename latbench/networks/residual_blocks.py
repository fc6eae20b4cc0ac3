"""Blocks of residual networks (He et al., 2016, https://arxiv.org/abs/1512.03385): two 3x3
convolutions, or a bottleneck of three."""

from __future__ import annotations

from latbench.networks.blocks import RELU, conv_bn
from latbench.networks.mobile_blocks import conv_bn_act
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Elementwise


def basic_block(b: NetworkBuilder, x: int, channels: int, stride: int, projected: bool) -> int:
    """Appends two 3x3 convolutions and the sum with what they read.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        channels: The number of channels, also between the two.
        stride: The stride of the first convolution in pixels.
        projected: Whether a 1x1 convolution brings ``x`` to the shape of the result; without it
            the shape must be the same.

    Returns:
        The index of the last layer.
    """
    y = conv_bn(b, conv_bn_act(b, x, channels, 3, stride), channels, 3)
    return _summed(b, x, y, channels, stride, projected)


def bottleneck(
    b: NetworkBuilder, x: int, inside: int, channels: int, stride: int, projected: bool
) -> int:
    """Appends a 1x1, a 3x3 and a 1x1 convolution and the sum with what they read.

    The stride is in the 3x3 convolution, as torchvision has it ("ResNet V1.5"); the paper has it in
    the first one.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        inside: The number of channels of the first two convolutions.
        channels: The number of output channels.
        stride: The stride of the second convolution in pixels.
        projected: Whether a 1x1 convolution brings ``x`` to the shape of the result; without it
            the shape must be the same.

    Returns:
        The index of the last layer.
    """
    y = conv_bn_act(b, conv_bn_act(b, x, inside, 1), inside, 3, stride)
    return _summed(b, x, conv_bn(b, y, channels, 1), channels, stride, projected)


def _summed(b: NetworkBuilder, x: int, y: int, channels: int, stride: int, projected: bool) -> int:
    x = conv_bn(b, x, channels, 1, stride) if projected else x
    return b.add(RELU, b.add(Elementwise("add"), x, y))
