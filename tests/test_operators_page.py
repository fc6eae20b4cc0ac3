"""``docs/operators.md``: from operators to what was found and measured, on a simulated backend and
in small, and, slowly, as it stands."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from doc_pages import DOCS, blocks, commands, follow

from latbench.cli.app import run
from latbench.predictors.model import LatencyModel
from latbench.spaces import parse_space

PAGE = DOCS / "operators.md"
FAKE = "latbench.testing.fake:CostModelBackend"
QUICK = {
    " --backend torch-eager": "",
    "--plot pools.png": "",
    "pools/onnxruntime.toml": f"pools/{FAKE.replace(':', '-')}.toml",
    "onnxruntime": FAKE,
    "blocks=(2 2)": "blocks=(2 1), pools=(sep3+mb3e1+mb3e3+mb5e3+shuffle3+shuffle5)",
    "budget=100, images=200, calibration=200": "budget=6, population=4, images=16, calibration=16",
    "resolution=16": "resolution=8",
    "epochs=30": "epochs=2",
    "epochs 20": "epochs 1",
    "fit-until 5%": "fit-until 5% --step 24 --retest 0",
}


def quick(text: str) -> str:
    """A block of the page in small."""
    for long, short in QUICK.items():
        text = text.replace(long, short)
    return text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_found(folder: Path) -> None:
    """What the page's first commands have left: a network of the runtime's own pools, measured."""
    (own,) = _results(folder / "found")
    union = {v.name: set(v.options) for v in parse_space("pools/union.toml").forest.variables}
    alone = LatencyModel.load(folder / "model").space
    assert str(alone.parse(own["architecture"])) == own["architecture"]
    assert all(set(v.options) <= union[v.name] for v in alone.forest.variables)
    assert own["measured"] > 0
    assert own["met"]
    assert own["accuracy"] > 0
    assert len(list((folder / "found").glob("*/target-*/model-0"))) == 1


def _results(folder: Path) -> list[dict[str, Any]]:
    texts = sorted(folder.glob("*/target-*/result.json"))
    found: list[dict[str, Any]] = [json.loads(path.read_text())["result"] for path in texts]
    return found


def test_its_first_commands_in_small(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(long in PAGE.read_text() for long in QUICK)
    for arguments in commands(quick(blocks(PAGE, "sh")[0])):
        monkeypatch.setattr(sys, "argv", ["latbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            run()
        _, err = capsys.readouterr()
        assert not stop.value.code, err
    check_found(folder)


@pytest.mark.slow
def test_it_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first commands, those for two runtimes, and then the Python."""
    out = follow(PAGE.name, tmp_path).replace("\u00a0", " ")
    monkeypatch.chdir(tmp_path)
    check_found(tmp_path)
    both = _results(tmp_path / "for-both")
    assert [one["backend"] for one in both] == ["onnxruntime", "torch-eager"]
    for one, other in zip(both, ("torch-eager", "onnxruntime"), strict=True):
        assert one["measured"] > 0
        assert one["measured_elsewhere"][other] > 0
    assert "Layers whose pools differ beyond the noise on onnxruntime and torch-eager: " in out
    # What they are worth across runtimes stands before the table.
    worth = "On onnxruntime, the latency of what was found for torch-eager is "
    assert out.index(worth) < out.rindex("found for")
    assert (tmp_path / "pools.png").stat().st_size > 10_000
    (code,) = blocks(PAGE, "python")
    (tmp_path / "page.py").write_text(code)
    names = runpy.run_path("page.py")
    assert names["found"].met
    assert names["trained"].test_accuracy > 0.5
    assert names["seconds"] > 0
