"""ONNX Runtime, on its CPU, CUDA, TensorRT or OpenVINO execution provider.

An ONNX file that a model came from runs as it is; any other model is exported. Inputs and outputs
are bound once, on the device, so that a run holds no allocation and no copy between host and device
(https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html).

What it changes in the whole process, which should therefore serve this backend alone (a
campaign's worker does):

- with ``denormals_as_zero``, denormal floats become zero also on the calling thread, from the
  first session on (the first one decides for the process);
- with ``provider="cuda"`` or ``"tensorrt"`` and ``tf32=False``, TF32 is off for every NVIDIA
  library.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from latbench.backends.base import (
    Availability,
    Session,
    backend_error,
    runtime_errors,
)
from latbench.backends.onnx_runtime_options import PROVIDERS, OnnxRuntimeOptions
from latbench.backends.onnx_runtime_profile import WARM_UP_RUNS, node_times, set_profile
from latbench.backends.onnx_runtime_providers import (
    availability_of_provider,
    open_session,
    prepare,
    provider_options,
)
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime, kernels_of
from latbench.export.parity import numpy_type
from latbench.models import Model
from latbench.networks.weights import Weights

_ERRORS_ONLY = 3


@final
@dataclass(frozen=True)
class OnnxRuntime(OnnxRuntimeOptions):
    """A backend on one of ONNX Runtime's execution providers; for its options see
    ``OnnxRuntimeOptions``."""

    name: ClassVar[str] = "onnxruntime"

    def availability(self) -> Availability:
        """Returns that it is not ready when absent, installed twice over itself, or without what
        the provider needs.

        That a provider's libraries load is only seen by ``load``, which raises if they do not.
        """
        return availability_of_provider(self)

    def load(self, model: Model) -> Session:
        """Opens a session on the one provider that was asked for; a fallback to another is an
        error."""
        with runtime_errors(f"{self.name} ({self.provider}) cannot load the network"):
            return _OnnxRuntimeSession(self, model)

    def session_options(self) -> Any:
        """Returns the ``onnxruntime.SessionOptions`` of these options."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        level = f"ORT_{'DISABLE' if self.graph_optimization == 'disabled' else 'ENABLE'}_"
        level += "ALL" if self.graph_optimization == "disabled" else self.graph_optimization.upper()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        options.enable_cpu_mem_arena = self.cpu_arena
        options.enable_mem_pattern = self.mem_pattern
        options.log_severity_level = _ERRORS_ONLY
        entries = {
            "session.intra_op.allow_spinning": self.spinning,
            "session.set_denormal_as_zero": self.denormals_as_zero,
            "session.use_env_allocators": False,  # the arena is this session's own
        }
        if self.provider != "cpu":
            entries["session.disable_cpu_ep_fallback"] = True
        for key, value in entries.items():
            options.add_session_config_entry(key, str(int(value)))
        return options

    def provider_options(self) -> dict[str, str]:
        """Returns the execution provider's own options, as the texts that ONNX Runtime takes."""
        return provider_options(self)


@final
class _OnnxRuntimeSession(Session):
    def __init__(self, backend: OnnxRuntime, model: Model, profile: Path | None = None) -> None:
        """Opens it; a profile goes into a folder, together with the graph that it is of."""
        from onnxruntime import OrtValue

        provider, options = PROVIDERS[backend.provider], backend.session_options()
        # The session may read weights where they are, so they must live as long.
        if profile is not None:
            set_profile(options, profile)
        self._loaded: tuple[OnnxRuntime, Model] | None = (backend, model)
        # Weights are handed over where they are, not serialised; the session may read them there,
        # so they must live as long. TensorRT and OpenVINO parse a model that must be complete.
        self._weights: Weights = {}
        # TensorRT and OpenVINO parse a model that must be complete.
        whole = backend.provider in ("tensorrt", "openvino")
        graph = _graph(model, None if whole else self._weights)
        self.model_bytes = len(graph) + sum(array.nbytes for array in self._weights.values())
        values = [OrtValue.ortvalue_from_numpy(array) for array in self._weights.values()]
        options.add_external_initializers(list(self._weights), values)
        prepare(backend)
        start = time.perf_counter()
        self._session = open_session(provider.name, backend.provider_options(), options, graph)
        self.build_s = time.perf_counter() - start
        where = (provider.memory, backend.device_id if provider.memory == "cuda" else 0)
        self._binding = self._session.io_binding()
        # On the CPU an OrtValue points into its array, so that one must live as long.
        self._inputs: list[npt.NDArray[Any]] = []
        for place, array in zip(self._session.get_inputs(), model.inputs(), strict=True):
            self._inputs.append(np.ascontiguousarray(array, numpy_type(place.type)))
            value = OrtValue.ortvalue_from_numpy(self._inputs[-1], *where)
            self._binding.bind_ortvalue_input(place.name, value)
        self._outputs: list[Any] = []
        given = [model.network.layers[i].shape for i in model.network.outputs]
        for place, shape in zip(self._session.get_outputs(), given, strict=True):
            kind = numpy_type(place.type)
            value = OrtValue.ortvalue_from_shape_and_type(list(shape), kind.type, *where)
            self._outputs.append(value)
            self._binding.bind_ortvalue_output(place.name, value)

    def run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as error:
            self._check_open()
            raise backend_error("onnxruntime cannot run the network", error) from error

    def outputs(self) -> Any:
        self._check_open()
        found = tuple(np.array(value.numpy(), dtype=np.float32) for value in self._outputs)
        return found if len(found) > 1 else found[0]

    def profile(self, n: int) -> list[KernelTime]:
        """Profiles a session that is opened for it.

        ONNX Runtime writes a file when profiling ends, and then does not begin again.
        """
        self._check_open()
        assert self._loaded is not None
        backend, model = self._loaded
        if backend.provider != "cpu":
            raise BackendError(
                f"onnxruntime cannot profile a network on its provider {backend.provider}: it "
                "times the launch of kernels there, or the network as one kernel; take "
                "provider=cpu, or the backend tensorrt, openvino or torch-eager"
            )
        with (
            runtime_errors("onnxruntime cannot profile the network"),
            tempfile.TemporaryDirectory() as folder,
        ):
            profiled, shown = model.named_after_layers()
            twin = _OnnxRuntimeSession(backend, profiled, Path(folder))
            try:
                for _ in range(WARM_UP_RUNS + n):
                    twin.run()
            finally:
                written = Path(twin._session.end_profiling())
                twin.close()
            events = json.loads(written.read_text("utf-8"))
            times = node_times(events, n, model.network, Path(folder))
            return kernels_of(model.network, times, shown)

    def _check_open(self) -> None:
        if self._session is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        # The binding refers to the session, so it goes first.
        self._binding = self._session = self._loaded = None
        self._inputs, self._outputs, self._weights = [], [], {}


def _graph(model: Model, beside: Weights | None) -> bytes:
    """The ONNX file that the model came from, or one that is made of it, whose weights are not
    serialised but handed over where they are: put into ``beside``, if there is one."""
    if model.source is not None:
        return model.source
    from latbench.export.onnx import to_onnx

    graph: bytes = to_onnx(model.network, model.weights, beside=beside).SerializeToString()
    return graph
