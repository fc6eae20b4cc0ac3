"""What the CUDA backends share: is there a device, and is TF32 really off."""

from __future__ import annotations

import ctypes
import os
import sys

from latbench.errors import BackendError

_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
_INSTALL = "install or update the NVIDIA driver, or run on a machine with an NVIDIA GPU"


def missing_device(device_id: int) -> tuple[str, str]:
    """``(reason, remedy)`` when the driver shows no device ``device_id``, else two empty texts.

    Asks the driver itself, so that no framework is needed: ``cuInit`` and ``cuDeviceGetCount``,
    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "the NVIDIA driver is not installed (libcuda cannot be loaded)", _INSTALL
    status = driver.cuInit(0)
    if status != 0:
        return f"the NVIDIA driver finds no usable GPU (cuInit returned {status})", _INSTALL
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    return no_such_device(device_id, count.value)


def no_such_device(device_id: int, count: int) -> tuple[str, str]:
    """``(reason, remedy)`` when ``device_id`` is not one of ``count`` devices."""
    if device_id < count:
        return "", ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    return (
        f"there is no CUDA device {device_id}, the driver shows {count}{shown}",
        f"choose device_id below {count}" if count else _INSTALL,
    )


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
