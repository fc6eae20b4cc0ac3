from __future__ import annotations

from dataclasses import dataclass

from latbench.networks.general.arithmetic import Binary, Unary
from latbench.networks.general.arrays import Reduce, Unread
from latbench.networks.general.windows import RectConv, RectPool, TransposedConv
from latbench.networks.layer_words import layer_word, main_layer
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Conv,
    Elementwise,
    GlobalAvgPool,
    Op,
    Pool,
)


@dataclass(frozen=True)
class RMSNorm2(Op):
    """A kind that is defined elsewhere."""


def test_words() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(Conv(8, kernel=3, padding=1), b.input)
    x = b.add(Conv(8, kernel=5, padding=2, groups=8), x)
    x = b.add(Conv(8, kernel=1, groups=2), x)
    x = b.add(Activation("relu"), b.add(BatchNorm(), x))
    x = b.add(Pool("avg", 3, 1, 1), b.add(Elementwise("mul"), x, x))
    network = b.build(b.add(RMSNorm2(), b.add(GlobalAvgPool(), x)))
    assert [layer_word(network, i) for i in range(len(network.layers))] == [
        "input", "conv 3x3", "depthwise conv 5x5", "grouped conv 1x1", "batch norm", "relu", "mul",
        "avg pool 3x3", "global avg pool", "rms norm 2",
    ]  # fmt: skip
    assert main_layer(network, (4, 3, 5)) == 3
    assert main_layer(network, (5, 6)) == 6  # which reads two


def test_words_of_networks_from_outside() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(RectConv(4, (3, 1), padding=(1, 0, 1, 0), groups=4), b.input)
    x = b.add(TransposedConv(4, (2, 2), (2, 2)), x)
    x = b.add(RectPool("max", (1, 3)), b.add(Unary("leaky_relu", 0.1), x))
    x = b.add(Reduce("mean", (2, 3)), b.add(Binary("sub"), x, x))
    network = b.build(b.add(Unread("com.microsoft.Gelu", "here", (1, 4, 1, 1)), x))
    assert [layer_word(network, i) for i in range(1, len(network.layers))] == [
        "depthwise conv 3x1", "transposed conv 2x2", "leaky relu", "max pool 1x3", "sub",
        "mean of axes", "com.microsoft.Gelu",
    ]  # fmt: skip
