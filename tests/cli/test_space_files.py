"""A space as a TOML file, which every command takes where it takes a space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from latbench.cli.app import app
from latbench.operators.space_file import space_text
from latbench.spaces import make_space

Cli = Callable[..., tuple[int, str, str]]
FAKE = "latbench.testing.fake:CostModelBackend"
FILE = "mine.toml"
FEW = ("--backend", FAKE, "--store", "s.sqlite")
COMMANDS: dict[str, tuple[str, ...]] = {
    "space": (),
    "sample": ("-n", "2"),
    "count": ("macs", "--out", "model"),
    "predict": ("--model", "model", "-n", "2"),
    "import": ("t.csv", "foreign.sqlite"),
    "measure": (*FEW, "-n", "2", "--retest", "0"),
    "measure-actively": (*FEW, "-n", "24", "--rounds", "2", "--retest", "0"),
    "compare-backends": (*FEW, "-n", "3"),
    "fit-until": (*FEW, "50%", "--step", "24", "--predictor", "ridge-counts", "--out", "fitted"),
    "show": ("{reference}",),
    "export-model": ("--architecture", "{reference}", "--onnx", "net.onnx"),
    "profile": ("--architecture", "{reference}", "--visits", "1", "--runs", "1"),
    "operators": ("--backend", FAKE, "--retest", "0", "--keep", "2", "--out", "pools"),
}
QUICK = ("space", "sample", "count", "predict", "import", "show", "export-model")


@pytest.fixture
def space(tmp_path: Path) -> str:
    """The file's space in the working folder, and an architecture of it."""
    made = make_space(
        "operators",
        {"pools": ("sep3+mb3e3+shuffle3",), "widths": (8, 16, 24, 32), "blocks": (2, 2),
         "resolution": 18, "classes": 10},
    )  # fmt: skip
    (tmp_path / FILE).write_text(space_text(made, "of a test"))
    row = f"{made.reference()},phone,1.5"
    (tmp_path / "t.csv").write_text(f"architecture,device,latency_ms\n{row}\n")
    return str(made.reference())


def test_all_commands_that_take_a_space_are_tried() -> None:
    group: Any = typer.main.get_command(app)
    takes = {
        name for name, command in group.commands.items()
        if any("--space" in p.opts or p.metavar == "[SPACE]" for p in command.params)
    }  # fmt: skip
    assert takes == set(COMMANDS)


@pytest.mark.parametrize(
    "names",
    [QUICK, *(pytest.param((n,), marks=pytest.mark.slow) for n in COMMANDS if n not in QUICK)],
)
def test_it_takes_a_file(names: tuple[str, ...], cli: Cli, space: str) -> None:
    for name in names:
        given = (FILE,) if name == "space" else ("--space", FILE)
        words = [word.format(reference=space) for word in COMMANDS[name]]
        code, out, err = cli(name, *words, *given)
        assert code == 0, f"{name}: {err}"
        if name == "space":
            assert "sep3, mb3e3, shuffle3" in out
