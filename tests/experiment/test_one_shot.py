"""A method without architecture parameters in an experiment: HURRICANE, in a space of chains."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiment_file import EXPERIMENT, FAKE

from latbench.errors import UsageError
from latbench.experiment.reporting import collect
from latbench.experiment.stages import run_experiment
from latbench.experiment.toml_file import parse_experiment
from latbench.progress import Bars
from latbench.search.config import SCORES
from latbench.search.searchability import check_searchable

BODY = """name = "operators"
pools = ["sep3+mb3e1+mb3e3+shuffle3"]
widths = [8, 16, 24, 32]
blocks = [2, 1]
stem_stride = 1
classes = 10
"""
METHOD = "hurricane(groups='2|1', budget=3, population=2, images=8, calibration=8)"
CHANGES = {
    'name = "darts"\nchannels = 4\ncells = 3\n': BODY,
    '["ridge-counts", "ridge-cost"]': '["ridge-layers"]',
    'penalty = "ridge-counts"': 'penalty = "ridge-layers"',
    f'backend = "{FAKE}"\npenalty_weights = [0.0, 5.0]': f'backend = "{FAKE}"\n'
    'penalty_weights = []\ntargets = ["110%"]',
    "alpha_learning_rate = 0.1": f'method = "{METHOD}"',
    "retest = 0.25": "retest = 0",
}


def changed() -> str:
    text = EXPERIMENT
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_its_file_is_checked_before_anything_is_measured() -> None:
    config = parse_experiment(changed(), Path("e.toml"))
    assert config.search is not None
    check_searchable(config.make_space(), config.search.settings)
    alone = parse_experiment(changed().replace("groups='2|1'", "groups='2'"), Path("e.toml"))
    assert alone.search is not None
    with pytest.raises(UsageError, match=r"the groups '2' lack 1\.1 and 1\.2 of the space"):
        check_searchable(alone.make_space(), alone.search.settings)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(unlike|outside|may limit nothing).*:UserWarning")
def test_stages_in_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(changed())
    run_experiment(tmp_path / "e.toml", tmp_path / "out", Bars(shown=False))
    (found,) = collect(tmp_path / "out").searches
    assert found.met
    assert found.measured is not None
    assert found.accuracy is not None
    assert found.odds == {}  # there are no choices that parameters make
    # Both stages chose.
    assert len(list((tmp_path / "out" / "search").rglob(f"*{SCORES}"))) == 2
    assert "operators(" in (tmp_path / "out" / "report.html").read_text()
