"""The tutorials do what they say: every command, in a shell, in the order in which they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, blocks, follow

from latbench.store import Store

pytestmark = pytest.mark.slow


def test_profile_a_new_runtime(tmp_path: Path) -> None:
    out = follow("tutorial-runtime.md", tmp_path)
    assert "my_runtime:MyRuntime" in out
    assert "pass  leaks" in out  # among the contract's checks
    with Store(tmp_path / "runtimes.sqlite") as store:
        sets = store.sets()
        assert [s.ok for s in sets] == [12, 12, 12]
        assert all((store.dataset(set_id=s.id).noise_floor or 0) > 0 for s in sets)
    assert "my_runtime:MyRuntime" in (tmp_path / "runtimes.html").read_text()


def test_compare_predictors(tmp_path: Path) -> None:
    out = follow("tutorial-predictors.md", tmp_path)
    assert out.count("noise floor of the measurements") == 3  # compare, and fit twice
    assert "recommended: " in out
    assert (tmp_path / "models" / "ort").is_dir()
    assert "lightgbm" in (tmp_path / "predictors.html").read_text()


def test_search_for_a_chosen_backend(tmp_path: Path) -> None:
    follow("tutorial-search.md", tmp_path)
    for folder in ("sweep/*/weight-0", "sweep/*/weight-1", "target/*/target-90%"):
        (path,) = (tmp_path / "searches").glob(f"{folder}/result.json")
        result = json.loads(path.read_text())["result"]
        assert result["measured"] > 0
    assert 'name = "darts"' in (tmp_path / "experiment.toml").read_text()


def test_widths_and_resolutions(tmp_path: Path) -> None:
    """On the command line, and then in Python, which finds the measurements there."""
    follow("widths-resolutions.md", tmp_path)
    (path,) = (tmp_path / "found").glob("*/target-150%/result.json")
    result = json.loads(path.read_text())["result"]
    assert (result["met"], result["measured"] > 0, len(result["accuracies"])) == (True, True, 1)
    assert set(result["numbers"]) == {"width", "expansion"}
    assert (path.parent / "model-0" / "network.json").exists()
    (path,) = (tmp_path / "found-macs").glob("*/target-200%/result.json")
    result = json.loads(path.read_text())["result"]
    assert result["macs"] == round(result["predicted"]) <= result["target"]
    (block,) = blocks(DOCS / "widths-resolutions.md", "python")
    command = [sys.executable, "-c", block]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " True\nat most " in done.stdout
    assert "measured 0." in done.stdout
