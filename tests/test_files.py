"""Files that are written whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from latbench.files import replacing, write_text

ROOT = Path(__file__).resolve().parents[1]

KILLED = """
import os, signal, sys
from pathlib import Path
from latbench.files import replacing
with replacing(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_new_file_takes_the_old_ones_place_at_the_end_of_the_body(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert partial.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("written", [True, False])
def test_a_body_that_fails_leaves_the_old_file_alone(tmp_path: Path, written: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fails() -> None:
        with replacing(path) as partial:
            if written:
                partial.write_text("half")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that ends a process")
def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = set(tmp_path.iterdir()) - {path}
    assert left.name.startswith(".a.json.")


def test_the_longest_name_and_a_missing_folder_will_do(tmp_path: Path) -> None:
    path = tmp_path / "new" / ("ä" * 125 + ".json")
    write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
