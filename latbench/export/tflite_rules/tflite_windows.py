"""Rules of what slides over images or changes their size, for LiteRT. All of it is NHWC."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from latbench.export.fold import folded
from latbench.export.general.interpolation import same_taps, taps
from latbench.export.general.pooling import shares
from latbench.export.rules import refusal
from latbench.export.tflite_rules.tflite_elements import activation
from latbench.export.tflite_rules.tflite_writer import (
    FUSED,
    MOST_AXES,
    OP,
    Stored,
    StoredRules,
    TfliteWriter,
    image_order,
    permuted,
)
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    Pair,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.ops import Activation, Conv, Pool, Shape
from latbench.networks.weights import Array

_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
_FUSIBLE = {"relu": FUSED.RELU, "relu6": FUSED.RELU6}
_IMAGE = image_order(4)
_LOWEST = float(np.finfo(np.float32).min)


def as_rect(op: Conv | Pool) -> RectConv | RectPool:
    """Returns the same window with each axis' sizes of its own."""
    kernel, stride, sides = (op.kernel,) * 2, (op.stride,) * 2, (op.padding,) * 4
    if isinstance(op, Pool):
        return RectPool(op.kind, kernel, stride, sides)
    dilation = (op.dilation,) * 2
    return RectConv(op.out_channels, kernel, stride, sides, dilation, op.groups, op.bias)


def _reach(op: RectConv | RectPool) -> Pair:
    down, across = (d * (k - 1) + 1 for k, d in zip(op.kernel, op.dilation, strict=True))
    return down, across


def slid_over(
    w: TfliteWriter, x: int, shape: Shape, op: RectConv | RectPool, value: float | None = None
) -> tuple[int, int]:
    """Returns what a window slides over, padded if need be, and the padding that is left to LiteRT.

    Args:
        w: The writer.
        x: The image, NHWC.
        shape: The result's shape, NHWC.
        op: The window.
        value: What is padded; zeros by default.

    Returns:
        The image and LiteRT's padding.
    """
    sizes, reach = w.shape(x)[1:3], _reach(op)
    needed = [
        (o - 1) * s + r - n for o, s, r, n in zip(shape[1:3], op.stride, reach, sizes, strict=True)
    ]
    after = list(op.padding[2:])
    if isinstance(op, RectPool):  # whose last window may hang over
        after = [max(n - op.padding[a], after[a]) for a, n in enumerate(needed)]
    if not any(op.padding[:2]) and not any(after):
        return x, _VALID
    same = [
        out == -(-size // s) and max(n, 0) // 2 == before
        for out, size, s, n, before in zip(
            shape[1:3], sizes, op.stride, needed, op.padding, strict=False
        )
    ]
    if all(same):
        return x, _SAME
    top, left = op.padding[:2]
    if top == left:
        return w.pad(x, top, after, value), _VALID
    return w.pad_sides(x, ([0, 0], [top, after[0]], [left, after[1]], [0, 0]), value), _VALID


def conv(op: RectConv, w: TfliteWriter, key: int, x: int, shape: Shape) -> int:
    """Writes a convolution with the batch norm and the activation behind it.

    Args:
        op: The convolution.
        w: The writer.
        key: The layer's index.
        x: The image, NHWC.
        shape: The result's shape, NHWC.

    Returns:
        The result.
    """
    weight = w.weights[f"{key}.weight"]
    bias = w.weights.get(f"{key}.bias", np.zeros(op.out_channels, np.float32))
    fusion, kind = w.fusions[key], None
    if fusion.batch_norm is not None:
        weight, bias = folded(w.network, w.weights, key, fusion.batch_norm)
    if fusion.activation is not None:
        behind = w.network.layers[fusion.activation].op
        assert isinstance(behind, Activation)
        kind = behind.kind
    source, padding = slid_over(w, x, shape, op)
    options = {
        "padding": padding, "strideH": op.stride[0], "strideW": op.stride[1],
        "dilationHFactor": op.dilation[0], "dilationWFactor": op.dilation[1],
        "fusedActivationFunction": _FUSIBLE.get(kind or "", FUSED.NONE),
    }  # fmt: skip
    y = _convolve(op, w, source, weight, bias, shape, options)
    return y if kind is None or kind in _FUSIBLE else activation(kind, w, y)


def _convolve(
    op: RectConv,
    w: TfliteWriter,
    x: int,
    weight: Array,
    bias: Array,
    shape: Shape,
    options: dict[str, Any],
) -> int:  # fmt: skip
    channels = w.tensors[x].shape[3]
    if op.groups == channels and op.groups > 1:
        inputs = [x, w.constant(weight.transpose(1, 2, 3, 0)), w.constant(bias)]
        options["depthMultiplier"] = op.out_channels // channels
        return w.add(OP.DEPTHWISE_CONV_2D, inputs, shape, "DepthwiseConv2D", **options)
    inputs = [x, w.constant(weight.transpose(0, 2, 3, 1)), w.constant(bias)]
    return w.add(OP.CONV_2D, inputs, shape, "Conv2D", **options)


def pool(op: RectPool, w: TfliteWriter, x: int, shape: Shape) -> int:
    """Writes a pooling.

    Args:
        op: The pooling.
        w: The writer.
        x: The image, NHWC.
        shape: The result's shape, NHWC.

    Returns:
        The result.
    """
    source, padding = slid_over(w, x, shape, op, _LOWEST if op.kind == "max" else None)
    y = w.add(
        OP.MAX_POOL_2D if op.kind == "max" else OP.AVERAGE_POOL_2D, [source], shape, "Pool2D",
        padding=padding, strideH=op.stride[0], strideW=op.stride[1], filterHeight=op.kernel[0],
        filterWidth=op.kernel[1],
    )  # fmt: skip
    if op.kind == "max":
        return y
    # LiteRT divides by the places on what it slides over: with SAME by those on the image,
    # otherwise by the whole window, of which some may be padding.
    n, height, width, c = w.shape(x)
    to = _counts(op, (n, c, height, width))
    on_image = _counts(dataclasses.replace(op, counted=False), (n, c, height, width))
    by = on_image if source == x else np.full_like(to, math.prod(op.kernel))
    if (by == to).all():
        return y
    return w.add(OP.MUL, [y, w.constant((by / to)[None, :, :, None])], shape, "Mul")


def _counts(op: RectPool, shape: Shape) -> npt.NDArray[np.float64]:
    """How many elements each window counts."""
    found: npt.NDArray[np.float64] = np.rint(1 / shares(op, shape).astype(np.float64))
    return found


def _rect_conv(op: RectConv, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    return Stored(conv(op, w, key, w.ordered(x[0], _IMAGE), permuted(shape, _IMAGE)), _IMAGE)


def _rect_pool(op: RectPool, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    if op.dilation != (1, 1):
        raise refusal("LiteRT", key, op, "no pooling whose window has gaps")
    if op.kernel == (1, 1):  # which chooses, and which XNNPACK gets wrong
        y = w.ordered(x[0], _IMAGE)
        for axis, step in enumerate(op.stride, start=1):
            if step > 1:
                y = w.cut(y, axis, 0, shape[1 + axis], step)
        return Stored(y, _IMAGE)
    return Stored(pool(op, w, w.ordered(x[0], _IMAGE), permuted(shape, _IMAGE)), _IMAGE)


def _transposed(
    op: TransposedConv, w: TfliteWriter, key: int, x: list[Stored], shape: Shape
) -> Stored:
    image = w.ordered(x[0], _IMAGE)
    weight = _spread(w.weights[f"{key}.weight"], op.dilation)
    channels = len(weight) // op.groups
    parts = []
    for g in range(op.groups):
        part = image if op.groups == 1 else w.cut(image, 3, g * channels, channels)
        parts.append(_one_transposed(op, w, part, weight[g * channels : (g + 1) * channels]))
    y = parts[0]
    if len(parts) > 1:
        joined = (*w.shape(y)[:3], op.out_channels)
        y = w.add(OP.CONCATENATION, parts, joined, "Concatenation", axis=3)
    y = _trimmed(op, w, y, shape)
    if op.bias:
        y = w.two(OP.ADD, y, w.constant(w.weights[f"{key}.bias"]), "Add")
    return Stored(y, _IMAGE)


def _spread(weight: Array, dilation: Pair) -> Array:
    """A kernel with zeros in its gaps: LiteRT has no others here."""
    i, o, *sizes = weight.shape
    reach = [(k - 1) * d + 1 for k, d in zip(sizes, dilation, strict=True)]
    found = np.zeros((i, o, *reach), np.float32)
    found[:, :, :: dilation[0], :: dilation[1]] = weight
    return found


def _one_transposed(op: TransposedConv, w: TfliteWriter, x: int, weight: Array) -> int:
    """All that a transposed convolution adds up, before anything is cut off."""
    n, height, width, _ = w.shape(x)
    _, out, *reach = weight.shape
    full = [(s - 1) * t + k for s, t, k in zip((height, width), op.stride, reach, strict=True)]
    found = (n, *full, out)
    kernel = w.constant(weight.transpose(1, 2, 3, 0))
    return w.add(
        OP.TRANSPOSE_CONV, [w.constant(found, np.int32), kernel, x], found, "TransposeConv",
        "float32", padding=_VALID, strideH=op.stride[0], strideW=op.stride[1],
    )  # fmt: skip


def _trimmed(op: TransposedConv, w: TfliteWriter, y: int, shape: Shape) -> int:
    """Cuts off the padding and adds what is extra."""
    full = w.shape(y)[1:3]
    lacks = [op.padding[i] + size - full[i] for i, size in enumerate(shape[2:])]
    if max(lacks) > 0:
        y = w.pad_sides(y, [[0, 0], [0, max(lacks[0], 0)], [0, max(lacks[1], 0)], [0, 0]])
    found = permuted(shape, _IMAGE)
    if w.shape(y) == found:
        return y
    begin = w.constant([0, *op.padding[:2], 0], np.int32)
    return w.add(OP.SLICE, [y, begin, w.constant(found, np.int32)], found, "Slice")


def _local_norm(
    op: LocalResponseNorm, w: TfliteWriter, key: int, x: list[Stored], shape: Shape
) -> Stored:
    image = w.ordered(x[0], _IMAGE)
    if op.size % 2:
        y = w.one(
            OP.LOCAL_RESPONSE_NORMALIZATION, image, "LocalResponseNormalization",
            radius=op.size // 2, bias=op.bias, alpha=op.alpha / op.size, beta=op.beta,
        )  # fmt: skip
        return Stored(y, _IMAGE)
    # A window of even length has one channel more behind than before: a mean over squares does it.
    n, height, width, c = w.shape(image)
    squares = w.reshape(w.two(OP.MUL, image, image, "Mul"), (n, height * width, c, 1))
    before = (op.size - 1) // 2
    padded = w.pad_sides(squares, [[0, 0], [0, 0], [before, op.size - 1 - before], [0, 0]])
    mean = w.add(
        OP.AVERAGE_POOL_2D, [padded], (n, height * width, c, 1), "Pool2D", padding=_VALID,
        strideH=1, strideW=1, filterHeight=1, filterWidth=op.size,
    )  # fmt: skip
    base = w.two(OP.ADD, w.two(OP.MUL, mean, op.alpha, "Mul"), op.bias, "Add")
    by = w.reshape(w.two(OP.POW, base, op.beta, "Pow"), (n, height, width, c))
    return Stored(w.two(OP.DIV, image, by, "Div"), _IMAGE)


# LiteRT's own ways: which elements each takes, and its options.
_LINEAR: dict[str, dict[str, Any]] = {
    "half_pixel": {"halfPixelCenters": True}, "align_corners": {"alignCorners": True},
    "asymmetric": {},
}  # fmt: skip


def _resize(op: Resize, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    image = w.ordered(x[0], _IMAGE)
    sizes = (w.shape(image)[1], w.shape(image)[2])
    found = permuted(shape, _IMAGE)
    native = _native(op, sizes)
    if native is not None:
        code, kind = {
            "linear": (OP.RESIZE_BILINEAR, "ResizeBilinear"),
            "nearest": (OP.RESIZE_NEAREST_NEIGHBOR, "ResizeNearestNeighbor"),
        }[op.kind]
        inputs = [image, w.constant(shape[2:], np.int32)]
        return Stored(w.add(code, inputs, found, kind, **native), _IMAGE)
    y = image
    for axis, size in enumerate(sizes):
        y = _interpolated(op, w, y, axis, size)
    return Stored(y, _IMAGE)


def _native(op: Resize, sizes: Pair) -> dict[str, Any] | None:
    """The options by which LiteRT resizes just so, if there are any."""
    if op.kind == "linear":
        for places, options in _LINEAR.items():
            if same_taps(op, Resize(op.height, op.width, "linear", places), sizes):  # type: ignore[arg-type]
                return options
    if op.kind == "nearest":
        asked = [taps(op, size, axis)[0][0] for axis, size in enumerate(sizes)]
        for options in (dict[str, Any](), {"halfPixelCenters": True}):
            half = np.float32(0.5 if options else 0)
            own = [
                np.minimum(
                    ((np.arange(out, dtype=np.float32) + half) * np.float32(n / out)).astype(
                        np.int64
                    ),
                    n - 1,
                )
                for out, n in zip((op.height, op.width), sizes, strict=True)
            ]
            if all(np.array_equal(a, b) for a, b in zip(asked, own, strict=True)):
                return options
    return None


def _interpolated(op: Resize, w: TfliteWriter, x: int, axis: int, size: int) -> int:
    """One axis of an image, as a sum of its own rows (or columns) times their shares."""
    places, shares = taps(op, size, axis)
    length = places.shape[1]
    if len(places) == 1:
        same = np.array_equal(places[0], np.arange(size))
        return x if same else w.chosen(x, places[0].tolist(), 1 + axis)
    total = None
    for place, share in zip(places, shares, strict=True):
        factors = w.constant(share.reshape((1, length, 1, 1) if axis == 0 else (1, 1, length, 1)))
        part = w.two(OP.MUL, w.chosen(x, place.tolist(), 1 + axis), factors, "Mul")
        total = part if total is None else w.two(OP.ADD, total, part, "Add")
    assert total is not None
    return total


def _pad_around(op: PadAround, w: TfliteWriter, key: int, x: list[Stored], shape: Shape) -> Stored:
    order = x[0].order
    y = w.ordered(x[0], order)
    sides = [[max(op.before[a], 0), max(op.after[a], 0)] for a in order]
    if any(map(any, sides)):
        y = _padded(op, w, y, sides)
    for axis, (before, after) in enumerate(zip(op.before, op.after, strict=True)):
        own, cut = order.index(axis), min(before, 0) + min(after, 0)
        if cut:
            y = w.cut(y, own, -min(before, 0), w.shape(y)[own] + cut)
    return Stored(y, order)


def _padded(op: PadAround, w: TfliteWriter, y: int, sides: list[list[int]]) -> int:
    if op.kind == "constant":
        return w.pad_sides(y, sides, op.value if op.value else None)
    shape = w.shape(y)
    within = all(max(ends) < size for ends, size in zip(sides, shape, strict=True))
    if op.kind == "reflect" and len(shape) <= MOST_AXES and within:
        found = [size + sum(ends) for size, ends in zip(shape, sides, strict=True)]
        mode = schema.MirrorPadMode.REFLECT
        inputs = [y, w.constant(sides, np.int32)]
        return w.add(OP.MIRROR_PAD, inputs, found, "MirrorPad", mode=mode)
    for own, ends in enumerate(sides):
        if any(ends):
            mode = "edge" if op.kind == "edge" else "reflect"
            places = np.pad(np.arange(shape[own]), ends, mode)  # type: ignore[call-overload]
            y = w.chosen(y, places.tolist(), own)
    return y


WINDOW_RULES: StoredRules = {
    RectConv: _rect_conv,
    RectPool: _rect_pool,
    TransposedConv: _transposed,
    LocalResponseNorm: _local_norm,
    Resize: _resize,
    PadAround: _pad_around,
}
