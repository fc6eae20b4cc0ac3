"""The networks that the conformance suite runs: small, of every search space and kind of layer.

A runtime that compiles a network for minutes is checked with ``few_networks``, which have the same
kinds of layers between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from latbench.models import Model
from latbench.networks.mobile_blocks import (
    HSWISH,
    RELU6,
    SIGMOID,
    SILU,
    SqueezeExcite,
    conv_bn_act,
    fused_inverted_residual,
    inverted_residual,
    separable,
    shuffle_unit,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import (
    Activation,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Linear,
    Op,
    Pool,
    Shape,
)
from latbench.networks.residual_blocks import basic_block, bottleneck
from latbench.spaces import SPACES, make_space

_ODD = {"resolution": 19, "batch": 4}  # odd sizes pad and crop unevenly


@lru_cache(maxsize=1)
def default_networks() -> tuple[tuple[str, Network], ...]:
    """Returns ``(label, network)`` of each space's reference at batch 1 and one sample at batch 4,
    and of ``mobile_chain``."""
    networks = []
    for name in SPACES:
        small = dict(make_space(name).small)
        even, odd = make_space(name, small), make_space(name, small | _ODD)
        for space, architecture in ((even, even.reference()), (odd, odd.sample(seed=1, index=0))):
            networks.append((f"{architecture} of {space}", space.build(architecture)))
    return (*networks, ("every mobile block", mobile_chain()))


@lru_cache(maxsize=1)
def few_networks() -> tuple[tuple[str, Network], ...]:
    """Returns those few of ``default_networks`` that have all their ``layer_kinds`` between them.

    One with the most new kinds is taken next, of such ones the shortest.
    """
    left = [(item, layer_kinds(item[1])) for item in default_networks()]
    needed, chosen = frozenset().union(*(kinds for _, kinds in left)), list[tuple[str, Network]]()
    while needed:
        left.sort(key=lambda pair: (-len(pair[1] & needed), len(pair[0][1].layers)))
        chosen.append(left[0][0])
        needed -= left[0][1]
    return tuple(chosen)


def layer_kinds(network: Network) -> frozenset[str]:
    """Returns the kinds of a network's layers as a runtime's kernels tell them apart: the op, what
    it computes, and of a convolution its groups, stride and dilation, but no sizes."""
    return frozenset(_kind(layer.op, network.input_shapes(layer)) for layer in network.layers)


def _kind(op: Op, inputs: tuple[Shape, ...]) -> str:
    words = [type(op).__name__]
    if isinstance(op, Conv):
        grouped = "depthwise" if op.depthwise(inputs[0]) else "in groups"
        words.append(grouped if op.groups > 1 else "dense")
        words.append("1x1" if op.kernel == 1 else "window")
        words += ["strided"] * (op.stride > 1) + ["dilated"] * (op.dilation > 1)
    elif isinstance(op, Elementwise):
        words += [op.kind] + ["broadcast"] * (len(set(inputs)) > 1)
    elif isinstance(op, Activation | Pool):
        words.append(op.kind)
    return " ".join(words)


def mobile_chain() -> Network:
    """Makes a chain of every block of ``latbench.networks.mobile_blocks`` and
    ``latbench.networks.residual_blocks``: each activation, both gates of a squeeze-and-excite,
    convolutions in groups, shuffled channels."""
    b = NetworkBuilder((2, 3, 11, 11))
    x = conv_bn_act(b, b.input, 8, 3, 2, HSWISH)
    excite = SqueezeExcite(4)
    x = inverted_residual(b, x, 8, 3, 1, 16, RELU6, excite, residual=True)
    x = inverted_residual(b, x, 8, 5, 1, 16, SILU, residual=True, groups=2)
    x = shuffle_unit(b, x, 16, 3, stride=2)
    x = shuffle_unit(b, x, 16, 3, stride=1, xception=True)
    early = SqueezeExcite(4, inner=SILU, gate=SIGMOID, early=True)
    x = separable(b, x, 8, 3, activation=HSWISH, last=RELU6, se=early)
    x = fused_inverted_residual(b, x, 8, 3, 1, 16, SILU, residual=True)
    x = basic_block(b, x, 8, 1, projected=False)
    x = bottleneck(b, x, 8, 16, 2, projected=True)
    x = inverted_residual(b, x, 8, 3, 2, None, RELU6, excite)  # of one pixel, a product of equals
    return b.build(b.add(Linear(10), b.add(Flatten(), b.add(GlobalAvgPool(), x))))


def conv_chain(layers: int, channels: int, resolution: int) -> Network:
    """Makes 3x3 convolutions with ReLU, one after another, and a classifier."""
    b = NetworkBuilder((1, 3, resolution, resolution))
    x = b.input
    for _ in range(layers):
        x = b.add(Activation("relu"), b.add(Conv(channels, kernel=3, padding=1), x))
    return b.build(b.add(Linear(10), b.add(Flatten(), b.add(GlobalAvgPool(), x))))


def short_chain() -> Network:
    """Makes a chain of 29 million multiply-accumulates in 4 convolutions."""
    return conv_chain(layers=4, channels=32, resolution=32)


def long_chain() -> Network:
    """Makes a chain of 28 times the work of ``short_chain``, in 10 times as many layers.

    So it takes longer also where launching a layer costs more than computing it.
    """
    return conv_chain(layers=40, channels=48, resolution=32)


def heavy_chain() -> Network:
    """Makes a chain of 2.4 MB of weights and next to no work: what it leaves behind shows in the
    memory."""
    return conv_chain(layers=5, channels=128, resolution=4)


# The outputs are not listed in the order in which they are computed.
_SEVERAL = """
<ir_version: 8, opset_import: ["": 17]>
several (float[1,4,6,6] image, int64[1,3] words, bool[1,3] mask)
    => (float[1,3,4] told, int64[1,3] doubled, bool[1,3] hidden)
<float[5,4] table = {0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8, 0.9, 1.0, -1.1, 1.2, 1.3, -1.4, 1.5,
                     1.6, -1.7, 1.8, 1.9, -2.0},
 float[4,4,1,1] filters = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, -0.7, 0.8, -0.9, 1.0, 1.1, 1.2, 1.3, -1.4,
                           1.5, 1.6},
 int64[1] last = {2}>
{
    hidden = Not(mask)
    doubled = Add(words, words)
    pooled = GlobalAveragePool(image)
    seen = Conv(pooled, filters)
    row = Flatten(seen)
    found = Gather(table, words)
    sum = Add(found, row)
    open = Cast<to = 1>(mask)
    gate = Unsqueeze(open, last)
    told = Mul(sum, gate)
}
"""


@lru_cache(maxsize=1)
def several_inputs() -> Model:
    """Makes a model that came from an ONNX file: an image, the numbers of rows of a table and a
    mask in; floats, integers and truth values out."""
    import onnx.parser

    from latbench.importing.reading import read_onnx_bytes

    data = onnx.parser.parse_model(_SEVERAL).SerializeToString()
    mask = np.array([[True, False, True]])
    read = read_onnx_bytes(data, "several", given={"mask": mask})
    return Model(
        "several", read.network, read.weights, source=read.source, given=read.given,
        notes=read.notes,
    )  # fmt: skip


@dataclass(frozen=True)
class UnknownOp(Op):
    """A layer kind that no exporter knows."""


def impossible_network() -> Network:
    """Makes a network that no backend can load."""
    b = NetworkBuilder((1, 3, 8, 8))
    return b.build(b.add(UnknownOp(), b.input))
