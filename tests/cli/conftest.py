"""The commands, called in this process, in a folder of the test's own."""

import sys
from pathlib import Path

import pytest

from latbench.cli.app import run


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["latbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            run()
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        return str(out)

    return call
