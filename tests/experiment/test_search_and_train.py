"""What a search's settings in an experiment file come to: results, and the report."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from experiment_file import EXPERIMENT

from latbench.experiment.reporting import collect
from latbench.experiment.result_files import load_result
from latbench.experiment.stages import run_experiment
from latbench.progress import Bars


def test_subgraphs_and_topology_come_from_the_file(tmp_path: Path) -> None:
    settings = """method = "msg-das(subgraphs=3)"
topology = [1, 3]
topology_warmup_epochs = 1
dropblock = 0.2
epochs = 2"""
    text = EXPERIMENT.replace("epochs = 2", settings, 1)
    text = text.replace("in_channels = 1\n", "in_channels = 1\nleast_inputs = 1\nmost_inputs = 5\n")
    goals = 'penalty_weights = []\ntargets = ["90%"]'
    text = text.replace("penalty_weights = [0.0, 5.0]", goals)
    (tmp_path / "e.toml").write_text(text)
    run_experiment(tmp_path / "e.toml", tmp_path / "out", Bars(shown=False))
    data = collect(tmp_path / "out")
    assert len(data.searches) == 1
    for found in data.searches:
        assert {len(of) for of in found.odds.values()} == {7}
        assert list(found.set_odds) == [f"{c}.{i}" for c in ("normal", "reduce") for i in range(4)]
        assert list(found.set_odds["normal.0"]) == ["0", "1", "0+1", "invalid"]
        for of in (*found.odds.values(), *found.set_odds.values()):
            assert sum(of.values()) == pytest.approx(1, abs=1e-5)
        path = next((tmp_path / "out").rglob("target-90*/result.json"))
        assert load_result(path).set_odds == data.searches[0].set_odds
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    assert "Odds at the end" in page
    assert "Set of inputs" in page
    assert ("search.settings.topology", "1-3", "–") in data.settings


def test_widths_and_resolutions_come_from_the_file(tmp_path: Path) -> None:
    """DMaskingNAS, under a limit on what a sum over layers predicts."""
    text = EXPERIMENT.replace("epochs = 2", 'method = "dmasking"\nepochs = 3', 1)
    begin, rest = text.split("[space]\n")[0], text.split("in_channels = 1\n")[1]
    space = """[space]
name = "fbnetv2"
width = 0.25
head = 32
most_blocks = 2
resolutions = [17, 20]
resolution = 18
classes = 10
in_channels = 1
"""
    goals = 'penalty_weights = []\ntargets = ["80%"]'
    text = (begin + space + rest).replace("penalty_weights = [0.0, 5.0]", goals)
    text = text.replace("channels = 2\ncells = 3\n", "").replace("ridge-counts", "ridge-layers")
    (tmp_path / "e.toml").write_text(text)
    run_experiment(tmp_path / "e.toml", tmp_path / "out", Bars(shown=False))
    (found,) = collect(tmp_path / "out").searches
    assert found.measured is not None
    assert list(found.numbers) == ["width", "expansion"]
    assert [*found.numbers["width"]] == [f"{i}.width" for i in range(7)]
    assert set(found.odds["resolution"]) == {"17", "20"}
    assert found.numbers["width"]["3.width"] in found.odds["3.width"]
    path = next((tmp_path / "out").rglob("target-80*/result.json"))
    assert load_result(path).numbers == found.numbers
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    assert "Widths that were chosen" in page
