"""The CUDA driver, asked directly, so that no framework is needed and none has to be intact.

https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html. It sees the devices as CUDA
programs do: in its own order, and only those in CUDA_VISIBLE_DEVICES. No context is made.
"""

from __future__ import annotations

import ctypes
import sys

from latbench.errors import BackendError

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_BUS_ID_BYTES = 32


class CudaDriver:
    """The driver, started. Raises BackendError with the reason when there is none to use."""

    def __init__(self) -> None:
        try:
            self._cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError:
            raise BackendError(
                "the NVIDIA driver is not installed (libcuda cannot be loaded)"
            ) from None
        status = self._cuda.cuInit(0)
        if status != 0:
            raise BackendError(f"the NVIDIA driver finds no usable GPU (cuInit returned {status})")

    def device_count(self) -> int:
        """How many devices a CUDA program sees."""
        count = ctypes.c_int(0)
        self._cuda.cuDeviceGetCount(ctypes.byref(count))
        return count.value

    def compute_capability(self, device_id: int) -> tuple[int, int]:
        """``(6, 0)`` for a P100. Raises BackendError when there is no such device."""
        device = self._device(device_id)
        major, minor = (self._attribute(a, device) for a in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR))
        return major, minor

    def bus_id(self, device_id: int) -> str:
        """The PCI address, such as ``0000:3b:00.0``: the name that CUDA and NVML share.

        Raises BackendError when there is no such device.
        """
        text = ctypes.create_string_buffer(_BUS_ID_BYTES)
        device = self._device(device_id)
        self._check(self._cuda.cuDeviceGetPCIBusId(text, _BUS_ID_BYTES, device), device_id)
        return text.value.decode(errors="replace")

    def _device(self, device_id: int) -> ctypes.c_int:
        device = ctypes.c_int(0)
        self._check(self._cuda.cuDeviceGet(ctypes.byref(device), device_id), device_id)
        return device

    def _attribute(self, attribute: int, device: ctypes.c_int) -> int:
        value = ctypes.c_int(0)
        self._check(
            self._cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device), device.value
        )
        return value.value

    def _check(self, status: int, device_id: int) -> None:
        if status != 0:
            raise BackendError(
                f"the NVIDIA driver cannot use CUDA device {device_id} (error {status}); it shows "
                f"{self.device_count()} devices"
            )
