"""The reasons why a device is slower now than it could be: heat, power limits, low clocks.

CPU: Intel's event counters in ``thermal_throttle``
(https://docs.kernel.org/admin-guide/thermal/intel_thermal_throttle.html) and the clocks of
``cpufreq``. NVIDIA: NVML's reasons. A virtual machine usually shows nothing: ``sources`` says what
there is to see, so that silence can be told from good news.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from latbench.device.cpu import SYSFS, read_int, read_text, usable_cpus
from latbench.device.nvidia import gpu_at

# A busy CPU that runs below this share of what it can hold is slow; nvbench discards samples at
# the same share (--throttle-threshold), and a lower turbo step is no reason to speak up.
SLOW = 0.75

_COUNTERS: Mapping[str, str] = MappingProxyType(
    {
        "core_throttle_count": "CPU: thermal throttling of a core",
        "package_throttle_count": "CPU: thermal throttling of the package",
        "package_power_limit_count": "CPU: package power limit",
    }
)


class ThrottleWatch:
    """A watch that remembers the counters and clocks it starts with; ``reasons()`` says what
    happened since.

    ``cuda_device`` is the CUDA number of the GPU that does the work, None where the CPU does;
    beside a GPU only the CPU's counters are watched, since a waiting CPU clocks down. ``root`` is
    ``/sys/devices/system/cpu``. Never raises. A call reads a few small files, well under a
    millisecond; make it right after a timed run, while the clocks are still those of the run.
    """

    def __init__(self, cuda_device: int | None = None, root: Path = SYSFS) -> None:
        cpus = usable_cpus()
        self._counters = {
            message: _counter_files(root, cpus, name) for name, message in _COUNTERS.items()
        }
        self._seen = {message: _total(files) for message, files in self._counters.items()}
        clocks = (f"{root}/cpu{n}/cpufreq/scaling_cur_freq" for n in cpus)
        self._clocks = _existing(clocks) if cuda_device is None else []
        self._reference_khz = _reference_khz(root / f"cpu{cpus[0]}/cpufreq")
        self._gpu = gpu_at(cuda_device)
        self._gpu_name = f"GPU {cuda_device}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Returns what is watched here: some of ``thermal_throttle``, ``cpufreq`` and ``nvml``."""
        watched = {
            "thermal_throttle": any(self._counters.values()),
            "cpufreq": bool(self._clocks) and self._reference_khz is not None,
            "nvml": self._gpu is not None and self._gpu.reasons() is not None,
        }
        return tuple(name for name, there in watched.items() if there)

    def reasons(self) -> list[str]:
        """Returns what held clocks down since the last call (counters) or does so now (clocks,
        NVML)."""
        found = [*self._events(), *self._slow_clock()]
        gpu = None if self._gpu is None else self._gpu.reasons()
        return found + [f"{self._gpu_name}: {reason}" for reason in gpu or ()]

    def _events(self) -> list[str]:
        now = {message: _total(files) for message, files in self._counters.items()}
        found = [message for message, total in now.items() if total > self._seen[message]]
        self._seen = now
        return found

    def _slow_clock(self) -> list[str]:
        """Looks for a usable CPU that runs fast enough, as one that was at work should."""
        reference = self._reference_khz or 0
        fastest = 0
        for path in self._clocks:
            fastest = max(fastest, read_int(path) or 0)
            if fastest >= SLOW * reference:
                return []
        return [f"CPU: at {fastest // 1000} of {reference // 1000} MHz"] if fastest else []


def _counter_files(root: Path, cpus: list[int], name: str) -> list[str]:
    """The counter's files, one for each core or package: CPUs that share one show the same."""
    owner = "physical_package_id" if name.startswith("package") else "thread_siblings_list"
    files: dict[str, str] = {}
    for n in cpus:
        shared = read_text(root / f"cpu{n}/topology/{owner}") or str(n)
        files.setdefault(shared, f"{root}/cpu{n}/thermal_throttle/{name}")
    return _existing(files.values())


def _existing(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if os.path.exists(path)]


def _total(files: list[str]) -> int:
    return sum(read_int(path) or 0 for path in files)


def _reference_khz(folder: Path) -> int | None:
    """The clock that a busy CPU can hold: its base clock, or its highest where none is told, or
    what the operator limits it to."""
    best = read_int(folder / "base_frequency") or read_int(folder / "cpuinfo_max_freq")
    limit = read_int(folder / "scaling_max_freq")
    known = [khz for khz in (best, limit) if khz]
    return min(known) if known else None
