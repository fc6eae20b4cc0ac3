"""OpenVINO, on an Intel or AMD CPU; other devices of OpenVINO by their own names.

Reads the ONNX model from memory: the file that a model came from as it is, or one that is made of
any other model. Input and output tensors are bound once. OpenVINO's own defaults
leave much to it: it computes in bfloat16 where the CPU can, uses fewer threads than asked for when
there are fewer cores, and chooses streams by the network. All of that is set here and read back
from the compiled model; a difference is an error.
https://docs.openvino.ai/2025/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device.html

What it changes in the whole process, which should therefore serve this backend alone (a
campaign's worker does): denormal floats become zero, also on the calling thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

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
from latbench.backends.precision import TOLERANCES, Precision
from latbench.device import cpu_name
from latbench.errors import BackendError, UsageError
from latbench.export.kernel_layers import KernelTime, kernels_of, named_layers
from latbench.export.parity import Rounding
from latbench.models import Model
from latbench.validation import Count, Natural

_REMEDY = "pip install 'latbench[openvino]'"
# What a device must list among its OPTIMIZATION_CAPABILITIES.
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}
_CORE_TYPES = {"any": "ANY_CORE", "performance": "PCORE_ONLY", "efficiency": "ECORE_ONLY"}
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


@final
@dataclass(frozen=True)
class OpenVino(Backend):
    """A backend on OpenVINO; the options are its own, each one fixed here so that it is recorded.

    ``device`` is one of OpenVINO's names, such as ``"CPU"`` or ``"GPU.1"``; ``"AUTO"``,
    ``"HETERO"`` and the like, which choose a device themselves, are refused.

    ``hint="latency"`` times one blocking request. ``hint="throughput"`` times a round: ``streams``
    requests start together and all are waited for, so that it is a request's latency on a fully
    loaded device; ``streams`` inferences divided by that time is the throughput. ``streams=0``
    stands for 1, or on the CPU with ``hint="throughput"`` for one a thread.

    ``precision`` is what layers compute in; with ``"bfloat16"`` outputs may differ from float32 by
    5 % of the largest one, with ``"float16"`` by 1 %. The rest governs the CPU only: ``threads``
    are shared out among the streams, ``pinning`` ties worker threads to cores, ``hyper_threading``
    allows two threads on a core, ``core_type`` matters where a CPU has two types of cores.
    """

    name: ClassVar[str] = "openvino"
    device: str = "CPU"
    hint: Literal["latency", "throughput"] = "latency"
    threads: Count = 1
    streams: Natural = 0
    precision: Precision = "float32"
    pinning: bool = True
    hyper_threading: bool = False
    core_type: Literal["any", "performance", "efficiency"] = "any"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device == "CPU" and self.streams > self.threads:
            raise UsageError(
                f"{self.streams} streams need at least as many threads, got {self.threads}"
            )

    @property
    def requests(self) -> int:
        """Returns how many inferences a run holds: the streams, with ``streams=0`` resolved."""
        if self.hint == "latency":
            return 1
        return self.streams or (self.threads if self.device == "CPU" else 1)

    @property
    def tolerance(self) -> float:
        """Returns the tolerance of its precision, see latbench.backends.precision."""
        return TOLERANCES[self.precision]

    @property
    def rounding(self) -> Rounding:
        """Returns its precision."""
        return self.precision

    def availability(self) -> Availability:
        """Returns that it is not ready without OpenVINO, its device, or the device's support of the
        precision."""
        base = installed("openvino", _REMEDY)
        if not base.ready:
            return base
        try:
            import openvino

            core = openvino.Core()
            return self._device_availability(core, base.version or str(openvino.__version__))
        except Exception as error:
            reason = f"openvino is damaged ({type(error).__name__}: {error})"
            return Availability(False, reason, f"uninstall it, then {_REMEDY}")

    def _device_availability(self, core: Any, version: str) -> Availability:
        devices = core.available_devices
        if not any(_same_device(self.device, found) for found in devices):
            reason = f"OpenVINO finds no device {self.device!r}, only {', '.join(devices)}"
            return Availability(False, reason, "name one of those, or install the device's driver")
        able = core.get_property(self.device, "OPTIMIZATION_CAPABILITIES")
        if _CAPABILITIES[self.precision] not in able:
            reason = f"{self.device} does not compute in {self.precision}"
            return Availability(False, reason, "choose precision='float32'")
        return Availability(True, version=version)

    def load(self, model: Model) -> Session:
        """Opens a session on the device that was asked for; whatever OpenVINO changed is an
        error."""
        with runtime_errors(f"{self.name} ({self.device}) cannot load the network"):
            return _OpenVinoSession(self, model)

    def device_name(self) -> str:
        """Returns the CPU's name, or what OpenVINO calls its other devices."""
        if self.device == "CPU":
            return cpu_name()
        with runtime_errors(f"openvino cannot name {self.device}"):
            import openvino

            return str(openvino.Core().get_property(self.device, "FULL_DEVICE_NAME"))

    def config(self) -> dict[str, Any]:
        """Returns the properties that the model is compiled with, by OpenVINO's names."""
        common = {
            "PERFORMANCE_HINT": self.hint.upper(),
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "NUM_STREAMS": self.streams or self.requests,
        }
        if self.device != "CPU":
            return common
        return common | {
            "INFERENCE_NUM_THREADS": self.threads,
            "ENABLE_CPU_PINNING": self.pinning,
            "ENABLE_HYPER_THREADING": self.hyper_threading,
            "SCHEDULING_CORE_TYPE": _CORE_TYPES[self.core_type],
            "CPU_DENORMALS_OPTIMIZATION": True,
        }


def _same_device(asked: str, found: str) -> bool:
    """OpenVINO numbers the devices of a kind when there are several: ``GPU`` means ``GPU.0``."""
    return found in (asked, f"{asked}.0")


def _compile(backend: OpenVino, model: bytes, profile: bool = False) -> Any:
    """An ``openvino.CompiledModel`` on the device that was asked for."""
    import openvino

    core = openvino.Core()
    if not any(_same_device(backend.device, found) for found in core.available_devices):
        raise BackendError(
            f"OpenVINO finds no device {backend.device!r}, only "
            f"{', '.join(core.available_devices)}; name one of those"
        )
    config = backend.config() | ({"PERF_COUNT": True} if profile else {})
    compiled = core.compile_model(core.read_model(model), backend.device, config)
    _check(backend, compiled)
    return compiled


def _check(backend: OpenVino, compiled: Any) -> None:
    """Raises BackendError when OpenVINO executes something else than it was asked for."""
    devices = list(compiled.get_property("EXECUTION_DEVICES"))
    if len(devices) != 1 or not _same_device(backend.device, devices[0]):
        raise BackendError(f"OpenVINO executes on {devices} instead of {backend.device!r}")
    asked = backend.config()
    keys = ["INFERENCE_PRECISION_HINT", "NUM_STREAMS"]
    keys += ["INFERENCE_NUM_THREADS"] if backend.device == "CPU" else []
    for key in keys:
        found = compiled.get_property(key)
        text = found.to_string() if key == "INFERENCE_PRECISION_HINT" else str(found)
        if text != str(asked[key]):
            raise BackendError(
                f"OpenVINO made {key} {text} of the {asked[key]} that was asked for, as this "
                "machine has no more; choose what it has"
            )


def _numpy_type(place: Any) -> npt.DTypeLike:
    """The type of the arrays that an input takes; OpenVINO's truth values are bytes."""
    kind = place.element_type
    found: npt.DTypeLike = kind.to_dtype()
    return found


@final
class _OpenVinoSession(Session):
    def __init__(self, backend: OpenVino, model: Model) -> None:
        graph = _graph(model)
        self.model_bytes: int | None = len(graph)
        self._loaded: tuple[OpenVino, Model] | None = (backend, model)
        self._compiled = _compile(backend, graph)
        # The input tensors point into these arrays, so they must live as long.
        self._inputs: list[npt.NDArray[Any]] = [
            np.ascontiguousarray(array, _numpy_type(place))
            for place, array in zip(self._compiled.inputs, model.inputs(), strict=True)
        ]
        bound = [self._bind(model) for _ in range(backend.requests)]
        self._requests: list[Any] = [request for request, _ in bound]
        self._outputs: list[Any] = bound[0][1]
        single = self._requests[0].infer
        self._run: Callable[[], object] | None = single if len(bound) == 1 else self._round

    def _bind(self, model: Model, compiled: Any = None) -> tuple[Any, list[Any]]:
        """A request and its output tensors."""
        import openvino

        compiled = compiled or self._compiled
        request = compiled.create_infer_request()
        for place, array in zip(compiled.inputs, self._inputs, strict=True):
            request.set_tensor(place, openvino.Tensor(array, shared_memory=True))
        outputs = []
        for place, i in zip(compiled.outputs, model.network.outputs, strict=True):
            shape = openvino.Shape(list(model.network.layers[i].shape))
            outputs.append(openvino.Tensor(place.element_type, shape))
            request.set_tensor(place, outputs[-1])
        return request, outputs

    def _round(self) -> None:
        for request in self._requests:
            request.start_async()
        for request in self._requests:
            request.wait()

    def run(self) -> None:
        try:
            self._run()  # type: ignore[misc]  # None only when closed, which is looked at below
        except Exception as error:
            self._check_open()
            raise backend_error("openvino cannot run the network", error) from error

    def outputs(self) -> Any:
        self._check_open()
        found = tuple(np.array(tensor.data, dtype=np.float32) for tensor in self._outputs)
        return found if len(found) > 1 else found[0]

    def profile(self, n: int) -> list[KernelTime]:
        """Profiles the network compiled once more, with OpenVINO's counters.

        They give the mean of all runs so far in whole microseconds, so the first run, which is
        slower, is taken off again; half a microsecond is added, what is cut off on average.
        """
        self._check_open()
        assert self._loaded is not None
        backend, model = self._loaded
        if backend.requests > 1:
            raise BackendError(
                f"openvino cannot profile {backend.requests} requests that run together; take "
                "hint=latency"
            )
        with runtime_errors("openvino cannot profile the network"):
            profiled, shown = model.named_after_layers()
            compiled = _compile(backend, _graph(profiled), profile=True)
            request, _ = self._bind(model, compiled)
            request.infer()
            first = _counters(request)
            for _ in range(n):
                request.infer()
            mean_us = _counters(request)
            own = _contents(compiled)
        timed = (
            (kernel, named_layers(own.get(name, ""), model.network),
             1e-6 * (max(((1 + n) * us - first.get(node, us)) / n, 0) + 0.5))
            for node, us in mean_us.items() for name, kernel in [node]
        )  # fmt: skip
        return kernels_of(model.network, timed, shown)

    def _check_open(self) -> None:
        if self._run is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        # Requests refer to the compiled model and to the tensors, so they go first.
        self._run = None
        self._requests = []
        self._outputs, self._inputs = [], []
        self._compiled = self._loaded = None


def _graph(model: Model) -> bytes:
    """The ONNX file that the model came from, or one that is made of it."""
    if model.source is not None:
        return model.source
    graph: bytes = model.onnx().SerializeToString()
    return graph


def _counters(request: Any) -> dict[tuple[str, str], float]:
    """The mean of the runs so far in microseconds of every node that runs, in their order: by its
    name, which is another one whenever the network is compiled, and what computes it."""
    return {
        (found.node_name, f"{found.node_type} {found.exec_type}"): (
            1e6 * found.real_time.total_seconds()
        )
        for found in request.profiling_info
        if found.status.name == "EXECUTED"
    }


def _contents(compiled: Any) -> dict[str, str]:
    """The names of the nodes that each kernel was made of; a conversion was made of none."""
    found = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        names = info["originalLayersNames"].astype(str) if "originalLayersNames" in info else ""
        found[node.get_friendly_name()] = names
    return found
