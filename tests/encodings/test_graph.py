from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from hypothesis import given, settings
from strategies import networks

from latbench.encodings import encode, encode_networks, graph_of
from latbench.encodings.graph import GRAPH_FEATURES, NODE_FEATURES, stack_graphs
from latbench.encodings.kind_numbers import kind_number
from latbench.networks import ops
from latbench.networks.network import Network, NetworkBuilder
from latbench.spaces import darts, nasbench201
from latbench.spaces.base import Array

COUNT, KIND = NODE_FEATURES.index("count"), NODE_FEATURES.index("kind")


def nodes_of(network: Network) -> Array:
    graph = graph_of(network)
    return graph[graph[:, COUNT] > 0][:, : len(NODE_FEATURES)]


def edges_of(network: Network) -> list[tuple[int, int]]:
    return [(int(s), int(t)) for s, t in graph_of(network)[:, len(NODE_FEATURES) :] if t]


@settings(deadline=None, max_examples=30)
@given(networks())
def test_merged_layers_keep_their_number(network: Network) -> None:
    graph = graph_of(network)
    assert graph.shape[1] == len(GRAPH_FEATURES)
    assert graph[:, 0].sum() == len(network.layers)
    np.testing.assert_allclose(graph[:, 0] @ np.expm1(graph[:, 2].astype(float)), network.macs,
                               rtol=1e-3, atol=0.5)  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(networks())
def test_edges_are_what_layers_read(network: Network) -> None:
    nodes, edges = nodes_of(network), edges_of(network)
    assert len(graph_of(network)) == max(len(nodes), len(edges))
    assert all(1 <= source < target <= len(nodes) for source, target in edges)
    read = sum(nodes[target - 1, COUNT] for _, target in edges)
    assert read == sum(len(layer.inputs) for layer in network.layers)


def chain(last: str) -> Network:
    """Eight equal blocks of pooling and ReLU, and another activation at the end."""
    b = NetworkBuilder((1, 2, 8, 8))
    x = b.input
    for _ in range(8):
        x = b.add(ops.Activation("relu"), b.add(ops.Pool("max", 3, padding=1), x))
    return b.build(b.add(ops.Activation(last), x))  # type: ignore[arg-type]


def test_repeats_merge_and_what_differs_two_steps_back_does_not() -> None:
    # The input; the first pool, the ReLU that sees it; all later pools, all later ReLUs; the last.
    assert sorted(nodes_of(chain("sigmoid"))[:, 0]) == [1, 1, 1, 1, 7, 7]
    # ReLU on ReLU is another node than ReLU on a pool.
    assert sorted(nodes_of(chain("relu"))[:, 0]) == [1, 1, 1, 1, 7, 7]
    assert not np.array_equal(graph_of(chain("relu")), graph_of(chain("sigmoid")))


def test_stacking_more_cells_adds_no_nodes() -> None:
    few, many = (len(nodes_of(s.build(s.sample(0, 3)))) for s in
                 (nasbench201(cells=4), nasbench201(cells=9)))  # fmt: skip
    assert few == many


def wide(inputs: int) -> Network:
    """Convolutions of one input that one layer joins, and another of two reads twice."""
    b = NetworkBuilder((1, 2, 8, 8))
    x = b.add(ops.Concat(), *(b.add(ops.Conv(2 + i, 1), b.input) for i in range(inputs)))
    return b.build(b.add(ops.Elementwise("add"), x, x))


def test_a_layer_reads_any_number_of_others() -> None:
    for inputs in (1, 6, 7, 40):
        edges = edges_of(wide(inputs))
        assert edges[:inputs] == [(1, i + 2) for i in range(inputs)]
        assert edges[inputs:-2] == [(i + 2, inputs + 2) for i in range(inputs)]
        assert edges[-2:] == [(inputs + 2, inputs + 3)] * 2


@dataclass(frozen=True)
class Odd(ops.Op):
    """A layer kind from outside, with attributes that no other has in this form."""

    arity: ClassVar[int | None] = 2
    kernel: tuple[int, int] = (3, 5)
    stride: str = "none"
    groups: int = 4


def test_a_kind_from_outside_is_a_node_like_any_other() -> None:
    b = NetworkBuilder((1, 2, 8, 8))
    network = b.build(b.add(Odd(), b.input, b.input))
    node = dict(zip(NODE_FEATURES, nodes_of(network)[1], strict=True))
    assert node["kind"] == kind_number(Odd())
    assert (node["kernel"], node["stride"], node["dilation"]) == (5, 0, 0)
    assert node["log_groups"] == np.float32(math.log(4))


def test_graphs_are_padded_to_the_widest_of_those_encoded() -> None:
    space = darts(channels=4, cells=3)
    some = [space.sample(0, i) for i in range(4)]
    rows = encode(space, some, "graph").reshape(4, -1, len(GRAPH_FEATURES))
    own = [graph_of(space.build(a)) for a in some]
    assert rows.shape[1] == max(map(len, own))
    for row, graph in zip(rows, own, strict=True):
        np.testing.assert_array_equal(row[: len(graph)], graph)
        assert not row[len(graph) :].any()
    np.testing.assert_array_equal(encode_networks([space.build(a) for a in some], "graph"),
                                  rows.reshape(4, -1))  # fmt: skip


def test_sets_are_stacked_to_the_widest() -> None:
    small, large = np.ones((2, 13)), np.ones((1, 26))
    stacked = stack_graphs([small, large])
    assert stacked.shape == (3, 26)
    assert not stacked[:2, 13:].any()
