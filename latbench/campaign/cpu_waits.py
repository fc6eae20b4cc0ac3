"""The time that this process was kept from running: preemption and stolen time."""

from __future__ import annotations

import os
from collections.abc import Mapping

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0
_TASKS, _STAT = "/proc/self/task", "/proc/stat"


def waits() -> dict[str, int]:
    """Returns how long each thread of this process has waited so far, in nanoseconds by its number.

    A thread waits while it is ready to run and does not: the scheduler's run delay (Linux,
    Documentation/scheduler/sched-stats.rst). ``steal`` is the time that a hypervisor took away (in
    /proc/stat, in ticks of 10 ms, of all cores together). The result is empty where the system does
    not say. A call takes about 60 microseconds (2026-11-24).
    """
    found = {}
    for task in _listed(_TASKS):
        delay = _field(f"{_TASKS}/{task}/schedstat", 1)
        if delay is not None:  # else it has ended since it was listed
            found[task] = delay
    ticks = _field(_STAT, 8)
    return found if ticks is None else found | {"steal": ticks * _TICK_NS}


def waited_ns(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Returns the nanoseconds that were waited between two answers of ``waits``.

    A thread that began in between counts whole. What one waited that ended in between is not known.
    """
    return sum(max(0, total - before.get(name, 0)) for name, total in after.items())


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # no Linux
        return []


def _field(path: str, number: int) -> int | None:
    """A number in the first line of a file, by its place among the words; None without one."""
    try:
        with open(path, "rb") as file:
            return int(file.readline().split()[number])
    except (OSError, IndexError, ValueError):
        return None
