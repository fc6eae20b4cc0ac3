"""One description of the whole machine, in JSON values."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from latbench.device.cpu import cpu_profile
from latbench.device.nvidia import gpus

PACKAGES = (
    "latbench", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "openvino",
    "nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "numpy", "lightgbm", "scikit-learn",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Returns the installed versions of the packages that a latency can depend on."""
    from latbench._version import __version__

    found = {"latbench": __version__, "python": platform.python_version()}
    for package in PACKAGES[1:]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def host_name() -> str:
    """Returns a short name of this machine, the same from run to run: the host name without its
    domain.

    In a container it is the container's, so give that a host name that lasts.
    """
    return platform.node().partition(".")[0] or "unknown"


def machine_profile() -> dict[str, Any]:
    """Returns CPU, cores, governor, turbo, clocks (MHz), memory (GiB), GPUs, system and library
    versions.

    ``cpu_clock_mhz`` and ``gpus`` are there only where the system shows any. The GPUs' clocks,
    limits and temperature are those of this moment; latbench.device.nvidia has their fields.
    """
    import psutil

    found = gpus()
    return {
        **cpu_profile(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        **({"gpus": found} if found else {}),
        "system": f"{platform.system()} {platform.release()}",
        "host": platform.node(),
        "versions": versions(),
    }
