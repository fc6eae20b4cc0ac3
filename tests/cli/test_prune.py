"""``latbench prune`` on a simulated backend."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latbench.models import Model, read_model, save_model
from latbench.networks.weights import make_weights
from latbench.spaces import make_space
from latbench.store import Store

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


QUICK = ("--backend", FAKE, *OPTIONS, "--out", "p", "-n", "12", "--epochs", "2", "--rounds", "2",
         "--step", "4")  # fmt: skip


def test_a_model_keeps_its_budget_as_measured(cli: Cli, saved: Path) -> None:
    command = ("prune", str(saved), "--budget", "50 %", *QUICK)
    code, out, err = cli(*command, "--json", "--plot", "widths.svg")
    assert code == 0, err
    assert Path("widths.svg").stat().st_size > 1000
    (found,) = json.loads(out)
    assert found["budget_s"] == pytest.approx(found["latency_before_s"] / 2)
    assert found["latency_s"] <= 1.001 * found["budget_s"]
    assert found["kept"]
    assert found["predicted_s"] == pytest.approx(found["latency_s"], rel=0.2)
    assert found["predicted_s"] == pytest.approx(found["rounds"][-1]["predicted"])
    assert 0 < found["accuracy"] <= 1
    assert len(found["rounds"]) == 2
    assert found["widths"].keys() == found["widths_before"].keys()
    assert sum(found["widths"].values()) < sum(found["widths_before"].values())
    pruned = read_model("p/50%/model")
    assert str(pruned) == found["pruned"]
    assert pruned.trained is not None
    assert (pruned.trained.data, pruned.trained.accuracy) == ("digits", found["accuracy"])
    assert pruned.network.parameters == found["parameters"] < found["parameters_before"]
    before = {name: array.copy() for name, array in (pruned.weights or {}).items()}
    Path("p/50%/pruned.json").unlink()  # as if it had been stopped just before the end
    with pytest.MonkeyPatch.context() as patch:  # nothing is trained again

        def trained(*given: object, **named: object) -> None:
            raise AssertionError

        patch.setattr("latbench.search.pruning.prune.train", trained)
        code, out, err = cli(*command)
    assert code == 0, err
    assert "before" in out
    assert "the pruned model is p/50%/model" in out
    after = read_model("p/50%/model").weights or {}
    assert all(np.array_equal(before[name], after[name]) for name in before)
    # With other settings it is pruned anew, and not another network.
    code, out, err = cli(*command, "--epochs", "3", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["pruned"] != found["pruned"]
    save_model(Model("other", pruned.network, pruned.weights), "other")
    code, _, err = cli("prune", "other", "--budget", "50%", *QUICK)
    assert code == 2
    assert "p is of another network, that of a net@" in " ".join(err.split())
    # Its store is read without the model.
    Path("p").rename("moved")
    code, out, err = cli("store", "moved/widths.sqlite", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["measured"] == 12


@pytest.mark.slow  # 11 s
def test_budgets_and_seeds_share_what_is_measured(cli: Cli, saved: Path) -> None:
    """One out of reach; then another one in the same folder; then two, one of which is there."""
    first = ("prune", str(saved), "--budget", "60%", *QUICK)
    code, _, err = cli(*first, "--budget", "1%")
    assert code == 2
    assert "1%: the budget is 1.0% of what the network costs as predicted" in " ".join(err.split())
    assert not Path("p/60%").exists()
    with Store("p/widths.sqlite") as store:
        rows = store.sets()[0].ok, os.stat("p/whole.json").st_mtime_ns
    code, out, err = cli(*first, "--json")
    assert code == 0, err
    (alone,) = json.loads(out)
    both = (*first, "--budget", "40%", "--seeds", "2")
    code, out, err = cli(*both, "--plot", "front.svg")
    assert code == 0, err
    with Store("p/widths.sqlite") as store:
        assert (store.sets()[0].ok, os.stat("p/whole.json").st_mtime_ns) == rows
    assert Path("front.svg").stat().st_size > 1000
    said = out.splitlines()
    assert "front of accuracy over measured latency: " in out
    assert out.count(" ± ") == 2
    for name in ("60%", "60%-seed-1", "40%", "40%-seed-1"):
        budget = name.replace("-seed-", ", seed ")
        assert f"the pruned model for {budget} is p/{name}/model" in said
        assert read_model(f"p/{name}/model").name == f"a net pruned to {budget}"
    code, out, err = cli(*both, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [(one["budget"], one["seed"]) for one in found] == [
        ("60%", 0), ("60%", 1), ("40%", 0), ("40%", 1),
    ]  # fmt: skip
    assert len({one["pruned"] for one in found}) == 4
    assert found[0]["pruned"] == alone["pruned"]
    assert len({one["latency_before_s"] for one in found}) == 1
    assert found[0]["latency_s"] > found[2]["latency_s"]
    code, out, err = cli("report", "p", "--plot", "page.svg")
    assert code == 0, err
    page = html.unescape(Path("p/report.html").read_text())
    assert "a net pruned on" in page
    assert "over 2 seeds" in page


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
        ("net", ("--distillation", "0"), "--distillation is for groups of weights; leave it out"),
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
