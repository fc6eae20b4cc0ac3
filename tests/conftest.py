"""What tests of several folders share: our wheel, and a GPU's driver for machines without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from environments import build_wheel

from latbench.locks import LOCK_DIR

# Two test processes share two cores. With two threads each, torch's and numpy's kernels wait for
# each other: tests/predictors/evaluation/test_compare.py took 26 s of processor time with one
# thread and 33 s with two (2 cores, busy, 2026-11-29). A test of threads asks for its own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
SOURCE = Path(__file__).with_name("fake_driver.c")


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Campaigns of this process wait for each other, and not for those of other test processes or
    of the machine's user."""
    folder = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LOCK_DIR, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def subnormal_numbers() -> Iterator[None]:
    """Sessions of ONNX Runtime that a test opens let subnormal numbers be zero on this thread from
    then on (``denormals_as_zero``), in which hypothesis refuses to draw floats."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """latbench's wheel, built once."""
    return build_wheel(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled libcuda and libnvidia-ml that show a P100, for LD_LIBRARY_PATH."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    first = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", first, SOURCE], check=True)
    shutil.copy(first, folder / "libnvidia-ml.so.1")
    return folder


@pytest.fixture
def with_p100(fake_driver: Path) -> Callable[..., Any]:
    """Runs Python code in a process that sees the P100; returns what it prints, read as JSON."""

    def run(code: str, **settings: int) -> Any:
        environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        environment |= {"LD_LIBRARY_PATH": str(fake_driver), "PYTHONPATH": str(ROOT)}
        environment |= {f"FAKE_{k.upper()}": str(v) for k, v in settings.items()}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what tests/slow_tests.txt lists."""
    listed = set(Path(__file__).with_name("slow_tests.txt").read_text().splitlines())
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)
