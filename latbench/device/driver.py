"""The CUDA driver, asked directly, so that no framework is needed and none has to be intact.

https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html. It numbers the devices as
CUDA programs do: in its own order, and only those in CUDA_VISIBLE_DEVICES. No context is made.
Every function raises BackendError without a driver or without that device.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

from latbench.errors import BackendError

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@cache
def driver() -> Any:
    """Starts the driver's library. Raises BackendError when there is none, or none to use."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        raise BackendError(
            "the NVIDIA driver is not installed (libcuda cannot be loaded)"
        ) from None
    status = library.cuInit(0)
    if status != 0:
        raise BackendError(f"the NVIDIA driver finds no usable GPU (cuInit returned {status})")
    return library


def device_count() -> int:
    """Returns how many devices a CUDA program sees."""
    count = ctypes.c_int()
    _call("cuDeviceGetCount", ctypes.byref(count))
    return count.value


def device_name(device_id: int) -> str:
    """Returns the marketing name, such as ``Tesla P100-PCIE-16GB``."""
    return _text("cuDeviceGetName", device_id)


def pci_bus_id(device_id: int) -> str:
    """Returns the PCI address, such as ``0000:3b:00.0``: the name that CUDA and NVML share."""
    return _text("cuDeviceGetPCIBusId", device_id)


def compute_capability(device_id: int) -> tuple[int, int]:
    """Returns the compute capability, such as ``(6, 0)`` for a P100."""
    device = _device(device_id)
    return _attribute(_CAPABILITY_MAJOR, device), _attribute(_CAPABILITY_MINOR, device)


def _call(name: str, *arguments: Any) -> None:
    status = getattr(driver(), name)(*arguments)
    if status != 0:
        raise BackendError(f"the NVIDIA driver refused {name} with error {status}")


def _device(device_id: int) -> ctypes.c_int:
    count = device_count()
    if not 0 <= device_id < count:
        raise BackendError(f"there is no CUDA device {device_id}, the driver shows {count}")
    device = ctypes.c_int()
    _call("cuDeviceGet", ctypes.byref(device), device_id)
    return device


def _attribute(attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    return value.value


def _text(name: str, device_id: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    _call(name, buffer, len(buffer), _device(device_id))
    return buffer.value.decode(errors="replace")
