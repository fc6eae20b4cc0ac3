"""``docs/onnx.md``: its Python runs, and its commands are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import DOCS, blocks, commands

from latbench.cli.app import app

PAGE = DOCS / "onnx.md"


def test_its_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = blocks(PAGE, "python")
    exec(compile(text, str(PAGE), "exec"), {})  # noqa: S102
    assert capsys.readouterr().out == "42336 (1, 1568)\n"


def test_its_commands_are_there() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    used = {words[0] for block in blocks(PAGE, "sh") for words in commands(block)}
    assert used == {"measure", "show"} <= {name.strip("_").replace("_", "-") for name in known}
    assert Path(PAGE).read_text().count("--onnx") >= 4
