"""The state of the machine over a while, which may explain that it was slow then.

- ``steal``: the share of all cores' time that a hypervisor took away (/proc/stat);
- ``busy``: how many cores other processes kept busy beside this one and its children;
- ``clock_mhz``: the mean clock of the usable cores at the end (cpufreq; /proc/cpuinfo elsewhere,
  which in a virtual machine often shows the nominal one);
- ``cache_bytes`` and ``memory_bytes_per_s``: what occupies the last-level cache and how fast the
  whole machine moves memory, where the kernel's resctrl is mounted
  (https://docs.kernel.org/filesystems/resctrl.html): Intel RDT and AMD QoS, not in most virtual
  machines.

What the system does not tell is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latbench.device.cpu import read_int, read_text, usable_cpus

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
ROOT = Path("/")


@dataclass(frozen=True)
class Moment:
    """The system's counters at one time; seconds and bytes, None where there is none."""

    at_s: float
    steal_s: float | None
    busy_s: float | None
    own_s: float
    traffic_bytes: int | None


def now(root: Path = ROOT) -> Moment:
    """Reads the counters now; a few small files, some 50 microseconds (2026-11-29)."""
    ticks = _cpu_ticks(root)
    own = os.times()
    return Moment(
        at_s=time.monotonic(),
        steal_s=ticks[7] / _TICKS_PER_S if len(ticks) > 7 else None,
        # user, nice, system, irq and softirq; guests are in user
        busy_s=sum(ticks[i] for i in (0, 1, 2, 5, 6)) / _TICKS_PER_S if len(ticks) > 6 else None,
        own_s=own.user + own.system,
        traffic_bytes=_resctrl(root, "mbm_total_bytes"),
    )


def since(start: Moment, worker_s: float, root: Path = ROOT) -> dict[str, float]:
    """Returns what the machine was like from ``start`` to now, by the names above.

    ``worker_s`` is the processor time of the worker that is measured, which is not other processes'
    work.
    """
    end = now(root)
    seconds = max(end.at_s - start.at_s, 1e-9)
    found: dict[str, float | None] = {
        "steal": _rate(start.steal_s, end.steal_s, seconds * (os.cpu_count() or 1)),
        "busy": _rate(start.busy_s, end.busy_s, seconds),
        "clock_mhz": _clock_mhz(root),
        "cache_bytes": _resctrl(root, "llc_occupancy"),
        "memory_bytes_per_s": _rate(start.traffic_bytes, end.traffic_bytes, seconds),
    }
    if found["busy"] is not None:
        ours = (end.own_s - start.own_s + worker_s) / seconds
        found["busy"] = max(0.0, found["busy"] - ours)
    return {name: float(f"{value:.4g}") for name, value in found.items() if value is not None}


def _rate(start: float | None, end: float | None, over: float) -> float | None:
    return None if start is None or end is None else max(0.0, end - start) / over


def _cpu_ticks(root: Path) -> list[int]:
    """The numbers of /proc/stat's first line: user, nice, system, idle, iowait, irq, softirq,
    steal, ... of all cores together."""
    text = read_text(root / "proc/stat") or ""
    words = text.partition("\n")[0].split()
    return [int(word) for word in words[1:] if word.isdigit()] if words[:1] == ["cpu"] else []


def _clock_mhz(root: Path) -> float | None:
    clocks = [
        read_int(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
        for cpu in usable_cpus()
    ]
    known = [khz / 1000 for khz in clocks if khz]
    if not known:
        text = read_text(root / "proc/cpuinfo") or ""
        lines = (line.partition(":") for line in text.splitlines())
        known = [float(value) for name, _, value in lines if name.strip() == "cpu MHz"]
    return sum(known) / len(known) if known else None


def _resctrl(root: Path, counter: str) -> int | None:
    """The sum of a counter over the machine's caches; None where resctrl is not mounted."""
    values = [read_int(path) for path in _monitors(root, counter)]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _monitors(root: Path, counter: str) -> Iterator[Path]:
    folder = root / "sys/fs/resctrl/mon_data"
    return folder.glob(f"mon_L3_*/{counter}") if folder.is_dir() else iter(())
