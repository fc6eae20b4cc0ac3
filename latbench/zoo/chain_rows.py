"""The rows of published tables of mobile networks, and the blocks that they stand for.

Most of these networks are a table: so many blocks of this kernel, expansion, width and stride. What
a table leaves open (which activation, how widths are rounded, how narrow a squeeze-and-excite is)
is a rule of the family that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latbench.networks.blocks import RELU
from latbench.networks.mobile_blocks import (
    SqueezeExcite,
    conv_bn_act,
    divisible,
    inverted_residual,
)
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation

# The squeeze-and-excite of a block of so many input and expanded channels and this activation.
SqueezeRule = Callable[[int, int, Activation], SqueezeExcite]


@dataclass(frozen=True)
class BlockRow:
    """A row of inverted residuals of one kind; only the first of them has the stride.

    ``expansion`` is the number of channels in between over that of the block's input; at 1 the
    first pointwise convolution is left out. ``activation`` is the family's where it is None.
    """

    kernel: int
    channels: int
    expansion: float = 1
    stride: int = 1
    blocks: int = 1
    se: bool = False
    activation: Activation | None = None


@dataclass(frozen=True)
class SkipRow:
    """A row of one block that is left out: a pointwise convolution where the channels change, as
    facebookresearch/mobile-vision has it, and nothing at all where they do not."""

    channels: int


@dataclass(frozen=True)
class BlockRules:
    """The rules that the rows of a table share: what they leave open.

    ``least`` is the share of a width below which rounding may not fall (see ``divisible``).
    """

    activation: Activation = RELU
    squeeze: SqueezeRule | None = None
    least: float = 0.9


def append_rows(
    b: NetworkBuilder, x: int, rows: Sequence[BlockRow | SkipRow], rules: BlockRules
) -> int:
    """Appends the blocks of a table; what keeps its shape is added to what it read.

    Args:
        b: The builder of the network.
        x: The index of the layer that is read.
        rows: The rows of the table, in order.
        rules: What they leave open.

    Returns:
        The index of the last layer.
    """
    for row in rows:
        if isinstance(row, BlockRow):
            for i in range(row.blocks):
                x = _append_block(b, x, row, row.stride if i == 0 else 1, rules)
        elif row.channels != b.shape(x)[1]:
            x = conv_bn_act(b, x, row.channels, 1, activation=rules.activation)
    return x


def _append_block(b: NetworkBuilder, x: int, row: BlockRow, stride: int, rules: BlockRules) -> int:
    c = b.shape(x)[1]
    activation = row.activation or rules.activation
    expanded = divisible(c * row.expansion, least=rules.least)
    se = rules.squeeze(c, expanded, activation) if row.se and rules.squeeze else None
    return inverted_residual(
        b, x, row.channels, row.kernel, stride, None if expanded == c else expanded, activation,
        se, residual=stride == 1 and c == row.channels,
    )  # fmt: skip
