"""Nobody else knows the spaces: no import of one, no class of one, no comparison with its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "search", "predictors", "latbench/report", "latbench/campaign", "latbench/experiment",
    "latbench/cli", "latbench/store", "latbench/sampling", "latbench/comparison",
)  # fmt: skip
SPACES = {"darts", "nasbench201", "isolated_layers"}
MODULES = ("darts_space", "nasbench201_space", "genotypes", "equal201", "isolated", "chains")
CLASSES = {"DartsSpace", "NasBench201Space", "DartsConfig", "NasBench201Config"}


def modules() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def faults(tree: ast.AST) -> list[str]:
    """What of a module knows a space."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [a.name for a in node.names]
            whole = [f"{getattr(node, 'module', '')}.{name}" for name in names]
            found += [n for n in whole if any(part in MODULES for part in n.split("."))]
        elif isinstance(node, ast.Name) and node.id in CLASSES:
            found.append(node.id)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            found += [f"compares with {s!r}" for s in map(_texts, sides) if s & SPACES]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "startswith":
            found += [f"startswith {s!r}" for s in map(_texts, node.args) if s & SPACES]
    return found


def _texts(node: ast.AST) -> set[str]:
    return {str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant)}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_knows_a_space(path: Path) -> None:
    found = faults(ast.parse(path.read_text()))
    # The method of that name, published settings and defaults are not spaces.
    if path.name == "presets.py":
        found = [f for f in found if not f.startswith("compares with")]
    assert found == []


def test_the_search_for_faults_finds_them() -> None:
    for code in (
        "from latbench.spaces.cells.darts_space import DartsConfig",
        "import latbench.spaces.cells.genotypes",
        "isinstance(x, DartsSpace)",
        "if space.name == 'darts': pass",
        "x = name in ('nasbench201', 'other')",
        "x = text.startswith('nasbench201')",
    ):
        assert faults(ast.parse(code)), code
    assert not faults(ast.parse("make_space('darts')"))
