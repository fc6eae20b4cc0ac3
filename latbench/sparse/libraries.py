"""The engine's libraries: where they are, and which of them this CPU runs.

They come with a wheel. Where they did not, the engine is compiled when it is first used, which
takes about ten seconds, and kept in the user's cache (``LATBENCH_CACHE`` or ``~/.cache/latbench``).
"""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path

from latbench._version import __version__
from latbench.errors import BackendError, UsageError
from latbench.files import replacing
from latbench.locks import turn
from latbench.sparse.compiling import compile_engine, compiler, instruction_sets, source_digest

CACHE = "LATBENCH_CACHE"
BUNDLED = Path(__file__).parent / "libs"
NO_COMPILER = "there is no C++ compiler, and this installation came without the engine's libraries"
REMEDY = "install g++ or clang++, or a wheel of latbench"


@lru_cache(maxsize=1)
def usable_sets() -> tuple[str, ...]:
    """Returns the instruction sets of ``instruction_sets()`` that this CPU has, the widest
    first."""
    import torch

    # "AVX512" stands for AVX-512 F, VL, DQ, BW and FMA, which is what the engine's library uses.
    capability = torch.backends.cpu.get_cpu_capability()
    sets = instruction_sets()
    if capability == "AVX512":
        return sets
    return tuple(s for s in sets if s == "baseline" or (s == "avx2" and capability == "AVX2"))


def chosen_set(instructions: str) -> str:
    """Returns the set itself, or for ``"auto"`` the widest that this CPU has.

    Raises UsageError for one that it does not have.
    """
    sets = usable_sets()
    if instructions == "auto":
        return sets[0]
    if instructions not in sets:
        raise UsageError(
            f"this CPU cannot run instructions={instructions}; it has {', '.join(sets)}"
        )
    return instructions


def cache_folder() -> Path:
    """Returns the folder of what is compiled once for this user."""
    named = os.environ.get(CACHE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latbench"


def can_be_had() -> bool:
    """Returns whether every library is there already or can be compiled."""
    return compiler() is not None or all(_found(s) is not None for s in usable_sets())


def library(instructions: str) -> Path:
    """Returns the library for a set of instructions, compiled now where it is not there yet.

    Raises BackendError where that is not possible.
    """
    found = _found(instructions)
    if found is not None:
        return found
    path, command = _cached(instructions), compiler()
    if command is None:
        raise BackendError(f"{NO_COMPILER}; {REMEDY}")
    with turn(f"sparse-{instructions}"):  # others wait for it instead of compiling it too
        if not path.is_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as fresh:
                    fresh.touch()  # what cannot be written is not the compiler's fault
                    compile_engine(instructions, fresh, command)
            except PermissionError as error:
                raise BackendError(
                    f"cannot write {path} or run {command[0]}: {error.strerror}; set {CACHE} to a "
                    "folder that can be written, or CXX to another compiler"
                ) from error
            except subprocess.CalledProcessError as error:
                first = (error.stderr.strip().splitlines() or ["no message"])[0]
                raise BackendError(
                    f"{command[0]} cannot compile the sparse engine: {first}; set CXX to another "
                    "compiler"
                ) from error
            except OSError as error:
                raise BackendError(
                    f"cannot write {path}: {error.strerror}; set {CACHE} to a folder that can be "
                    "written"
                ) from error
    return path


def engine_version() -> str:
    """Returns what tells one engine's times from another's: latbench's version, and a digest of the
    engine's source."""
    return f"{__version__} {source_digest()}"


def _found(instructions: str) -> Path | None:
    places = (BUNDLED / f"{instructions}.so", _cached(instructions))
    return next((path for path in places if path.is_file()), None)


def _cached(instructions: str) -> Path:
    return cache_folder() / f"sparse-{instructions}-{source_digest()}.so"
