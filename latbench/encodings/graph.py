"""The ``graph`` encoding: a network's layers and what they read, whatever their number.

Layers that ``GRAPH_ROUNDS`` rounds of message passing cannot tell apart (equal op and shapes, and
equal inputs so many steps back: colour refinement, Weisfeiler and Leman, 1968) are one node with a
multiplicity, which loses nothing to a graph network of so many rounds and makes 20 stacked cells as
cheap as the few that differ.

A graph is a matrix: row i has the features of node i and, beside them, the i-th edge: the numbers,
from 1, of a node that is read and of the one that reads it. Rows beyond the nodes, or beyond the
edges, have zeros there. So a node reads any number of others, and rows of zeros pad a graph.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.encodings.base import Array, Encoding
from latbench.encodings.kind_numbers import kind_number
from latbench.networks.network import Layer, Network
from latbench.networks.ops import Shape
from latbench.spaces import AnySpace

GRAPH_ROUNDS = 2
EDGE_FEATURES = ("source", "target")
NODE_FEATURES = (
    "count", "kind", "log_macs", "log_bytes_moved", "log_channels", "log_pixels",
    "log_in_channels", "kernel", "stride", "dilation", "log_groups",
)  # fmt: skip
GRAPH_FEATURES = (*NODE_FEATURES, *EDGE_FEATURES)


def _colours(network: Network) -> list[int]:
    """A number for each layer, equal for those that no model of GRAPH_ROUNDS can tell apart."""
    keys: list[Any] = [network.kind(layer) for layer in network.layers]
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


def _attribute(op: object, name: str, default: float) -> float:
    """An op's attribute as a number; the largest where a kind from outside has one an axis."""
    value = getattr(op, name, default)
    values = value if isinstance(value, tuple | list) else [value]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return max(numbers, default=default)


def _channels(shape: Shape) -> int:
    """Those of an image; of a sequence ``(N, length, features)``, whose places are its pixels, the
    features."""
    if len(shape) == 3:
        return shape[2]
    return shape[1] if len(shape) > 1 else 1


def _pixels(shape: Shape) -> int:
    return shape[1] if len(shape) == 3 else math.prod(shape[2:])


def _node(network: Network, index: int) -> list[float]:
    """The features of a layer after ``count``."""
    layer: Layer = network.layers[index]
    op, shape = layer.op, layer.shape
    given = network.input_shapes(layer)[0] if layer.inputs else shape
    numbers = (
        network.layer_macs(layer), network.layer_bytes(index), _channels(shape),
        _pixels(shape), _channels(given),
    )  # fmt: skip
    window = [_attribute(op, name, 0) for name in ("kernel", "stride", "dilation")]
    groups = math.log(max(1, _attribute(op, "groups", 1)))
    return [kind_number(op), *map(math.log1p, numbers), *window, groups]


def graph_of(network: Network) -> Array:
    """Returns a network's nodes and edges, ``(rows, len(GRAPH_FEATURES))``, float32."""
    colours = _colours(network)
    nodes: list[list[float]] = []
    edges: list[tuple[int, int]] = []
    for colour, count in sorted(Counter(colours).items()):
        first = colours.index(colour)
        nodes.append([count, *_node(network, first)])
        edges += [(colours[j] + 1, colour + 1) for j in network.layers[first].inputs]
    no_node, no_edge = [0.0] * len(NODE_FEATURES), (0, 0)
    rows = [
        [*(node or no_node), *(edge or no_edge)]
        for node, edge in zip_longest(nodes, edges, fillvalue=None)
    ]
    return np.array(rows, np.float32)


def stack_graphs(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Stacks ``graph`` encodings of several sets as one matrix, padded with zeros to the widest."""
    width = max(part.shape[1] for part in parts)
    return np.vstack([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])


class GraphEncoding(Encoding):
    """The encoding ``graph``: as wide as the largest of the networks that are encoded together."""

    name = "graph"
    version = 2  # 1: up to six inputs a node, padded to what 64 samples of a space needed
    fixed_width = False

    def encode(
        self, space: AnySpace | None, architectures: Sequence[Any], networks: Sequence[Network]
    ) -> Array:
        """Returns ``graph_of`` each, flattened and padded."""
        return stack_graphs([graph_of(network).reshape(1, -1) for network in networks])
