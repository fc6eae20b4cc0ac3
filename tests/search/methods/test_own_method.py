"""``docs/own-method.md``: its method in Python, on the command line and in an experiment, and what
files may say of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from doc_pages import DOCS, blocks, files_of, follow
from experiment_file import EXPERIMENT

from latbench.errors import ParseError, UsageError
from latbench.experiment.parallel import _plugins
from latbench.experiment.reporting import collect
from latbench.experiment.stages import run_experiment
from latbench.experiment.sweep import Sweep
from latbench.experiment.toml_file import load_experiment, read_experiment
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.progress import Bars
from latbench.search import SearchConfig, checkpoint, load_images, search
from latbench.search.loop import CHECKPOINT
from latbench.search.methods import method_names, parse_method
from latbench.spaces import nasbench201
from latbench.store.dataset import LatencyDataset

PAGE = "own-method.md"
SPACE = nasbench201(channels=4, cells=1, resolution=8, in_channels=1)
TEXT = "several_draws:SeveralDraws(draws=3)"
WHOLE = "several_draws:SeveralDraws(draws=3, temperature=10.0, final_temperature=0.1)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``several_draws.py`` of the page is found, and not imported yet."""
    (tmp_path / "several_draws.py").write_text(files_of(DOCS / PAGE)["several_draws.py"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.getcwd()]))
    monkeypatch.setitem(sys.modules, "several_draws", ModuleType("several_draws"))
    del sys.modules["several_draws"]
    return tmp_path


def forget() -> None:
    del sys.modules["several_draws"]


def test_its_python_runs_as_it_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (code,) = blocks(DOCS / PAGE, "python")
    exec(code, {})  # noqa: S102
    path = folder / "found-too" / CHECKPOINT
    assert checkpoint.read(path)[1]["identity"]["config"]["method"] == WHOLE


@pytest.mark.slow  # 11 s; its Python runs in the default suite
def test_its_commands_do_what_the_page_says(tmp_path: Path) -> None:
    few = tuple(a for _, a in SPACE.unique_samples(0, 24))
    times = np.array([1e-3 + 1e-9 * SPACE.build(a).macs for a in few])
    dataset = LatencyDataset(SPACE, few, times, backend="onnxruntime", device="d")
    LatencyModel.fit(dataset, make_predictor("ridge-counts")).save(tmp_path / "model")
    assert "found: |" in follow(PAGE, tmp_path)
    path = tmp_path / "found" / "onnxruntime" / "weight-0.5" / CHECKPOINT
    assert checkpoint.read(path)[1]["identity"]["config"]["method"] == WHOLE


def test_in_python_it_is_a_value(folder: Path) -> None:
    from several_draws import SeveralDraws  # type: ignore[import-not-found]

    made = SeveralDraws(draws=3)
    assert str(made) == WHOLE
    assert parse_method(TEXT) == made
    config = SearchConfig(method=made, epochs=1, batch=32, channels=4, cells=1)
    data = load_images("digits", limit=64)
    found = search(SPACE, data, config, directory=folder / "s")
    again = search(SPACE, data, SearchConfig(TEXT, 1, 32, 4, 1), directory=folder / "s")
    assert again.resumed_from == 1
    assert again.architecture == found.architecture
    fewer = SearchConfig(SeveralDraws(draws=2), 1, 32, 4, 1)
    with pytest.raises(UsageError, match=r"its config.method is '.*draws=3.*, this one's is '.*=2"):
        search(SPACE, data, fewer, directory=folder / "s")
    one = search(SPACE, data, SearchConfig(SeveralDraws(1), 1, 32, 4, 1), directory=folder / "1")
    gdas = search(SPACE, data, SearchConfig("gdas", 1, 32, 4, 1), directory=folder / "g")
    assert one.history == gdas.history  # one draw a step is GDAS
    assert found.history != gdas.history


METHODS = [f'"{TEXT}"', '{name = "several_draws:SeveralDraws", draws = 3}']


@pytest.mark.parametrize("written", METHODS)
def test_a_file_is_shown_without_it(folder: Path, written: str) -> None:
    text = EXPERIMENT.replace("epochs = 2", f"epochs = 2\nmethod = {written}", 1)
    preset = text.replace("[search]", '[search]\npreset = "cifar10"', 1)
    for name, each in (("plain", text), ("preset", preset)):
        (folder / f"{name}.toml").write_text(each)
        plan = read_experiment(folder / f"{name}.toml").search
        assert plan is not None
        assert plan.settings.method == TEXT
        assert "several_draws" not in sys.modules
    plan = load_experiment(folder / "plain.toml").search
    assert plan is not None
    assert "several_draws" in sys.modules  # somebody asked to run it
    with pytest.raises(UsageError, match="no search of 'several_draws:SeveralDraws' on 'cifar10'"):
        load_experiment(folder / "preset.toml")
    wrong = text.replace("draws=3", "draws=0").replace("draws = 3", "draws = 0")
    (folder / "wrong.toml").write_text(wrong)
    with pytest.raises(UsageError, match="draws must be at least 1, got 0"):
        load_experiment(folder / "wrong.toml")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the choices are still nearly uniform:UserWarning")
@pytest.mark.filterwarnings("ignore:.* is predicted outside the:UserWarning")
def test_an_experiment_searches_by_it(folder: Path) -> None:
    """Its two searches are processes of their own, which import what their parent did."""
    text = EXPERIMENT.replace("epochs = 2", f'epochs = 1\nmethod = "{TEXT}"', 1)
    (folder / "e.toml").write_text(text)
    run_experiment(folder / "e.toml", folder / "out", Bars(shown=False))
    data = collect(folder / "out")
    assert len(data.searches) == 2
    assert ("search.settings.method", TEXT, "darts") in data.settings
    sweep = Sweep.read(folder / "out" / "search")
    assert sweep.settings.method == TEXT
    assert "several_draws" in _plugins(sweep.task())
    forget()
    assert collect(folder / "out").settings == data.settings
    assert Sweep.read(folder / "out" / "search") == sweep
    assert "several_draws" not in sys.modules
    with pytest.raises(ParseError, match="LATBENCH_TRUST=several_draws"):
        parse_method(str(sweep.settings.method), "the sweep")


def test_an_installed_one_goes_by_its_name(folder: Path) -> None:
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[latbench.methods]\nseveral-draws = several_draws:SeveralDraws\n"
    )
    assert method_names()[-1] == "several-draws"
    made = parse_method("several-draws(draws=3)", "a file")  # trusted, since it is installed
    assert str(made) == "several-draws(draws=3, temperature=10.0, final_temperature=0.1)"
