"""The layers that the graph optimiser of a runtime may leave out: repeated and fusible ones.

A *repeated* layer has no weights and does what another one did already: the same op on the same
inputs, as where two operations of a DARTS cell begin with the ReLU of one state or pool it alike
(common subexpression elimination). A *fusible* layer is element by element (``Op.elementwise``) and
alone reads what a convolution wrote, with or without a BatchNorm between them, so that the
convolution can do its work before it writes. ONNX Runtime does both
(https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html), TensorRT
fuses, PyTorch eager does neither; a predictor learns what its backend does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from typing import NamedTuple

from latbench.networks.general.windows import RectConv
from latbench.networks.network import Layer, Network
from latbench.networks.ops import BatchNorm, Conv


class Savings(NamedTuple):
    """The layers to save, as indices into ``Network.layers``; no layer is in both."""

    repeated: Set[int]
    fusible: Set[int]


def savings(network: Network) -> Savings:
    """Finds the layers that a runtime need not run on their own."""
    same_as = merged(network)
    repeated = {i for i, other in enumerate(same_as) if other != i}
    readers = Counter(
        same_as[j]
        for i, layer in enumerate(network.layers)
        if i not in repeated
        for j in layer.inputs
    ) + Counter(same_as[i] for i in network.outputs)
    fusible = {
        i
        for i, layer in enumerate(network.layers)
        if i not in repeated
        and layer.op.elementwise
        and any(_only_read_here(network, same_as[j], readers) for j in layer.inputs)
    }
    return Savings(repeated, fusible)


def merged(network: Network) -> list[int]:
    """Returns, for each layer, the first one that computes the same; itself where there is none."""
    same_as: list[int] = []
    first: dict[object, int] = {}
    for i, layer in enumerate(network.layers):
        inputs = tuple(same_as[j] for j in layer.inputs)
        shared = layer.inputs and not _has_weights(network, layer)
        same_as.append(first.setdefault((layer.op, inputs), i) if shared else i)
    return same_as


def _has_weights(network: Network, layer: Layer) -> bool:
    shapes = network.input_shapes(layer)
    return bool(layer.op.parameters(*shapes) or layer.op.buffers(*shapes))


def _only_read_here(network: Network, index: int, readers: Counter[int]) -> bool:
    """Returns whether the layer is a convolution, or its BatchNorm, of one reader."""
    layer = network.layers[index]
    if readers[index] != 1:
        return False
    if isinstance(layer.op, BatchNorm):
        return _only_read_here(network, layer.inputs[0], readers)
    return isinstance(layer.op, Conv | RectConv)
