"""The networks that the conformance suite runs: small, of every search space and kind of layer.

A runtime that compiles a network for minutes is checked with ``few_networks``, which have the same
kinds of layers between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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


@dataclass(frozen=True)
class UnknownOp(Op):
    """A layer kind that no exporter knows."""


def impossible_network() -> Network:
    """Makes a network that no backend can load."""
    b = NetworkBuilder((1, 3, 8, 8))
    return b.build(b.add(UnknownOp(), b.input))
