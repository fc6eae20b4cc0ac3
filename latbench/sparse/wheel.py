"""The build of a wheel with the engine's libraries in it, for those who publish one.

``LATBENCH_BUNDLE_ENGINE=1 python -m build --wheel`` compiles one library for each instruction set
of this platform; without the variable the wheel has the source alone and is for every platform.
Setuptools loads this file by itself, without the package, which needs torch.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

BUNDLE = "LATBENCH_BUNDLE_ENGINE"


def bundling() -> bool:
    """Returns whether the libraries go into the wheel."""
    return os.environ.get(BUNDLE, "") not in ("", "0")


def _compiling() -> ModuleType:
    place = Path(__file__).with_name("compiling.py")
    spec = importlib.util.spec_from_file_location("latbench_sparse_compiling", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildWithEngine(build_py):  # type: ignore[misc]
    """A build that compiles the engine's libraries into the package where that is asked for."""

    def run(self) -> None:
        """Copies the package, and compiles. Raises RuntimeError where there is no compiler."""
        super().run()
        if not bundling() or self.editable_mode:
            return
        compiling = _compiling()
        command = compiling.compiler()
        if command is None:
            raise RuntimeError(f"{BUNDLE} is set, and there is no C++ compiler; set CXX")
        libs = Path(self.build_lib, "latbench", "sparse", "libs")
        libs.mkdir(parents=True, exist_ok=True)
        for instructions in compiling.instruction_sets():
            compiling.compile_engine(instructions, libs / f"{instructions}.so", command)


class PlatformWheel(bdist_wheel):  # type: ignore[misc]
    """A wheel for this platform and every Python where it has libraries, which need no Python."""

    def finalize_options(self) -> None:
        """Says that the wheel is not for every platform where it has libraries."""
        super().finalize_options()
        self.root_is_pure = not bundling()

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the tags of the wheel: any Python 3, no ABI, this platform."""
        python, abi, platform = super().get_tag()
        return ("py3", "none", platform) if bundling() else (python, abi, platform)
