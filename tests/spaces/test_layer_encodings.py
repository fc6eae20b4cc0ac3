from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, networks, spaces

from latbench.networks import ops
from latbench.networks.network import Network, NetworkBuilder
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.encodings import encode
from latbench.spaces.layer_encodings import (
    LAYER_FEATURES,
    NODE_FEATURES,
    OP_KINDS,
    encode_graph,
    graph_capacity,
    graph_nodes,
    layer_kinds,
    space_layers,
    unpack_layers,
)


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_layers_add_up_to_the_network(data: st.DataObject) -> None:
    space: AnySpace = data.draw(spaces())
    architecture = data.draw(architectures(space))
    network = space.build(architecture)
    table = unpack_layers(encode(space, [architecture], "layers").astype(float))
    count, macs, moved = table.counts[0], table.macs[0], table.bytes_moved[0]
    assert count.sum() == len(network.layers) - 1
    np.testing.assert_allclose(count @ macs, network.macs)
    np.testing.assert_allclose(count @ moved, network.bytes_moved, rtol=1e-6)


@pytest.mark.parametrize("space", [darts(channels=4, cells=4), nasbench201(channels=4, cells=2)])
def test_a_slot_stands_for_one_layer(space: AnySpace) -> None:
    slots = space_layers(space)
    assert len(set(slots)) == len(slots)
    architecture = space.sample(9, 9)
    counts = unpack_layers(encode(space, [architecture], "layers").astype(float)).counts[0]
    kinds = layer_kinds(space.build(architecture))
    assert {k: c for k, c in zip(slots, counts, strict=True) if c} == kinds
    assert len(LAYER_FEATURES) * len(slots) == encode(space, [], "layers").shape[1]


def test_every_op_has_a_kind() -> None:
    names = {kind.split()[0] for kind in OP_KINDS}
    # Tests of error messages define operations of their own.
    own = {cls for cls in ops.Op.__subclasses__() if cls.__module__ == ops.__name__}
    assert names == {cls.__name__ for cls in own}
    kinds = [*(f"Activation {kind}" for kind in ops.ActivationKind.__args__)]  # type: ignore[attr-defined]
    assert set(kinds) <= set(OP_KINDS)


@settings(deadline=None, max_examples=30)
@given(networks())
def test_merged_layers_keep_their_number(network: Network) -> None:
    nodes = graph_nodes(network)
    assert nodes.shape[1] == len(NODE_FEATURES)
    assert nodes[:, 0].sum() == len(network.layers)
    np.testing.assert_allclose(nodes[:, 0] @ np.expm1(nodes[:, 2].astype(float)), network.macs,
                               rtol=1e-3, atol=0.5)  # fmt: skip


def chain(last: str) -> Network:
    """Eight equal blocks of pooling and ReLU, and another activation at the end."""
    b = NetworkBuilder((1, 2, 8, 8))
    x = b.input
    for _ in range(8):
        x = b.add(ops.Activation("relu"), b.add(ops.Pool("max", 3, padding=1), x))
    return b.build(b.add(ops.Activation(last), x))  # type: ignore[arg-type]


def test_repeats_merge_and_what_differs_two_steps_back_does_not() -> None:
    # The input; the first pool, the ReLU that sees it; all later pools, all later ReLUs; the last.
    assert sorted(graph_nodes(chain("sigmoid"))[:, 0]) == [1, 1, 1, 1, 7, 7]
    # ReLU on ReLU is another node than ReLU on a pool.
    assert sorted(graph_nodes(chain("relu"))[:, 0]) == [1, 1, 1, 1, 7, 7]
    assert not np.array_equal(graph_nodes(chain("relu")), graph_nodes(chain("sigmoid")))


def test_stacking_more_cells_adds_no_nodes() -> None:
    few, many = (len(graph_nodes(s.build(s.sample(0, 3)))) for s in
                 (nasbench201(cells=4), nasbench201(cells=9)))  # fmt: skip
    assert few == many


def test_graphs_are_padded_to_one_width() -> None:
    space = darts(channels=4, cells=3)
    rows = np.stack([encode_graph(space, space.sample(0, i)) for i in range(3)])
    table = rows.reshape(3, -1, len(NODE_FEATURES))
    used = (table[:, :, 0] > 0).sum(axis=1)
    for row, n in zip(table, used, strict=True):
        assert (row[:n, 0] > 0).all()
        assert not row[n:].any()
        assert row[:, -6:].max() <= n


@pytest.mark.parametrize(
    ("space", "layers", "nodes"),
    [
        (darts(channels=4, cells=3), "be3f5ea2b3b4c7be", 238),
        (nasbench201(channels=4, cells=1), "eafc98b632defcd6", 126),
    ],
    ids=["darts", "nasbench201"],
)
def test_the_slots_never_change(space: AnySpace, layers: str, nodes: int) -> None:
    """Saved predictors and stores of isolated layers number them so (latbench 0beca2b)."""
    found = hashlib.sha256(repr(space_layers(space)).encode()).hexdigest()[:16]
    assert (found, graph_capacity(space)) == (layers, nodes)
