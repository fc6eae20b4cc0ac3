"""A network of a batch as one of a single image, for runtimes that take one after another.

That is right only where no layer mixes the images of a batch. A space's layers never do; those of
networks from outside are asked.
"""

from __future__ import annotations

import dataclasses

from latbench.errors import BackendError
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


def batch_of(network: Network) -> int:
    """Returns how many images the network's first input is of."""
    return network.input_shape[0] if network.input_shape else 1


def of_one_image(network: Network, runtime: str) -> Network:
    """Makes the same network for one image of its batch.

    Args:
        network: The network; the weights of the result have the same names.
        runtime: What needs it, as a sentence names it.

    Returns:
        The network, itself where its batch is 1.

    Raises:
        BackendError: When a layer mixes the images of a batch.
    """
    batch = batch_of(network)
    if batch == 1:
        return network
    inputs = [layer.op for layer in network.layers if isinstance(layer.op, Input)]
    first = [dataclasses.replace(op, shape=_alone(op.shape, batch)) for op in inputs]
    b = NetworkBuilder.of_inputs(*first)
    for i, layer in enumerate(network.layers[len(inputs) :], start=len(inputs)):
        try:
            b.add(_op_alone(layer.op, batch), *layer.inputs)
            fits = isinstance(layer.op, Constant) or _is_alone(network, layer, b.shape(i), batch)
        except ValueError:
            fits = False
        if not fits:
            raise BackendError(
                f"{runtime} takes one image after another, and layer {i} "
                f"({type(layer.op).__name__}) mixes the {batch} of a batch; take a batch of 1"
            )
    return b.build(*network.outputs)


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
