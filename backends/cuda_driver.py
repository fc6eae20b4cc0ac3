"""The NVIDIA driver's own interface, for what pycuda does not offer.

That is facts about a device before any context exists, and CUDA graphs. Called by ctypes, so that
it needs the driver alone: https://docs.nvidia.com/cuda/cuda-driver-api/
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from latbench.errors import BackendError

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_CAPTURE_THREAD_LOCAL = 1  # CUstreamCaptureMode: other threads' CUDA calls do not break a capture


@cache
def _driver() -> Any:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError as error:
        raise BackendError(f"the NVIDIA driver is not installed ({error}); install it") from error


def _call(name: str, *arguments: Any) -> None:
    """Calls the driver. Raises BackendError, with the driver's name for the error, if it fails."""
    status = getattr(_driver(), name)(*arguments)
    if status != 0:
        text = ctypes.c_char_p()
        _driver().cuGetErrorName(status, ctypes.byref(text))
        label = (text.value or b"unknown").decode()
        raise BackendError(f"the NVIDIA driver refused {name}: {label} ({status})")


def _device(device_id: int) -> ctypes.c_int:
    _call("cuInit", 0)
    device = ctypes.c_int()
    _call("cuDeviceGet", ctypes.byref(device), device_id)
    return device


def _text(name: str, device_id: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    _call(name, buffer, len(buffer), _device(device_id))
    return buffer.value.decode()


def device_name(device_id: int) -> str:
    """The device's marketing name, such as ``Tesla P100-PCIE-16GB``.

    Raises BackendError without a driver or without that device, as all of these do.
    """
    return _text("cuDeviceGetName", device_id)


def pci_bus_id(device_id: int) -> str:
    """The device's place on the machine, the same whatever ``CUDA_VISIBLE_DEVICES`` hides."""
    return _text("cuDeviceGetPCIBusId", device_id)


def compute_capability(device_id: int) -> tuple[int, int]:
    """``(6, 0)`` for a P100."""
    device, values = _device(device_id), []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        _call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        values.append(value.value)
    return values[0], values[1]


class CudaGraph:
    """What ``enqueue`` puts on a stream, recorded once and then launched as one.

    ``stream`` is a CUstream handle; its context must be current in every call. Raises BackendError
    when something in it cannot be recorded, such as a wait for the device.
    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__GRAPH.html
    """

    def __init__(self, stream: int, enqueue: Callable[[], None]) -> None:
        self._stream, self._executable = ctypes.c_void_p(stream), ctypes.c_void_p()
        graph = self._record(enqueue)
        try:
            flags = ctypes.c_ulonglong(0)
            _call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, flags)
        finally:
            _call("cuGraphDestroy", graph)

    def _record(self, enqueue: Callable[[], None]) -> ctypes.c_void_p:
        graph = ctypes.c_void_p()
        _call("cuStreamBeginCapture_v2", self._stream, _CAPTURE_THREAD_LOCAL)
        try:
            enqueue()
        except BaseException:
            # Ends the capture, or the stream could never be used again; why it failed is known.
            _driver().cuStreamEndCapture(self._stream, ctypes.byref(graph))
            if graph:
                _driver().cuGraphDestroy(graph)
            raise
        _call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        return graph

    def launch(self) -> None:
        """Puts the recorded work on the stream; does not wait for it."""
        _call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Frees it; it cannot be launched any more. May be called more than once."""
        if self._executable:
            executable, self._executable = self._executable, ctypes.c_void_p()
            _call("cuGraphExecDestroy", executable)
