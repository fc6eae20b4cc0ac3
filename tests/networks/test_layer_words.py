from __future__ import annotations

from dataclasses import dataclass

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
