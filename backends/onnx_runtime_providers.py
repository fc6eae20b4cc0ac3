"""ONNX Runtime's execution providers: what each needs, its options, and a session on it alone.

ONNX Runtime gives what a provider cannot take to the next one in the list, and adds the CPU to
every list, so a latency may silently be another device's. Here a session has one provider, and
``session.disable_cpu_ep_fallback`` makes every node that this one does not take an error
(https://github.com/microsoft/onnxruntime/pull/16016). TensorRT is not backed by CUDA either,
although its documentation recommends it: a figure with nodes on CUDA would be neither's.
"""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from latbench.backends.base import Availability, installed
from latbench.backends.cuda import pip_cudnn, set_tf32, unusable_device
from latbench.backends.onnx_runtime_options import PROVIDERS, OnnxRuntimeOptions
from latbench.errors import BackendError, BackendUnavailable

# All of them unpack into the folder "onnxruntime", over each other's files.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")


def installed_distributions() -> dict[str, str]:
    """Returns the installed distributions that bring ``import onnxruntime``, with their
    versions."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def availability_of_provider(backend: OnnxRuntimeOptions) -> Availability:
    """Returns that it is not ready when absent, installed twice over itself, or without what its
    provider needs."""
    found, install = installed_distributions(), PROVIDERS[backend.provider].install
    if len(found) > 1:
        names = " and ".join(f"{n} {v}" for n, v in found.items())
        return Availability(
            False,
            f"{names} are both installed and have overwritten each other's files",
            f"pip uninstall -y {' '.join(found)}, then {install}",
        )
    base = installed("onnxruntime", install, distribution=next(iter(found), None))
    return _imported(backend, base) if base.ready else base


def _imported(backend: OnnxRuntimeOptions, base: Availability) -> Availability:
    provider = PROVIDERS[backend.provider]
    try:
        import onnxruntime

        version = base.version or str(onnxruntime.__version__)
        providers = onnxruntime.get_available_providers()
    except Exception as error:
        reason = f"onnxruntime is damaged ({type(error).__name__}: {error})"
        return Availability(False, reason, f"uninstall it, then {provider.install}")
    if provider.name not in providers:
        swap = "".join(f"pip uninstall -y {name}, then " for name in installed_distributions())
        reason = f"onnxruntime {version} was built without {provider.name}"
        return Availability(False, reason, swap + provider.install)
    reason, remedy = _missing(backend, version)
    return Availability(False, reason, remedy) if reason else Availability(True, version=version)


def _missing(backend: OnnxRuntimeOptions, version: str) -> tuple[str, str]:
    """``(reason, remedy)`` when the provider's device or library is absent, else empty texts."""
    provider = PROVIDERS[backend.provider]
    if provider.memory == "cuda":
        missing = unusable_device(backend.device_id, {"onnxruntime": version} | pip_cudnn())
        if missing[0]:
            return missing
    if backend.provider == "tensorrt" and not _has_tensorrt():
        return (
            "TensorRT is neither installed as the Python package 'tensorrt' nor on the library "
            "path (libnvinfer)",
            "pip install tensorrt, of the version that this onnxruntime-gpu was built for",
        )
    if backend.precision == "bfloat16" and not _cpu_has_bfloat16():
        return (
            "this CPU has no bfloat16 instructions (avx512_bf16 or amx_bf16), so OpenVINO would "
            "compute in another precision",
            "choose precision='float32'",
        )
    return "", ""


def _has_tensorrt() -> bool:
    found = importlib.util.find_spec("tensorrt") is not None
    return found or ctypes.util.find_library("nvinfer") is not None


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux: nobody says that it has them
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def provider_options(backend: OnnxRuntimeOptions) -> dict[str, str]:
    """Returns the execution provider's own options, as the texts that ONNX Runtime takes.

    Names: https://onnxruntime.ai/docs/execution-providers/, pages CUDA, TensorRT and OpenVINO.
    """
    if backend.provider == "cuda":
        return {
            "device_id": str(backend.device_id),
            "cudnn_conv_algo_search": backend.cudnn_conv_algo_search.upper(),
            "cudnn_conv_use_max_workspace": str(int(backend.cudnn_conv_use_max_workspace)),
            "use_tf32": str(int(backend.tf32)),
            "arena_extend_strategy": _ARENA[backend.cuda_arena],
            "enable_cuda_graph": "0",
        }
    if backend.provider == "tensorrt":
        return _tensorrt_options(backend)
    if backend.provider == "openvino":
        return _openvino_options(backend)
    return {}


_ARENA = {"next_power_of_two": "kNextPowerOfTwo", "same_as_requested": "kSameAsRequested"}


def _tensorrt_options(backend: OnnxRuntimeOptions) -> dict[str, str]:
    # The engine cache stays off: it is found by the graph's name and would be another build's.
    options = {
        "device_id": str(backend.device_id),
        "trt_fp16_enable": str(int(backend.precision == "float16")),
        "trt_builder_optimization_level": str(backend.trt_builder_optimization_level),
        "trt_engine_cache_enable": "0",
        "trt_cuda_graph_enable": "0",
        "trt_timing_cache_enable": str(int(bool(backend.trt_timing_cache_path))),
    }
    if backend.trt_timing_cache_path:
        options["trt_timing_cache_path"] = backend.trt_timing_cache_path
    return options


def _openvino_options(backend: OnnxRuntimeOptions) -> dict[str, str]:
    properties = {
        "INFERENCE_NUM_THREADS": str(backend.threads),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if backend.precision == "bfloat16" else "f32",
        "CPU_DENORMALS_OPTIMIZATION": "YES" if backend.denormals_as_zero else "NO",
    }
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": properties})}


def prepare(backend: OnnxRuntimeOptions) -> None:
    """Finds the libraries that pip installed, and settles TF32 before they start."""
    if PROVIDERS[backend.provider].memory != "cuda":
        return
    import onnxruntime

    set_tf32(backend.tf32)
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        with redirect_stdout(sys.stderr):  # it prints what it cannot find
            onnxruntime.preload_dlls()
    if backend.provider != "tensorrt":
        return
    if importlib.util.find_spec("tensorrt") is not None:
        importlib.import_module("tensorrt")  # loads libnvinfer from where pip put it
    if backend.trt_timing_cache_path:
        os.makedirs(backend.trt_timing_cache_path, exist_ok=True)


def open_session(name: str, options: Mapping[str, str], session_options: Any, model: bytes) -> Any:
    """Opens an ``onnxruntime.InferenceSession`` that runs a model on one provider alone.

    Args:
        name: The provider's name in ONNX Runtime.
        options: The provider's options.
        session_options: The ``onnxruntime.SessionOptions``.
        model: The serialised ONNX model.

    Returns:
        The session.

    Raises:
        BackendUnavailable: When this onnxruntime has no such provider.
        BackendError: When the provider does not start or leaves a node to another one.
    """
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if name not in available:
        raise BackendUnavailable(
            f"this onnxruntime has no {name}, only {', '.join(available)}; it comes with "
            + " or ".join(p.install for p in PROVIDERS.values() if p.name == name)
        )
    try:
        session = onnxruntime.InferenceSession(
            model,
            session_options,
            providers=[(name, dict(options))],
            enable_fallback=0,  # or a provider that fails is replaced by the CPU's with a print
        )
    except Exception as error:
        if "fallback to CPU" in str(error):
            raise _fell_back(name) from error
        raise
    if session.get_providers()[0] != name:
        raise _fell_back(name)
    return session


def _fell_back(name: str) -> BackendError:
    return BackendError(
        f"{name} could not start or did not take every layer, and onnxruntime would run the rest "
        "on the CPU, which is no figure of this provider; the lines above on standard error say "
        "which library, device or layer it was"
    )
