"""LiteRT (TensorFlow Lite), on the CPU.

The model is written as a flatbuffer (latbench.export.tflite), images as NHWC, and loaded from
memory. The inputs are set once, so a run holds no copy of them.
https://ai.google.dev/edge/litert/inference
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
from latbench.errors import BackendError
from latbench.export.kernel_layers import KernelTime
from latbench.models import Model
from latbench.validation import Count

_REMEDY = "pip install 'latbench[litert]'"


@final
@dataclass(frozen=True)
class LiteRt(Backend):
    """A backend on LiteRT's interpreter, in float32.

    ``xnnpack`` hands what it can to XNNPACK, which is LiteRT's own default and about twice as fast
    (2026-11-24); the rest, and without it everything, is done by LiteRT's built-in kernels.
    """

    name: ClassVar[str] = "litert"
    threads: Count = 1
    xnnpack: bool = True

    def availability(self) -> Availability:
        """Returns that it is not ready without the Python package, or when it cannot be
        imported."""
        base = installed("ai_edge_litert", _REMEDY, distribution="ai-edge-litert")
        if not base.ready:
            return base
        try:
            importlib.import_module("ai_edge_litert.interpreter")
        except Exception as error:
            reason = f"ai-edge-litert is damaged ({type(error).__name__}: {error})"
            return Availability(False, reason, f"uninstall it, then {_REMEDY}")
        return base

    def load(self, model: Model) -> Session:
        """Opens a session with its tensors allocated and its input set."""
        with runtime_errors(f"{self.name} cannot load the network"):
            return _LiteRtSession(self, model)


def _open(backend: LiteRt, model: bytes) -> Any:
    """An ``ai_edge_litert.interpreter.Interpreter`` with its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=model,
        num_threads=backend.threads,
        experimental_op_resolver_type=OpResolverType.BUILTIN if backend.xnnpack else plain,
    )
    interpreter.allocate_tensors()
    return interpreter


@final
class _LiteRtSession(Session):
    def __init__(self, backend: LiteRt, model: Model) -> None:
        from latbench.export.tflite import to_tflite

        exported = to_tflite(model.network, model.weights)
        self.model_bytes: int | None = len(exported.content)
        self._orders = exported.outputs
        self._interpreter = _open(backend, exported.content)
        self._outputs = [one["index"] for one in self._interpreter.get_output_details()]
        inputs = self._interpreter.get_input_details()
        for detail, order, x in zip(inputs, exported.inputs, model.inputs(), strict=True):
            self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(x.transpose(order)))

    def run(self) -> None:
        try:
            self._interpreter.invoke()
        except Exception as error:
            self._check_open()
            raise backend_error("litert cannot run the network", error) from error

    def outputs(self) -> Any:
        self._check_open()
        found = [
            np.array(self._interpreter.get_tensor(index).transpose(np.argsort(order)), np.float32)
            for index, order in zip(self._outputs, self._orders, strict=True)
        ]
        return tuple(found) if len(found) > 1 else found[0]

    def profile(self, n: int) -> list[KernelTime]:
        raise BackendError(
            "litert cannot profile a network: its Python interface has no profile"
            "; its tool benchmark_model --enable_op_profiling has"
        )

    def _check_open(self) -> None:
        if self._interpreter is None:
            raise BackendError("the session is closed; load the network again")

    def close(self) -> None:
        self._interpreter = None
