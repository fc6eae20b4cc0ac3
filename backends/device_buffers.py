"""A CUDA device through pycuda: its primary context, a network's buffers, a stream, a clock.

The primary context is the one that torch and TensorRT use, so all of them work in one process.
``pycuda.autoinit`` would make a second one (https://github.com/inducer/pycuda/issues/285).
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

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
    """The inputs on the device, room for the outputs, and the stream that everything runs on.

    Both are arrays by the names of their tensors. Made, used and freed with the device's context
    current.
    """

    def __init__(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Mapping[str, npt.NDArray[Any]]
    ) -> None:
        import pycuda.driver as cuda

        self._cuda: Any = cuda
        self._outputs = dict(outputs)
        self._stream: Any = cuda.Stream(_NON_BLOCKING)
        self._memory: dict[str, Any] = {}
        for name, array in {**inputs, **outputs}.items():
            self._memory[name] = cuda.mem_alloc(array.nbytes)
        for name, array in inputs.items():
            cuda.memcpy_htod(self._memory[name], array)
        # The copies may still be under way, and the stream does not wait for them.
        cuda.Context.synchronize()

    @property
    def addresses(self) -> dict[str, int]:
        """Returns the device addresses of the inputs and the outputs."""
        return {name: int(memory) for name, memory in self._memory.items()}

    @property
    def stream(self) -> int:
        """Returns the CUstream handle."""
        return int(self._stream.handle)

    def wait(self) -> None:
        """Waits until everything on the stream is done; raises if a kernel failed."""
        self._stream.synchronize()

    def outputs(self) -> list[npt.NDArray[Any]]:
        """Returns copies of the outputs in their order."""
        for name, array in self._outputs.items():
            self._cuda.memcpy_dtoh(array, self._memory[name])
        return [array.copy() for array in self._outputs.values()]

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
        for memory in self._memory.values():
            memory.free()
        self._memory, self._stream = {}, None
