"""The layer kinds a Network is made of: shape inference, parameters and cost, once for each kind.

Shapes are ``(N, C, H, W)`` or ``(N, C)``. An op is a value: two equal ops compute the same thing.
Exporters (ONNX, torch) and cost features only read these classes. A layer kind of latbench is a
class here and one rule in each exporter; one of your own is a class anywhere, with its rules beside
it (``latbench.export.rules``, docs/own-layer.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

from latbench.errors import UsageError

Shape = tuple[int, ...]
Parameters = dict[str, Shape]
Dtype = Literal["float32", "int64", "bool"]
# The mark of a field that came after models were saved: where it has its default, neither the text
# of a network nor that of an op has it, so that digests and stored names stay what they were. A
# field with it also has ``repr=False``.
LATER: Mapping[str, bool] = MappingProxyType({"later": True})


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise UsageError(f"{name} must be at least {least}, got {value}")


def _image(shape: Shape) -> tuple[int, int, int, int]:
    if len(shape) != 4:
        raise UsageError(f"expected an input of shape (N, C, H, W), got {shape}")
    return (shape[0], shape[1], shape[2], shape[3])


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Output length of a convolution or pooling window along one axis."""
    _at_least(1, kernel=kernel, stride=stride, dilation=dilation)
    _at_least(0, padding=padding)
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if out < 1:
        raise UsageError(
            f"a {kernel}-wide window (dilation {dilation}, padding {padding}) does not fit an "
            f"input of size {size}; use a larger input or fewer reductions"
        )
    return out


@dataclass(frozen=True)
class Op:
    """One layer kind with its attributes. Subclasses state shapes, parameters and cost."""

    # How many inputs it takes; None is any number of at least one. One of none is a constant.
    arity: ClassVar[int | None] = 1
    # Whether each element of the result depends on the same element of the inputs alone, so that a
    # runtime may compute it together with the convolution before it.
    elementwise: ClassVar[bool] = False
    # Whether a channel of the result depends on the same channel of the inputs alone (as it does
    # where each element does). What is neither is refused in a supernet of open widths.
    channelwise: ClassVar[bool] = False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape of the result; an op with one input and no override keeps its shape."""
        return inputs[0]

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns the type of the result's elements; an op without an override keeps that of its
        first input."""
        return inputs[0]

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns the trained tensors' shapes by name, named as torch names them."""
        return {}

    def buffers(self, *inputs: Shape) -> Parameters:
        """Returns the tensors that are stored with the weights but not trained (running
        statistics)."""
        return {}

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns the multiply-accumulates of convolutions and matrix products; 0 for everything
        else."""
        return 0

    def elements_moved(self, output: Shape, *inputs: Shape) -> int:
        """Returns how many elements are read and written: of the inputs, the stored tensors and the
        result."""
        stored = [*self.parameters(*inputs).values(), *self.buffers(*inputs).values()]
        return sum(math.prod(shape) for shape in (output, *inputs, *stored))

    def gain(self, *inputs: Shape) -> float:
        """Returns the second moment of the result where that of each input is 1.

        Invented weights (``latbench.networks.weights``) keep activations moderate by it.
        """
        return 1.0


@dataclass(frozen=True)
class Input(Op):
    """An input of the network, of which most have one.

    ``name`` is what the file that the network came from calls it. Integers are invented below
    ``below`` (the rows of the table that they choose from); 0 stands for ones, which is what a mask
    is.
    """

    arity: ClassVar[int | None] = 0
    shape: Shape
    name: str = field(default="", repr=False, metadata=LATER)
    dtype: Dtype = field(default="float32", repr=False, metadata=LATER)
    below: int = field(default=0, repr=False, metadata=LATER)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape it was made with."""
        return self.shape

    def result_type(self, *inputs: Dtype) -> Dtype:
        """Returns its type."""
        return self.dtype


@dataclass(frozen=True)
class Conv(Op):
    """A 2-D convolution with symmetric zero padding."""

    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = False

    def depthwise(self, shape: Shape) -> bool:
        """Returns whether it makes each channel of an input ``(N, C, H, W)`` into one of its own:
        as many groups as channels on both sides, and more than one."""
        return 1 < self.groups == self.out_channels == shape[1]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, out_channels, H', W')``."""
        n, c, h, w = _image(inputs[0])
        _at_least(1, out_channels=self.out_channels, groups=self.groups)
        if c % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"a convolution from {c} to {self.out_channels} channels cannot have "
                f"{self.groups} groups; both numbers must be divisible by it"
            )
        k, s, p, d = self.kernel, self.stride, self.padding, self.dilation
        return (n, self.out_channels, _window(h, k, s, p, d), _window(w, k, s, p, d))

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (out, in/groups, k, k)`` and, with a bias, ``bias (out,)``."""
        weight = (self.out_channels, inputs[0][1] // self.groups, self.kernel, self.kernel)
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns the output elements times the window's size."""
        return math.prod(output) * (inputs[0][1] // self.groups) * self.kernel**2


@dataclass(frozen=True)
class BatchNorm(Op):
    """A batch normalisation with running statistics; ``affine=False`` has no scale and shift.

    Without ``running`` statistics it normalises by the batch always, which only a supernet does
    (NAS-Bench-201's).
    """

    channelwise: ClassVar[bool] = True
    affine: bool = True
    eps: float = 1e-5
    # Not in the repr, which is hashed into the canaries' name in stores.
    running: bool = field(default=True, repr=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape, which must be ``(N, C, H, W)``."""
        return _image(inputs[0])

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (C,)`` and ``bias (C,)`` when affine."""
        c = (inputs[0][1],)
        return {"weight": c, "bias": c} if self.affine else {}

    def buffers(self, *inputs: Shape) -> Parameters:
        """Returns ``running_mean (C,)`` and ``running_var (C,)``."""
        c = (inputs[0][1],)
        return {"running_mean": c, "running_var": c} if self.running else {}


ActivationKind = Literal["relu", "relu6", "hswish", "sigmoid", "silu", "hsigmoid"]
# E[f(x)^2] for x ~ N(0, 1)
_GAIN = {
    "relu": 0.5, "relu6": 0.5, "hswish": 0.33, "sigmoid": 0.29, "silu": 0.36, "hsigmoid": 0.28,
}  # fmt: skip


@dataclass(frozen=True)
class Activation(Op):
    """An element-wise non-linearity.

    ``silu(x) = x * sigmoid(x)``, also called swish; ``hsigmoid(x) = relu6(x + 3) / 6``, and
    ``hswish(x) = x * hsigmoid(x)``.
    """

    elementwise: ClassVar[bool] = True
    kind: ActivationKind = "relu"

    def gain(self, *inputs: Shape) -> float:
        """Returns ``E[f(x)^2]`` for a Gaussian x."""
        return _GAIN[self.kind]


@dataclass(frozen=True)
class Pool(Op):
    """A max or average pooling; the average leaves padding out (``count_include_pad=False``)."""

    channelwise: ClassVar[bool] = True
    kind: Literal["max", "avg"]
    kernel: int
    stride: int = 1
    padding: int = 0

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, C, H', W')``."""
        n, c, h, w = _image(inputs[0])
        k, s, p = self.kernel, self.stride, self.padding
        if p > k // 2:
            raise UsageError(
                f"padding {p} of a {k}-wide pool must be at most half its width, or a window "
                "could hold nothing but padding"
            )
        return (n, c, _window(h, k, s, p, 1), _window(w, k, s, p, 1))


@dataclass(frozen=True)
class GlobalAvgPool(Op):
    """The mean over height and width: ``(N, C, H, W) -> (N, C, 1, 1)``."""

    channelwise: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, C, 1, 1)``."""
        return (*_image(inputs[0])[:2], 1, 1)


@dataclass(frozen=True)
class Elementwise(Op):
    """A sum or product of one or more tensors. A product broadcasts ``(N, C, 1, 1)`` factors."""

    arity: ClassVar[int | None] = None
    elementwise: ClassVar[bool] = True
    kind: Literal["add", "mul"]

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the shape of the inputs, which must agree (or broadcast, for a product)."""
        full = inputs[0]
        for other in inputs[1:]:
            broadcasts = self.kind == "mul" and len(full) == 4 and other == (*full[:2], 1, 1)
            if other != full and not broadcasts:
                raise UsageError(f"cannot {self.kind} tensors of shapes {full} and {other}")
        return full


@dataclass(frozen=True)
class Concat(Op):
    """A concatenation along the channels."""

    arity: ClassVar[int | None] = None

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, sum of C, H, W)``."""
        n, _, *rest = inputs[0]
        for other in inputs[1:]:
            if (other[0], *other[2:]) != (n, *rest):
                raise UsageError(f"cannot concatenate shapes {inputs[0]} and {other}")
        return (n, sum(s[1] for s in inputs), *rest)


@dataclass(frozen=True)
class Slice(Op):
    """A part of one axis: elements ``start`` to ``end`` (exclusive; ``None`` is the end).

    The axis is counted from 0 and is not the batch, so that a network takes any batch.
    """

    axis: int
    start: int
    end: int | None = None

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape with the axis shortened."""
        if not 1 <= self.axis < len(inputs[0]):
            raise UsageError(f"cannot slice axis {self.axis} of shape {inputs[0]}")
        size = len(range(inputs[0][self.axis])[self.start : self.end])
        if size < 1:
            raise UsageError(
                f"slice {self.start}:{self.end} of axis {self.axis} of {inputs[0]} is empty"
            )
        return (*inputs[0][: self.axis], size, *inputs[0][self.axis + 1 :])


@dataclass(frozen=True)
class ChannelShuffle(Op):
    """A mixing of groups of channels, without weights: channel ``i`` of group ``g`` becomes channel
    ``g`` of group ``i`` (ShuffleNet, https://arxiv.org/abs/1707.01083, section 3.1).

    With half as many groups as channels, the first half of the result are the even channels.
    """

    groups: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns the input's shape, ``(N, C, H, W)``."""
        shape = _image(inputs[0])
        _at_least(1, groups=self.groups)
        if shape[1] % self.groups:
            raise UsageError(
                f"{shape[1]} channels cannot be shuffled in {self.groups} groups; their number "
                "must be divisible by it"
            )
        return shape


@dataclass(frozen=True)
class Pad(Op):
    """A padding with zeros below and to the right of a ``(N, C, H, W)`` tensor."""

    channelwise: ClassVar[bool] = True
    bottom: int
    right: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, C, H + bottom, W + right)``."""
        n, c, h, w = _image(inputs[0])
        _at_least(0, bottom=self.bottom, right=self.right)
        return (n, c, h + self.bottom, w + self.right)


@dataclass(frozen=True)
class Zero(Op):
    """A multiplication by zero: the 'none' operation, subsampled when ``stride`` is above 1."""

    channelwise: ClassVar[bool] = True
    stride: int = 1

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, C, ceil(H / stride), ceil(W / stride))``."""
        n, c, h, w = _image(inputs[0])
        _at_least(1, stride=self.stride)
        return (n, c, -(-h // self.stride), -(-w // self.stride))


@dataclass(frozen=True)
class Flatten(Op):
    """A flattening ``(N, ...) -> (N, product of the rest)``."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, features)``."""
        return (inputs[0][0], math.prod(inputs[0][1:]))


@dataclass(frozen=True)
class Linear(Op):
    """A matrix product with bias: ``(N, in) -> (N, out_features)``."""

    out_features: int

    def output_shape(self, *inputs: Shape) -> Shape:
        """Returns ``(N, out_features)``."""
        _at_least(1, out_features=self.out_features)
        if len(inputs[0]) != 2:
            raise UsageError(f"linear expects (N, features), got {inputs[0]}; flatten it first")
        return (inputs[0][0], self.out_features)

    def parameters(self, *inputs: Shape) -> Parameters:
        """Returns ``weight (out, in)`` and ``bias (out,)``."""
        return {"weight": (self.out_features, inputs[0][1]), "bias": (self.out_features,)}

    def macs(self, output: Shape, *inputs: Shape) -> int:
        """Returns ``N * in * out``."""
        return math.prod(output) * inputs[0][1]
