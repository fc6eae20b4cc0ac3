"""A file runs no code: files that name the classes of a foreign module wherever they can."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from strangers import write_files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's files, written where the module was there, which nobody has imported since."""
    folder = tmp_path_factory.mktemp("foreign")
    write_files(folder)
    return folder


@pytest.fixture(autouse=True)
def untouched(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mark that the module leaves; it is not there before a test. Files are named as seen from
    their folder."""
    sys.modules.pop("evilmod", None)
    mark = files / "imported"
    mark.unlink(missing_ok=True)
    monkeypatch.chdir(files)
    monkeypatch.syspath_prepend(files)
    return mark
