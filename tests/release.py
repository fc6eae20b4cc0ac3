"""Installs the built wheel and sdist into fresh environments of every Python here, and uses them.

    python tests/release.py

Each environment imports every module, uses the command line, measures, fits and predicts. torch is
some gigabytes for a Python without a CPU build of it at hand; an environment takes about 80 s and
is gone before the next. `make release-check` is this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from environments import build_sdist, build_wheel, run_in

OLDEST = (3, 10)
SPACE = "nasbench201(channels=4, cells=1, resolution=8)"
FAKE = "latbench.testing.fake:CostModelBackend"
# Every module of the package; those that lack one of the absent libraries are listed, any other
# error is one.
IMPORT_ALL = """
import importlib, pkgutil, sys
import latbench
absent, found = set(sys.argv[1:]), 0
for module in pkgutil.walk_packages(latbench.__path__, "latbench."):
    if module.name.endswith(("__main__", ".worker")):
        continue
    try:
        importlib.import_module(module.name)
        found += 1
    except ImportError as error:
        if (error.name or "").split(".")[0] not in absent:
            raise
print(found)
"""
# Runtimes and other extras, which a plain installation does not have.
EXTRAS = {
    "ai_edge_litert", "executorch", "flatbuffers", "mlxtend", "ncnn", "onnxruntime", "openvino",
    "PIL", "pyarrow", "pycuda", "pynvml", "pytest", "ray", "setuptools", "tensorboard",
    "tensorrt", "torchvision", "xgboost", "zeus",
}  # fmt: skip


def pythons() -> dict[tuple[int, int], Path]:
    """The newest interpreter of each version from 3.10 on: on the PATH and those of pyenv."""
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"), reverse=True)
    found = {sys.version_info[:2]: Path(sys.executable)}
    for folder in folders:
        for path in sorted(folder.glob("python3.[0-9]*")):
            version = _version(path)
            if version is not None and version >= OLDEST:
                found.setdefault(version, path)
    return dict(sorted(found.items()))


def _version(path: Path) -> tuple[int, int] | None:
    """What an interpreter says that it is; None where it is none, such as ``python3.11-config``."""
    if not path.name.removeprefix("python3.").isdigit():
        return None
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True)
    if done.returncode:
        return None
    major, minor = map(int, done.stdout.split())
    return major, minor


def environment(folder: Path, python: Path, archive: Path) -> Path:
    """The bin folder of a fresh environment with the archive and what it needs."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    bin_folder = folder / "bin"
    pip = ("python", "-I", "-m", "pip", "install", "--quiet", "--no-compile")
    run_in(bin_folder, *pip, str(archive))
    return bin_folder


def use(bin_folder: Path, place: Path) -> Iterator[str]:
    """Uses an installation as somebody would, in ``place``; what was done, step by step."""
    number = run_in(bin_folder, "python", "-c", IMPORT_ALL, *sorted(EXTRAS), cwd=place).strip()
    yield f"{number} modules imported"
    assert "measure" in run_in(bin_folder, "latbench", "--help", cwd=place)
    assert "nor_conv" in run_in(
        bin_folder, "latbench", "sample", "--space", SPACE, "-n", "2", cwd=place
    )
    run_in(bin_folder, "latbench", "backends", "--json", cwd=place)
    yield "command line used"
    run_in(bin_folder, "latbench", "measure", "--space", SPACE, "--backend", FAKE, "-n", "20",
           cwd=place)  # fmt: skip
    run_in(bin_folder, "latbench", "measure", "--space", SPACE, "--backend", "torch-eager", "-n",
           "2", "--half-width", "0.5", "--store", "eager.sqlite", cwd=place)  # fmt: skip
    run_in(bin_folder, "latbench", "fit", "--predictor", "ridge-cost", "--out", "model", cwd=place)
    assert " ms" in run_in(
        bin_folder, "latbench", "predict", "--model", "model", "-n", "1", cwd=place
    )
    yield "measured (cost model, torch-eager), fitted, predicted"


def check(archives: Iterable[Path], python: Path, folder: Path) -> None:
    """Prints what was done with each archive on one Python. Raises when anything fails."""
    for archive in archives:
        place = folder / archive.name
        place.mkdir(parents=True)
        installed = environment(place / "env", python, archive)
        said = "; ".join(use(installed, place))
        version = run_in(installed, "python", "--version").strip()
        print(f"{version}, {archive.name}: {said}", flush=True)
        shutil.rmtree(place)


def main() -> None:
    """See the top of this file."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archives = [build_wheel(folder / "wheel"), build_sdist(folder / "sdist")]
        for version, python in pythons().items():
            check(archives, python, folder / ".".join(map(str, version)))


if __name__ == "__main__":
    main()
