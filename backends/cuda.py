"""The common part of the CUDA backends: is there a device, can it be used, and is TF32 really
off."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Mapping
from types import MappingProxyType

from latbench.device.driver import compute_capability, device_count
from latbench.errors import BackendError

_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
_INSTALL = "install or update the NVIDIA driver, or run on a machine with an NVIDIA GPU"


def missing_device(device_id: int) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when the driver shows no device ``device_id``, else two empty
    texts."""
    try:
        return no_such_device(device_id, device_count())
    except BackendError as error:
        return str(error), _INSTALL


def no_such_device(device_id: int, count: int) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when ``device_id`` is not one of ``count`` devices."""
    if device_id < count:
        return "", ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    return (
        f"there is no CUDA device {device_id}, the driver shows {count}{shown}",
        f"choose device_id below {count}" if count else _INSTALL,
    )


def unusable_device(device_id: int, libraries: Mapping[str, str]) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when the device cannot be used, else two empty texts.

    Either it is missing, or one of ``libraries`` (names with versions, see ``unsupported``) has no
    code for it.
    """
    missing = missing_device(device_id)
    if missing[0]:
        return missing
    try:
        capability = compute_capability(device_id)
    except BackendError as error:
        return str(error), _INSTALL
    found = (unsupported(name, version, capability) for name, version in libraries.items())
    return next((problem for problem in found if problem[0]), ("", ""))


def pip_cudnn() -> dict[str, str]:
    """Returns ``{"cudnn": version}`` of the cuDNN that pip installed; empty when there is none."""
    for name in ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13"):
        try:
            return {"cudnn": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {}


# Library: (from version, needs compute capability, what is older). docs/p100.md has the sources; a
# library's builds for other CUDA versions can differ.
_PASCAL = "docs/p100.md has the versions that run on Pascal (6.x)"
_NEEDS: Mapping[str, tuple[str, tuple[int, int], str]] = MappingProxyType(
    {
        "onnxruntime": ("1.27", (7, 5), "1.26.0 is the last one on PyPI for 6.0 and later"),
        "cudnn": ("9.11", (7, 5), "9.10.2 is the last one for 6.0 and later"),
        "triton": ("0", (7, 0), "no version runs there, and with it no torch.compile"),
    }
)


def unsupported(library: str, version: str, capability: tuple[int, int]) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when ``library`` has no code for a GPU, else two empty texts.

    ``library`` is ``onnxruntime``, ``cudnn`` or ``triton`` (which torch.compile needs); PyTorch
    itself says what it has code for, ``torch.cuda.get_arch_list()``.
    """
    since, needed, last = _NEEDS[library]
    if capability >= needed or _numbers(version) < _numbers(since):
        return "", ""
    return (
        f"{library} {version} needs compute capability {_dotted(needed)}, this GPU has "
        f"{_dotted(capability)}",
        f"{last}; {_PASCAL}",
    )


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _numbers(version: str) -> tuple[int, ...]:
    """``(1, 27)`` of "1.27.0rc1+cu130": major and minor, as far as they are numbers."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])


def set_tf32(allowed: bool) -> None:
    """Lets every NVIDIA library of this process use TF32, or none.

    ONNX Runtime's ``use_tf32=0`` does not reach the graphs of cuDNN 9, which round float32 to TF32
    by default (https://github.com/microsoft/onnxruntime/pull/19470); the environment variable
    does. The libraries read it when they start, so it cannot be taken back in the same process.
    Raises BackendError when TF32 is asked for but was switched off before.
    """
    if not allowed:
        os.environ[_OVERRIDE] = "0"
    elif os.environ.get(_OVERRIDE) == "0":
        raise BackendError(
            f"tf32=True, but {_OVERRIDE}=0 is set in this process; unset it and start a new process"
        )
