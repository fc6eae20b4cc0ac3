"""ONNX Runtime, on its CPU or CUDA execution provider.

Input and output are bound once, on the device, so that a run holds no allocation and no copy
between host and device (https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html).

What it changes in the whole process, which should therefore serve this backend alone (a
campaign's worker does):

- denormal floats become zero, also on the calling thread, from the first session on (the first
  one decides for the process);
- with ``provider="cuda"`` and ``tf32=False``, TF32 is off for every NVIDIA library.
"""

from __future__ import annotations

import importlib.metadata
import sys
from contextlib import redirect_stdout
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
from latbench.backends.cuda import missing_device, set_tf32
from latbench.errors import BackendError, BackendUnavailable, UsageError
from latbench.network import Network
from latbench.weights import make_input

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ONLY = 3

# All of them unpack into the folder "onnxruntime", over each other's files.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")


def installed_distributions() -> dict[str, str]:
    """The installed distributions that bring ``import onnxruntime``, with their versions."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@final
@dataclass(frozen=True)
class OnnxRuntime(Backend):
    """ONNX Runtime; the options are its own, each one fixed here so that it is recorded.

    ``threads`` and ``spinning`` (idle threads keep polling for work) govern the operators on the
    CPU; operators run one after another. The CUDA options are those of
    https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html;
    ``cudnn_conv_algo_search="exhaustive"`` times every algorithm in a shape's first run and may
    choose another one in another session.
    """

    name: ClassVar[str] = "onnxruntime"
    provider: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    spinning: bool = True
    graph_optimization: Literal["disabled", "basic", "extended", "all"] = "all"
    device_id: int = 0
    cudnn_conv_algo_search: Literal["exhaustive", "heuristic", "default"] = "exhaustive"
    cudnn_conv_use_max_workspace: bool = True
    tf32: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"threads must be at least 1, got {self.threads}")
        if self.device_id < 0:
            raise UsageError(f"device_id must be at least 0, got {self.device_id}")

    @property
    def extra(self) -> str:
        """The command that installs what these options need."""
        return f"pip install 'latbench[{self.provider}]'"

    def availability(self) -> Availability:
        """Not ready when absent, when installed twice over itself, or without its CUDA device."""
        found = installed_distributions()
        if len(found) > 1:
            names = " and ".join(f"{n} {v}" for n, v in found.items())
            return Availability(
                False,
                f"{names} are both installed and have overwritten each other's files",
                f"pip uninstall -y {' '.join(found)}, then {self.extra}",
            )
        base = installed("onnxruntime", self.extra, distribution=next(iter(found), None))
        return self._provider_availability(base) if base.ready else base

    def _provider_availability(self, base: Availability) -> Availability:
        try:
            import onnxruntime

            version = base.version or str(onnxruntime.__version__)
            providers = onnxruntime.get_available_providers()
        except Exception as error:
            reason = f"onnxruntime is damaged ({type(error).__name__}: {error})"
            return Availability(False, reason, f"uninstall it, then {self.extra}")
        if _PROVIDERS[self.provider] not in providers:
            swap = "".join(f"pip uninstall -y {name}, then " for name in installed_distributions())
            reason = f"onnxruntime {version} was built without {_PROVIDERS[self.provider]}"
            return Availability(False, reason, swap + self.extra)
        if self.provider == "cuda":
            reason, remedy = missing_device(self.device_id)
            if reason:
                return Availability(False, reason, remedy)
        return Availability(True, version=version)

    def load(self, network: Network) -> Session:
        """A session on the one provider that was asked for; a fallback to another is an error."""
        with runtime_errors(f"{self.name} ({self.provider}) cannot load the network"):
            return _OnnxRuntimeSession(self, network)

    def session_options(self) -> Any:
        """The ``onnxruntime.SessionOptions`` of these options."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        level = f"ORT_{'DISABLE' if self.graph_optimization == 'disabled' else 'ENABLE'}_"
        level += "ALL" if self.graph_optimization == "disabled" else self.graph_optimization.upper()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.spinning)))
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        if self.provider != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options

    def provider_options(self) -> dict[str, str]:
        """The execution provider's own options, as the texts that ONNX Runtime takes."""
        if self.provider == "cpu":
            return {}
        return {
            "device_id": str(self.device_id),
            "cudnn_conv_algo_search": self.cudnn_conv_algo_search.upper(),
            "cudnn_conv_use_max_workspace": str(int(self.cudnn_conv_use_max_workspace)),
            "use_tf32": str(int(self.tf32)),
        }


def _prepare_cuda(backend: OnnxRuntime) -> None:
    """Finds the CUDA and cuDNN libraries that pip installed, and settles TF32 before they start."""
    import onnxruntime

    set_tf32(backend.tf32)
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        with redirect_stdout(sys.stderr):  # it prints what it cannot find
            onnxruntime.preload_dlls()


def _open(backend: OnnxRuntime, model: bytes) -> Any:
    """An ``onnxruntime.InferenceSession`` that runs on the provider that was asked for, or none."""
    import onnxruntime

    provider = _PROVIDERS[backend.provider]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise BackendUnavailable(
            f"this onnxruntime has no {provider}, only {', '.join(available)}; {backend.extra}"
        )
    if backend.provider == "cuda":
        _prepare_cuda(backend)
    session = onnxruntime.InferenceSession(
        model,
        backend.session_options(),
        providers=[(provider, backend.provider_options())],
        enable_fallback=0,  # or a provider that fails is replaced by the CPU's with a print
    )
    if session.get_providers()[0] != provider:
        raise BackendError(
            f"{provider} could not start and onnxruntime would run on "
            f"{session.get_providers()[0]}; the lines above say which library is missing"
        )
    return session


@final
class _OnnxRuntimeSession(Session):
    def __init__(self, backend: OnnxRuntime, network: Network) -> None:
        from onnxruntime import OrtValue

        from latbench.export.onnx import INPUT, OUTPUT, to_onnx

        model = to_onnx(network).SerializeToString()
        self.model_bytes = len(model)
        self._session = _open(backend, model)
        where = (backend.provider, backend.device_id if backend.provider == "cuda" else 0)
        # On the CPU the OrtValue points into this array, so it must live as long.
        self._input: npt.NDArray[np.float32] | None = make_input(network)
        self._output = OrtValue.ortvalue_from_shape_and_type(
            list(network.output_shape), np.float32, *where
        )
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(INPUT, OrtValue.ortvalue_from_numpy(self._input, *where))
        self._binding.bind_ortvalue_output(OUTPUT, self._output)

    def run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as error:
            self._check_open()
            raise backend_error("onnxruntime cannot run the network", error) from error

    def outputs(self) -> npt.NDArray[np.float32]:
        self._check_open()
        return np.array(self._output.numpy(), dtype=np.float32)

    def _check_open(self) -> None:
        if self._session is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        # The binding refers to the session, so it goes first.
        self._binding = self._output = self._session = self._input = None
