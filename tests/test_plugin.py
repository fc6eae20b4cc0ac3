"""The example of a third party's backend, installed beside the wheel as its user would."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from environments import ROOT, build_wheel, fresh_environment, install, run_in

EXAMPLE = ROOT / "examples" / "backend_plugin"
MODULE = "latbench_onnx_reference.py"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The bin folder of an environment with latbench's wheel and the plug-in."""
    folder = tmp_path_factory.mktemp("plugin")
    environment = fresh_environment(folder / "env")
    install(environment, wheel)
    install(environment, build_wheel(folder, EXAMPLE))
    return environment


def test_the_plugin_is_listed(installed: Path) -> None:
    rows = {
        row["backend"]: row
        for row in json.loads(run_in(installed, "latbench", "backends", "--json"))
    }
    assert rows["onnx-reference"]["ready"]
    assert rows["onnx-reference"]["version"]


def test_the_plugin_measures(installed: Path, tmp_path: Path) -> None:
    space = "nasbench201(channels=4, cells=1, resolution=8)"
    run_in(
        installed, "latbench", "measure", "--backend", "onnx-reference", "--space", space,
        "-n", "3", "--option", "threads=2", "--half-width", "0.5", cwd=tmp_path,
    )  # fmt: skip
    (measured,) = json.loads(
        run_in(installed, "latbench", "store", "latbench.sqlite", "--json", cwd=tmp_path)
    )
    assert measured["backend"].startswith("onnx-reference")
    assert (measured["measured"], measured["failed"]) == (3, 0)


@pytest.mark.slow  # half a minute of numpy convolutions
def test_the_plugin_keeps_the_contract(installed: Path) -> None:
    code = (  # two small networks: it takes seconds for each
        "from latbench.backends import make_backend;"
        "from latbench.testing import check_backend, networks;"
        "few = [networks.conv_chain(2, 4, 8), networks.short_chain()];"
        "report = check_backend(make_backend('onnx-reference'), networks=few);"
        "report.raise_if_failed(); print(report)"
    )
    printed = run_in(installed, "python", "-c", code)
    assert "pass  outputs: within" in printed


def test_the_page_shows_the_example_word_for_word() -> None:
    page = (ROOT / "docs" / "plugin.md").read_text()
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    for name in (MODULE, "pyproject.toml", "test_onnx_reference.py"):
        assert (EXAMPLE / name).read_text() in blocks, name


def test_the_example_is_about_twenty_lines_of_code() -> None:
    """Statements between the imports and the end, without docstrings and blank lines."""
    text = (EXAMPLE / MODULE).read_text().split("\n\n\n", 1)[1]
    code = re.sub(r'"""[^"]*"""', "", text)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
