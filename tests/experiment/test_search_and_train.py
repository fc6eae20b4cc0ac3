"""What a search's settings in an experiment file come to: results, and the report."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from experiment_file import EXPERIMENT
from own_spaces import Odd, conv

from latbench.experiment.reporting import collect
from latbench.experiment.result_files import load_result
from latbench.experiment.search_and_train import _numbers
from latbench.experiment.stages import run_experiment
from latbench.progress import Bars
from latbench.spaces.variables import One


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
    assert set(found.numbers) == {"width", "expansion"}
    # The first three stages have one width at this size, and so nothing to choose.
    assert [*found.numbers["width"]] == [f"{i}.width" for i in range(3, 7)]
    assert set(found.odds["resolution"]) == {"17", "20"}
    assert found.numbers["width"]["3.width"] in found.odds["3.width"]
    path = next((tmp_path / "out").rglob("target-80*/result.json"))
    assert load_result(path).numbers == found.numbers
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    assert "Widths that were chosen" in page


def test_numbers_are_told_by_the_layers_not_by_the_names_of_kinds() -> None:
    """A space's own word for a width is searched as one, and drawn as one."""
    variables = [One(f"{i}.filters", ("4", "8"), kind="count") for i in range(2)]
    space = Odd(variables, lambda b: conv(b.number("1.filters"), b,
                                          conv(b.number("0.filters"), b, b.input)))  # fmt: skip
    found = space.parse("0.filters=4;1.filters=8")
    assert _numbers(space, found) == {"count": {"0.filters": "4", "1.filters": "8"}}
