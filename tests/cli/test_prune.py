"""``latbench prune`` on a simulated backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latbench.models import Model, read_model, save_model
from latbench.networks.weights import make_weights
from latbench.spaces import make_space

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
OPTIONS = ("--option", "base_s=1e-6", "--option", "s_per_layer=1e-9", "--option", "s_per_mac=1e-8")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    settings = {"stem": "cifar", "widths": (16, 32), "depths": (1,), "in_channels": 1,
                "classes": 10, "resolution": 8}  # fmt: skip
    space = make_space("resnet", settings)
    network = space.build(space.reference())
    save_model(Model("a net", network, make_weights(network)), tmp_path / "net")
    save_model(Model("a net", network), tmp_path / "bare")
    return tmp_path / "net"


def test_a_model_keeps_its_budget_as_measured(cli: Cli, saved: Path) -> None:
    command = ("prune", str(saved), "--budget", "50%", "--backend", FAKE, *OPTIONS, "--out", "p",
               "-n", "12", "--epochs", "2", "--rounds", "2", "--step", "4")  # fmt: skip
    code, out, err = cli(*command, "--json", "--plot", "widths.svg")
    assert code == 0, err
    assert Path("widths.svg").stat().st_size > 1000
    found = json.loads(out)
    assert found["budget_s"] == pytest.approx(found["latency_before_s"] / 2)
    assert found["latency_s"] <= 1.001 * found["budget_s"]
    assert found["kept"] == (found["latency_s"] <= found["budget_s"])
    assert 0 < found["accuracy"] <= 1
    assert len(found["rounds"]) == 2
    assert found["widths"].keys() == found["widths_before"].keys()
    assert sum(found["widths"].values()) < sum(found["widths_before"].values())
    pruned = read_model("p/model")
    assert str(pruned) == found["pruned"]
    assert pruned.network.parameters == found["parameters"] < found["parameters_before"]
    before = {name: array.copy() for name, array in (pruned.weights or {}).items()}
    with pytest.MonkeyPatch.context() as patch:  # nothing is trained again

        def trained(*given: object, **named: object) -> None:
            raise AssertionError

        patch.setattr("latbench.search.pruning.prune.train", trained)
        code, out, err = cli(*command)
    assert code == 0, err
    assert "before" in out
    assert "the pruned model is p/model" in out
    after = read_model("p/model").weights or {}
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("model", "more", "why"),
    [
        ("bare", (), "has no weights; prune one that was trained"),
        ("none", (), "there is no saved model at"),
        ("net", ("--budget", "5 apples"), "is no amount of latency"),
        ("net", ("--data", "nothing.npz"), "nothing.npz"),
        ("net", ("--budget", "100%"), "asks for nothing; give less than 100%"),
        ("net", ("--out", "."), "lies in ., where models are written; name another folder"),
        ("net", ("--plot", "widths.txt"), "--plot writes"),
        ("net", ("--epochs", "2"), "3 rounds need an epoch each, got epochs = 2"),
        ("net", ("--step", "64"), "can be removed in steps of 64; take a smaller step"),
        ("net", ("--predictor", "oracle"), "oracle"),
    ],
)
def test_bad_input_writes_nothing(
    model: str, more: tuple[str, ...], why: str, cli: Cli, saved: Path
) -> None:
    command = ("prune", str(saved.with_name(model)), "--backend", FAKE, "--out", "p")
    code, _, err = cli(*command, *(() if "--budget" in more else ("--budget", "50%")), *more)
    assert code == 2
    assert why in " ".join(err.split())
    assert not Path("p").exists()
