"""The built wheel, installed by itself: what a user gets, not what the checkout has."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel and, through a .pth, our dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignore = shutil.ignore_patterns(
        ".venv", ".git", "out", "build", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignore)
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        folder,
        source,
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run(
        [python, "-I", "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True
    )
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    # A path line adds the folder but not its own .pth files, so an editable latbench there is
    # not seen.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "env" / "bin"


def _run(installed: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [installed / command[0], *command[1:]],
        cwd=installed, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_part_imports_from_the_wheel(installed: Path) -> None:
    code = (
        "import json, latbench, latbench.backends, latbench.predictors, latbench.search;"
        "print(json.dumps([m.__file__ for m in (latbench, latbench.backends,"
        " latbench.predictors, latbench.search)]))"
    )
    for file in json.loads(_run(installed, "python", "-c", code)):
        assert Path(file).is_relative_to(installed.parent)


def test_command_is_on_the_path(installed: Path) -> None:
    assert "darts" in _run(installed, "latbench", "space")


def test_site_packages_hold_nothing_else_of_ours(installed: Path) -> None:
    (site,) = (installed.parent / "lib").glob("python*/site-packages")
    names = {p.name for p in site.iterdir() if not p.name.endswith(".dist-info")}
    assert names - {"pip", "setuptools", "pkg_resources", "_distutils_hack", "dependencies.pth",
                    "distutils-precedence.pth"} == {"latbench"}  # fmt: skip


def test_typed_and_data_files_are_shipped(installed: Path) -> None:
    (package,) = (installed.parent / "lib").glob("python*/site-packages/latbench")
    for file in ("py.typed", "experiment/demo.toml", "report/page.html", "search/__init__.py"):
        assert (package / file).exists(), file
