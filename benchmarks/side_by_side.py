"""Jobs that run side by side, a process a core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

# glibc gives a step's large blocks back to the kernel and asks for them again in the next one: a
# step of DARTS_V2 took 0.355 s, and 0.309 s when they are kept (2026-11-30).
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**36)}


def run_side_by_side(script: str, child: str, folders: Sequence[Path], quick: bool) -> None:
    """Runs ``script --child CHILD --out FOLDER --core CORE`` for every folder.

    Args:
        script: The benchmark.
        child: What its option ``--child`` says.
        folders: The folder of each job.
        quick: Whether ``--quick`` is handed on.
    """
    free: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0)):
        free.put(core)
    # Two threads on one core wait for each other: a search of 7 s took minutes (2026-11-30).
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **KEEP_MEMORY}

    def run(folder: Path) -> None:
        core = free.get()
        command = [sys.executable, str(Path(__file__).with_name(script)), "--child", child,
                   "--out", str(folder), "--core", str(core), *["--quick"] * quick]  # fmt: skip
        found = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment
        )
        free.put(core)
        if found.returncode:
            raise SystemExit(f"{folder}: {found.stderr[-2000:]}")

    with ThreadPoolExecutor(free.qsize()) as pool:
        list(pool.map(run, folders))
