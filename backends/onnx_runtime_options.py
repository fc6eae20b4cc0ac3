"""ONNX Runtime's options, and what each of its execution providers is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from latbench.backends.base import Backend
from latbench.backends.precision import TOLERANCES, Precision, rounding_of
from latbench.errors import UsageError
from latbench.export.parity import Rounding
from latbench.validation import Count, Natural


class Provider(NamedTuple):
    """An execution provider: ONNX Runtime's name for it, where its tensors are, and what it can."""

    name: str
    memory: str
    precisions: tuple[str, ...]
    install: str


# OpenVINO takes "float16" on a CPU, too, but computes something else (bfloat16, where measured;
# 2026-11-24).
PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "cpu": Provider("CPUExecutionProvider", "cpu", ("float32",), "pip install 'latbench[cpu]'"),
        "cuda": Provider(
            "CUDAExecutionProvider", "cuda", ("float32",), "pip install 'latbench[cuda]'"
        ),
        "tensorrt": Provider(
            "TensorrtExecutionProvider",
            "cuda",
            ("float32", "float16"),
            "pip install 'latbench[cuda]' tensorrt",
        ),
        "openvino": Provider(
            "OpenVINOExecutionProvider",
            "cpu",
            ("float32", "bfloat16"),
            "pip install onnxruntime-openvino",
        ),
    }
)


@dataclass(frozen=True)
class OnnxRuntimeOptions(Backend):
    """The options of ONNX Runtime, each one fixed here so that it is recorded.

    ``threads`` and ``spinning`` (idle threads keep polling for work) govern the operators on the
    CPU; operators run one after another. ``cpu_arena`` and ``mem_pattern`` say whether buffers
    come from an arena and from one block planned ahead, ``cuda_arena`` how the GPU's arena grows.
    ``cudnn_conv_algo_search="exhaustive"`` times every algorithm in a shape's first run and may
    choose another one in another session. ``precision`` is what TensorRT (float16) and OpenVINO
    (bfloat16) compute in; ``trt_timing_cache_path`` is a folder, and no cache when empty.
    """

    provider: Literal["cpu", "cuda", "tensorrt", "openvino"] = "cpu"
    threads: Count = 1
    spinning: bool = True
    graph_optimization: Literal["disabled", "basic", "extended", "all"] = "all"
    denormals_as_zero: bool = True
    cpu_arena: bool = True
    mem_pattern: bool = True
    precision: Precision = "float32"
    device_id: Natural = 0
    cudnn_conv_algo_search: Literal["exhaustive", "heuristic", "default"] = "exhaustive"
    cudnn_conv_use_max_workspace: bool = True
    cuda_arena: Literal["next_power_of_two", "same_as_requested"] = "next_power_of_two"
    tf32: bool = False
    trt_builder_optimization_level: int = 3
    trt_timing_cache_path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.trt_builder_optimization_level <= 5:
            raise UsageError(
                "trt_builder_optimization_level must be 0 to 5, got "
                f"{self.trt_builder_optimization_level}"
            )
        possible = PROVIDERS[self.provider].precisions
        if self.precision not in possible:
            raise UsageError(
                f"provider {self.provider!r} computes in {' or '.join(possible)}, got "
                f"precision={self.precision!r}"
            )

    @property
    def tolerance(self) -> float:
        """Returns the tolerance of its precision, see latbench.backends.precision."""
        return TOLERANCES[self.rounding]

    @property
    def rounding(self) -> Rounding:
        """Returns its precision, TF32 where products may be rounded to that."""
        on_gpu = PROVIDERS[self.provider].memory == "cuda"
        return rounding_of(self.precision, self.tf32 and on_gpu)

    def cuda_device(self) -> int | None:
        """Returns the device of the CUDA and TensorRT providers."""
        return self.device_id if PROVIDERS[self.provider].memory == "cuda" else None
