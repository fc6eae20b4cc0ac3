"""The common part of the PyTorch backends: options, the module on its device, and its timing.

They change settings of the whole process, which should therefore serve one backend alone (a
campaign's worker does): ``torch.set_num_threads`` on the CPU; on CUDA, cuDNN's benchmark mode and
whether TF32 may be used. The last loaded session's settings hold for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import (
    Availability,
    Backend,
    Session,
    backend_error,
    installed,
    typical,
)
from latbench.backends.cuda import set_tf32
from latbench.backends.precision import TOLERANCES, Precision, rounding_of
from latbench.backends.torch_device import missing_cuda
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime
from latbench.export.parity import Rounding
from latbench.models import Model
from latbench.validation import Count, Natural


@dataclass(frozen=True)
class TorchBackend(Backend):
    """The options of every PyTorch backend.

    ``threads`` counts for the CPU only. ``channels_last`` stores activations and weights as NHWC.
    ``precision`` is that of convolutions and matrix products, by torch's autocast, with weights
    kept in float32 and converted in each run (https://docs.pytorch.org/docs/stable/amp.html). On
    CUDA, ``cudnn_benchmark`` lets cuDNN time its algorithms in a shape's first run, and ``tf32``
    rounds the inputs of convolutions and matrix products to 10 bits (Ampere and later); it is off
    so that results agree with float32.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    threads: Count = 1
    channels_last: bool = False
    precision: Precision = "float32"
    device_id: Natural = 0
    cudnn_benchmark: bool = False
    tf32: bool = False

    @property
    def tolerance(self) -> float:
        """Returns the tolerance of its precision, see latbench.backends.precision."""
        return TOLERANCES[self.rounding]

    @property
    def rounding(self) -> Rounding:
        """Returns its precision, TF32 where products may be rounded to that."""
        return rounding_of(self.precision, self.tf32 and self.device == "cuda")

    def cuda_device(self) -> int | None:
        """Returns the device of ``device="cuda"``."""
        return self.device_id if self.device == "cuda" else None

    def availability(self) -> Availability:
        """Returns that it is not ready without PyTorch, and on CUDA without a device that this
        build has code for."""
        base = installed("torch", "pip install torch")
        if not base.ready or self.device == "cpu":
            return base
        try:
            reason, remedy = missing_cuda(self.device_id)
        except Exception as error:
            reason, remedy = f"torch.cuda failed: {error}", "check the NVIDIA driver"
        return base if not reason else Availability(False, reason, remedy)


class TorchModel:
    """A model's module, its inputs and its last output, on one device; and how to call it.

    Makes the process's settings those of ``backend`` first: compilers build them in.
    """

    def __init__(self, backend: TorchBackend, model: Model) -> None:
        import torch

        _settle(backend)
        self.device = torch.device(*_place(backend))
        layout = torch.channels_last if backend.channels_last else torch.contiguous_format
        # The annotations of Module.to leave out that memory_format goes with a device.
        self.module = cast(Any, model.torch())
        self.module.to(device=self.device, memory_format=layout)
        self.model_bytes = sum(t.nbytes for t in self.module.state_dict().values())
        self.inputs: Any = [self._placed(array, layout) for array in model.inputs()]
        self.output: Any = None
        self.call: Any = _autocast(self.module, self.device.type, backend.precision)
        self.compiled = False  # what runs is then no longer the module's layers
        self.release: Callable[[], None] = lambda: None
        self._inference_mode = torch.inference_mode

    def _placed(self, array: npt.NDArray[Any], layout: Any) -> Any:
        """An input on the device, in the layout where it is one of images."""
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if tensor.dim() != 4:
            layout = torch.contiguous_format
        return tensor.to(self.device, memory_format=layout)

    def forward(self) -> None:
        """Runs every layer; on CUDA this only queues the work."""
        try:
            with self._inference_mode():
                self.output = self.call(*self.inputs)
        except Exception as error:
            if self.module is None:
                raise BackendError("the session is closed; load the network again") from None
            raise backend_error("torch cannot run the network", error) from error

    def result(self) -> Any:
        """Returns the last output, on the host; a tuple of several."""
        if self.output is None:
            raise BackendError("there is no output; run the session, and do not close it before")
        if isinstance(self.output, tuple):
            return tuple(map(_on_host, self.output))
        return _on_host(self.output)

    def profile(
        self, n: int, mark: Callable[[], Any], elapsed_ns: Callable[[Any, Any], float]
    ) -> list[KernelTime]:
        """Times each layer's module in ``n`` runs, by hooks before and behind it.

        Args:
            n: The number of runs.
            mark: Notes the time, on the clock of the device.
            elapsed_ns: The nanoseconds between two marks, when all is done.

        Returns:
            The layers.

        Raises:
            BackendError: When the session is closed, or the network is compiled.
        """
        if self.compiled:
            raise BackendError(
                "torch-compile cannot profile a network: what it generates does not say which "
                "layers it computes; take torch-eager, which times each layer"
            )
        if self.module is None:
            raise BackendError("the session is closed; load the network again")
        layers, marks = list(self.module.layers.items()), list[Any]()
        hooks = [
            hook
            for _, layer in layers
            for hook in (
                layer.register_forward_pre_hook(lambda *_: marks.append(mark())),
                layer.register_forward_hook(lambda *_: marks.append(mark())),
            )
        ]
        try:
            for _ in range(n):
                self.forward()
        finally:
            for hook in hooks:
                hook.remove()
        return [
            KernelTime(_torch_name(layer), (int(key),), 1e-9 * max(typical(times), 1.0))
            for i, (key, layer) in enumerate(layers)
            for times in [
                [elapsed_ns(*marks[k : k + 2]) for k in range(2 * i, len(marks), 2 * len(layers))]
            ]
        ]

    def free(self) -> None:
        """Drops every tensor, and what ``release`` drops."""
        self.module = self.inputs = self.output = self.call = None
        self.release()
        self.release = lambda: None


def _on_host(tensor: Any) -> npt.NDArray[np.float32]:
    return np.array(tensor.float().cpu().numpy(), dtype=np.float32)


def _torch_name(layer: Any) -> str:
    """A module's class, or the label of one that stands for a function."""
    return str(getattr(layer, "label", type(layer).__name__))


def _place(backend: TorchBackend) -> tuple[Any, ...]:
    return ("cpu",) if backend.device == "cpu" else ("cuda", backend.device_id)


def _settle(backend: TorchBackend) -> None:
    import torch

    if backend.device == "cpu":
        torch.set_num_threads(backend.threads)
        return
    set_tf32(backend.tf32)
    torch.backends.cuda.matmul.allow_tf32 = backend.tf32
    torch.backends.cudnn.allow_tf32 = backend.tf32
    torch.backends.cudnn.benchmark = backend.cudnn_benchmark


def _autocast(module: Callable[..., Any], device: str, precision: Precision) -> Any:
    """``module`` in the given precision; itself when that is float32."""
    import torch

    if precision == "float32":
        return module
    dtype = torch.float16 if precision == "float16" else torch.bfloat16

    def call(*x: Any) -> Any:
        with torch.autocast(device, dtype=dtype):
            return module(*x)

    return call


def open_session(backend: TorchBackend, model: TorchModel) -> Session:
    """Opens the session that times ``model`` by the device's clock."""
    return CudaSession(model) if backend.device == "cuda" else CpuSession(model)


@final
class CpuSession(Session):
    """A model on the CPU, timed by the wall clock."""

    def __init__(self, model: TorchModel) -> None:
        self._model = model
        self.model_bytes = model.model_bytes

    def run(self) -> None:
        """Runs the network once."""
        self._model.forward()

    def outputs(self) -> Any:
        """Returns the output of the last run, float32; a tuple of several."""
        return self._model.result()

    def profile(self, n: int) -> list[KernelTime]:
        """Times each layer's module by the wall clock."""
        return self._model.profile(n, time.perf_counter_ns, lambda start, end: end - start)

    def close(self) -> None:
        """Frees the network."""
        self._model.free()


@final
class CudaSession(Session):
    """A model on a GPU, timed by CUDA events."""

    def __init__(self, model: TorchModel) -> None:
        import torch

        self._cuda: Any = torch.cuda
        self._model = model
        self.model_bytes = model.model_bytes

    def run(self) -> None:
        """Runs the network once and waits for the device."""
        self._model.forward()
        self._wait()

    def _wait(self) -> None:
        """A kernel that failed shows it only here, where its stream is waited for."""
        try:
            self._cuda.current_stream(self._model.device).synchronize()
        except Exception as error:
            raise backend_error("torch cannot run the network", error) from error

    def time(self, n: int) -> list[int]:
        """Times runs in nanoseconds on the device's clock, by CUDA events around each one.

        Each run is waited for before the next one starts, so that it is one inference's latency,
        with the gaps in which the GPU waits for Python, and not the throughput of a full queue.
        """
        with self._cuda.device(self._model.device):
            stream = self._cuda.current_stream()
            pairs = [[self._cuda.Event(enable_timing=True) for _ in "se"] for _ in range(n)]
            for start, end in pairs:
                start.record(stream)
                self._model.forward()
                end.record(stream)
                self._wait()
        return [max(1, round(start.elapsed_time(end) * 1e6)) for start, end in pairs]

    def profile(self, n: int) -> list[KernelTime]:
        """Times each layer's module by CUDA events; where the GPU waits for Python, a layer's time
        is that of launching it."""

        def mark() -> Any:
            event = self._cuda.Event(enable_timing=True)
            event.record(self._cuda.current_stream(self._model.device))
            return event

        def elapsed_ns(start: Any, end: Any) -> float:
            end.synchronize()
            return float(start.elapsed_time(end) * 1e6)

        with self._cuda.device(self._model.device):
            return self._model.profile(n, mark, elapsed_ns)

    def outputs(self) -> Any:
        """Returns the output of the last run, float32; a tuple of several."""
        return self._model.result()

    def close(self) -> None:
        """Frees the network and its memory on the device."""
        self._model.free()
        # Returns the memory to the device, so that the next network finds it as this one did.
        self._cuda.empty_cache()
