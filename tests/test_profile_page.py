"""``docs/profile.md``: its Python runs, and its table of runtimes has all of them."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from doc_pages import DOCS, blocks

from latbench.backends import BUILT_IN

PAGE = DOCS / "profile.md"
FAKE = "latbench.testing.fake:CostModelBackend"


def test_the_python_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(PAGE, "python")
    for long, quick in (('"onnxruntime"', f'"{FAKE}"'), ("mobilenet_v3_large", "resnet20_cifar")):
        assert long in code
        code = code.replace(long, quick)
    (tmp_path / "page.py").write_text(code)
    runpy.run_path(str(tmp_path / "page.py"))
    *kernels, whole = capsys.readouterr().out.splitlines()
    assert len(kernels) == 5
    assert "'linear': " in whole


def test_every_runtime_is_in_the_table() -> None:
    table = PAGE.read_text().partition("## Which runtimes can tell")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == set(BUILT_IN)
