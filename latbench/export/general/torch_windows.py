"""The torch rules of windows, resizing and padding (``latbench.networks.general.windows``).

Torch's own functions wherever they compute the same, and sums of shifted or chosen elements
elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latbench.export.general.interpolation import taps, torch_mode
from latbench.export.general.pooling import shares, spans
from latbench.export.general.stateless import Stateless
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.ops import Op, Shape


def _torch_sides(sides: Sequence[int]) -> tuple[int, int, int, int]:
    """``(top, left, bottom, right)`` in the order of ``F.pad``."""
    top, left, bottom, right = sides
    return left, right, top, bottom


def _padded(x: Tensor, sides: Sequence[int], value: float = 0.0) -> Tensor:
    """``F.pad``, but negative sides are cut off as slices are: ExecuTorch knows no others."""
    more = F.pad(x, [max(side, 0) for side in sides], value=value) if max(sides) > 0 else x
    for i in range(0, len(sides), 2):
        before, after = min(sides[i], 0), min(sides[i + 1], 0)
        if before or after:
            more = more.narrow(-1 - i // 2, -before, more.shape[-1 - i // 2] + before + after)
    return more


class _RectConv(nn.Conv2d):
    """A convolution that pads each side by a number of its own."""

    def __init__(self, op: RectConv, channels: int) -> None:
        even = op.padding[:2] == op.padding[2:]
        super().__init__(
            channels, op.out_channels, op.kernel, op.stride, op.padding[:2] if even else 0,
            op.dilation, op.groups, op.bias,
        )  # fmt: skip
        self.sides = None if even else _torch_sides(op.padding)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.sides is None else F.pad(x, self.sides))


class _TransposedConv(nn.ConvTranspose2d):
    """A transposed convolution of which each side is cut by a number of its own."""

    def __init__(self, op: TransposedConv, channels: int) -> None:
        reach = [max(s, d) for s, d in zip(op.stride, op.dilation, strict=True)]
        even = op.padding[:2] == op.padding[2:] and all(
            extra < r for extra, r in zip(op.extra, reach, strict=True)
        )
        super().__init__(
            channels, op.out_channels, op.kernel, op.stride, op.padding[:2] if even else 0,
            op.extra if even else 0, op.groups, op.bias, op.dilation,
        )  # fmt: skip
        top, left, bottom, right = op.padding
        sides = (-top, -left, op.extra[0] - bottom, op.extra[1] - right)
        self.sides = None if even else _torch_sides(sides)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if self.sides is None:
            return super().forward(x, output_size)
        whole = F.conv_transpose2d(
            x, self.weight, None, self.stride, 0, 0, self.groups, self.dilation
        )
        cut = _padded(whole, self.sides)
        return cut if self.bias is None else cut + self.bias[:, None, None]


def _rect_pool(op: RectPool, inputs: Sequence[Shape]) -> nn.Module:
    even = op.padding[:2] == op.padding[2:]
    native = even and all(2 * p <= k for p, k in zip(op.padding, op.kernel, strict=False))
    if op.kind == "max" and native:
        return nn.MaxPool2d(op.kernel, op.stride, op.padding[:2], op.dilation, ceil_mode=op.ceil)
    if op.kind == "avg" and native and op.dilation == (1, 1):
        return nn.AvgPool2d(op.kernel, op.stride, op.padding[:2], op.ceil, op.counted)
    around = _torch_sides(spans(op, inputs[0]))
    if op.kind == "max":

        def largest(x: Tensor) -> Tensor:
            padded = _padded(x, around, -math.inf)
            return F.max_pool2d(padded, op.kernel, op.stride, 0, op.dilation)

        return Stateless(largest, str(op))
    return _Average(op, inputs[0])


class _Average(nn.Module):
    """An average pooling of any padding and dilation: a sum of windows over their elements."""

    share: Tensor

    def __init__(self, op: RectPool, shape: Shape) -> None:
        super().__init__()
        self.op, (self.height, self.width) = op, op.output_shape(shape)[2:]
        self.around = _torch_sides(spans(op, shape))
        # On the CPU although ``to_torch`` makes modules without memory, which it could not fill.
        share = torch.tensor(shares(op, shape), device="cpu")
        self.register_buffer("share", share, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        op, h, w = self.op, self.height, self.width
        padded, total = _padded(x, self.around), None
        for i in range(op.kernel[0]):
            for j in range(op.kernel[1]):
                top, left = i * op.dilation[0], j * op.dilation[1]
                part = padded[
                    :, :,
                    top : top + (h - 1) * op.stride[0] + 1 : op.stride[0],
                    left : left + (w - 1) * op.stride[1] + 1 : op.stride[1],
                ]  # fmt: skip
                total = part if total is None else total + part
        assert total is not None
        return total * self.share


def _local_response(op: LocalResponseNorm, inputs: Sequence[Shape]) -> nn.Module:
    channels = inputs[0][1]

    def normed(x: Tensor) -> Tensor:
        # Of an even number of neighbours ONNX has one more behind, torch one more before; and
        # torch's own function has no float16 on the CPU.
        squares = F.pad(x.square(), (0, 0, 0, 0, (op.size - 1) // 2, op.size // 2))
        parts = [squares[:, i : i + channels] for i in range(op.size)]
        total = sum(parts[1:], parts[0])
        return x / (op.bias + op.alpha / op.size * total).pow(op.beta)

    return Stateless(normed, str(op))


class _Taps(nn.Module):
    """A resizing that sums up chosen rows, and then chosen columns."""

    def __init__(self, op: Resize, shape: Shape) -> None:
        super().__init__()
        for i in range(2):
            places, factors = taps(op, shape[2 + i], i)
            along = factors[:, :, None] if i == 0 else factors
            self.register_buffer(f"places{i}", torch.tensor(places, device="cpu"), False)
            self.register_buffer(f"factors{i}", torch.tensor(along, device="cpu"), False)
        self.nearest = op.kind == "nearest"

    def forward(self, x: Tensor) -> Tensor:
        for i in range(2):
            places, factors = self.get_buffer(f"places{i}"), self.get_buffer(f"factors{i}")
            if self.nearest:
                x = x.index_select(2 + i, places[0])
            else:
                parts = [x.index_select(2 + i, p) * f for p, f in zip(places, factors, strict=True)]
                x = sum(parts[1:], parts[0])
        return x


def _resize(op: Resize, inputs: Sequence[Shape]) -> nn.Module:
    height, width = inputs[0][2:]
    mode = torch_mode(op, (height, width))
    if mode is None:
        return _Taps(op, inputs[0])
    size, corners = (op.height, op.width), None
    if op.kind != "nearest":
        corners = op.places == "align_corners"
    return Stateless(
        lambda x: F.interpolate(x, size, mode=mode, align_corners=corners), f"{mode} to {size}"
    )


class _Chosen(nn.Module):
    """A padding by elements of the input: an axis is a choice of its own elements."""

    def __init__(self, op: PadAround, shape: Shape) -> None:
        super().__init__()
        self.axes: list[int] = []
        for axis, (before, size, after) in enumerate(zip(op.before, shape, op.after, strict=True)):
            if before or after:
                places = np.pad(
                    np.arange(size), (max(before, 0), max(after, 0)),
                    mode="reflect" if op.kind == "reflect" else "edge",
                )  # fmt: skip
                kept = places[max(-before, 0) : len(places) - max(-after, 0)]
                self.register_buffer(
                    f"places{axis}", torch.tensor(kept, dtype=torch.int64, device="cpu"), False
                )
                self.axes.append(axis)

    def forward(self, x: Tensor) -> Tensor:
        for axis in self.axes:
            x = x.index_select(axis, self.get_buffer(f"places{axis}"))
        return x


def _pad_around(op: PadAround, inputs: Sequence[Shape]) -> nn.Module:
    pairs = list(zip(op.before, op.after, strict=True))
    sides = [side for pair in reversed(pairs) for side in pair]
    shape = inputs[0]
    if op.kind == "constant":
        return Stateless(lambda x: _padded(x, sides, _value(op.value, x)), str(sides))
    images = len(shape) == 4 and not any((*pairs[0], *pairs[1])) and min(sides) >= 0
    fits = all(max(pair) < size for pair, size in zip(pairs, shape, strict=True))
    if images and fits:
        mode = "replicate" if op.kind == "edge" else "reflect"
        return Stateless(lambda x: F.pad(x, sides[:4], mode=mode), f"{mode} {sides[:4]}")
    return _Chosen(op, shape)


def _value(value: float, x: Tensor) -> float:
    """The value in the precision of a tensor, whose range may not reach so far."""
    if not x.is_floating_point() or math.isinf(value):
        return value
    largest = torch.finfo(x.dtype).max
    return min(max(value, -largest), largest)


WINDOW_RULES: dict[type[Op], Callable[[Any, Sequence[Shape]], nn.Module]] = {
    RectConv: lambda op, inputs: _RectConv(op, inputs[0][1]),
    TransposedConv: lambda op, inputs: _TransposedConv(op, inputs[0][1]),
    RectPool: _rect_pool,
    LocalResponseNorm: _local_response,
    Resize: _resize,
    PadAround: _pad_around,
}
