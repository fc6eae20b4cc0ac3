"""The pruning stage of an experiment: models that are given, without a search or a space."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from experiment_file import EXPERIMENT, FAKE, Recorder

from latbench.errors import UsageError
from latbench.experiment.reporting import collect
from latbench.experiment.stages import run_experiment
from latbench.experiment.toml_file import parse_experiment
from latbench.models import Model, read_model, save_model
from latbench.networks.weights import make_weights
from latbench.spaces import make_space

PRUNE = f"""
title = "pruned"
[[backends]]
name = "{FAKE}"
base_s = 1e-6
s_per_layer = 1e-9
s_per_mac = 1e-8
[prune]
backend = "{FAKE}"
budgets = ["70%", "50%"]
models = ["net"]
rounds = 1
epochs = 1
networks = 12
step = 4
limit = 128
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = {"stem": "cifar", "widths": (8, 16), "depths": (1,), "in_channels": 1,
                "classes": 10, "resolution": 8}  # fmt: skip
    space = make_space("resnet", settings)
    network = space.build(space.reference())
    save_model(Model("a net", network, make_weights(network)), tmp_path / "net")
    save_model(Model("bare", network), tmp_path / "bare")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, text: str, bars: Recorder | None = None) -> Recorder:
    (folder / "e.toml").write_text(text)
    bars = bars or Recorder()
    run_experiment(folder / "e.toml", folder / "out", bars)
    return bars


class Stopping(Recorder):
    """Bars of a run that is stopped before the second budget."""

    @contextmanager
    def bar(self, description: str) -> Iterator[Callable[[int, int, str], None]]:
        if description == "train what is left, 50%":
            raise KeyboardInterrupt
        with super().bar(description) as step:
            yield step


def test_given_models_need_neither_a_search_nor_a_space(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two budgets, gone on with, and then with a further one."""
    with pytest.raises(KeyboardInterrupt):
        run(folder, PRUNE, Stopping())
    assert collect(folder / "out").pruned == ()
    trained, train = list[str](), sys.modules["latbench.search.pruning.prune"].train

    def counting(*given: object, **named: object) -> object:
        trained.append(Path(str(named["directory"])).parent.name)
        return train(*given, **named)

    monkeypatch.setattr("latbench.search.pruning.prune.train", counting)
    bars = run(folder, PRUNE)
    assert trained == ["50%"]
    assert not [name for name in bars.names if name.startswith(("measure latbench", "compare"))]
    data = collect(folder / "out")
    assert (data.title, data.backends, data.searches) == ("pruned", (), ())
    assert data.machine
    assert [one.budget for one in data.pruned] == ["70%", "50%"]
    assert len({one.latency_before_s for one in data.pruned}) == 1  # one campaign
    for one in data.pruned:
        assert (one.backend, one.method, one.name) == (FAKE, "channels", "a net")
        assert one.kept
        assert one.predicted_s == pytest.approx(one.latency_s, rel=0.2)
        assert str(read_model(one.folder)) == one.pruned
    page = html.unescape((folder / "out" / "report.html").read_text())
    for part in ("Accuracy and measured latency", "Predicted and measured", "pruned to 50% takes"):
        assert part in page
    assert run(folder, PRUNE).names == []  # nothing is to be done
    run(folder, PRUNE.replace('"50%"]', '"50%", "60%"]'))
    assert trained == ["50%", "60%"]
    assert [one.budget for one in collect(folder / "out").pruned] == ["70%", "50%", "60%"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('models = ["net"]', 'models = ["gone"]', "there is no saved model at gone"),
        ('models = ["net"]', 'models = ["net", "bare"]', "bare has no weights; prune one that was"),
        (
            "epochs = 1",
            "epochs = 1\nmethod = 'admm'",
            "admm prunes groups of weights, which make n",
        ),
        ("epochs = 1", "epochs = 1\nmethod = 'magic'", "should be 'channels', 'magnitude' or 'adm"),
        ("epochs = 1", "epochs = 1\ndistillation = 0.5", "prune.distillation is for groups of we"),
        ("rounds = 1", "rounds = 2", "2 rounds need an epoch each, got epochs = 1"),
        ('"50%"]', '"100%"]', "a budget of 100% asks for nothing"),
        ('"50%"]', '"5 apples"]', "'5 apples' is no amount of latency"),
        ('budgets = ["70%", "50%"]', "", r"\[prune\] has no budgets; give at least one"),
        ('models = ["net"]', "", r"the table \[space\] is missing"),
        (
            f'[prune]\nbackend = "{FAKE}"',
            '[prune]\nbackend = "ncnn"',
            "prune.backend = 'ncnn' is n",
        ),
        ("networks = 12", "networks = 3", "prune.networks"),
        ("networks = 12", "predictor = 'oracle'", "oracle"),
        ("step = 4", "step = 64", "can be removed in steps of 64"),
        ("limit = 128", 'data = "nothing.npz"', "nothing.npz"),
        ("limit = 128", "limmit = 128", "'prune.limmit'; did you mean 'limit'"),
    ],
)
def test_wrong_plans_are_refused_before_anything_is_written(
    old: str, new: str, why: str, folder: Path
) -> None:
    assert old in PRUNE
    with pytest.raises(UsageError, match=why):
        run(folder, PRUNE.replace(old, new, 1))
    assert not (folder / "out").exists()


def test_models_are_needed_where_no_search_finds_any_for_the_backend() -> None:
    both = EXPERIMENT.replace("[measure]", '[[backends]]\nname = "torch-eager"\n[measure]')
    text = both + '[prune]\nbackend = "torch-eager"\nbudgets = ["50%"]\n'
    with pytest.raises(UsageError, match="no search finds any for 'torch-eager'; give models"):
        parse_experiment(text, Path("e.toml"))
    parse_experiment(text + 'models = ["net"]\n', Path("e.toml"))
    config = parse_experiment(text.replace('"torch-eager"\nb', f'"{FAKE}"\nb'), Path("e.toml"))
    assert config.prune is not None
    job = config.prune.job("net", config)
    assert (job.data, job.limit, job.training.epochs) == ("digits", 64, 12)  # those of the search
    own = replace(config.prune, data="mnist5k").job("net", config)
    assert (own.data, own.limit) == ("mnist5k", 0)
