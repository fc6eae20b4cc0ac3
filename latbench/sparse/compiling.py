"""The compilation of the engine: one library for each instruction set, from the same file.

Nothing of latbench is imported, so that the build of a wheel can use it too.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

SOURCES = Path(__file__).parent / "engine"
# What a compiler is told beyond the platform's own instructions (SSE2 on x86-64, NEON on ARM).
FLAGS: dict[str, tuple[str, ...]] = {
    "avx512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "baseline": (),
}
_COMMON = (
    "-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread",
    "-static-libstdc++",
)  # fmt: skip


def instruction_sets() -> tuple[str, ...]:
    """Returns the sets that libraries are compiled for on this platform, the widest first."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return tuple(FLAGS) if x86 else ("baseline",)


def compiler() -> list[str] | None:
    """Returns the command of the C++ compiler, that of the variable ``CXX`` before others; None
    where there is none."""
    named = shlex.split(os.environ.get("CXX", ""))
    for command in ([named] if named else []) + [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return command
    return None


def source_digest() -> str:
    """Returns a digest of the engine's source, of how it is compiled, and for which platform."""
    digest = sha256(repr((FLAGS, _COMMON, platform.system(), platform.machine())).encode())
    for file in sorted(SOURCES.glob("*.[ch]*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def compile_engine(instructions: str, to: Path, command: list[str]) -> None:
    """Compiles the engine for a set of instructions.

    Raises subprocess.CalledProcessError, with what the compiler said, where it fails.
    """
    flags = [
        flag for flag in _COMMON if flag != "-static-libstdc++" or platform.system() == "Linux"
    ]
    subprocess.run(
        [*command, *flags, *FLAGS[instructions], str(SOURCES / "engine.cpp"), "-o", str(to)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
