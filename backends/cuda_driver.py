"""CUDA graphs, which pycuda does not offer, by the NVIDIA driver's own interface.

Called by ctypes, so that it needs the driver alone: https://docs.nvidia.com/cuda/cuda-driver-api/.
What the driver knows about a device is in latbench.device.driver.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from latbench.device.driver import driver
from latbench.errors import BackendError

_CAPTURE_THREAD_LOCAL = 1  # CUstreamCaptureMode: other threads' CUDA calls do not break a capture


def _call(name: str, *arguments: Any) -> None:
    """Calls the driver. Raises BackendError, with the driver's name for the error, if it fails."""
    status = getattr(driver(), name)(*arguments)
    if status != 0:
        text = ctypes.c_char_p()
        driver().cuGetErrorName(status, ctypes.byref(text))
        label = (text.value or b"unknown").decode()
        raise BackendError(f"the NVIDIA driver refused {name}: {label} ({status})")


class CudaGraph:
    """A recording of what ``enqueue`` puts on a stream, launched as one.

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
            driver().cuStreamEndCapture(self._stream, ctypes.byref(graph))
            if graph:
                driver().cuGraphDestroy(graph)
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
