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

from latbench.backends.base import (
    Availability,
    Backend,
    Session,
    backend_error,
    installed,
    runtime_errors,
)
from latbench.errors import BackendError, LatbenchError
from latbench.export.kernel_layers import KernelTime
from latbench.models import Model
from latbench.networks.general.arithmetic import Unary
from latbench.networks.network import NetworkBuilder
from latbench.networks.ops import Input
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
    example = tuple(torch.from_numpy(x) for x in model.inputs())
    program = torch.export.export(model.torch(), example)
    partitioner = xnnpack.XnnpackPartitioner(_delegated(model))
    edge = exir.to_edge_transform_and_lower(program, partitioner=[partitioner])
    return bytes(edge.to_executorch().buffer)


def _delegated(model: Model) -> Any:
    """What XNNPACK is given, None for all it can do. Its GELU is never the approximation by tanh,
    although ExecuTorch gives it that, too."""
    if all(layer.op != Unary("gelu_tanh") for layer in model.network.layers):
        return None
    config = importlib.import_module("executorch.backends.xnnpack.partition.config")
    return [c for c in config.ALL_PARTITIONER_CONFIGS if c is not config.GeluConfig]


def _refused_layer(model: Model) -> str:
    """The first layer that ExecuTorch does not run alone, in words; empty if there is none."""
    seen = set()
    network, arrays = model.network, model.arrays
    for i, layer in enumerate(network.layers):
        types = tuple(network.types[j] for j in layer.inputs)
        kind = (layer.op, network.input_shapes(layer), types)
        if not layer.inputs or kind in seen:
            continue
        seen.add(kind)
        given = zip(network.input_shapes(layer), types, strict=True)
        b = NetworkBuilder.of_inputs(*(Input(shape, dtype=dtype) for shape, dtype in given))
        alone = b.build(b.add(layer.op, *range(len(types))))
        own = f"{len(types)}."
        weights = {name: arrays[f"{i}.{name.removeprefix(own)}"] for name, _, _ in alone.tensors()}
        try:
            _Program(Model("layer", alone, weights)).run()
        except Exception:
            return f"layer {i} ({layer.op})"
    return ""


class _Program:
    """A lowered model that is loaded, with its inputs."""

    def __init__(self, model: Model) -> None:
        import torch

        # A method points into its program, and that into these bytes.
        self.content = lower(model)
        self._program = _runtime().load_program(self.content)
        self._method = self._program.load_method("forward")
        self._inputs: Any = [torch.from_numpy(x) for x in model.inputs()]

    def run(self) -> Any:
        """Runs it once and returns its outputs."""
        return self._method.execute(self._inputs)


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
        _set_threads(backend.threads)
        try:
            self._program: _Program | None = _Program(model)
            self._program.run()
        except (LatbenchError, ImportError):
            raise
        except Exception as error:
            layer = _refused_layer(model)
            if not layer:
                raise
            raise BackendError(
                f"executorch does not run {layer}: {type(error).__name__} when it is lowered or "
                "run; take a runtime that does (onnxruntime, openvino, torch-eager)"
            ) from error
        self.model_bytes: int | None = len(self._program.content)
        self._outputs: Any = None

    def run(self) -> None:
        try:
            self._outputs = self._program.run()  # type: ignore[union-attr]
        except Exception as error:
            self._check_open()
            raise backend_error("executorch cannot run the network", error) from error

    def outputs(self) -> Any:
        self._check_open()
        if self._outputs is None:
            raise BackendError("there is no output; run the session first")
        found = tuple(np.array(y.numpy(), dtype=np.float32) for y in self._outputs)
        return found if len(found) > 1 else found[0]

    def profile(self, n: int) -> list[KernelTime]:
        raise BackendError(
            "executorch cannot profile a network: its packages are built without event tracing"
            ", and XNNPACK does a network as one"
        )

    def _check_open(self) -> None:
        if self._program is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        self._outputs = self._program = None
