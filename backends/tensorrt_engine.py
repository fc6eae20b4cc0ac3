"""The building of TensorRT engines: one builder for a device and process, with a timing cache.

Building times candidate kernels for every layer. The cells of a search space share few layer
shapes, so with a timing cache that is kept from one network to the next most of them are timed
once; and a layer gets the same kernel in every network, which takes a source of noise away.
https://docs.nvidia.com/deeplearning/tensorrt/latest/performance/builder-performance.html
"""

from __future__ import annotations

import atexit
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from latbench.backends.tensorrt_versions import (
    Precision,
    network_flags,
    set_precision,
    set_tactics,
)
from latbench.errors import BackendError, quoted
from latbench.networks.ops import Shape

# numpy's names of the types that a network's inputs and outputs may have, by TensorRT's
# (https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/FoundationalTypes/DataType.html).
TYPES: Mapping[str, str] = MappingProxyType(
    {
        "FLOAT": "float32", "HALF": "float16", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
        "INT8": "int8", "UINT8": "uint8",
    }
)  # fmt: skip


class BuildSettings(NamedTuple):
    """The settings that decide which kernels an engine is made of, besides network and device."""

    precision: Precision
    optimization_level: int
    tactic_sources: tuple[str, ...]
    avg_timing_iterations: int
    workspace_mib: int


@cache
def _logger() -> Any:
    """The process's TensorRT logger: keeps the errors, drops the rest. TensorRT wants only one."""
    import tensorrt as trt

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(msg)

    return Logger()


class EngineBuilder:
    """A builder that turns ONNX models into engines. Every call needs the device's context to be
    current."""

    def __init__(self) -> None:
        import tensorrt as trt

        self._trt: Any = trt
        self._log = _logger()
        self._builder: Any = trt.Builder(self._log)
        self._runtime: Any = trt.Runtime(self._log)
        self._timing_caches: dict[BuildSettings, Any] = {}

    def build(
        self, model: bytes, settings: BuildSettings, detailed: bool = False
    ) -> tuple[Any, float]:
        """Builds the serialized engine (with ``nbytes``); returns it and the seconds of reading and
        building. A ``detailed`` one knows which nodes of the model its layers are made of.

        Raises BackendError with TensorRT's own message when it cannot be built.
        """
        started = time.perf_counter()
        self._log.errors.clear()
        network = self._builder.create_network(network_flags(self._trt))
        parser = self._trt.OnnxParser(network, self._log)  # owns the weights until it is built
        if not parser.parse(model):
            errors = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
            raise BackendError(f"TensorRT cannot read the model: {_first(errors)}")
        config = self._config(settings)
        if detailed:
            config.profiling_verbosity = self._trt.ProfilingVerbosity.DETAILED
        plan = self._builder.build_serialized_network(network, config)
        if plan is None:
            raise BackendError(f"TensorRT cannot build the engine: {_first(self._log.errors)}")
        return plan, time.perf_counter() - started

    def _config(self, settings: BuildSettings) -> Any:
        config = self._builder.create_builder_config()
        workspace = self._trt.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(workspace, settings.workspace_mib << 20)
        config.builder_optimization_level = settings.optimization_level
        config.avg_timing_iterations = settings.avg_timing_iterations
        set_precision(self._trt, config, settings.precision)
        set_tactics(self._trt, config, settings.tactic_sources)
        cache = self._timing_caches.get(settings)
        if cache is None:
            cache = self._timing_caches[settings] = config.create_timing_cache(b"")
        if not config.set_timing_cache(cache, False):
            raise BackendError("TensorRT does not take its own timing cache; start a new process")
        return config

    def timing_cache_bytes(self, settings: BuildSettings) -> int:
        """Returns the size of what was timed so far with these settings, serialized; 0 before the
        first one."""
        cache = self._timing_caches.get(settings)
        return 0 if cache is None else int(cache.serialize().nbytes)

    def load(self, plan: Any, shapes: Mapping[str, Shape]) -> tuple[Any, dict[str, Any]]:
        """Loads the engine, checked to have the tensors of these names and ``shapes``.

        Returns it and numpy's type of each tensor: before TensorRT 10 integers are of 32 bits,
        whatever the model says. Raises BackendError for other tensors.
        """
        self._log.errors.clear()
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise BackendError(f"TensorRT cannot load its engine: {_first(self._log.errors)}")
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        found = {name: tuple(engine.get_tensor_shape(name)) for name in names}
        if found != dict(shapes):
            raise BackendError(f"the engine has the tensors {found}; expected {dict(shapes)}")
        return engine, {name: _numpy_type(name, engine.get_tensor_dtype(name)) for name in names}

    def context(self, engine: Any, addresses: Mapping[str, int]) -> Any:
        """Makes an execution context that reads its inputs and writes its outputs there."""
        self._log.errors.clear()
        context = engine.create_execution_context()
        if context is None:
            raise BackendError(f"TensorRT cannot prepare the engine: {_first(self._log.errors)}")
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise BackendError(f"TensorRT does not take a buffer for {name!r}")
        return context

    def enqueue(self, context: Any, stream: int) -> None:
        """Puts one run on the stream; does not wait for it."""
        if not context.execute_async_v3(stream):
            raise BackendError(f"TensorRT cannot run the network: {_first(self._log.errors)}")

    def contents(self, engine: Any) -> dict[str, str]:
        """Returns a text with the model's nodes for each layer of a detailed engine, by its name.

        One that only changes a layout has none.
        https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html
        """
        form = self._trt.LayerInformationFormat.JSON
        told = json.loads(engine.create_engine_inspector().get_engine_information(form))
        # A layer is its name alone where the engine knows no more.
        layers = [{"Name": one} if isinstance(one, str) else one for one in told["Layers"]]
        return {one["Name"]: one.get("Metadata", _without_layouts(one["Name"])) for one in layers}

    def profile(self, context: Any, stream: int, n: int) -> dict[str, list[float]]:
        """Runs ``n`` times; returns the milliseconds of each of the engine's layers, in the order
        in which they run. Each run is waited for, as TensorRT does where a profiler listens."""

        class Profiler(self._trt.IProfiler):  # type: ignore[misc, name-defined]
            def __init__(self, base: Any) -> None:
                base.__init__(self)
                self.times: dict[str, list[float]] = defaultdict(list)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                self.times[layer_name].append(ms)

        context.profiler = listening = Profiler(self._trt.IProfiler)
        for _ in range(n):
            self.enqueue(context, stream)
        return dict(listening.times)


def _without_layouts(name: str) -> str:
    return "" if name.startswith("Reformatting") else name


def _numpy_type(name: str, dtype: Any) -> Any:
    """numpy's type for one of TensorRT's, such as ``DataType.HALF``."""
    told = str(dtype).rpartition(".")[2]
    if told not in TYPES:
        raise BackendError(
            f"TensorRT's tensor {quoted(name)} is of {told}, which numpy does not have; let the "
            "network take and give float16 or float32"
        )
    return np.dtype(TYPES[told])


def _first(errors: list[str]) -> str:
    """TensorRT's first error, one line of it: the later ones follow from it."""
    lines = errors[0].strip().splitlines() if errors else []
    return lines[0] if lines else "it gave no reason"


@cache
def engine_builder(device_id: int) -> EngineBuilder:
    """Returns the process's builder for the device, whose context must be current at the first
    call."""
    # Before the context goes, and not when the interpreter drops its modules, in whatever order.
    atexit.register(engine_builder.cache_clear)
    return EngineBuilder()
