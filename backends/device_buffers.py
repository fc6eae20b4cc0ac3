"""A CUDA device through pycuda: its primary context, a network's two buffers, a stream, a clock.

The primary context is the one that torch and TensorRT use, so all of them work in one process.
``pycuda.autoinit`` would make a second one (https://github.com/inducer/pycuda/issues/285).
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.device.driver import pci_bus_id
from latbench.locks import turn

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for what torch does on the default stream


class CudaContext:
    """A device whose primary context this process holds until it ends."""

    def __init__(self, device_id: int) -> None:
        import pycuda.driver as cuda

        cuda.init()
        self._cuda: Any = cuda
        self._context: Any = cuda.Device(device_id).retain_primary_context()
        self.bus_id = pci_bus_id(device_id)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Makes its context current; afterwards the one that was current before is again."""
        self._context.push()
        try:
            yield
        finally:
            # Pops whatever is on top, so what is called inside must leave the stack as it was.
            self._context.pop()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Makes the context current, while no other TensorRT session builds or measures on the
        device."""
        with turn(f"device-{self.bus_id}"), self.active():
            yield

    def release(self) -> None:
        """Gives the context back; nothing can be done on the device through this any more.

        It is explicit, because pycuda's destructor would give back a primary context as it gives
        back one of its own, which the driver refuses.
        """
        self._context.detach()

    def free_bytes(self) -> int:
        """Returns the device memory that is free, in bytes."""
        with self.active():
            free, _ = self._cuda.mem_get_info()
        return int(free)


@cache
def open_device(device_id: int) -> CudaContext:
    """Opens the device, once for the whole process."""
    device = CudaContext(device_id)
    atexit.register(device.release)
    return device


class DeviceBuffers:
    """The input on the device, room for the output, and the stream that everything runs on.

    Made, used and freed with the device's context current.
    """

    def __init__(self, array: npt.NDArray[np.float32], output_shape: tuple[int, ...]) -> None:
        import pycuda.driver as cuda

        self._cuda: Any = cuda
        self._output = np.zeros(output_shape, np.float32)
        self._stream: Any = cuda.Stream(_NON_BLOCKING)
        self._device_input: Any = cuda.mem_alloc(array.nbytes)
        self._device_output: Any = cuda.mem_alloc(self._output.nbytes)
        cuda.memcpy_htod(self._device_input, np.ascontiguousarray(array))
        # The copy may still be under way, and the stream does not wait for it.
        cuda.Context.synchronize()

    @property
    def addresses(self) -> tuple[int, int]:
        """Returns the device addresses of the input and the output."""
        return int(self._device_input), int(self._device_output)

    @property
    def stream(self) -> int:
        """Returns the CUstream handle."""
        return int(self._stream.handle)

    def wait(self) -> None:
        """Waits until everything on the stream is done; raises if a kernel failed."""
        self._stream.synchronize()

    def output(self) -> npt.NDArray[np.float32]:
        """Returns a copy of the output."""
        self._cuda.memcpy_dtoh(self._output, self._device_output)
        return np.array(self._output)

    def time(self, enqueue: Callable[[], None], n: int) -> list[int]:
        """Times ``n`` runs in nanoseconds on the device's clock, by CUDA events around each one.

        Each run is waited for before the next one starts: one inference's latency, and not the
        throughput of a full queue.
        """
        pairs = [(self._cuda.Event(), self._cuda.Event()) for _ in range(n)]
        for start, end in pairs:
            start.record(self._stream)
            enqueue()
            end.record(self._stream)
            self.wait()
        return [max(1, round(start.time_till(end) * 1e6)) for start, end in pairs]

    def free(self) -> None:
        """Gives the memory back. May be called more than once."""
        for memory in (self._device_input, self._device_output):
            if memory is not None:
                memory.free()
        self._device_input = self._device_output = self._stream = None
