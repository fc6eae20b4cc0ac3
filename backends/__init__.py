"""The backends by name. Importing this imports no runtime; using a backend does.

Loading late has three reasons: a runtime may not be installed, it may be heavy, or it may be
broken although nobody asked for it.

Third parties register in their distribution's metadata, in the entry-point group
``latbench.backends`` (see latbench.backends.base). A name of the table below cannot be taken over.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from latbench.backends.base import Availability, Backend, Session
from latbench.backends.loading import load_model, refuse_networks
from latbench.backends.options import checked_options, option_types, options_of
from latbench.errors import BackendError, BackendUnavailable, UsageError
from latbench.plugins import Registry

__all__ = [
    "BUILT_IN",
    "ENTRY_POINT_GROUP",
    "Availability",
    "Backend",
    "Session",
    "availability_of",
    "backend_class",
    "backend_names",
    "backend_spec",
    "list_backends",
    "list_variants",
    "load_model",
    "make_backend",
    "option_types",
    "options_of",
    "require",
]

ENTRY_POINT_GROUP = "latbench.backends"

# Sorted by name; a test keeps it so.
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "executorch": "latbench.backends.executorch:ExecuTorch",
        "litert": "latbench.backends.litert:LiteRt",
        "ncnn": "latbench.backends.ncnn:Ncnn",
        "onnxruntime": "latbench.backends.onnx_runtime:OnnxRuntime",
        "openvino": "latbench.backends.openvino:OpenVino",
        "simd-sparse": "latbench.backends.simd_sparse:SimdSparse",
        "tensorrt": "latbench.backends.tensorrt:TensorRT",
        "torch-compile": "latbench.backends.torch_compile:TorchCompile",
        "torch-eager": "latbench.backends.torch_eager:TorchEager",
    }
)


_REGISTRY = Registry(
    "backend", ENTRY_POINT_GROUP, "latbench.backends.base:Backend", BUILT_IN, BackendUnavailable
)


def backend_names() -> tuple[str, ...]:
    """Returns every known name, built-in and third-party, sorted; known does not mean available."""
    return tuple(sorted(_REGISTRY.names()))


def backend_class(name: str, source: str | None = None) -> type[Backend]:
    """Returns the class of a backend by its name, or by ``"module:Class"``, which imports
    ``module``.

    ``source`` is the file that the name was read from, None when a user named it: a file may not
    import a module, see latbench.plugins. Raises BackendUnavailable when the name is unknown or the
    class cannot be imported, BackendError when it is written for networks instead of models,
    ParseError for such a file.
    """
    cls: type[Backend] = _REGISTRY.find(name, source)
    refuse_networks(cls)
    return cls


def make_backend(name: str, source: str | None = None, /, **options: Any) -> Backend:
    """Makes the backend ``name`` (or ``"module:Class"``) with the given options; the rest are
    defaults.

    ``source`` is the file that the name was read from, as in ``backend_class``. Raises UsageError
    for an option that it does not have or a value of the wrong type, and BackendUnavailable and
    ParseError as ``backend_class`` does. It may still not run here: see ``require``.
    """
    cls = backend_class(name, source)
    checked = checked_options(cls, options)
    try:
        return cls(**checked)
    except TypeError as error:
        raise UsageError(f"backend {name!r} cannot be made from {options}: {error}") from error


def backend_spec(backend: Backend) -> tuple[str, dict[str, Any]]:
    """Returns ``(name, options)`` with ``make_backend(name, **options) == backend``, for another
    process.

    The name is ``"module:Class"`` when the backend is not registered.
    Raises UsageError when it cannot be made from a name and JSON values.
    """
    cls = type(backend)
    name = _REGISTRY.name_of(cls)
    if ":" in name and "." in cls.__qualname__:
        raise UsageError(f"backend {name} must be a class at the top level of its module")
    return name, options_of(backend)


def list_backends() -> list[tuple[str, Availability]]:
    """Lists every known backend with its availability at default options, sorted by name.

    A plug-in that is broken is not ready, with its error as the reason; the others are unaffected.
    """
    return [(name, _availability(name)) for name in backend_names()]


def list_variants() -> list[tuple[str, dict[str, Any], Availability]]:
    """Lists backends as ``list_backends`` does, with the options; one that can be asked for CUDA
    comes twice.

    The second time it has the option that says so (``{"provider": "cuda"}``), so that a GPU which
    a library cannot use is seen before anything is measured.
    """
    rows: list[tuple[str, dict[str, Any], Availability]] = []
    for name, found in list_backends():
        rows.append((name, {}, found))
        option = _cuda_option(name)
        if option is not None:
            rows.append((name, {option: "cuda"}, _availability(name, **{option: "cuda"})))
    return rows


def _cuda_option(name: str) -> str | None:
    """The option of which "cuda" is a choice but not the default."""
    try:
        cls = backend_class(name)
        choices = {o: typing.get_args(kind) for o, kind in option_types(cls).items()}
    except Exception:  # a broken plug-in has no options
        return None
    chosen = (o for o, c in choices.items() if "cuda" in c and getattr(cls, o, None) != "cuda")
    return next(chosen, None)


def _availability(name: str, **options: Any) -> Availability:
    try:
        backend = backend_class(name)(**options)
    except BackendError as error:
        return Availability(False, str(error))  # the message ends with the remedy
    except Exception as error:
        reason = f"{name!r} cannot be made without options ({type(error).__name__}: {error})"
        return Availability(False, reason, "name its options")
    return availability_of(backend)


def availability_of(backend: Backend) -> Availability:
    """Returns ``backend.availability()``; if that raises, which it must not, the error is the
    reason."""
    try:
        return backend.availability()
    except Exception as error:
        reason = f"its availability() raised {type(error).__name__}: {error}"
        return Availability(False, reason, f"report this to the author of {backend.name!r}")


def require(backend: Backend) -> None:
    """Raises BackendUnavailable with the reason and the remedy when the backend is not ready, and
    BackendError when it is written for networks."""
    refuse_networks(type(backend))
    found = availability_of(backend)
    if not found.ready:
        remedy = f"; {found.remedy}" if found.remedy else ""
        raise BackendUnavailable(
            f"backend {backend.name!r} cannot run here: {found.reason}{remedy}"
        )
