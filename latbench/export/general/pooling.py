"""The padding that makes a pooling's windows fill the input, and what each of them counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.networks.general.windows import RectPool, Sides
from latbench.networks.ops import Shape


def spans(op: RectPool, shape: Shape) -> Sides:
    """Returns the padding with which the last windows end where the input does: more than the
    pooling's where one hangs over, and less than none where elements are left."""
    result = op.output_shape(shape)[2:]
    down, across = (
        (result[i] - 1) * op.stride[i] + op.dilation[i] * (op.kernel[i] - 1) + 1
        - shape[2 + i] - op.padding[i]
        for i in range(2)
    )  # fmt: skip
    return (op.padding[0], op.padding[1], down, across)


def shares(op: RectPool, shape: Shape) -> npt.NDArray[np.float32]:
    """Returns by what an average multiplies the sum of each window, ``(H', W')``: one over the
    elements that it counts, which padding is where it is ``counted``, but never what hangs over."""
    down, across = (
        _counted(op, shape[2 + i], i, n) for i, n in enumerate(op.output_shape(shape)[2:])
    )
    share: npt.NDArray[np.float32] = (1 / np.maximum(down[:, None] * across, 1)).astype(np.float32)
    return share


def _counted(op: RectPool, size: int, axis: int, windows: int) -> npt.NDArray[Any]:
    first = np.arange(windows) * op.stride[axis] - op.padding[axis]
    at = first[:, None] + op.dilation[axis] * np.arange(op.kernel[axis])
    before, after = op.padding[axis::2] if op.counted else (0, 0)
    found: npt.NDArray[Any] = ((at >= -before) & (at < size + after)).sum(1)
    return found
