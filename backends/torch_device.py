"""The checks that this PyTorch can use this GPU: as it is, and with the compiler."""

from __future__ import annotations

import os
import shutil
import sys

from latbench.backends.cuda import no_such_device

# Triton's and Inductor's, https://github.com/triton-lang/triton#compatibility
OLDEST_COMPILED = (7, 0)


def missing_cuda(device_id: int) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when this PyTorch cannot use the device, else two empty
    texts."""
    import torch

    version = torch.__version__
    if torch.version.cuda is None:
        return (
            f"PyTorch {version} was built without CUDA",
            "install a CUDA build of PyTorch, see https://pytorch.org/get-started/locally/",
        )
    missing = no_such_device(device_id, torch.cuda.device_count())
    if missing[0]:
        return missing
    capability = torch.cuda.get_device_capability(device_id)
    archs = torch.cuda.get_arch_list()
    if runs_on(archs, capability):
        return "", ""
    return (
        f"PyTorch {version} has no code for this GPU's compute capability "
        f"{capability[0]}.{capability[1]}, only for {', '.join(archs)}",
        "install a PyTorch that has; 2.7.1 is the last one on PyPI for Pascal (6.x)",
    )


def runs_on(archs: list[str], capability: tuple[int, int]) -> bool:
    """Returns whether a build for ``archs`` (``torch.cuda.get_arch_list()``) runs on a GPU.

    ``sm_XY`` is machine code, for the same major version and any later minor one; ``compute_XY`` is
    PTX, which the driver compiles for anything later.
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation
    """
    for arch in archs:
        kind, _, digits = arch.partition("_")
        plain = digits.rstrip("af")
        if digits != plain or not plain.isdigit():  # "sm_90a" runs on exactly that chip
            if plain == f"{capability[0]}{capability[1]}":
                return True
            continue
        built = (int(plain[:-1]), int(plain[-1]))
        same_major = built[0] == capability[0]
        if built <= capability and (same_major or kind == "compute"):
            return True
    return False


def missing_compiler(device: str, device_id: int) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when Inductor cannot generate code for the device, else empty
    texts.

    It writes C++ for a CPU and Triton for a GPU; ask only when the device itself is there.
    """
    return _missing_triton(device_id) if device == "cuda" else _missing_cpp()


def _missing_cpp() -> tuple[str, str]:
    """Looks where Inductor looks (torch/_inductor/config.py, ``cpp.cxx``), without importing it."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX", usual)
    if shutil.which(compiler):
        return "", ""
    return (
        f"torch.compile finds no C++ compiler ({compiler!r} is not on the path)",
        "install one (apt install g++, or Visual Studio's C++ tools), or name it in CXX",
    )


def _missing_triton(device_id: int) -> tuple[str, str]:
    import torch
    from torch.utils._triton import has_triton_package

    capability = torch.cuda.get_device_capability(device_id)
    too_old = unsupported_by_triton(capability, torch.cuda.get_device_name(device_id))
    if too_old[0]:
        return too_old
    if not has_triton_package():
        return "torch.compile needs Triton, which is not installed", "pip install triton"
    return "", ""


def unsupported_by_triton(capability: tuple[int, int], name: str) -> tuple[str, str]:
    """Returns ``(reason, remedy)`` when Triton has no code generator for the GPU, else empty
    texts."""
    if capability >= OLDEST_COMPILED:
        return "", ""
    return (
        f"torch.compile needs compute capability {OLDEST_COMPILED[0]}.{OLDEST_COMPILED[1]} or "
        f"later (Triton has no code for earlier GPUs), the {name} has "
        f"{capability[0]}.{capability[1]}",
        "use torch-eager, onnxruntime or tensorrt on this GPU",
    )
