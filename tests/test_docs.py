"""The Python of the documentation's examples runs as it stands, on less work."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
LESS = {"ARCHITECTURES, IMAGES, EPOCHS, TRAIN_EPOCHS = 40, 512, 4, 4":
        "ARCHITECTURES, IMAGES, EPOCHS, TRAIN_EPOCHS = 12, 64, 1, 1"}  # fmt: skip


def code(page: str) -> str:
    """The page's blocks of Python, in order."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    assert blocks
    return "\n".join(blocks)


def test_the_search_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = code("search-example.md")
    for old, new in LESS.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(text)
    runpy.run_path("example.py")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:10]] == [
        method for method in ("darts", "pc-darts", "gdas") for _ in range(3)
    ]
    assert "accuracy" in lines[-1]
