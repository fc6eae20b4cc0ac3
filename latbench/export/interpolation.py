"""Which elements of the input an interpolated element is made of, exactly as ONNX defines it
(https://onnx.ai/onnx/operators/onnx__Resize.html).

Runtimes have some of the ways to resize. Whether one of theirs is the one that is asked for is told
by comparing the elements and shares themselves, not the names.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from latbench.networks.general.windows import Resize

Places = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def taps(op: Resize, axis: int, size: int) -> tuple[Places, Shares]:
    """Finds what the elements along one axis of the result are made of.

    Args:
        op: The layer.
        axis: 0 for the height, 1 for the width.
        size: The input's length along it.

    Returns:
        The places in the input, and the share of each, ``(taps, length)`` both.
    """
    length = (op.height, op.width)[axis]
    at = _at(op, axis, size, length)
    if op.kind == "nearest":
        places, shares = _nearest(op, at)[None], np.ones((1, length))
    elif op.kind == "linear":
        low = np.floor(at)
        places, shares = np.stack([low, low + 1]), np.stack([1 - (at - low), at - low])
    else:
        low = np.floor(at)
        places = np.stack([low - 1, low, low + 1, low + 2])
        shares = np.stack(_cubic(at - low, op.cubic))
    return np.clip(places, 0, size - 1).astype(np.int64), shares


def _at(op: Resize, axis: int, size: int, length: int) -> Shares:
    """Where in the input each element of the result lies."""
    x = np.arange(length, dtype=np.float64)
    scale = length / size if op.scales is None else op.scales[axis]
    if op.places == "asymmetric":
        return x / scale
    if op.places == "align_corners":
        return x * (size - 1) / (length - 1) if length > 1 else x
    if op.places == "pytorch_half_pixel" and length == 1:
        return x
    return (x + 0.5) / scale - 0.5


def _nearest(op: Resize, at: Shares) -> Shares:
    if op.nearest == "floor":
        return np.floor(at)
    if op.nearest == "ceil":
        return np.ceil(at)
    if op.nearest == "round_prefer_ceil":
        return np.floor(at + 0.5)
    return np.ceil(at - 0.5)


def _cubic(t: Shares, a: float) -> list[Shares]:
    """The shares of four neighbours, the second of which lies ``t`` before the place."""

    def near(d: Shares) -> Shares:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Shares) -> Shares:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def matrix(op: Resize, axis: int, size: int) -> Shares:
    """Returns ``taps`` as a matrix ``(length, size)`` that the input is multiplied by."""
    places, shares = taps(op, axis, size)
    found = np.zeros((places.shape[1], size))
    for place, share in zip(places, shares, strict=True):
        np.add.at(found, (np.arange(len(place)), place), share)
    return found


def same_taps(op: Resize, other: Resize, sizes: tuple[int, int]) -> bool:
    """Returns whether two layers make the same of an input of ``(height, width)``."""
    return all(
        math.isclose(0, float(np.abs(matrix(op, a, n) - matrix(other, a, n)).max()), abs_tol=1e-6)
        for a, n in enumerate(sizes)
    )
