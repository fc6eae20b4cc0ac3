"""Searches in processes of their own: how many at once, and what is read of what they print."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from experiment_file import EXPERIMENT

from latbench.experiment.parallel import run_children, side_by_side
from latbench.experiment.reporting import collect
from latbench.experiment.stages import run_experiment

# As libraries do it: from Python, from C, and from a process that was started.
PRINTING = """
import os, subprocess
from latbench.predictors.families.ridge import RidgeCounts

class Printing(RidgeCounts):
    name = "printing"

print("from Python", flush=True)
os.write(1, b"from C\\n")
subprocess.run(["echo", "from a process"], check=True)
if os.environ.get("DIES") == "yes":
    os._exit(3)
"""


class Silent:
    """Bars that nobody sees."""

    @contextmanager
    def bar(self, description: str) -> Iterator[Callable[[int, int, str], None]]:
        def step(done: int, total: int, note: str = "") -> None:
            pass

        yield step


@pytest.mark.parametrize(
    ("searches", "devices", "cores", "expected"),
    [
        (8, {"cpu"}, 4, (4, 1)),
        (2, {"cpu"}, 8, (2, 4)),
        (3, {"cpu"}, 8, (3, 2)),
        (1, {"cpu"}, 1, (1, 1)),
        (8, {"cuda"}, 4, (1, 4)),
        (8, {"cuda:1"}, 4, (1, 4)),
        (8, {"mps"}, 4, (1, 4)),
        (8, {"cpu", "cuda"}, 4, (1, 4)),  # searched on one, trained on the other
    ],
)
def test_an_accelerator_takes_one_search_at_a_time(
    searches: int, devices: Collection[str], cores: int, expected: tuple[int, int]
) -> None:
    assert side_by_side(searches, devices, cores) == expected


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment with a predictor whose module prints."""
    (tmp_path / "printing.py").write_text(PRINTING)
    text = EXPERIMENT.replace('penalty = "ridge-counts"', 'penalty = "printing:Printing"')
    assert "printing:" in text
    (tmp_path / "experiment.toml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.slow  # 23 s
def test_what_a_search_prints_is_in_its_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it ends no experiment, unless the process dies of it."""
    run_experiment(folder / "experiment.toml", folder / "out", Silent())
    assert [s.measured is not None for s in collect(folder / "out").searches] == [True, True]
    monkeypatch.setenv("DIES", "yes")
    with pytest.raises(RuntimeError, match=r"search 0 of .* failed") as raised:
        run_children(folder / "out" / "search", [0], {"cpu"}, Silent(), {"printing"})
    for said in ("from Python", "from C", "from a process"):
        assert said in str(raised.value).splitlines()
