"""The resources that a process holds: memory, open files, threads, and the memory of a GPU."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from latbench.campaign.collector import sweep
from latbench.campaign.memory_and_energy import return_free_memory
from latbench.device.nvidia import Gpu

# What 50 sessions may leave: allocators and thread pools grow a little at their own pace, while a
# leak grows by one a session (of 2.4 MB).
MEMORY_LIMIT_MB = 50
COUNT_LIMIT = 25


@dataclass(frozen=True)
class Resources:
    """The resources of a process: ``memory_mb`` is resident; ``gpu_mb`` is in use on the GPU by
    everybody, None if unknown."""

    memory_mb: float
    files: int
    threads: int
    gpu_mb: float | None = None


def resources_now(gpu: Gpu | None = None) -> Resources:
    """Measures what this process holds after a collection of garbage, and what is in use on
    ``gpu``."""
    import psutil

    sweep()
    return_free_memory()  # what the C library keeps would hide a leak that is served from it
    process = psutil.Process()
    # Open files are handles on Windows; both count what a process must give back.
    files = process.num_handles() if sys.platform == "win32" else process.num_fds()
    memory_mb = process.memory_info().rss / 1e6
    memory = gpu and gpu.memory()
    return Resources(memory_mb, files, process.num_threads(), memory.used / 1e6 if memory else None)


def left_behind(before: Resources, after: Resources) -> list[str]:
    """Returns what grew by more than the limits, in words such as "120 MB of memory"."""
    found = []
    memory_mb = after.memory_mb - before.memory_mb
    if memory_mb >= MEMORY_LIMIT_MB:
        found.append(f"{memory_mb:.0f} MB of memory")
    gpu_mb = (after.gpu_mb or 0) - (before.gpu_mb or 0)
    if gpu_mb >= MEMORY_LIMIT_MB and None not in (before.gpu_mb, after.gpu_mb):
        found.append(f"{gpu_mb:.0f} MB of GPU memory")
    if after.files - before.files >= COUNT_LIMIT:
        found.append(f"{after.files - before.files} open files")
    if after.threads - before.threads >= COUNT_LIMIT:
        found.append(f"{after.threads - before.threads} threads")
    return found
