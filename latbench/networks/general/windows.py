"""Windows that slide over ``(N, C, H, W)`` with sizes of their own along each axis.

What is one-dimensional in the file it came from is an image of height 1 here.
Padding is ``(top, left, bottom, right)``, the order of ONNX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from latbench.errors import UsageError
from latbench.networks.ops import Op, Parameters, Shape

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def _image(shape: Shape) -> tuple[int, int, int, int]:
    if len(shape) != 4:
        raise UsageError(f"expected an input of shape (N, C, H, W), got {shape}")
    return (shape[0], shape[1], shape[2], shape[3])


def _check(least: int, **values: tuple[int, ...]) -> None:
    for name, sizes in values.items():
        if min(sizes) < least:
            raise UsageError(f"{name} must be at least {least}, got {sizes}")


def slid(
    size: int, kernel: int, stride: int, around: int, dilation: int, ceil: bool, before: int
) -> int:
    """Returns the length of a window's result along one axis.

    Args:
        size: The length of the input.
        kernel: The window's.
        stride: Its step.
        around: The padding of both ends together.
        dilation: The distance between the window's elements.
        ceil: Whether a last window may lie half beyond the end; none begins there.
        before: The padding before the first element.

    Returns:
        The number of windows.

    Raises:
        UsageError: When not one fits.
    """
    left = size + around - dilation * (kernel - 1) - 1
    out = (-(-left // stride) if ceil else left // stride) + 1
    if ceil and (out - 1) * stride >= size + before:
        out -= 1
    if out < 1:
        raise UsageError(
            f"a {kernel}-wide window (dilation {dilation}, padding {around}) does not fit an input "
            f"of size {size}; use a larger input"
        )
    return out


@dataclass(frozen=True)
class RectConv(Op):
    """A 2-D convolution whose window, steps and zero padding are given for each axis."""

    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False

    def depthwise(self, shape: Shape) -> bool:
        """Returns whether it makes each channel of an input ``(N, C, H, W)`` into one of its own:
        as many groups as channels on both sides, and more than one."""
        return 1 < self.groups == self.out_channels == shape[1]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, out_channels, H', W')``."""
        n, c, *sizes = _image(inputs[0])
        _check(1, kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        _check(0, padding=self.padding)
        _check(1, out_channels=(self.out_channels,), groups=(self.groups,))
        if c % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"a convolution from {c} to {self.out_channels} channels cannot have "
                f"{self.groups} groups; both numbers must be divisible by it"
            )
        return (n, self.out_channels, *_windows(self, sizes, ceil=False))

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (out, in/groups, kh, kw)`` and, with a bias, ``bias (out,)``."""
        weight = (self.out_channels, inputs[0][1] // self.groups, *self.kernel)
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns the output elements times the window's size."""
        return math.prod(output) * (inputs[0][1] // self.groups) * math.prod(self.kernel)


@dataclass(frozen=True)
class TransposedConv(Op):
    """A 2-D transposed convolution: each element of the input adds a window to the output.

    ``padding`` is cut off the result; ``extra`` rows below and columns to the right are added.
    """

    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    extra: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, out_channels, H', W')``."""
        n, c, *sizes = _image(inputs[0])
        _check(1, kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        _check(0, padding=self.padding, extra=self.extra)
        _check(1, out_channels=(self.out_channels,), groups=(self.groups,))
        if c % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"a transposed convolution from {c} to {self.out_channels} channels cannot have "
                f"{self.groups} groups; both numbers must be divisible by it"
            )
        found = tuple(
            (size - 1) * self.stride[i]
            - self.padding[i] - self.padding[i + 2]
            + self.dilation[i] * (self.kernel[i] - 1) + self.extra[i] + 1
            for i, size in enumerate(sizes)
        )  # fmt: skip
        if min(found) < 1:
            raise UsageError(f"{self} leaves nothing of an input of shape {inputs[0]}")
        return (n, self.out_channels, *found)

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (in, out/groups, kh, kw)`` and, with a bias, ``bias (out,)``."""
        weight = (inputs[0][1], self.out_channels // self.groups, *self.kernel)
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns the input elements times the window's size and the channels that each adds to."""
        return math.prod(inputs[0]) * (self.out_channels // self.groups) * math.prod(self.kernel)


@dataclass(frozen=True)
class RectPool(Op):
    """A max or average pooling whose window, steps and padding are given for each axis.

    With ``ceil`` a last window may hang over the end; ``counted`` averages count padding, but
    never what hangs over.
    """

    channelwise: ClassVar[bool] = True
    kind: Literal["max", "avg"]
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False
    counted: bool = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, C, H', W')``."""
        n, c, *sizes = _image(inputs[0])
        _check(1, kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        _check(0, padding=self.padding)
        reach = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        if max(p - reach[i % 2] + 1 for i, p in enumerate(self.padding)) > 0:
            raise UsageError(
                f"padding {self.padding} of a pool of {self.kernel} must be less than its window, "
                "or one could hold nothing but padding"
            )
        return (n, c, *_windows(self, sizes, ceil=self.ceil))


def _windows(op: RectConv | RectPool, sizes: list[int], ceil: bool) -> tuple[int, int]:
    down, across = (
        slid(
            size, op.kernel[i], op.stride[i], op.padding[i] + op.padding[i + 2], op.dilation[i],
            ceil, op.padding[i],
        )
        for i, size in enumerate(sizes)
    )  # fmt: skip
    return down, across


@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """A division by the squares of ``size`` neighbouring channels: ``x / (bias + alpha / size *
    sum)^beta`` (AlexNet, section 3.3; https://onnx.ai/onnx/operators/onnx__LRN.html)."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape, ``(N, C, H, W)``."""
        _check(1, size=(self.size,))
        return _image(inputs[0])


@dataclass(frozen=True)
class Resize(Op):
    """A change of an image's size by interpolation.

    ``places`` says where in the input an element of the output lies, ``nearest`` which neighbour it
    takes, in the terms of https://onnx.ai/onnx/operators/onnx__Resize.html. ``scales`` are those
    that the file states, which ``places`` are computed by; None takes the sizes' quotients.
    """

    channelwise: ClassVar[bool] = True
    height: int
    width: int
    kind: Literal["nearest", "linear", "cubic"] = "nearest"
    places: Literal["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] = (
        "half_pixel"
    )
    nearest: Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] = (
        "round_prefer_floor"
    )
    scales: tuple[float, float] | None = None
    cubic: float = -0.75

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, C, height, width)``."""
        _check(1, height=(self.height,), width=(self.width,))
        return (*_image(inputs[0])[:2], self.height, self.width)


@dataclass(frozen=True)
class PadAround(Op):
    """A padding of any axes, ``before`` and ``after``, one number an axis; negative ones cut off.

    ``kind`` is with ``value``, with what the border mirrors, or with the border.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    kind: Literal["constant", "reflect", "edge"] = "constant"
    value: float = 0.0

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the padded shape."""
        (shape,) = inputs
        if not len(self.before) == len(self.after) == len(shape):
            raise UsageError(f"{self} needs a number for each of the axes of {shape}")
        found = tuple(map(sum, zip(self.before, shape, self.after, strict=True)))
        if any(size < 1 for size in found):
            raise UsageError(f"{self} leaves nothing of an input of shape {shape}")
        return found
