"""``latbench prune`` of groups of weights, on the real engine."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign.group_tables import table_for
from latbench.experiment.pruning.prune_job import prune_to_budgets
from latbench.experiment.pruning.prune_settings import PruneJob
from latbench.models import Model, read_model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Conv, Flatten, GlobalAvgPool, Linear
from latbench.networks.weights import make_weights
from latbench.progress import Bars
from latbench.search import TrainConfig
from latbench.spaces import make_space
from latbench.sparse.groups import kept_groups_of, thinned
from latbench.sparse.libraries import can_be_had
from latbench.sparse.running import LoadedNetwork
from latbench.sparse.saved import TorchNetwork, open_sparse
from latbench.sparse.tiles import fitting_tiles
from latbench.store import Store
from latbench.timing.protocol import Protocol

Cli = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    settings = {"stem": "cifar", "widths": (32, 64), "depths": (1,), "in_channels": 1,
                "classes": 10, "resolution": 8}  # fmt: skip
    space = make_space("resnet", settings)
    network = space.build(space.reference())
    save_model(Model("a net", network, make_weights(network)), tmp_path / "net")
    b = NetworkBuilder((1, 1, 8, 8))
    x = b.add(GlobalAvgPool(), b.add(Conv(8, 3), b.input))
    plain = b.build(b.add(Linear(10), b.add(Flatten(), x)))
    save_model(Model("plain", plain, make_weights(plain)), tmp_path / "plain")
    return tmp_path / "net"


def test_a_model_is_pruned_and_goes_on(cli: Cli, saved: Path) -> None:
    command = ("prune", str(saved), "--budget", "60%", "--backend", "simd-sparse", "--out", "p",
               "--epochs", "2", "--rounds", "2", "--distillation", "50%")  # fmt: skip
    code, out, err = cli(*command, "--json", "--plot", "groups.svg")
    assert code == 0, err
    assert Path("groups.svg").stat().st_size > 1000
    (found,) = json.loads(out)
    assert found["budget_s"] > 0
    assert found["kept"] == (found["latency_s"] <= 1.03 * found["budget_s"])
    share = found["predicted_s"] / found["latency_before_s"]
    assert 0.2 < share < 0.8
    assert len(found["rounds"]) == 2
    assert sum(found["widths"].values()) < sum(found["widths_before"].values())
    pruned = read_model("p/60%/model")
    zeros = sum(int((a == 0).sum()) for a in pruned.arrays.values() if a.ndim == 4)
    assert found["parameters_before"] - found["parameters"] == zeros > 0
    with open_sparse("p/60%/model") as opened:
        images = pruned.input()
        assert np.allclose(opened(images), TorchNetwork(pruned)(images), rtol=1e-3, atol=1e-4)
    Path("p/60%/pruned.json").unlink()  # as if it had been stopped just before the end
    with pytest.MonkeyPatch.context() as patch:  # nothing is trained or tabled again

        def never(*given: object, **named: object) -> None:
            raise AssertionError

        patch.setattr("latbench.search.pruning.sparsify.train", never)
        patch.setattr("latbench.campaign.group_tables.run_campaign", never)
        code, out, err = cli(*command)
    assert code == 0, err
    assert "the pruned model is p/60%/model" in out


def quick(model: Path | str, *budgets: str, tables: str | None = None) -> PruneJob:
    """Measured in few visits."""
    return PruneJob(
        str(model), budgets, rounds=1, tables=tables,
        protocol=Protocol(min_visits=6, max_visits=8),
        training=TrainConfig(epochs=1, batch=64),
    )  # fmt: skip


@pytest.mark.slow  # 13 s; their kernels and projection have quick tests
def test_single_weights_are_pruned_like_groups(saved: Path, tmp_path: Path) -> None:
    backend = SimdSparse(group=1)
    (found,) = prune_to_budgets(quick(saved, "75%"), backend, tmp_path / "p", Bars(shown=False))
    pruned = read_model(found.folder)
    for layer, before in found.widths_before.items():
        weight = pruned.arrays[f"{layer}.weight"]
        assert before == weight.size
        assert found.widths[layer] == np.count_nonzero(weight)
    split = [
        len(set((a[:16] != 0).sum(axis=0).reshape(-1)) - {0, 16})
        for a in pruned.arrays.values() if a.ndim == 4
    ]  # fmt: skip
    assert max(split) > 0  # groups of which some weights stay
    with open_sparse(found.folder) as opened:
        images = pruned.input()
        assert np.allclose(opened(images), TorchNetwork(pruned)(images), rtol=1e-3, atol=1e-4)


@pytest.mark.slow  # 21 s; the first test prunes by a table
def test_what_is_sparse_already_is_pruned_further_by_a_stored_table(
    saved: Path, tmp_path: Path
) -> None:
    """One table of the network does for it and for all budgets."""
    model, tables = read_model(saved), str(tmp_path / "t.sqlite")
    sparse = Model("sparse", model.network, thinned(model, 16, 0.6))
    save_model(sparse, tmp_path / "sparse")
    found, seen = list[Any](), list[Any]()
    for budget in ("80%", "70%"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # that the table is of other tiles, say
            job = quick(tmp_path / "sparse", budget, tables=tables)
            found += prune_to_budgets(job, SimdSparse(), tmp_path / "p", Bars(shown=False))
        with Store(tables) as store:
            seen.append((table_for(store, model), store.sets()[0].rows))
    assert seen[0] == seen[1]  # it was measured once
    there = {str(layer): kept for layer, kept in kept_groups_of(sparse, 16).items()}
    for one in found:
        assert one.widths_before == there
        assert sum(one.widths.values()) < sum(there.values())
        # It is saved in the tiles of the table, for latbench and for the engine.
        assert fitting_tiles(read_model(one.folder)) == seen[0][0].tiles
        with open_sparse(one.folder) as opened:
            assert isinstance(opened, LoadedNetwork)
            assert opened.tiles.tolist() == seen[0][0].tiles.array().tolist()


@pytest.mark.parametrize(
    ("model", "more", "why"),
    [
        (
            "net",
            ("--budget", "0.1%"),
            "0.1%: the budget is 0.1% of what the network takes by the "
            "table, and with the fewest groups it takes",
        ),
        ("plain", (), "has no layer whose groups could be pruned"),
        ("net", ("--method", "magic"), "take channels, magnitude or admm"),
        ("net", ("--backend", "onnxruntime", "--method", "admm"), "make nothing faster on onnxr"),
        ("net", ("--backend", "onnxruntime", "--distillation", "0.5"), "is for groups of weights"),
        ("net", ("--method", "channels", "--tables", "t.sqlite"), "--tables is for groups of weig"),
        ("net", ("--method", "admm", "--rounds", "2", "--epochs", "2"), "need 3 epochs"),
        ("net", ("--option", "group=5"), "group"),
        ("net", ("-n", "50"), "-n is for channels; leave it out with magnitude"),
        ("net", ("--predictor", "mlp"), "--predictor is for channels; leave it out with magnitude"),
        ("net", ("--method", "admm", "--step", "4"), "--step is for channels; leave it out with"),
    ],
)
def test_bad_input_is_one_sentence(
    model: str, more: tuple[str, ...], why: str, cli: Cli, saved: Path
) -> None:
    command = ("prune", str(saved.parent / model), "--budget", "75%", "--backend", "simd-sparse",
               "--out", "p", *more)  # fmt: skip
    code, _, err = cli(*command)
    assert code == 2
    assert why in " ".join(err.split())
    assert not list(Path().glob("p/*/model"))
