"""ExecuTorch with the XNNPACK delegate, on the CPU.

The torch module is exported, its layers are handed to XNNPACK (what XNNPACK does not know is done
by ExecuTorch's portable kernels), and the program is loaded from memory. Lowering is slow: it
takes seconds for a small network and minutes for a large one.
https://docs.pytorch.org/executorch/stable/backends/xnnpack/xnnpack-overview.html

What it changes in the whole process, which should therefore serve this backend alone (a
campaign's worker does): the size of ExecuTorch's thread pool. Loaded sessions hold on to the pool,
so all sessions that are open at a time must have the same ``threads``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar, final

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
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime
from latbench.models import Model
from latbench.validation import Count

_REMEDY = "pip install 'latbench[executorch]'"


@final
@dataclass(frozen=True)
class ExecuTorch(Backend):
    """A backend on ExecuTorch in float32; ``threads`` is the size of its pool, the calling thread
    included."""

    name: ClassVar[str] = "executorch"
    threads: Count = 1

    def availability(self) -> Availability:
        """Returns that it is not ready without the package, which takes seconds to import: ``load``
        does that."""
        return installed("executorch", _REMEDY)

    def load(self, model: Model) -> Session:
        """Opens a session, after lowering; the thread pool has the size that was asked for."""
        with runtime_errors(f"{self.name} cannot load the network"):
            return _ExecuTorchSession(self, model)


def _runtime() -> Any:
    return importlib.import_module("executorch.runtime").Runtime.get()


def lower(model: Model) -> bytes:
    """Lowers the model to an ExecuTorch program, with what XNNPACK can do delegated to it."""
    import torch

    exir = importlib.import_module("executorch.exir")
    xnnpack = importlib.import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    example = (torch.from_numpy(model.input()),)
    program = torch.export.export(model.torch(), example)
    edge = exir.to_edge_transform_and_lower(program, partitioner=[xnnpack.XnnpackPartitioner()])
    return bytes(edge.to_executorch().buffer)


def _set_threads(threads: int) -> None:
    library: Any = importlib.import_module("executorch.extension.pybindings.portable_lib")
    if library._threadpool_get_thread_count() != threads:
        library._unsafe_reset_threadpool(threads)
    found = library._threadpool_get_thread_count()
    if found != threads:
        raise BackendError(f"its thread pool has {found} threads instead of {threads}")


@final
class _ExecuTorchSession(Session):
    def __init__(self, backend: ExecuTorch, model: Model) -> None:
        import torch

        _set_threads(backend.threads)
        # A method points into its program, and that into these bytes.
        self._model: bytes | None = lower(model)
        self.model_bytes: int | None = len(self._model)
        self._program = _runtime().load_program(self._model)
        self._method = self._program.load_method("forward")
        self._inputs: Any = [torch.from_numpy(model.input())]
        self._output: Any = None

    def run(self) -> None:
        try:
            self._output = self._method.execute(self._inputs)[0]
        except Exception as error:
            self._check_open()
            raise backend_error("executorch cannot run the network", error) from error

    def outputs(self) -> npt.NDArray[np.float32]:
        self._check_open()
        if self._output is None:
            raise BackendError("there is no output; run the session first")
        return np.array(self._output.numpy(), dtype=np.float32)

    def profile(self, n: int) -> list[KernelTime]:
        raise BackendError(
            "executorch cannot profile a network: its packages are built without event tracing"
            ", and XNNPACK does a network as one"
        )

    def _check_open(self) -> None:
        if self._method is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        self._output = self._inputs = self._method = None
        self._program = self._model = None
