"""``latbench prune`` of groups of weights, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latbench.models import Model, read_model, save_model
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Conv, Flatten, GlobalAvgPool, Linear
from latbench.networks.weights import make_weights
from latbench.spaces import make_space
from latbench.sparse.libraries import can_be_had
from latbench.sparse.saved import TorchNetwork, open_sparse

Cli = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.skipif(not can_be_had(), reason="there is no C++ compiler")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    settings = {"stem": "cifar", "widths": (16, 32), "depths": (1,), "in_channels": 1,
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
    found = json.loads(out)
    assert found["budget_s"] > 0
    assert found["kept"] == (found["latency_s"] <= found["budget_s"])
    assert len(found["rounds"]) == 2
    assert sum(found["widths"].values()) < sum(found["widths_before"].values())
    pruned = read_model("p/model")
    zeros = sum(int((a == 0).sum()) for a in pruned.arrays.values() if a.ndim == 4)
    assert found["parameters_before"] - found["parameters"] == zeros > 0
    with open_sparse("p/model") as opened:
        images = pruned.input()
        assert np.allclose(opened(images), TorchNetwork(pruned)(images), rtol=1e-3, atol=1e-4)
    with pytest.MonkeyPatch.context() as patch:  # nothing is trained or tabled again

        def never(*given: object, **named: object) -> None:
            raise AssertionError

        patch.setattr("latbench.search.pruning.sparsify.train", never)
        patch.setattr("latbench.experiment.pruning.group_job.measure_table", never)
        code, out, err = cli(*command)
    assert code == 0, err
    assert "the pruned model is p/model" in out


def test_single_weights_are_pruned_like_groups(cli: Cli, saved: Path) -> None:
    command = ("prune", str(saved), "--budget", "70%", "--backend", "simd-sparse", "--out", "p",
               "--option", "group=1", "--epochs", "1", "--rounds", "1", "--json")  # fmt: skip
    code, out, err = cli(*command)
    assert code == 0, err
    found, pruned = json.loads(out), read_model("p/model")
    for layer, before in found["widths_before"].items():
        weight = pruned.arrays[f"{layer}.weight"]
        assert before == weight.size
        assert found["widths"][layer] == np.count_nonzero(weight)
    split = [
        len(set((a[:16] != 0).sum(axis=0).reshape(-1)) - {0, 16})
        for a in pruned.arrays.values() if a.ndim == 4
    ]  # fmt: skip
    assert max(split) > 0  # groups of which some weights stay
    with open_sparse("p/model") as opened:
        images = pruned.input()
        assert np.allclose(opened(images), TorchNetwork(pruned)(images), rtol=1e-3, atol=1e-4)


def test_a_table_of_another_device_is_named_and_measured_again(cli: Cli, saved: Path) -> None:
    from latbench.backends.simd_sparse import SimdSparse
    from latbench.experiment.pruning.group_job import SparseJob, prune_groups
    from latbench.progress import Bars
    from latbench.search import TrainConfig

    job = SparseJob(str(saved), "60%", "digits", rounds=1, table_rounds=2,
                    training=TrainConfig(epochs=1, batch=64))  # fmt: skip
    prune_groups(job, SimdSparse(), Path("p"), Bars(shown=False))
    table = json.loads(Path("p/table.json").read_text())
    Path("p/table.json").write_text(json.dumps({**table, "device": "an old CPU"}))
    with pytest.warns(UserWarning, match=r"table.json has another device; it is measured again"):
        prune_groups(job, SimdSparse(), Path("p"), Bars(shown=False))
    assert json.loads(Path("p/table.json").read_text())["device"] == table["device"]


def test_what_was_pruned_is_pruned_further(cli: Cli, saved: Path) -> None:
    command = ("--backend", "simd-sparse", "--epochs", "1", "--rounds", "1", "--json")
    for model, out, budget in ((str(saved), "p", "60%"), ("p/model", "again", "70%")):
        code, said, err = cli("prune", model, "--budget", budget, "--out", out, *command)
        assert code == 0, err
    found = json.loads(said)
    before, after = found["widths_before"], found["widths"]
    assert before == json.loads(Path("p/pruned.json").read_text())["widths"]
    assert sum(after.values()) < sum(before.values())


@pytest.mark.parametrize(
    ("model", "more", "why"),
    [
        ("net", ("--budget", "0.1%"), "with the fewest groups it takes"),
        ("plain", (), "has no layer whose groups could be pruned"),
        ("net", ("--method", "magic"), "take channels, magnitude or admm"),
        ("net", ("--backend", "onnxruntime", "--method", "admm"), "make nothing faster on onnxr"),
        ("net", ("--backend", "onnxruntime", "--distillation", "0.5"), "is for groups of weights"),
        ("net", ("--method", "admm", "--rounds", "2", "--epochs", "2"), "need 3 epochs"),
        ("net", ("--option", "group=5"), "group"),
    ],
)
def test_bad_input_is_one_sentence(
    model: str, more: tuple[str, ...], why: str, cli: Cli, saved: Path
) -> None:
    command = ("prune", str(saved.parent / model), "--budget", "50%", "--backend", "simd-sparse",
               "--out", "p", *more)  # fmt: skip
    code, _, err = cli(*command)
    assert code == 2
    assert why in " ".join(err.split())
    assert not Path("p/model").exists()
