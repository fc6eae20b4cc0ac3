"""``docs/python.md`` as a notebook would run it: block by block, each value shown."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

from latbench import notebook

notebook.show_drawings()
ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
# What is quick. The page's own sizes are the slow test's.
FAKE = "latbench.testing.fake:CostModelBackend"
QUICK = {
    'backend="onnxruntime", n=40': f'backend="{FAKE}", n=20',
    '"mlp", "ridge-counts"': '"ridge-counts"',
    '"resnet20_cifar", "onnxruntime"': f'"resnet20_cifar", "{FAKE}"',
}


def script(blocks: str) -> str:
    """One program of all cells that hands each one's last value, if it has one, to ``show``."""
    cells = [ast.parse(block).body for block in blocks.split("\0")]
    for cell in cells:
        last = cell[-1]
        if isinstance(last, ast.Expr):
            call = ast.Call(ast.Name("show", ast.Load()), [last.value], [])
            cell[-1] = ast.copy_location(ast.Expr(call), last)
    body = [statement for cell in cells for statement in cell]
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))


def displayed(value: object) -> str:
    """As a notebook does; empty where it shows text."""
    for how in ("_repr_html_", "_repr_svg_"):
        if hasattr(value, how):
            return str(getattr(value, how)())
    return ""


@pytest.mark.parametrize(
    "quick", [pytest.param(True, id="quick"), pytest.param(False, marks=pytest.mark.slow)]
)
def test_the_page_runs(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = "\0".join(BLOCKS)
    for long, short in QUICK.items() if quick else ():
        assert long in blocks
        blocks = blocks.replace(long, short)
    (tmp_path / "page.py").write_text(script(blocks))
    shown: list[str] = []
    names = runpy.run_path("page.py", {"show": lambda value: shown.append(displayed(value))})
    starts = [text[:7] for text in shown if text]
    assert starts == ["<svg xm", "<table>", "<table>", "<table>", "<iframe"]
    assert "with 80 % probability" in capsys.readouterr().out
    names["store"].close()
    assert len(names["dataset"]) == (20 if quick else 40)
    assert names["penalty"].weight == 0.5
    assert (tmp_path / "compared.html").stat().st_size > 10_000
    assert (tmp_path / "models" / "ort" / "card.json").exists()
