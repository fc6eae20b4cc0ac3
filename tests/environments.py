"""Fresh virtual environments that hold what a user installs, and our dependencies by a path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_wheel(folder: Path, project: Path = ROOT) -> Path:
    """A project's wheel, built in ``folder`` from a copy, because building writes beside it."""
    return _build(folder, project, "--wheel", "*.whl")


def build_sdist(folder: Path, project: Path = ROOT) -> Path:
    """A project's source distribution, built as its wheel is."""
    return _build(folder, project, "--sdist", "*.tar.gz")


def _build(folder: Path, project: Path, kind: str, pattern: str) -> Path:
    source = folder / "source"
    ignore = shutil.ignore_patterns(
        ".venv", ".git", "out", "build", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(project, source, symlinks=True, ignore=ignore)
    subprocess.run(
        [sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", folder, source],
        check=True, capture_output=True,
    )  # fmt: skip
    (archive,) = folder.glob(pattern)
    return archive


def fresh_environment(folder: Path) -> Path:
    """The bin folder of a new environment that sees our dependencies, but no latbench of ours."""
    venv.create(folder, with_pip=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    # A path line adds the folder but not its own .pth files, so an editable latbench there is
    # not seen.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def install(environment: Path, wheel: Path) -> None:
    """pip installs a wheel and nothing else."""
    subprocess.run(
        [environment / "python", "-I", "-m", "pip", "install", "--quiet", "--no-deps", wheel],
        check=True,
    )


def run_in(environment: Path, *command: str, cwd: Path | None = None) -> str:
    """What a program of the environment prints; the test fails when the program does."""
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [environment / command[0], *command[1:]],
        cwd=cwd or environment, env=outside, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout
