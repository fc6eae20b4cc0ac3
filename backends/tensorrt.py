"""NVIDIA TensorRT, 8.6 to 11, on engines that are built from an ONNX model.

That is the file that a model came from, as it is; any other model is exported. What is exported is
typed (see latbench.export.onnx), so one precision means the same in every release. A file in
float32 is exported anew for ``precision="float16"``; one that has float16 or integers by itself
keeps them.
While an engine is built or timed, no other TensorRT session of latbench builds or times on that
device, in this process or another one: TensorRT chooses kernels by timing them, so that a build
beside a measurement spoils both. Sessions of other runtimes are not kept off by that, but by their
campaigns, of which only one at a time is on a device (docs/measuring.md); outside of campaigns, by
nothing. A builder and its timing cache live as long as the process; an engine, its buffers, stream
and graph go with ``close()``.

With ``precision="tf32"`` it needs a process in which NVIDIA_TF32_OVERRIDE is not 0. What the
options do and what each release needs: docs/tensorrt.md
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from latbench.backends.base import (
    Availability,
    Backend,
    Session,
    backend_error,
    installed,
    runtime_errors,
    typical,
)
from latbench.backends.cuda import missing_device, set_tf32
from latbench.backends.cuda_driver import CudaGraph
from latbench.backends.device_buffers import CudaContext, DeviceBuffers, open_device
from latbench.backends.tensorrt_versions import (
    Precision,
    TacticSource,
    missing_precision,
    unusable,
)
from latbench.device.driver import compute_capability
from latbench.errors import BackendError, LatbenchError, UsageError
from latbench.export.kernel_layers import KernelTime, kernels_of, named_layers
from latbench.export.parity import FLOAT32, Rounding, tolerance_of_file
from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.ops import Shape
from latbench.validation import Count, Natural

if TYPE_CHECKING:
    from latbench.backends.tensorrt_engine import BuildSettings

_INSTALL = "pip install 'latbench[tensorrt]'"

# Against torch float32, as a share of the largest output. Rounding to 10 bits of mantissa, of the
# operands of convolutions (TF32) or of every tensor (FP16), gave at most 2.3e-3 and 1.8e-3 over 22
# networks of every space (docs/tensorrt.md, 2026-11-24). FP16 has more room because a kernel may
# also accumulate in float16.
_TOLERANCE: Mapping[Precision, float] = MappingProxyType(
    {"float32": 1e-4, "tf32": 1e-2, "float16": 2e-2}
)


@final
@dataclass(frozen=True)
class TensorRT(Backend):
    """A backend on TensorRT; every option that changes which kernels are chosen is fixed and
    recorded.

    ``cuda_graph`` launches the whole network as one recorded graph. ``optimization_level`` is the
    builder's, 0 to 5. ``tactic_sources`` are the only ones used, in alphabetical order.
    ``avg_timing_iterations`` is how often the builder times a kernel; ``workspace_mib`` is the
    scratch memory that a kernel may use, in MiB.
    """

    name: ClassVar[str] = "tensorrt"
    precision: Precision = "float32"
    cuda_graph: bool = False
    optimization_level: int = 3
    tactic_sources: tuple[TacticSource, ...] = ("edge_mask_convolutions", "jit_convolutions")
    avg_timing_iterations: Count = 8
    workspace_mib: Count = 1024
    device_id: Natural = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.optimization_level <= 5:
            raise UsageError(
                f"optimization_level must be from 0 to 5, got {self.optimization_level}"
            )
        ordered = tuple(sorted(set(self.tactic_sources)))
        if self.tactic_sources != ordered:
            raise UsageError(
                f"tactic_sources must be in order and each only once, {list(ordered)}; "
                f"got {list(self.tactic_sources)}"
            )

    @property
    def tolerance(self) -> float:
        """Returns 1e-4 in FP32, 1e-2 in TF32, 2e-2 in FP16, as a share of the largest output."""
        return _TOLERANCE[self.precision]

    @property
    def rounding(self) -> Rounding:
        """Returns its precision."""
        return self.precision

    def availability(self) -> Availability:
        """Returns that it is not ready without both packages, a device, and a release and precision
        that fit it."""
        for package in ("tensorrt", "pycuda"):
            found = installed(package, _INSTALL)
            if not found.ready:
                return found
        reason, remedy = missing_device(self.device_id)
        if reason:
            return Availability(False, reason, remedy)
        try:
            return self._usable()
        except Exception as error:
            reason = f"tensorrt or pycuda is damaged ({type(error).__name__}: {error})"
            return Availability(False, reason, f"uninstall both, then {_INSTALL}")

    def _usable(self) -> Availability:
        import pycuda.driver  # noqa: F401 - it may have been built for another CUDA
        import tensorrt

        version = str(tensorrt.__version__)
        capability = compute_capability(self.device_id)
        for reason, remedy in (
            unusable(version, capability),
            missing_precision(self.precision, capability),
        ):
            if reason:
                return Availability(False, reason, remedy)
        return Availability(True, version=version)

    def cuda_device(self) -> int | None:
        """Returns the device's number, always a CUDA device."""
        return self.device_id

    def load(self, model: Model) -> Session:
        """Opens a session with an engine that is built now; ``session.build_s`` says how long it
        took."""
        with runtime_errors(f"{self.name} ({self.precision}) cannot load the network"):
            return _TensorRTSession(self, model)


def _export(model: Model, precision: Precision) -> bytes:
    """The ONNX model that the engine is built from."""
    from latbench.export.onnx import to_onnx
    from latbench.export.onnx_graph import FloatType

    if model.source is not None and not (
        precision == "float16" and tolerance_of_file(model.source)[0] == FLOAT32
    ):
        return model.source
    dtype: FloatType = "float16" if precision == "float16" else "float32"
    graph: bytes = to_onnx(model.network, model.weights, dtype).SerializeToString()
    return graph


def _tensors(graph: bytes, network: Network) -> dict[str, Shape]:
    """The shapes of a network's inputs, and then outputs, by the names that an ONNX model gives
    them."""
    import onnx

    parsed = onnx.load_from_string(graph).graph
    stored = {tensor.name for tensor in parsed.initializer}
    inputs = [i.name for i in parsed.input if i.name not in stored]
    names, layers = [*inputs, *(o.name for o in parsed.output)], (*network.inputs, *network.outputs)
    return {name: network.layers[i].shape for name, i in zip(names, layers, strict=True)}


def _build_settings(backend: TensorRT) -> BuildSettings:
    from latbench.backends.tensorrt_engine import BuildSettings

    return BuildSettings(
        precision=backend.precision,
        optimization_level=backend.optimization_level,
        tactic_sources=backend.tactic_sources,
        avg_timing_iterations=backend.avg_timing_iterations,
        workspace_mib=backend.workspace_mib,
    )


@final
class _TensorRTSession(Session):
    def __init__(self, backend: TensorRT, model: Model) -> None:
        self._buffers: DeviceBuffers | None = None
        self._engine: Any = None
        self._context: Any = None
        self._graph: CudaGraph | None = None
        self._loaded: tuple[TensorRT, Model] | None = (backend, model)
        graph = _export(model, backend.precision)
        if backend.precision == "tf32":
            set_tf32(True)
        self._device: CudaContext = open_device(backend.device_id)
        try:
            with self._device.alone():
                self._build(backend, model, graph)
        except BaseException:
            with suppress(Exception):  # a device that failed fails again; the first error counts
                self.close()
            raise

    def _build(self, backend: TensorRT, model: Model, graph: bytes) -> None:
        from latbench.backends.tensorrt_engine import engine_builder

        self._builder = engine_builder(backend.device_id)
        plan, self.build_s = self._builder.build(graph, _build_settings(backend))
        self.model_bytes = int(plan.nbytes)
        shapes = _tensors(graph, model.network)
        self._engine, types = self._builder.load(plan, shapes)
        given = model.inputs()
        inputs, outputs = list(shapes)[: len(given)], list(shapes)[len(given) :]
        arrays = zip(inputs, given, strict=True)
        self._buffers = buffers = DeviceBuffers(
            {name: np.ascontiguousarray(array, types[name]) for name, array in arrays},
            {name: np.zeros(shapes[name], types[name]) for name in outputs},
        )
        self._context = self._builder.context(self._engine, buffers.addresses)
        self._stream = buffers.stream
        # A first run by itself: TensorRT settles there what a graph could not record (2026-11-24).
        self._enqueue()
        buffers.wait()
        if backend.cuda_graph:
            try:
                self._graph = CudaGraph(self._stream, self._enqueue)
            except BackendError as error:
                raise BackendError(f"no CUDA graph ({error}); choose cuda_graph=false") from error

    def _enqueue(self) -> None:
        if self._graph is not None:
            self._graph.launch()
        else:
            self._builder.enqueue(self._context, self._stream)

    def _open(self) -> DeviceBuffers:
        if self._buffers is None:
            raise BackendError("the session is closed; load the network again")
        return self._buffers

    def run(self) -> None:
        buffers = self._open()
        try:
            with self._device.alone():
                self._enqueue()
                buffers.wait()
        except LatbenchError:
            raise
        except Exception as error:
            raise backend_error("tensorrt cannot run the network", error) from error

    def time(self, n: int) -> list[int]:
        """Nanoseconds by CUDA events on the session's own stream; see ``DeviceBuffers.time``."""
        buffers = self._open()
        with runtime_errors("tensorrt cannot run the network"), self._device.alone():
            return buffers.time(self._enqueue, n)

    def profile(self, n: int) -> list[KernelTime]:
        """Profiles an engine that is built once more and knows what its layers are made of, without
        a CUDA graph, in which TensorRT times nothing."""
        buffers = self._open()
        assert self._loaded is not None
        backend, model = self._loaded
        with runtime_errors("tensorrt cannot profile the network"), self._device.alone():
            profiled, shown = model.named_after_layers()
            graph = _export(profiled, backend.precision)
            plan, _ = self._builder.build(graph, _build_settings(backend), detailed=True)
            shapes = _tensors(graph, model.network)
            engine, _ = self._builder.load(plan, shapes)
            addresses = dict(zip(shapes, buffers.addresses.values(), strict=True))
            context = self._builder.context(engine, addresses)
            self._builder.enqueue(context, self._stream)
            buffers.wait()
            times = self._builder.profile(context, self._stream, n)
            contents = self._builder.contents(engine)
        timed = (
            (name, named_layers(contents.get(name, ""), model.network), 1e-3 * typical(of))
            for name, of in times.items()
        )
        return kernels_of(model.network, timed, shown)

    def outputs(self) -> Any:
        buffers = self._open()
        with runtime_errors("tensorrt cannot give the output"), self._device.active():
            found = tuple(array.astype(np.float32) for array in buffers.outputs())
        return found if len(found) > 1 else found[0]

    def close(self) -> None:
        if self._buffers is None and self._engine is None:
            return
        with self._device.active():
            if self._graph is not None:
                self._graph.free()
            # The context refers to the engine and to the buffers, so it goes first.
            self._graph = self._context = self._engine = self._loaded = None
            if self._buffers is not None:
                self._buffers.free()
            self._buffers = None
