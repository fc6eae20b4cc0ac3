"""The graph network carries what it learnt about layers to networks and spaces of other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latbench.encodings import encode, encode_networks, graph_of
from latbench.encodings.graph import GRAPH_FEATURES, NODE_FEATURES, stack_graphs
from latbench.errors import ParseError, UsageError
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Concat, Conv
from latbench.predictors.base import Floats
from latbench.predictors.families.gnn import GNN, _messages, _unpack
from latbench.predictors.safe_arrays import read_arrays, write_arrays
from latbench.spaces import AnySpace, darts, nasbench201

SMALL, DEEP = nasbench201(channels=8, cells=1), nasbench201(channels=8, cells=3)
CELLS = darts(channels=8, cells=3)


def rows(space: AnySpace, n: int) -> tuple[Any, Floats]:
    """Graphs and latencies of 2 µs a layer, plus arithmetic; a batch norm costs nothing."""
    architectures = [a for _, a in space.unique_samples(1, n)]
    values = []
    for a in architectures:
        network = space.build(a)
        layers = sum(type(layer.op).__name__ != "BatchNorm" for layer in network.layers)
        values.append(2e-6 * layers + 1e-10 * network.macs)
    return encode(space, architectures, "graph"), np.array(values)


@pytest.fixture(scope="module")
def fitted() -> GNN:
    (a, y), (b, z) = rows(SMALL, 60), rows(CELLS, 60)
    model = GNN(steps=300, epochs=1)
    model.fit(stack_graphs([a, b]), np.concatenate([y, z]))
    return model


def test_one_model_serves_two_spaces(fitted: GNN) -> None:
    for space in (SMALL, CELLS):
        X, y = rows(space, 90)
        assert np.abs(fitted.predict(X[60:]) / y[60:] - 1).mean() < 0.03


def test_it_reaches_deeper_networks_than_it_saw(fitted: GNN) -> None:
    X, y = rows(DEEP, 40)
    assert y.max() < 10 * fitted.range_[1]
    assert np.abs(fitted.predict(X) / y - 1).mean() < 0.1
    assert np.corrcoef(fitted.predict(X), y)[0, 1] > 0.98


def test_padding_and_the_order_of_layers_and_edges_do_not_matter(fitted: GNN) -> None:
    X, _ = rows(SMALL, 5)
    wide = np.pad(X, ((0, 0), (0, 7 * len(GRAPH_FEATURES))))
    np.testing.assert_allclose(fitted.predict(wide), fitted.predict(X), rtol=1e-5)
    graphs = X.reshape(5, -1, len(GRAPH_FEATURES))
    most = int((graphs[..., 0] > 0).sum(axis=1).min())
    rng = np.random.default_rng(0)
    order, node = rng.permutation(most), len(NODE_FEATURES)
    moved = graphs.copy()
    moved[:, :most, :node] = graphs[:, order, :node]
    where = np.arange(graphs.shape[1] + 1)
    where[1 + order] = 1 + np.arange(most)
    edges = where[graphs[..., node:].astype(int)]
    moved[..., node:] = edges[:, rng.permutation(graphs.shape[1])]
    np.testing.assert_allclose(fitted.predict(moved.reshape(X.shape)), fitted.predict(X), rtol=1e-4)


def joined(inputs: int) -> Network:
    """As many convolutions as are asked for, of sizes that differ, and a layer that reads all."""
    b = NetworkBuilder((1, 4, 8, 8))
    convolved = [b.add(Conv(4 + i, 1), b.input) for i in range(inputs)]
    return b.build(b.add(Conv(3, 1), b.add(Concat(), *convolved)))


def test_what_a_layer_reads_counts_whatever_its_number(fitted: GNN) -> None:
    """Networks of which only the edges differ are told apart, at twelve inputs as at two."""
    for inputs in (2, 12):
        X = encode_networks([joined(inputs)], "graph")
        assert np.isfinite(fitted.predict(X)).all()
        less = X.reshape(-1, len(GRAPH_FEATURES)).copy()
        edges = less[:, len(NODE_FEATURES) :]
        edges[np.flatnonzero(edges[:, 1])[-2]] = 0  # the last that the concatenation reads
        both = np.vstack([X, less.reshape(1, -1)]).astype(float)
        assert np.ptp(fitted._predict(both)) > 1e-5 * fitted._predict(both)[0]


def edges_of(network: Network) -> list[list[int]]:
    found: list[list[int]] = graph_of(network)[:, len(NODE_FEATURES) :].astype(int).tolist()
    return found


def test_the_sum_of_messages_is_that_of_the_edges() -> None:
    """Whichever graphs a batch has."""
    some = [joined(n) for n in (2, 7, 3)]
    graphs = _unpack(encode_networks(some, "graph").astype(float))
    for chosen in (slice(0, 3), slice(1, 2), torch.tensor([2, 0])):
        batch = graphs.at(chosen)
        n, m = batch.count.shape
        h = torch.randn(n, m, 5, generator=torch.Generator().manual_seed(0))
        seen = _messages(h, *batch.reads())
        for i, number in enumerate(torch.arange(3)[chosen].tolist()):
            expected = torch.zeros(m, 5)
            for source, target in edges_of(some[number]):
                if target:
                    expected[target - 1] += h[i, source - 1]
            torch.testing.assert_close(seen[i], expected)


def test_a_graph_without_edges_is_a_sum_of_its_layers(fitted: GNN) -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    X = encode_networks([b.build(b.input)], "graph")
    assert np.isfinite(fitted.predict(X)).all()


def test_other_encodings_and_damaged_files_are_refused(fitted: GNN, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'graph' encoding"):
        fitted.predict(np.ones((2, 21)))
    with pytest.raises(UsageError, match="no row of X has a layer"):
        GNN().fit(np.zeros((3, len(GRAPH_FEATURES))), np.ones(3))
    fitted.save_state(tmp_path)
    path = tmp_path / "state.safetensors"
    arrays = read_arrays(path)
    for name, value, says in (
        ("numbers", np.array([0.0, 16.0]), "reads 16 features"),
        ("scale", -arrays["scale"], "scales must be positive"),
        ("own0", arrays["own0"][1:], "own0"),
    ):
        write_arrays(path, {**arrays, name: value})
        with pytest.raises(ParseError, match=says):
            GNN().load_state(tmp_path)
