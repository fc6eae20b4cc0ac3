"""PyTorch, layer by layer, without a compiler: what a model costs as it is written.

What it changes in the whole process, which should therefore serve this backend alone (a
campaign's worker does): ``torch.set_num_threads`` on the CPU; on CUDA, cuDNN's benchmark mode and
whether TF32 may be used. The last loaded session's settings hold for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import (
    Availability,
    Backend,
    Session,
    backend_error,
    installed,
    runtime_errors,
)
from latbench.backends.cuda import no_such_device, set_tf32
from latbench.errors import BackendError, UsageError
from latbench.network import Network
from latbench.weights import make_input

if TYPE_CHECKING:
    import torch


@final
@dataclass(frozen=True)
class TorchEager(Backend):
    """PyTorch in inference mode.

    ``threads`` counts for the CPU only. ``channels_last`` stores activations and weights as NHWC.
    On CUDA, ``cudnn_benchmark`` lets cuDNN time its algorithms in a shape's first run, and
    ``tf32`` rounds the inputs of convolutions and matrix products to 10 bits (Ampere and later);
    it is off so that results agree with float32.
    """

    name: ClassVar[str] = "torch-eager"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    channels_last: bool = False
    device_id: int = 0
    cudnn_benchmark: bool = False
    tf32: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"threads must be at least 1, got {self.threads}")
        if self.device_id < 0:
            raise UsageError(f"device_id must be at least 0, got {self.device_id}")

    def availability(self) -> Availability:
        """Not ready without PyTorch, and on CUDA without a device that this build has code for."""
        base = installed("torch", "pip install torch")
        if not base.ready or self.device == "cpu":
            return base
        try:
            reason, remedy = _missing_cuda(self.device_id)
        except Exception as error:
            reason, remedy = f"torch.cuda failed: {error}", "check the NVIDIA driver"
        return base if not reason else Availability(False, reason, remedy)

    def load(self, network: Network) -> Session:
        """A session with the network's weights on the device."""
        with runtime_errors(f"{self.name} ({self.device}) cannot load the network"):
            if self.device == "cuda":
                return _CudaSession(self, network)
            return _CpuSession(self, network)


def _missing_cuda(device_id: int) -> tuple[str, str]:
    """``(reason, remedy)`` when this PyTorch cannot use the device, else two empty texts."""
    import torch

    version = torch.__version__
    if torch.version.cuda is None:
        return (
            f"PyTorch {version} was built without CUDA",
            "install a CUDA build of PyTorch, see https://pytorch.org/get-started/locally/",
        )
    missing = no_such_device(device_id, torch.cuda.device_count())
    if missing[0]:
        return missing
    capability = torch.cuda.get_device_capability(device_id)
    archs = torch.cuda.get_arch_list()
    if runs_on(archs, capability):
        return "", ""
    return (
        f"PyTorch {version} has no code for this GPU's compute capability "
        f"{capability[0]}.{capability[1]}, only for {', '.join(archs)}",
        "install a PyTorch that has; 2.7.1 is the last one on PyPI for Pascal (6.x)",
    )


def runs_on(archs: list[str], capability: tuple[int, int]) -> bool:
    """Whether a build for ``archs`` (``torch.cuda.get_arch_list()``) runs on a GPU.

    ``sm_XY`` is machine code, for the same major version and any later minor one; ``compute_XY``
    is PTX, which the driver compiles for anything later.
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation
    """
    for arch in archs:
        kind, _, digits = arch.partition("_")
        plain = digits.rstrip("af")
        if digits != plain or not plain.isdigit():  # "sm_90a" runs on exactly that chip
            if plain == f"{capability[0]}{capability[1]}":
                return True
            continue
        built = (int(plain[:-1]), int(plain[-1]))
        same_major = built[0] == capability[0]
        if built <= capability and (same_major or kind == "compute"):
            return True
    return False


class _Model:
    """The module, its input and its last output, on one device."""

    def __init__(self, backend: TorchEager, network: Network, device: torch.device) -> None:
        import torch

        from latbench.export.torch import to_torch

        self.device = device
        layout = torch.channels_last if backend.channels_last else torch.contiguous_format
        # The annotations of Module.to leave out that memory_format goes with a device.
        self.module = cast(Any, to_torch(network))
        self.module.to(device=device, memory_format=layout)
        self.input: Any = torch.from_numpy(make_input(network)).to(device, memory_format=layout)
        self.stored_bytes = sum(t.nbytes for t in self.module.state_dict().values())
        self.output: Any = None
        self._inference_mode = torch.inference_mode

    def forward(self) -> None:
        """Runs every layer; on CUDA this only queues the work."""
        try:
            with self._inference_mode():
                self.output = self.module(self.input)
        except Exception as error:
            if self.module is None:
                raise BackendError("the session is closed; load the network again") from None
            raise backend_error("torch cannot run the network", error) from error

    def result(self) -> npt.NDArray[np.float32]:
        """The last output, on the host."""
        if self.output is None:
            raise BackendError("there is no output; run the session, and do not close it before")
        return np.array(self.output.cpu().numpy(), dtype=np.float32)

    def free(self) -> None:
        """Drops every tensor."""
        self.module = self.input = self.output = None


@final
class _CpuSession(Session):
    def __init__(self, backend: TorchEager, network: Network) -> None:
        import torch

        torch.set_num_threads(backend.threads)
        self._model = _Model(backend, network, torch.device("cpu"))
        self.model_bytes = self._model.stored_bytes

    def run(self) -> None:
        self._model.forward()

    def outputs(self) -> npt.NDArray[np.float32]:
        return self._model.result()

    def close(self) -> None:
        self._model.free()


@final
class _CudaSession(Session):
    def __init__(self, backend: TorchEager, network: Network) -> None:
        import torch

        set_tf32(backend.tf32)
        torch.backends.cuda.matmul.allow_tf32 = backend.tf32
        torch.backends.cudnn.allow_tf32 = backend.tf32
        torch.backends.cudnn.benchmark = backend.cudnn_benchmark
        self._cuda: Any = torch.cuda
        self._model = _Model(backend, network, torch.device("cuda", backend.device_id))
        self.model_bytes = self._model.stored_bytes

    def run(self) -> None:
        self._model.forward()
        self._wait()

    def _wait(self) -> None:
        """A kernel that failed shows it only here, where its stream is waited for."""
        try:
            self._cuda.current_stream(self._model.device).synchronize()
        except Exception as error:
            raise backend_error("torch cannot run the network", error) from error

    def time(self, n: int) -> list[int]:
        """Nanoseconds on the device's clock, by CUDA events around each run.

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

    def outputs(self) -> npt.NDArray[np.float32]:
        return self._model.result()

    def close(self) -> None:
        self._model.free()
        # Returns the memory to the device, so that the next network finds it as this one did.
        self._cuda.empty_cache()
