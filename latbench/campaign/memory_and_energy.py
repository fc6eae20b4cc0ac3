"""The costs of an architecture besides time: memory, size, energy and the time to build it.

Memory is the peak while the loaded network runs for the first time, less what the process had
before it was loaded: weights, activations and the runtime's workspace, but not the copies that
loading makes and gives back. The host's is the resident set as Linux counts it; a GPU's is what
NVML says is used of the one that the backend runs on, so nothing else may allocate there meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from latbench.backends.base import Session
from latbench.device.nvidia import Gpu
from latbench.errors import BackendError
from latbench.networks.network import Network


def _status_bytes(field: str) -> int | None:
    """A size in /proc/self/status; None where there is none."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def return_free_memory() -> None:
    """Gives the allocator's free pages back, so that the resident set is what is in use (glibc)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Makes VmHWM start again from what is resident now (Documentation/filesystems/proc.rst)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def free_share(gpu: Gpu | None) -> float:
    """Returns the share of memory that is still free: the host's, or that of the GPU that the
    sessions are loaded on where it is less. Other GPUs do not count."""
    import psutil

    host = psutil.virtual_memory()
    memory = gpu and gpu.memory()
    shares = [host.available / host.total]
    if memory and memory.total:
        shares.append(memory.free / memory.total)
    return float(min(shares))


def load_and_run(
    load: Callable[[], Session],
    run: Callable[[Session], object],
    network: Network,
    gpu: Gpu | None = None,
) -> tuple[Session, dict[str, Any]]:
    """Loads a network, runs it once, and measures what that took.

    Args:
        load: Loads the network into a session.
        run: Runs a session once.
        network: The network that is loaded; its tensors give the size where the session does not.
        gpu: The GPU that the session is loaded on; None where it is on the host.

    Returns:
        The session, and the costs (seconds and bytes) by the names of ``latbench.store.Costs``.
    """
    return_free_memory()
    before, device_before = _status_bytes("VmRSS"), gpu and gpu.memory()
    session = load()
    try:
        return_free_memory()
        reset = _reset_peak()
        run(session)
        peak, device = _status_bytes("VmHWM"), gpu and gpu.memory()
    except BaseException:
        session.close()
        raise
    host = max(0, peak - before) if reset and peak is not None and before is not None else None
    grown = device.used - device_before.used if device and device_before else 0
    return session, {
        "build_s": session.build_s,
        "memory_bytes": host,
        "device_memory_bytes": grown if grown > 0 else None,
        "model_bytes": session.model_bytes
        or 4 * sum(math.prod(shape) for _, shape, _ in network.tensors()),
    }


class EnergyMeter:
    """A meter of joules an inference, by the sensors that ``zeus`` can read (NVML, RAPL, SoC).

    All devices that the process may use count, and all of what they draw, idle power included.
    Sensors are renewed every 1 to 100 ms, so ``window_s`` should be seconds.
    https://ml.energy/zeus/measure/
    Raises BackendError without zeus, or when it finds no sensor.
    """

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        try:
            from zeus.monitor import ZeusMonitor
        except ImportError as error:
            raise BackendError(
                "measuring energy needs zeus; install it with pip install 'latbench[energy]'"
            ) from error
        try:
            self._monitor = ZeusMonitor()
        except Exception as error:
            raise BackendError(f"zeus cannot measure energy here: {error}") from error
        if not (self._monitor.gpu_indices or self._monitor.cpu_indices):
            raise BackendError(
                "zeus finds no energy sensor here (NVML of an NVIDIA GPU, or RAPL under "
                "/sys/class/powercap, which only root may read); measure without energy"
            )

    def energy_j(self, session: Session) -> float:
        """Runs for ``window_s`` seconds, once at least; returns joules per run."""
        # Sessions wait for their own result, so there is nothing to synchronise.
        self._monitor.begin_window("latbench", sync_execution=False)
        runs, end = 0, time.monotonic() + self.window_s  # beginning reads every sensor first
        while runs == 0 or time.monotonic() < end:
            session.run()
            runs += 1
        found = self._monitor.end_window("latbench", sync_execution=False)
        parts = (found.gpu_energy, found.cpu_energy or {}, found.dram_energy or {})
        return float(sum(sum(part.values()) for part in parts)) / runs
