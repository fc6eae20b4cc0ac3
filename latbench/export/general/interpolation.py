"""The places in an image that the elements of a resized one come from, as ONNX computes them.

One axis at a time: which elements of the input each element of the output is a sum of, and by which
factors (https://onnx.ai/onnx/operators/onnx__Resize.html). Everything is float32, as ONNX Runtime
computes it, since a place halfway between two elements is decided by the last bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from latbench.networks.general.windows import Resize

# What rounding does to a factor where the input has some thousand elements.
ROUNDED = 1e-4

Places = npt.NDArray[np.int64]
Factors = npt.NDArray[np.float32]


def stretch(op: Resize, size: int, axis: int) -> float:
    """Returns how many times longer the result is along an axis: 0 is the height, 1 the width."""
    return op.scales[axis] if op.scales is not None else (op.height, op.width)[axis] / size


def taps(op: Resize, size: int, axis: int) -> tuple[Places, Factors]:
    """Finds what an axis of the result is made of.

    Args:
        op: The layer.
        size: The length of the input's axis.
        axis: 0 for the height, 1 for the width.

    Returns:
        The places in the input and their factors, ``(taps, length of the result)`` each.
    """
    length = (op.height, op.width)[axis]
    at = _origin(op, size, length, np.float32(stretch(op, size, axis)))
    if op.kind == "nearest":
        places = _nearest(op, at)[None]
        factors = np.ones_like(places, np.float32)
    elif op.kind == "linear":
        at = np.clip(at, 0, size - 1)
        first = np.floor(at)
        share = at - first
        places = np.stack([first, first + 1]).astype(np.int64)
        factors = np.stack([1 - share, share])
    else:
        first = np.floor(at)
        places = np.stack([first + i for i in (-1, 0, 1, 2)]).astype(np.int64)
        factors = _cubic(at - first, np.float32(op.cubic))
    return np.clip(places, 0, size - 1), factors.astype(np.float32)


def torch_mode(op: Resize, size: tuple[int, int]) -> str | None:
    """Returns the mode in which ``torch.nn.functional.interpolate`` does the same to an image of
    ``(height, width)``; None where there is none."""
    if op.kind == "nearest":
        modes = ("nearest", "nearest-exact")
        return next((m for m in modes if all(_chooses(op, m, size[i], i) for i in range(2))), None)
    result = (op.height, op.width)
    stated = all(
        math.isclose(stretch(op, size[i], i), result[i] / size[i], rel_tol=1e-6) for i in range(2)
    )
    half = op.places == "half_pixel" or (op.places == "pytorch_half_pixel" and min(result) > 1)
    same = op.places == "align_corners" or (stated and half)
    if not same or (op.kind == "cubic" and op.cubic != -0.75):
        return None
    return "bilinear" if op.kind == "linear" else "bicubic"


def _chooses(op: Resize, mode: str, size: int, axis: int) -> bool:
    """Whether torch's ``mode`` chooses the same elements."""
    length = (op.height, op.width)[axis]
    scale = np.float32(size) / np.float32(length)
    shift = np.float32(0.5 if mode == "nearest-exact" else 0)
    theirs = np.floor((np.arange(length, dtype=np.float32) + shift) * scale)
    return np.array_equal(np.minimum(theirs, size - 1), taps(op, size, axis)[0][0])


def _origin(op: Resize, size: int, length: int, scale: np.float32) -> Factors:
    """The places of the result's elements in the input, between its elements as well."""
    x, half = np.arange(length, dtype=np.float32), np.float32(0.5)
    if op.places == "align_corners":
        last = np.float32(max(length - 1, 1))
        return np.asarray(x * np.float32(size - 1) / last, np.float32)
    if op.places == "asymmetric":
        return np.asarray(x / scale, np.float32)
    if op.places == "pytorch_half_pixel" and length == 1:
        return np.zeros_like(x)
    return np.asarray((x + half) / scale - half, np.float32)


def _nearest(op: Resize, at: Factors) -> Places:
    half = np.float32(0.5)
    rounded = {
        "round_prefer_floor": np.ceil(at - half),
        "round_prefer_ceil": np.floor(at + half),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
    }[op.nearest]
    return np.asarray(rounded, np.int64)


def _cubic(share: Factors, a: np.float32) -> Factors:
    """The factors of the four neighbours (Keys, 1981)."""

    def near(x: Factors) -> Factors:
        return np.asarray(((a + 2) * x - (a + 3)) * x * x + 1, np.float32)

    def far(x: Factors) -> Factors:
        return np.asarray(((a * x - 5 * a) * x + 8 * a) * x - 4 * a, np.float32)

    return np.stack([far(share + 1), near(share), near(1 - share), far(2 - share)])


def matrix(op: Resize, size: int, axis: int) -> Factors:
    """Returns ``taps`` as a matrix ``(length of the result, size)`` that an axis is multiplied
    by."""
    places, factors = taps(op, size, axis)
    found = np.zeros((places.shape[1], size), np.float32)
    for place, factor in zip(places, factors, strict=True):
        np.add.at(found, (np.arange(len(place)), place), factor)
    return found


def same_taps(op: Resize, other: Resize, sizes: tuple[int, int]) -> bool:
    """Returns whether two layers make the same of an input of ``(height, width)``, but for what
    rounding does to their factors."""
    return all(
        np.allclose(matrix(op, size, a), matrix(other, size, a), rtol=0, atol=ROUNDED)
        for a, size in enumerate(sizes)
    )
