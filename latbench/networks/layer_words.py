"""The words for layers in tables and pictures: ``conv 3x3``, ``depthwise conv 5x5``, ``hswish``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from latbench.networks.general.arithmetic import Binary, Unary
from latbench.networks.general.arrays import Reduce, Unread
from latbench.networks.general.windows import RectConv, RectPool, TransposedConv
from latbench.networks.network import Network
from latbench.networks.ops import Activation, Conv, Elementwise, Pool

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|\d+")


def layer_word(network: Network, index: int) -> str:
    """Returns what a layer does, with the size of its window and without any other size.

    A kind of layer that is defined elsewhere goes by its class: ``layer norm`` for LayerNorm. An
    operator of a file that is no layer kind goes by its own name.
    """
    layer = network.layers[index]
    op = layer.op
    if isinstance(op, Conv | RectConv):
        word = "conv"
        if op.groups > 1:
            depthwise = op.depthwise(network.input_shapes(layer)[0])
            word = "depthwise conv" if depthwise else "grouped conv"
        return f"{word} {_window(op.kernel)}"
    if isinstance(op, TransposedConv):
        return f"transposed conv {_window(op.kernel)}"
    if isinstance(op, Pool | RectPool):
        return f"{op.kind} pool {_window(op.kernel)}"
    if isinstance(op, Activation | Elementwise | Unary | Binary):
        return op.kind.replace("_", " ")
    if isinstance(op, Reduce):
        return f"{op.kind} of axes"
    if isinstance(op, Unread):
        return op.operator
    return " ".join(_WORD.findall(type(op).__name__)).lower()


def _window(kernel: int | tuple[int, int]) -> str:
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    return f"{height}x{width}"


def main_layer(network: Network, layers: Iterable[int]) -> int:
    """Returns that of several layers which has most work: multiply-accumulates, and of as many the
    bytes that it moves."""
    return max(
        layers, key=lambda i: (network.layer_macs(network.layers[i]), network.layer_bytes(i))
    )
