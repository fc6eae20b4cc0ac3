"""NVIDIA GPUs as NVML shows them (https://docs.nvidia.com/deploy/nvml-api/).

It needs the driver and ``pip install nvidia-ml-py``; without either there are no GPUs here. Older
and virtual GPUs leave questions unanswered, which are then left out. Nothing raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from latbench.device.driver import pci_bus_id
from latbench.errors import BackendError

# Bits of nvmlDeviceGetCurrentClocksEventReasons that hold clocks down against the operator's will:
# https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html. Left out are idling,
# chosen clocks (2, 256), a sync-boost group (16), and the reliability limit (1024), which any GPU
# meets at its highest clock.
HELD_DOWN: Mapping[int, str] = MappingProxyType(
    {
        0x004: "power cap",
        0x008: "hardware slowdown",
        0x020: "thermal slowdown by the driver",
        0x040: "thermal slowdown by the hardware",
        0x080: "power brake by the system's power supply",
        0x200: "board limit",
    }
)


def decode_reasons(bits: int) -> list[str]:
    """Returns why clocks are held down, by the bits of ``nvmlDeviceGetCurrentClocksEventReasons``.

    >>> decode_reasons(0x44)
    ['power cap', 'thermal slowdown by the hardware']
    """
    return [reason for bit, reason in HELD_DOWN.items() if bits & bit]


def start_nvml() -> Any | None:
    """Starts the module ``pynvml``; returns None without it or without a driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # whatever a damaged driver or package does, there is no NVML
        return None
    return pynvml


@contextmanager
def _nvml() -> Iterator[Any | None]:
    nvml = start_nvml()
    try:
        yield nvml
    finally:
        if nvml is not None:
            _ask(nvml.nvmlShutdown)


def _ask(question: Callable[..., Any], *arguments: Any) -> Any | None:
    """The answer; None when this GPU, driver or version of the package has none."""
    try:
        answer = question(*arguments)
    except Exception:
        return None
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer


def gpus() -> list[dict[str, Any]]:
    """Returns every GPU of the machine in the order of NVML (by PCI address), not of CUDA.

    Fields, as far as they are known: ``index``, ``name``, ``uuid``, ``bus_id``,
    ``compute_capability`` ("6.0"), ``driver``, ``cuda`` (the newest that the driver supports),
    ``memory_gib``, ``clock_mhz`` (``graphics`` and ``memory`` now, ``_max``, and ``_set``, the
    applications clocks), ``power_limit_w``, ``power_limit_default_w``, ``temperature_c``,
    ``persistence`` (whether the driver stays loaded).
    """
    with _nvml() as nvml:
        if nvml is None:
            return []
        count = _ask(nvml.nvmlDeviceGetCount) or 0
        return [{"index": i, **_gpu(nvml, i)} for i in range(count)]


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    handle = _ask(nvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return {}

    def about(question: str, *arguments: Any) -> Any | None:
        return _ask(lambda: getattr(nvml, question)(handle, *arguments))

    capability = about("nvmlDeviceGetCudaComputeCapability")
    memory = about("nvmlDeviceGetMemoryInfo")
    cuda = _ask(lambda: nvml.nvmlSystemGetCudaDriverVersion_v2())
    pci: Any = about("nvmlDeviceGetPciInfo")
    found = {
        "name": about("nvmlDeviceGetName"),
        "uuid": about("nvmlDeviceGetUUID"),
        "bus_id": _ask(lambda: pci.busId),
        "compute_capability": capability and "{}.{}".format(*capability),
        "driver": _ask(nvml.nvmlSystemGetDriverVersion),
        "cuda": cuda and f"{cuda // 1000}.{cuda % 1000 // 10}",
        "memory_gib": memory and round(memory.total / 2**30, 1),
        "clock_mhz": _clocks_mhz(nvml, about),
        "power_limit_w": _watts(about("nvmlDeviceGetEnforcedPowerLimit")),
        "power_limit_default_w": _watts(about("nvmlDeviceGetPowerManagementDefaultLimit")),
        "temperature_c": about("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        "persistence": _flag(about("nvmlDeviceGetPersistenceMode")),
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def _clocks_mhz(nvml: Any, about: Callable[..., Any | None]) -> dict[str, int]:
    found = {}
    for name, kind in (("graphics", nvml.NVML_CLOCK_GRAPHICS), ("memory", nvml.NVML_CLOCK_MEM)):
        found[name] = about("nvmlDeviceGetClockInfo", kind)
        found[f"{name}_max"] = about("nvmlDeviceGetMaxClockInfo", kind)
        found[f"{name}_set"] = about("nvmlDeviceGetApplicationsClock", kind)
    return {name: mhz for name, mhz in found.items() if mhz is not None}


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


class GpuMemory(NamedTuple):
    """The bytes of device memory: all of it, what is in use by everybody, and what is free."""

    total: int
    used: int
    free: int


class Gpu:
    """One CUDA device as NVML shows it; NVML stays started. See ``gpu_at``."""

    def __init__(self, cuda_device: int) -> None:
        self._nvml = start_nvml()
        self._handle = self._nvml and _handle(self._nvml, cuda_device)

    def memory(self) -> GpuMemory | None:
        """Returns the memory at this moment, or None when NVML does not tell.

        It does not where GPU and host share one memory, as in the GB10 of a DGX Spark
        (https://github.com/NVIDIA/cosmos-framework/issues/22). Of an instance of MIG it is the
        memory of the whole GPU, which has the address.
        """
        if self._nvml is None or self._handle is None:
            return None
        found = _ask(self._nvml.nvmlDeviceGetMemoryInfo, self._handle)
        return found and GpuMemory(int(found.total), int(found.used), int(found.free))

    def reasons(self) -> list[str] | None:
        """Returns why the clocks are held down at this moment, or None when NVML does not tell (no
        driver, not supported)."""
        nvml, handle = self._nvml, self._handle
        if nvml is None or handle is None:
            return None
        # The name until driver 535 is the older one; both read the same bits.
        for name in ("EventReasons", "ThrottleReasons"):
            question = getattr(nvml, f"nvmlDeviceGetCurrentClocks{name}", None)
            bits = question and _ask(question, handle)
            if bits is not None:
                return decode_reasons(bits)
        return None


def gpu_at(cuda_device: int | None) -> Gpu | None:
    """Returns the GPU that CUDA calls ``cuda_device``, in CUDA's order and among those that
    CUDA_VISIBLE_DEVICES shows; None for None, without asking NVML anything."""
    return None if cuda_device is None else Gpu(cuda_device)


def _handle(nvml: Any, cuda_device: int) -> Any | None:
    """NVML's handle of a CUDA device: the two count in different orders, the address is shared."""
    try:
        bus_id = pci_bus_id(cuda_device)
    except BackendError:
        return None
    return _ask(nvml.nvmlDeviceGetHandleByPciBusId, bus_id.encode())
