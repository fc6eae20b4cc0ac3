"""``latbench measure --tables`` and ``predict`` by tables, on the real engine."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from latbench.campaign import group_tables
from latbench.models import Model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Activation, Conv, Flatten, GlobalAvgPool, Linear
from latbench.networks.weights import make_weights
from latbench.sparse.groups import prunable_layers, thinned
from latbench.sparse.libraries import can_be_had
from latbench.sparse.saved import save_sparse
from latbench.sparse.tiles import with_tiles
from latbench.store import Store
from latbench.store.table_rows import stored_tables
from latbench.testing.networks import conv_chain

Cli = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")
MEASURE = ("measure", "--backend", "simd-sparse", "--store", "s.sqlite", "--tables", "--no-parity")


def a_net() -> Model:
    b = NetworkBuilder((1, 3, 12, 12))
    x = b.input
    for _ in range(3):
        x = b.add(Activation("relu"), b.add(Conv(16, 3, padding=1), x))
    network = b.build(b.add(Linear(10), b.add(Flatten(), b.add(GlobalAvgPool(), x))))
    return Model("a net", network, make_weights(network))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, dense = tmp_path_factory.mktemp("models"), a_net()
    save_model(dense, folder / "dense")
    save_sparse(Model("thin", dense.network, thinned(dense, 16, 0.25)), folder / "thin")
    other = conv_chain(layers=1, channels=8, resolution=8)
    save_model(Model("other", other), folder / "other")
    return folder


@pytest.fixture
def work(folder: Path, cli: Cli, tmp_path: Path) -> Path:
    """A folder of its own for each test, in which ``cli`` runs."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_table_is_measured_and_models_are_predicted_by_it(
    cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = functools.partial(group_tables.measure_table, held_out=2)
    monkeypatch.setattr(group_tables, "measure_table", fewer)
    code, out, err = cli(*MEASURE, "--model", "thin", "--half-width", "50%", "--retest", "0")
    assert code == 0, err
    assert "latency table of thin: 9 of 9" in err
    assert "network of" in out
    assert "10%" in out  # the rest of the heading is broken where the table is narrow
    with Store("s.sqlite") as store:
        (found,) = store.sets()
        assert (found.tables, found.ok) == (1, 7 + 2 + 1)
        thin = group_tables.table_for(store, a_net())
    code, out, _ = cli("store", "s.sqlite", "--json")
    assert json.loads(out)[0]["tables"] == 1
    # It is the table of the network, and of what is made of it.
    code, out, err = cli("predict", "--model", "s.sqlite", "dense", "thin", "--json")
    assert code == 0, err
    dense, sparse = json.loads(out)
    layers = prunable_layers(a_net().network)
    assert dense["density"] == 1.0
    assert sparse["density"] == pytest.approx(0.25, abs=0.01)
    assert sparse["latency_s"] < dense["latency_s"] == thin.latency.whole
    assert dense["mean_error"] == thin.error
    assert (dense["set"], len(thin.latency.layers)) == (1, len(layers))
    assert err == ""  # the tiles are those that are saved with the model
    code, out, err = cli("predict", "--model", "s.sqlite", "thin")
    assert code == 0, err
    assert "mean" in out  # its heading is broken where the table is narrow
    # A model in other tiles is predicted, and that is said.
    steps = ((1, 1, 1 - thin.tiles.steps[0][2]), *thin.tiles.steps[1:])
    odd = with_tiles(a_net(), dataclasses.replace(thin.tiles, steps=steps))
    save_model(odd, "odd")
    code, _, err = cli("predict", "--model", "s.sqlite", "odd")
    assert code == 0
    said = " ".join(err.split())
    assert "the latency table for odd is of other tiles than those that are saved with" in said
    assert "`latbench measure --tables --backend simd-sparse --model odd --store s.sqlite`" in said


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("measure --model dense --backend onnxruntime --tables", "take --backend simd-sparse, or"),
        ("measure --backend simd-sparse --tables -n 3", "name models with --model or --network"),
        ("measure --model other --backend simd-sparse --tables", "no layer whose groups could be"),
        ("predict --model s.sqlite", "s.sqlite is a store, by whose latency tables saved models"),
        ("predict --model s.sqlite dense -n 3", "name their folders, without -n, --space"),
        ("predict --model s.sqlite dense --interval 90%", "--space, --interval and --onnx"),
        ("predict --model s.sqlite nothing", "there is no saved model at nothing"),
        ("predict --model s.sqlite dense", "no latency table of the network of 'a net'; `latben"),
    ],
)
def test_bad_input_is_one_sentence(command: str, why: str, cli: Cli, work: Path) -> None:
    from latbench.spaces import SPACES, make_space

    with Store(Path("s.sqlite"), make_space(SPACES[0])):
        pass
    code, _, err = cli(*command.split())
    assert code == 2
    assert why in " ".join(err.split())
    assert not Path("latbench.sqlite").exists()
    with Store("s.sqlite") as store:
        assert stored_tables(store) == []
