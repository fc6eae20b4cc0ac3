"""A network of a batch as one of a single image, for runtimes that take one after another.

That is right only where no layer mixes the images of a batch. A space's layers never do; those of
networks from outside are asked.
"""

from __future__ import annotations

import dataclasses

from latbench.errors import UsageError
from latbench.networks.general.arithmetic import Binary, Where
from latbench.networks.general.arrays import (
    ArgMax,
    Constant,
    Cut,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
)
from latbench.networks.general.products import LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import PadAround
from latbench.networks.network import Layer, Network, NetworkBuilder
from latbench.networks.ops import Input, Op, Shape

_ALONG_AN_AXIS = (Cut, Join, Softmax, ArgMax, Gather)
_BROADCASTS = (Binary, Where, MatMul)


def split_batch(network: Network) -> tuple[Network, int]:
    """Splits a network's batch into its images.

    Returns the network of one image, whose weights have the same names, and how many images there
    are; where a layer mixes them, the network itself, which then is that of one, whatever its first
    axis is.
    """
    batch = network.input_shape[0] if network.input_shape else 1
    if batch == 1:
        return network, 1
    inputs = [layer.op for layer in network.layers if isinstance(layer.op, Input)]
    first = [dataclasses.replace(op, shape=_alone(op.shape, batch)) for op in inputs]
    b = NetworkBuilder.of_inputs(*first)
    for i, layer in enumerate(network.layers[len(inputs) :], start=len(inputs)):
        try:
            b.add(_op_alone(layer.op, batch), *layer.inputs)
        except UsageError:
            return network, 1
        if not (isinstance(layer.op, Constant) or _is_alone(network, layer, b.shape(i), batch)):
            return network, 1
    return b.build(*network.outputs), batch


def _alone(shape: Shape, batch: int) -> Shape:
    return (1, *shape[1:]) if shape[:1] == (batch,) else shape


def _op_alone(op: Op, batch: int) -> Op:
    if isinstance(op, Reshape | Expand):
        return dataclasses.replace(op, shape=_alone(op.shape, batch))
    return op


def _is_alone(network: Network, layer: Layer, found: Shape, batch: int) -> bool:
    """Whether a layer's result is that of each image by itself, one after another."""
    op, shapes = layer.op, network.input_shapes(layer)
    if layer.shape[:1] != (batch,) or found != (1, *layer.shape[1:]):
        return False
    if isinstance(op, _ALONG_AN_AXIS):
        return op.axis > 0
    if isinstance(op, Reduce):
        return 0 not in op.axes
    if isinstance(op, LayerNorm):
        return op.dims < len(layer.shape)
    if isinstance(op, PadAround):
        return op.before[0] == op.after[0] == 0
    if isinstance(op, _BROADCASTS):
        constant = [isinstance(network.layers[j].op, Constant) for j in layer.inputs]
        return all(
            fixed or len(shape) == len(layer.shape)
            for fixed, shape in zip(constant, shapes, strict=True)
        )
    return True
