"""The differences between TensorRT 8.6 and 11; everything else is one path.

Compared in python/src/infer/pyCore.cpp and include/NvInfer.h of https://github.com/NVIDIA/TensorRT
at v8.6.1, v10.0.1, v10.16 and v11.1, and in the wheels of 8.6.1, 10.0.1 and 11.4:

- 8.6 must be asked for a network with an explicit batch axis; 11 has no name for it any more.
- 10 must be asked for a typed network, one whose tensors have the types that the model gives
  them; 11 knows no other kind; 8.6 has none and gets the flag FP16, which allows float16.
- cuBLAS and cuDNN are tactic sources up to 10; in 8.6 a preview feature that is on by default
  hides them from TensorRT's own layers even when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from latbench.errors import BackendError

Precision = Literal["float32", "tf32", "float16"]
TacticSource = Literal["cublas", "cublas_lt", "cudnn", "edge_mask_convolutions", "jit_convolutions"]

OLDEST = (8, 6)
_LIBRARIES = frozenset({"cublas", "cublas_lt", "cudnn"})
_HIDES_LIBRARIES = "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805"
# The first release without the compute capabilities below the second; the last that had them.
# 10.0: https://github.com/NVIDIA/TensorRT/issues/3826; 10.5: its release notes.
_DROPPED = (((10, 0), (7, 0), "6.x", "8.6.1"), ((10, 5), (7, 5), "7.0", "10.4"))
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def members(trt: Any, enum: str) -> Mapping[str, Any]:
    """Returns an enum of the module ``tensorrt`` by its names; empty where this release lacks
    it."""
    found: Mapping[str, Any] = getattr(getattr(trt, enum, None), "__members__", _NOTHING)
    return found


def network_flag_names(known: Collection[str]) -> list[str]:
    """Returns the flags to create a network with, of those that a release knows."""
    return [name for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if name in known]


def network_flags(trt: Any) -> int:
    """Returns the argument of ``Builder.create_network``."""
    known = members(trt, "NetworkDefinitionCreationFlag")
    return _bits([known[name] for name in network_flag_names(known)])


def _bits(flags: Sequence[Any]) -> int:
    return sum(1 << int(flag) for flag in flags)


def builder_flags(
    precision: Precision, network: Collection[str], builder: Collection[str]
) -> dict[str, bool]:
    """Returns builder flags to set (True) or clear, given the network and builder flags that are
    known.

    TF32 is on by default in every release. A typed network takes float16 from the model, and
    refuses the flag.
    """
    flags = {"TF32": precision == "tf32"}
    if precision == "float16" and "STRONGLY_TYPED" not in network and "FP16" in builder:
        flags["FP16"] = True
    return flags


def set_precision(trt: Any, config: Any, precision: Precision) -> None:
    """Makes an ``IBuilderConfig`` use ``precision``, together with a model of that type."""
    known = members(trt, "BuilderFlag")
    network = members(trt, "NetworkDefinitionCreationFlag")
    for name, on in builder_flags(precision, network, known).items():
        (config.set_flag if on else config.clear_flag)(known[name])


def tactic_bits(sources: Sequence[str], known: Mapping[str, Any]) -> int:
    """Returns the argument of ``IBuilderConfig.set_tactic_sources``.

    Raises BackendError for a source that the release does not have.
    """
    for name in sources:
        if name.upper() not in known:
            raise BackendError(
                f"this TensorRT has no tactic source {name!r}, only "
                f"{', '.join(k.lower() for k in known)}; choose tactic_sources among them"
            )
    return _bits([known[name.upper()] for name in sources])


def set_tactics(trt: Any, config: Any, sources: Sequence[str]) -> None:
    """Makes an ``IBuilderConfig`` use these tactic sources and no others."""
    bits = tactic_bits(sources, members(trt, "TacticSource"))
    hiding = members(trt, "PreviewFeature").get(_HIDES_LIBRARIES)
    if hiding is not None and _LIBRARIES & set(sources):
        config.set_preview_feature(hiding, False)
    if not config.set_tactic_sources(bits):
        raise BackendError(f"TensorRT does not accept tactic_sources={list(sources)}")


def release(version: str) -> tuple[int, int]:
    """Parses a version: ``(10, 16)`` for ``"10.16.1.11"``; ``(0, 0)`` for what is no version."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def unusable(version: str, capability: tuple[int, int]) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when that TensorRT cannot serve such a GPU, else two empty
    texts."""
    now = release(version)
    if now < OLDEST:
        return f"TensorRT {version} is too old", "install TensorRT 8.6.1 or later"
    for dropped_in, needed, family, last in _DROPPED:
        if now >= dropped_in and capability < needed:
            return (
                f"TensorRT {version} has no code for this GPU's compute capability "
                f"{capability[0]}.{capability[1]}; TensorRT {last} is the last for compute "
                f"capability {family}",
                f"install TensorRT {last}, see docs/tensorrt.md",
            )
    return "", ""


def missing_precision(precision: Precision, capability: tuple[int, int]) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when such a GPU would run another precision than the one asked
    for."""
    if precision == "tf32" and capability < (8, 0):
        return (
            f"compute capability {capability[0]}.{capability[1]} has no TF32 (8.0 and later have)",
            "choose precision=float32",
        )
    return "", ""
