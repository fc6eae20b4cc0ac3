"""The program of the engine for a network: its steps, their maps and their weights.

A convolution takes over the batch norm behind it, a sum with a result that is there already (a
residual) and an activation, in this order and where nothing else reads what lies between; every
other step takes over an activation. A flattening of one pixel is nothing.

What the engine has no code for torch computes, in a step of its own. The engine's maps are of one
image, ``(C, H, W)`` or ``(C,)`` of floats; whatever is none (of another rank, of integers) torch
holds, and its map has one element, which stands for it. The inputs of such a network and its
outputs are steps of torch, too.

The program knows nothing of a CPU: weights are dense arrays, and which of them are skipped, in
groups of how many filters, is decided where they are loaded.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latbench.errors import BackendError
from latbench.export.fold import folded, follower_of, only_readers, scale_and_shift
from latbench.export.one_image import split_batch
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Layer, Network
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    Input,
    Linear,
    Op,
    Pad,
    Pool,
    Shape,
    Slice,
    Zero,
)
from latbench.networks.weights import Array, Weights, check_weights

MAGIC, VERSION = b"LBSPARSE", 1
# In the order of the engine's enum (engine/format.hpp).
_KINDS = (
    "conv", "depthwise", "max pool", "average pool", "mean", "add", "multiply", "scale", "activate",
    "gather", "crop", "zero", "flatten", "foreign",
)  # fmt: skip
_ACTIVATIONS = ("none", "relu", "relu6", "hswish", "sigmoid", "silu", "hsigmoid")


@dataclass(frozen=True)
class Step:
    """One step of a program: what it computes, from which maps into which.

    ``layers`` are the network's layers that it stands for, the one that is computed first.
    ``weights`` and ``bias`` are arrays as a layer has them; ``table`` says where each channel of a
    gathering comes from, ``(input, channel)`` for each.
    """

    kind: str
    layers: tuple[int, ...]
    inputs: tuple[int, ...]
    output: int
    residual: int | None = None
    activation: str = "none"
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    top: int = 0
    left: int = 0
    weights: Array | None = field(default=None, repr=False)
    bias: Array | None = field(default=None, repr=False)
    table: tuple[tuple[int, int], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Program:
    """The steps of a network. ``maps`` are the shapes ``(channels, rows, columns)`` of one image's
    values: the input is the first, the output the last. ``held`` are those that torch holds."""

    maps: tuple[tuple[int, int, int], ...]
    steps: tuple[Step, ...]
    held: frozenset[int] = frozenset()

    @property
    def foreign(self) -> tuple[int, ...]:
        """Returns the steps that the engine has no code for, which torch computes."""
        return tuple(i for i, step in enumerate(self.steps) if step.kind == "foreign")

    @property
    def plain(self) -> bool:
        """Returns whether the engine takes the input and gives the output, one each."""
        return 0 not in self.held and len(self.maps) - 1 not in self.held

    def to_bytes(self, group: int = 16, tilings: tuple[tuple[int, ...], ...] = ()) -> bytes:
        """Writes the program as the engine reads it (engine/format.hpp).

        Args:
            group: How many filters' weights are skipped together, where a reader names no number.
            tilings: How the steps are computed, for some builds of the engine: the floats of its
                registers, the group, the threads, 0, and three numbers a step.

        Returns:
            The file's content.
        """
        numbers: list[int] = []
        floats: list[Array] = []
        size = 0
        records = b""
        for step in self.steps:
            first = len(numbers)
            numbers += step.inputs
            table = len(numbers)
            numbers += [value for pair in step.table for value in pair]
            places = []
            for array in (step.weights, step.bias):
                places.append(-1 if array is None else size)
                if array is not None:
                    floats.append(np.ascontiguousarray(array, dtype="<f4").reshape(-1))
                    size += array.size
            records += struct.pack(
                "<14i2q", _KINDS.index(step.kind), _ACTIVATIONS.index(step.activation), first,
                len(step.inputs), step.output, -1 if step.residual is None else step.residual,
                step.kernel, step.stride, step.padding, step.dilation, step.groups, table, step.top,
                step.left, *places,
            )  # fmt: skip
        counts = (VERSION, group, len(self.maps), len(self.steps), len(numbers), len(tilings))
        return b"".join(
            [
                MAGIC,
                struct.pack("<6iq", *counts, size),
                np.array(self.maps, "<i4").tobytes(),
                records,
                np.array(numbers, "<i4").tobytes(),
                *[array.tobytes() for array in floats],
                np.array(tilings, "<i4").tobytes(),
            ]
        )


def program_of(network: Network, weights: Weights) -> Program:
    """Makes the program of a network with its weights, for one image.

    Raises UsageError when a tensor is missing or has another shape, BackendError for a layer that
    the engine cannot have in a program at all (batch norms without running statistics).
    """
    check_weights(network, weights)
    return _Lowering(split_batch(network)[0], weights).program()


class _Lowering:
    def __init__(self, network: Network, weights: Weights) -> None:
        self.network, self.weights = network, weights
        self.readers = only_readers(network)
        self.maps: list[tuple[int, int, int]] = []
        self.held: set[int] = set()
        self.steps: list[Step] = []
        self.at: dict[int, int] = {}  # the map that holds a layer's result
        self.taken: set[int] = set()  # layers that an earlier step computes

    def program(self) -> Program:
        if len(self.network.inputs) == 1 and self.fits(0):
            self.at[0] = self.map_for(0)
        else:
            self.held.add(self.new_map((1, 1, 1)))
        for i, layer in enumerate(self.network.layers):
            if i not in self.taken and i not in self.at:
                own = all(self.fits(j) for j in (i, *layer.inputs))
                (_RULES.get(type(layer.op), _foreign) if own else _foreign)(self, i, layer)
        self._end()
        return Program(tuple(self.maps), tuple(self.steps), frozenset(self.held))

    def _end(self) -> None:
        """The output is the last map, and a step's own."""
        outputs = tuple(self.at[i] for i in self.network.outputs)
        last = outputs[0]
        if len(outputs) > 1 or last in self.held:
            self.held.add(self.new_map((1, 1, 1)))
            self.steps.append(Step("foreign", (), outputs, len(self.maps) - 1))
        elif not self.steps or last != self.steps[-1].output:  # another name of an earlier one
            self.new_map(self.maps[last])
            self.steps.append(Step("activate", (), (last,), len(self.maps) - 1))

    def fits(self, index: int) -> bool:
        """Whether the engine can have a layer's result in a map."""
        shape = self.network.layers[index].shape
        image = len(shape) in (2, 4) and shape[0] == 1
        return image and self.network.types[index] == "float32"

    def new_map(self, shape: tuple[int, int, int]) -> int:
        self.maps.append(shape)
        return len(self.maps) - 1

    def map_for(self, index: int) -> int:
        """A map for a layer's result, of one element where torch holds it."""
        shape = self.network.layers[index].shape
        if self.fits(index):
            return self.new_map(_map_shape(shape))
        found = self.new_map((1, 1, 1))
        self.held.add(found)
        return found

    def follower(self, index: int, kind: type[Op]) -> int | None:
        """The layer of a kind that alone reads another one."""
        return follower_of(self.network, self.readers, index, kind)

    def step(self, kind: str, layers: list[int], **values: Any) -> None:
        """Adds a step that computes the last of ``layers``, or an activation behind it."""
        first = self.network.layers[layers[0]]
        values.setdefault("inputs", tuple(self.at[j] for j in first.inputs))
        activation = self.follower(layers[-1], Activation)
        if activation is not None and kind != "foreign":
            values["activation"] = self.network.layers[activation].op.kind  # type: ignore[attr-defined]
            layers = [*layers, activation]
        self.taken.update(layers)
        self.at[layers[-1]] = self.map_for(layers[-1])
        self.steps.append(Step(kind, tuple(layers), output=self.at[layers[-1]], **values))

    def residual(self, index: int) -> tuple[int, int] | None:
        """The sum of two that alone reads a layer, and the other map, if it is there already."""
        total = self.follower(index, Elementwise)
        if total is None:
            return None
        op, inputs = self.network.layers[total].op, self.network.layers[total].inputs
        assert isinstance(op, Elementwise)
        if op.kind != "add" or len(inputs) != 2:
            return None
        other = inputs[0] if inputs[1] == index else inputs[1]
        return None if other == index or other not in self.at else (total, self.at[other])


def _map_shape(shape: Shape) -> tuple[int, int, int]:
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, 1)


Rule = Callable[[_Lowering, int, Layer], None]


def _conv(to: _Lowering, i: int, layer: Layer) -> None:
    op = layer.op
    assert isinstance(op, Conv)
    layers, residual = [i], None
    weight, bias = to.weights[f"{i}.weight"], to.weights.get(f"{i}.bias")
    norm = to.follower(i, BatchNorm)
    if norm is not None and to.network.layers[norm].op.running:  # type: ignore[attr-defined]
        weight, bias = folded(to.network, to.weights, i, norm)
        layers.append(norm)
    depthwise = op.depthwise(to.network.input_shapes(layer)[0])
    total = None if depthwise else to.residual(layers[-1])
    if total is not None:
        layers.append(total[0])
        residual = total[1]
    to.step(
        "depthwise" if depthwise else "conv", layers, residual=residual, kernel=op.kernel,
        stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups,
        weights=weight, bias=np.zeros(op.out_channels, np.float32) if bias is None else bias,
    )  # fmt: skip


def _linear(to: _Lowering, i: int, layer: Layer) -> None:
    to.step("conv", [i], weights=to.weights[f"{i}.weight"], bias=to.weights[f"{i}.bias"])


def _batch_norm(to: _Lowering, i: int, layer: Layer) -> None:
    op = layer.op
    assert isinstance(op, BatchNorm)
    if not op.running:
        raise BackendError(
            f"layer {i} is a batch norm without running statistics, which only a supernet has; "
            "build the network of an architecture"
        )
    scale, shift = scale_and_shift(to.network, to.weights, i)
    to.step("scale", [i], weights=scale.astype(np.float32), bias=shift.astype(np.float32))


def _activation(to: _Lowering, i: int, layer: Layer) -> None:
    assert isinstance(layer.op, Activation)
    to.at[i] = to.map_for(i)
    inputs = (to.at[layer.inputs[0]],)
    to.steps.append(Step("activate", (i,), inputs, to.at[i], activation=layer.op.kind))


def _pool(to: _Lowering, i: int, layer: Layer) -> None:
    op = layer.op
    assert isinstance(op, Pool)
    kind = "max pool" if op.kind == "max" else "average pool"
    to.step(kind, [i], kernel=op.kernel, stride=op.stride, padding=op.padding)


def _elementwise(to: _Lowering, i: int, layer: Layer) -> None:
    assert isinstance(layer.op, Elementwise)
    if len(layer.inputs) == 1:
        to.at[i] = to.at[layer.inputs[0]]
    else:
        to.step("add" if layer.op.kind == "add" else "multiply", [i])


def _concat(to: _Lowering, i: int, layer: Layer) -> None:
    shapes = to.network.input_shapes(layer)
    table = tuple((j, c) for j, shape in enumerate(shapes) for c in range(shape[1]))
    to.step("gather", [i], table=table)


def _slice(to: _Lowering, i: int, layer: Layer) -> None:
    op, shape = layer.op, to.network.input_shapes(layer)[0]
    assert isinstance(op, Slice)
    left = range(shape[op.axis])[op.start : op.end]
    if op.axis == 1:
        to.step("gather", [i], table=tuple((0, c) for c in left))
    else:
        to.step("crop", [i], **{"top" if op.axis == 2 else "left": left[0]})


def _channel_shuffle(to: _Lowering, i: int, layer: Layer) -> None:
    assert isinstance(layer.op, ChannelShuffle)
    channels = np.arange(layer.shape[1]).reshape(layer.op.groups, -1).T.reshape(-1)
    to.step("gather", [i], table=tuple((0, int(c)) for c in channels))


def _flatten(to: _Lowering, i: int, layer: Layer) -> None:
    if math.prod(to.network.input_shapes(layer)[0][2:]) == 1:
        to.at[i] = to.at[layer.inputs[0]]
    else:
        to.step("flatten", [i])


def _foreign(to: _Lowering, i: int, layer: Layer) -> None:
    if isinstance(layer.op, Input | Constant):  # which read nothing, but the engine's steps do
        to.step("foreign", [i], inputs=(0,))
    else:
        to.step("foreign", [i])


_RULES: dict[type[Op], Rule] = {
    Conv: _conv,
    Linear: _linear,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Pool: _pool,
    GlobalAvgPool: lambda to, i, layer: to.step("mean", [i]),
    Elementwise: _elementwise,
    Concat: _concat,
    Slice: _slice,
    ChannelShuffle: _channel_shuffle,
    Pad: lambda to, i, layer: to.step("crop", [i]),
    Zero: lambda to, i, layer: to.step("zero", [i]),
    Flatten: _flatten,
}
