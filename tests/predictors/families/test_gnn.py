"""The graph network carries what it learnt about layers to networks and spaces of other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import ParseError, UsageError
from latbench.predictors.base import Floats
from latbench.predictors.families.gnn import GNN, stack_graphs
from latbench.predictors.safe_arrays import read_arrays, write_arrays
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.spaces.encodings import encode
from latbench.spaces.layer_encodings import NODE_FEATURES

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


def test_padding_and_the_order_of_layers_do_not_matter(fitted: GNN) -> None:
    X, _ = rows(SMALL, 5)
    wide = np.pad(X, ((0, 0), (0, 7 * len(NODE_FEATURES))))
    np.testing.assert_allclose(fitted.predict(wide), fitted.predict(X), rtol=1e-5)
    nodes = X.reshape(5, -1, len(NODE_FEATURES))
    most = int((nodes[..., 0] > 0).sum(axis=1).min())
    order = np.random.default_rng(0).permutation(most)
    moved = nodes.copy()
    moved[:, :most] = nodes[:, order]
    where = np.arange(nodes.shape[1] + 1)
    where[1 + order] = 1 + np.arange(most)
    moved[..., -6:] = where[moved[..., -6:].astype(int)]
    np.testing.assert_allclose(fitted.predict(moved.reshape(X.shape)), fitted.predict(X), rtol=1e-4)


def test_other_encodings_and_damaged_files_are_refused(fitted: GNN, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'graph' encoding"):
        fitted.predict(np.ones((2, 21)))
    with pytest.raises(UsageError, match="no row of X has a layer"):
        GNN().fit(np.zeros((3, len(NODE_FEATURES))), np.ones(3))
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
