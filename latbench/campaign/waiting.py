"""How long this process was kept from running: preemption and stolen time."""

from __future__ import annotations

import os

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0


def waited_ns() -> int:
    """Nanoseconds in which this process's threads were ready to run and did not, so far.

    The scheduler's run delay (Linux, Documentation/scheduler/sched-stats.rst) and the time that a
    hypervisor took away (``steal`` in /proc/stat, in ticks of 10 ms, of all cores together). 0
    where the system does not say. It takes about 60 microseconds.
    """
    total = 0
    try:
        for entry in os.scandir("/proc/self/task"):
            with open(f"{entry.path}/schedstat", "rb") as file:
                total += int(file.read().split()[1])
        with open("/proc/stat", "rb") as file:
            total += int(file.readline().split()[8]) * _TICK_NS
    except (OSError, IndexError, ValueError):  # no Linux, or a thread that has just ended
        pass
    return total
