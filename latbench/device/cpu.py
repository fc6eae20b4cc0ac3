"""The CPU as Linux shows it in /proc and /sys; elsewhere little is known.

https://docs.kernel.org/admin-guide/pm/cpufreq.html has the files of ``cpufreq``. A virtual machine
usually has none of them. ``root`` is always ``/sys/devices/system/cpu``, or a copy of it.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

SYSFS = Path("/sys/devices/system/cpu")
_CLOCKS = {
    "min": "cpuinfo_min_freq",
    "max": "cpuinfo_max_freq",
    "base": "base_frequency",
    "limit": "scaling_max_freq",
}


def cpu_name() -> str:
    """The CPU's marketing name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("model name", "hardware", "cpu model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cpus() -> list[int]:
    """Numbers of the logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """How many logical CPUs this process may run on."""
    return len(usable_cpus())


def read_text(path: str | Path) -> str | None:
    """A small file of /sys without the line's end; None when it cannot be read."""
    # Some 10 microseconds; pathlib's read_text takes three times as long.
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(descriptor, 4096).decode(errors="replace").strip()
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_int(path: str | Path) -> int | None:
    """A file of /sys that holds one whole number; None when it cannot be read."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def governor(root: Path = SYSFS) -> str:
    """The frequency governor of the usable CPUs, several joined by "/"; "unknown" without one."""
    found = {read_text(root / f"cpu{n}/cpufreq/scaling_governor") for n in usable_cpus()}
    return "/".join(sorted(name for name in found if name)) or "unknown"


def clocks_mhz(root: Path = SYSFS) -> dict[str, int]:
    """MHz of the first usable CPU: its ``min``, ``max`` (with turbo), ``base`` (without) and the
    ``limit`` that is set now; only those that the system tells."""
    folder = root / f"cpu{usable_cpus()[0]}/cpufreq"
    found = {name: read_int(folder / file) for name, file in _CLOCKS.items()}
    return {name: khz // 1000 for name, khz in found.items() if khz}


def turbo(root: Path = SYSFS) -> str:
    """``"on"`` or ``"off"``, as the pstate or the cpufreq driver has it, else ``"unknown"``."""
    off = read_int(root / "intel_pstate/no_turbo")
    boost = read_int(root / "cpufreq/boost")
    if off is None and boost is None:
        return "unknown"
    return "on" if off == 0 or (off is None and boost) else "off"


def cpu_profile(root: Path = SYSFS) -> dict[str, Any]:
    """Name, usable cores, governor, turbo, and MHz where the system tells them."""
    clocks = clocks_mhz(root)
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "governor": governor(root),
        "turbo": turbo(root),
        **({"cpu_clock_mhz": clocks} if clocks else {}),
    }
