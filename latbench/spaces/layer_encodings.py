"""Encodings that are read off the built Network, as fixed-width vectors of one space.

``layers``: one slot for each distinct layer of the space, that is an op on given input shapes, and
in it how often the network has it, its multiply-accumulates and its bytes moved, and how many of
them a runtime may leave out (``latbench.networks.optimisation``).

``graph``: the network's layers with what they read, padded. Layers that ``GRAPH_ROUNDS`` rounds of
message passing cannot tell apart (equal op and shapes, and equal inputs so many steps back: colour
refinement, Weisfeiler and Leman, 1968) are one node with a multiplicity, which loses nothing to a
graph network of so many rounds and makes 20 stacked cells as cheap as the few that differ.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.networks.network import Layer, Network
from latbench.networks.ops import Op, Shape
from latbench.networks.optimisation import savings
from latbench.spaces.base import AnySpace

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Kind = tuple[Op, tuple[Shape, ...]]  # an op and the shapes of what it reads


class LayerTable(NamedTuple):
    """The ``layers`` encoding of n architectures, each field ``(n, slots)``."""

    counts: Floats
    macs: Floats
    bytes_moved: Floats
    repeated: Floats
    fusible: Floats

    def run(self, optimised: bool) -> Floats:
        """Returns how many of each layer run alone: all, or all that no optimiser can save."""
        return self.counts - self.repeated - self.fusible if optimised else self.counts


LAYER_FEATURES = LayerTable._fields

GRAPH_ROUNDS = 2
MAX_INPUTS = 6
# An op's class, with its ``kind`` where it has one.
OP_KINDS: tuple[str, ...] = (
    "Input", "Conv", "BatchNorm", "Activation relu", "Activation relu6", "Activation hswish",
    "Activation sigmoid", "Pool max", "Pool avg", "GlobalAvgPool", "Elementwise add",
    "Elementwise mul", "Concat", "Slice", "Pad", "Zero", "Flatten", "Linear",
)  # fmt: skip
NODE_FEATURES = (
    "count", "kind", "log_macs", "log_bytes_moved", "log_channels", "log_pixels",
    "log_in_channels", "kernel", "stride", "dilation", "log_groups",
    *(f"input{i}" for i in range(MAX_INPUTS)),
)  # fmt: skip
# Every kind of layer was seen within 12 samples of DARTS and of NAS-Bench-201 (2026-11-24).
_SAMPLES = 64


def layer_kinds(network: Network) -> Counter[Kind]:
    """Counts how often each distinct layer occurs, in order of first use; the input is none."""
    return Counter(
        (layer.op, network.input_shapes(layer)) for layer in network.layers if layer.inputs
    )


def space_layers(space: AnySpace) -> tuple[Kind, ...]:
    """Returns the distinct layers of a space, which the slots of ``layers`` stand for."""
    return space.layer_kinds()


def _examples(space: AnySpace) -> list[Network]:
    drawing = space.with_sampler(1)
    samples = [drawing.sample(0, i) for i in range(_SAMPLES)]
    return [space.build(a) for a in (space.reference(), *samples)]


def _work(network: Network) -> dict[Kind, tuple[int, int]]:
    """Multiply-accumulates and bytes of each distinct layer."""
    return {
        (layer.op, network.input_shapes(layer)): (network.layer_macs(layer), network.layer_bytes(i))
        for i, layer in enumerate(network.layers)
        if layer.inputs
    }


@lru_cache(maxsize=8)
def _slots(space: AnySpace) -> dict[Kind, int]:
    return {kind: i for i, kind in enumerate(space_layers(space))}


def encode_layers(space: AnySpace, architecture: Any) -> Array:
    """Returns ``LAYER_FEATURES`` for each of ``space_layers``; absent ones are 0.

    The work is that of one such layer; of ``count``, so many are repeated and so many fusible.
    Flattened, ``5 * len(space_layers(space))``. Raises UsageError for a layer that no slot is for.
    """
    slots, network = _slots(space), space.build(architecture)
    out = np.zeros((len(slots), len(LAYER_FEATURES)), np.float32)
    work = _work(network)
    for kind, count in layer_kinds(network).items():
        if kind not in slots:
            raise UsageError(
                f"{kind[0]} on {kind[1]} is in none of {_SAMPLES} samples of {space}; use another "
                "encoding"
            )
        out[slots[kind], :3] = (count, *work[kind])
    for column, indices in zip((3, 4), savings(network), strict=True):
        for i in indices:
            layer = network.layers[i]
            out[slots[layer.op, network.input_shapes(layer)], column] += 1
    return out.reshape(-1)


def unpack_layers(X: Floats) -> LayerTable:
    """Returns the ``layers`` encoding ``(n, d)`` by feature.

    Raises UsageError when d is no multiple of the number of features.
    """
    if X.shape[1] % len(LAYER_FEATURES):
        raise UsageError(
            f"X has {X.shape[1]} columns, not {len(LAYER_FEATURES)} for each layer; use the "
            "'layers' encoding"
        )
    return LayerTable(*np.moveaxis(X.reshape(len(X), -1, len(LAYER_FEATURES)), -1, 0))


def _colours(network: Network) -> list[int]:
    """A number for each layer, equal for those that no model of GRAPH_ROUNDS can tell apart."""
    keys: list[Any] = [(layer.op, network.input_shapes(layer)) for layer in network.layers]
    for turn in range(GRAPH_ROUNDS + 1):
        numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        colours = [numbers[key] for key in keys]
        if turn == GRAPH_ROUNDS:
            break
        keys = [
            (colours[i], tuple(sorted(colours[j] for j in layer.inputs)))
            for i, layer in enumerate(network.layers)
        ]
    return colours


def _node(network: Network, index: int) -> list[float]:
    """The features of a layer between ``count`` and its inputs."""
    layer: Layer = network.layers[index]
    op, shape = layer.op, layer.shape
    given = network.input_shapes(layer)[0] if layer.inputs else shape
    numbers = (
        network.layer_macs(layer), network.layer_bytes(index), shape[1], math.prod(shape[2:]),
        given[1],
    )  # fmt: skip
    window = [float(getattr(op, name, 0)) for name in ("kernel", "stride", "dilation")]
    kind = OP_KINDS.index(f"{type(op).__name__} {getattr(op, 'kind', '')}".strip()) + 1
    return [kind, *map(math.log1p, numbers), *window, math.log(getattr(op, "groups", 1))]


def graph_nodes(network: Network) -> Array:
    """Returns the merged layers ``(nodes, len(NODE_FEATURES))``; inputs are node numbers from 1, 0
    is none.

    Raises UsageError for a layer that reads more than MAX_INPUTS others.
    """
    colours = _colours(network)
    rows = []
    for colour, count in sorted(Counter(colours).items()):
        first = colours.index(colour)
        inputs = network.layers[first].inputs
        if len(inputs) > MAX_INPUTS:
            raise UsageError(
                f"{network.layers[first].op} reads {len(inputs)} layers, the graph encoding has "
                f"room for {MAX_INPUTS}; use another encoding"
            )
        sources = [colours[j] + 1 for j in inputs] + [0] * (MAX_INPUTS - len(inputs))
        rows.append([count, *_node(network, first), *sources])
    return np.array(rows, np.float32)


@lru_cache(maxsize=8)
def graph_capacity(space: AnySpace) -> int:
    """Returns the most nodes of a space's graphs: twice the most of its reference and 64
    samples."""
    return 2 * max(len(set(_colours(network))) for network in _examples(space))


def encode_graph(space: AnySpace, architecture: Any) -> Array:
    """Returns ``graph_nodes`` padded with zeros and flattened,
    ``graph_capacity * len(NODE_FEATURES)``.

    Raises UsageError for a network of more nodes.
    """
    nodes = graph_nodes(space.build(architecture))
    out = np.zeros((graph_capacity(space), len(NODE_FEATURES)), np.float32)
    if len(nodes) > len(out):
        raise UsageError(
            f"{architecture} has {len(nodes)} different layers, the graph encoding of {space} has "
            f"room for {len(out)}; use another encoding"
        )
    out[: len(nodes)] = nodes
    return out.reshape(-1)
