"""What this machine is: recorded with every measurement set."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = (
    "latbench", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "openvino",
    "numpy", "lightgbm", "scikit-learn",
)  # fmt: skip


def cpu_name() -> str:
    """The CPU's marketing name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("model name", "hardware", "cpu model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _governor() -> str | None:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    try:
        return path.read_text().strip()
    except OSError:
        return None


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Installed versions of the packages that a latency can depend on."""
    from latbench import __version__

    found = {"latbench": __version__, "python": platform.python_version()}
    for package in PACKAGES[1:]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine_profile() -> dict[str, Any]:
    """CPU, cores, governor, memory (GiB), operating system and library versions."""
    import psutil

    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "governor": _governor() or "unknown",
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "host": platform.node(),
        "versions": versions(),
    }
