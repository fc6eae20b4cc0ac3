"""That the TensorRT and pycuda which are installed have what the backend calls.

Runs wherever ``import tensorrt`` works, with or without a GPU; the other tests need one.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from latbench.backends.tensorrt_engine import TYPES
from latbench.backends.tensorrt_versions import (
    network_flags,
    release,
    set_precision,
    set_tactics,
    tactic_bits,
)
from latbench.errors import BackendError

BACKENDS = Path(__file__).parents[2] / "backends"

# Class -> what the backend uses of it, in every release from 8.6 on.
TENSORRT = {
    "Builder": ("create_network", "create_builder_config", "build_serialized_network"),
    "IBuilderConfig": (
        "set_memory_pool_limit", "builder_optimization_level", "avg_timing_iterations",
        "set_flag", "clear_flag", "set_tactic_sources", "create_timing_cache", "set_timing_cache",
        "profiling_verbosity",
    ),
    "ICudaEngine": (
        "num_io_tensors", "get_tensor_name", "get_tensor_shape", "get_tensor_dtype",
        "create_execution_context", "create_engine_inspector",
    ),
    "EngineInspector": ("get_engine_information",),
    "IExecutionContext": ("set_tensor_address", "execute_async_v3", "profiler"),
    "IProfiler": ("report_layer_time",),
    "LayerInformationFormat": ("JSON",),
    "ProfilingVerbosity": ("DETAILED",),
    "IHostMemory": ("nbytes",),
    "ITimingCache": ("serialize",),
    "ILogger": ("log",),
    "MemoryPoolType": ("WORKSPACE",),
    "OnnxParser": ("parse", "num_errors", "get_error"),
    "ParserError": ("desc",),
    "Runtime": ("deserialize_cuda_engine",),
}  # fmt: skip
PYCUDA = {
    "Device": ("retain_primary_context",),
    "Context": ("push", "pop", "detach", "synchronize"),
    "Stream": ("synchronize", "handle"),
    "Event": ("record", "time_till"),
    "DeviceAllocation": ("free", "__int__"),
}
PYCUDA_FUNCTIONS = ("init", "mem_alloc", "mem_get_info", "memcpy_htod", "memcpy_dtoh")


@pytest.fixture(scope="module")
def trt() -> Any:
    return pytest.importorskip("tensorrt", exc_type=ImportError)


@pytest.fixture(scope="module")
def cuda() -> Any:
    return pytest.importorskip("pycuda.driver", exc_type=ImportError)


@pytest.mark.parametrize("name", TENSORRT)
def test_tensorrt_has_what_is_used(trt: Any, name: str) -> None:
    assert [m for m in TENSORRT[name] if not hasattr(getattr(trt, name), m)] == []


def test_the_types_of_tensors_go_by_their_names(trt: Any) -> None:
    known = set(trt.DataType.__members__)
    assert set(TYPES) - known <= {"INT64"}  # which came with TensorRT 10
    assert str(trt.DataType.HALF).rpartition(".")[2] == "HALF"


def test_pycuda_has_what_is_used(cuda: Any) -> None:
    assert [f for f in PYCUDA_FUNCTIONS if not hasattr(cuda, f)] == []
    for name, members in PYCUDA.items():
        assert [m for m in members if not hasattr(getattr(cuda, name), m)] == [], name


def attributes(module: str) -> set[str]:
    return {n.attr for n in ast.walk(ast.parse((BACKENDS / module).read_text()))
            if isinstance(n, ast.Attribute)}  # fmt: skip


def test_the_table_names_what_the_source_uses() -> None:
    """A name that nobody calls any more must leave the table."""
    used = attributes("tensorrt_engine.py") | attributes("tensorrt_versions.py")
    used |= attributes("tensorrt.py")
    for members in TENSORRT.values():
        assert set(members) - used <= {"log", "report_layer_time"}
    used = attributes("device_buffers.py")
    for members in PYCUDA.values():
        assert set(members) - used <= {"__int__"}
    assert set(PYCUDA_FUNCTIONS) <= used


class Recorder:
    """Stands in for an IBuilderConfig, which cannot be made without a device."""

    def __init__(self) -> None:
        self.flags: dict[str, bool] = {}
        self.previews: dict[str, bool] = {}
        self.tactics = -1

    def set_flag(self, flag: Any) -> None:
        self.flags[flag.name] = True

    def clear_flag(self, flag: Any) -> None:
        self.flags[flag.name] = False

    def set_tactic_sources(self, bits: int) -> bool:
        self.tactics = bits
        return True

    def set_preview_feature(self, feature: Any, on: bool) -> None:
        self.previews[feature.name] = on


def test_the_bridge_with_the_real_names(trt: Any) -> None:
    version = release(trt.__version__)
    config = Recorder()
    set_precision(trt, config, "float16")
    set_tactics(trt, config, ("edge_mask_convolutions", "jit_convolutions"))
    source = trt.TacticSource
    assert config.tactics == (1 << int(source.EDGE_MASK_CONVOLUTIONS)) | (
        1 << int(source.JIT_CONVOLUTIONS)
    )
    assert config.previews == {}
    if version < (9, 0):
        assert config.flags == {"TF32": False, "FP16": True}
        assert network_flags(trt) == 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        set_tactics(trt, config, ("cudnn",))
        assert config.previews == {"DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805": False}
    else:
        assert config.flags == {"TF32": False}
        assert network_flags(trt) & 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    if version >= (11, 0):
        with pytest.raises(BackendError, match="no tactic source 'cudnn', only edge_mask"):
            tactic_bits(["cudnn"], source.__members__)


def test_the_logger_can_be_made_without_a_device(trt: Any) -> None:
    from latbench.backends.tensorrt_engine import _logger

    logger = _logger()
    assert _logger() is logger
    logger.log(trt.ILogger.Severity.WARNING, "slow")
    logger.log(trt.ILogger.Severity.ERROR, "broken")
    assert logger.errors == ["broken"]
    logger.errors.clear()
