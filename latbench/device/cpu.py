"""The CPU as Linux shows it in /proc and /sys; elsewhere little is known.

https://docs.kernel.org/admin-guide/pm/cpufreq.html has the files of ``cpufreq``. A virtual machine
usually has none of them. ``root`` is always ``/sys/devices/system/cpu``, or a copy of it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SYSFS = Path("/sys/devices/system/cpu")
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_CLOCKS = {
    "min": "cpuinfo_min_freq",
    "max": "cpuinfo_max_freq",
    "base": "base_frequency",
    "limit": "scaling_max_freq",
}


def cpu_name() -> str:
    """Returns the CPU's marketing name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("model name", "hardware", "cpu model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cpus() -> list[int]:
    """Returns numbers of the logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Returns how many logical CPUs this process may keep busy, at least 1.

    A container's quota counts beside the affinity; of a broken number its whole part, since one
    thread more would be stopped for a while in each period.
    """
    quota = min(_quotas(cgroups, own), default=float("inf"))
    return max(1, int(min(len(usable_cpus()), quota)))


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """The CPUs that this process' control groups allow, where they limit them.

    Version 2 has them in ``cpu.max``, version 1 in ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us``:
    https://docs.kernel.org/admin-guide/cgroup-v2.html,
    https://docs.kernel.org/scheduler/sched-bwc.html. The limits of the groups above hold as well. A
    container may see its own group as the top one, under whatever path ``own`` names.
    """
    for line in (read_text(own) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            places, read = [cgroups], _quota_2
        elif "cpu" in controllers.split(","):
            places, read = [cgroups / controllers, cgroups / "cpu"], _quota_1
        else:
            continue
        inside = Path(path.lstrip("/"))
        found = (read(place / group) for place in places for group in (inside, *inside.parents))
        yield from (quota for quota in found if quota is not None)


def _quota_2(group: Path) -> float | None:
    """``200000 100000`` are two CPUs, ``max 100000`` is no limit."""
    quota_us, _, period_us = (read_text(group / "cpu.max") or "").partition(" ")
    return int(quota_us) / int(period_us) if quota_us.isdigit() and period_us.isdigit() else None


def _quota_1(group: Path) -> float | None:
    quota_us, period_us = (read_int(group / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
    # A quota of -1 is no limit.
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def read_text(path: str | Path) -> str | None:
    """Reads a small file of /sys without the line's end; None when it cannot be read."""
    # Some 10 microseconds; pathlib's read_text takes three times as long (2026-11-24).
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
    """Reads a file of /sys that holds one whole number; None when it cannot be read."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def governor(root: Path = SYSFS) -> str:
    """Returns the frequency governor of the usable CPUs, several joined by "/"; "unknown" without
    one."""
    found = {read_text(root / f"cpu{n}/cpufreq/scaling_governor") for n in usable_cpus()}
    return "/".join(sorted(name for name in found if name)) or "unknown"


def clocks_mhz(root: Path = SYSFS) -> dict[str, int]:
    """Returns clocks of the first usable CPU in MHz, those that the system tells.

    They are its ``min``, ``max`` (with turbo), ``base`` (without) and the ``limit`` that is set
    now.
    """
    folder = root / f"cpu{usable_cpus()[0]}/cpufreq"
    found = {name: read_int(folder / file) for name, file in _CLOCKS.items()}
    return {name: khz // 1000 for name, khz in found.items() if khz}


def turbo(root: Path = SYSFS) -> str:
    """Returns ``"on"`` or ``"off"``, as the pstate or the cpufreq driver has it, else
    ``"unknown"``."""
    off = read_int(root / "intel_pstate/no_turbo")
    boost = read_int(root / "cpufreq/boost")
    if off is None and boost is None:
        return "unknown"
    return "on" if off == 0 or (off is None and boost) else "off"


def cpu_profile(root: Path = SYSFS) -> dict[str, Any]:
    """Returns the name, usable cores, governor, turbo, and MHz where the system tells them."""
    clocks = clocks_mhz(root)
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "governor": governor(root),
        "turbo": turbo(root),
        **({"cpu_clock_mhz": clocks} if clocks else {}),
    }
