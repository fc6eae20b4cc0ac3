"""Rules of what slides over images or changes their size, for ncnn."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from latbench.export.fold import folded
from latbench.export.general.interpolation import matrix, same_taps, taps
from latbench.export.general.pooling import shares, spans
from latbench.export.ncnn_rules.ncnn_writer import (
    ADD,
    MOST_AXES,
    MUL,
    POW,
    GeneralRules,
    NcnnWriter,
    kept_axes,
    stored,
)
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.ops import Activation, Conv

MAX_POOL, AVERAGE_POOL = 0, 1
VALID = 1  # pad as told; the default rounds the output's size up
# What a convolution may do to its result, and an activation's constants: the limits of a clip, or
# a and b of x * clip(a * x + b, 0, 1).
_FUSED = {"relu": 1, "relu6": 3, "sigmoid": 4, "hswish": 6}
_BOUNDS = {"relu6": [0.0, 6.0], "hswish": [1 / 6, 0.5], "hsigmoid": [1 / 6, 0.5]}
_PADDINGS = {"constant": 0, "edge": 1, "reflect": 2}


def conv(op: Conv | RectConv, w: NcnnWriter, key: str, x: list[str], y: str) -> None:
    """Writes a convolution with the batch norm and the activation behind it.

    Args:
        op: The convolution.
        w: The writer.
        key: The layer's index.
        x: The blob that it reads, alone.
        y: The name of its result.
    """
    weight, bias = w.weights[f"{key}.weight"], w.weights.get(f"{key}.bias")
    fusion, extra, after = w.fusions.get(int(key)), dict[str, Any](), None
    if fusion is not None and fusion.batch_norm is not None:
        weight, bias = folded(w.network, w.weights, int(key), fusion.batch_norm)
    if fusion is not None and fusion.activation is not None:
        behind = w.network.layers[fusion.activation].op
        assert isinstance(behind, Activation)
        if behind.kind in _FUSED:
            extra = {"p9": _FUSED[behind.kind], "p10": _BOUNDS.get(behind.kind, [])}
        else:
            after = behind
    if op.groups > 1:
        extra["p7"] = op.groups
    w.store(weight, flag=True)
    result = y if after is None else f"{y}_conv"
    window: dict[str, Any]
    if isinstance(op, Conv):
        window = {"p1": op.kernel, "p2": op.dilation, "p3": op.stride, "p4": op.padding}
    else:
        window = {"p1": op.kernel[1], "p2": op.dilation[1], "p3": op.stride[1]}
        extra |= _rest_of(op)
        window["p4"] = op.padding[1]
    w.layer(
        "ConvolutionDepthWise" if op.groups > 1 else "Convolution", x, [result], p0=op.out_channels,
        **window, p5=w.store(bias), p6=weight.size, **extra,
    )  # fmt: skip
    if after is not None:
        activation(after, w, [result], y)


def _rest_of(op: RectConv | TransposedConv) -> dict[str, int]:
    """A window's numbers that differ from those of the width, and its other sides."""
    top, _, bottom, right = op.padding
    return {
        "p11": op.kernel[0], "p12": op.dilation[0], "p13": op.stride[0], "p14": top, "p15": right,
        "p16": bottom,
    }  # fmt: skip


def activation(op: Activation, w: NcnnWriter, x: list[str], y: str) -> None:
    """Writes one of the kinds of ``Activation``.

    Args:
        op: The activation.
        w: The writer.
        x: The blob that it reads, alone.
        y: The name of its result.
    """
    kinds = {
        "relu": "ReLU", "relu6": "Clip", "hswish": "HardSwish", "sigmoid": "Sigmoid",
        "silu": "Swish", "hsigmoid": "HardSigmoid",
    }  # fmt: skip
    bounds = {f"p{i}": bound for i, bound in enumerate(_BOUNDS.get(op.kind, []))}
    w.layer(kinds[op.kind], x, [y], **bounds)


def _transposed(op: TransposedConv, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    weight = w.weights[f"{i}.weight"]
    grouped = weight.reshape(op.groups, -1, *weight.shape[1:]).transpose(0, 2, 1, 3, 4)
    bias, given = w.weights.get(f"{i}.bias"), w.blob(x[0])
    w.store(grouped, flag=True)
    extra = {"p7": op.groups} if op.groups > 1 else {}
    return w.add(
        "DeconvolutionDepthWise" if op.groups > 1 else "Deconvolution", [given],
        stored(w.shape(i)), p0=op.out_channels, p1=op.kernel[1], p2=op.dilation[1],
        p3=op.stride[1], p4=op.padding[1], p5=w.store(bias), p6=weight.size, **extra,
        **_rest_of(op), p18=op.extra[1], p19=op.extra[0],
    )  # fmt: skip


def _pool(op: RectPool, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    if op.dilation != (1, 1):
        raise w.refuse(i, "no pooling whose window has gaps")
    below, right = (max(side, 0) for side in spans(op, w.shape(x[0]))[2:])
    y = w.add(
        "Pooling", [w.blob(x[0])], stored(w.shape(i)),
        p0=MAX_POOL if op.kind == "max" else AVERAGE_POOL, p1=op.kernel[1], p2=op.stride[1],
        p3=op.padding[1], p5=VALID, p6=0, p11=op.kernel[0], p12=op.stride[0], p13=op.padding[0],
        p14=right, p15=below,
    )  # fmt: skip
    if op.kind == "max" or not op.counted:
        return y
    # ncnn leaves out of the average all that was padded; here some of it counts.
    alone = shares(dataclasses.replace(op, counted=False), w.shape(x[0]))
    share = shares(op, w.shape(x[0])) / alone
    return y if (share == 1).all() else w.two(MUL, y, w.constant(share[None]))


def _local_norm(op: LocalResponseNorm, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    given = w.blob(x[0])
    c, *image = w.sizes(given)
    if op.size % 2:
        return w.add(
            "LRN", [given], (c, *image), p0=0, p1=op.size, p2=float(op.alpha), p3=float(op.beta),
            p4=float(op.bias),
        )  # fmt: skip
    # A window of even length has one channel more behind than before: a mean over squares does it.
    before = (op.size - 1) // 2
    squares = w.reshape(w.two(MUL, given, given), (1, c, int(np.prod(image))))
    mean = w.add(
        "Pooling", [squares], w.sizes(squares), p0=AVERAGE_POOL, p1=1, p2=1, p3=0, p5=VALID, p6=1,
        p11=op.size, p12=1, p13=before, p14=0, p15=op.size - 1 - before,
    )  # fmt: skip
    base = w.two(ADD, w.two(MUL, mean, float(op.alpha)), float(op.bias))
    return w.two(MUL, given, w.reshape(w.two(POW, base, -float(op.beta)), (c, *image)))


def _resize(op: Resize, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    y = w.blob(x[0])
    c, height, width = w.sizes(y)
    own = _own_way(op, height, width)
    if own is not None:
        sizes = (c, op.height, op.width)
        return w.add("Interp", [y], sizes, p0=own[0], p3=op.height, p4=op.width, p6=own[1])
    across, down = matrix(op, width, 1), matrix(op, height, 0)
    if across.shape[0] != width or not np.array_equal(across, np.eye(width)):
        right = w.constant(across.T[None])
        y = w.add("MatMul", [y, right], (c, height, op.width))
    if down.shape[0] != height or not np.array_equal(down, np.eye(height)):
        left = w.constant(down[None])
        y = w.add("MatMul", [left, y], (c, op.height, op.width))
    return y


def _own_way(op: Resize, height: int, width: int) -> tuple[int, int] | None:
    """ncnn's number of the kind and of the corners, where it resizes just so."""
    if op.kind == "nearest":
        for axis, (out, size) in enumerate(((op.height, height), (op.width, width))):
            own = (np.arange(out, dtype=np.float32) * np.float32(size / out)).astype(np.int64)
            if not np.array_equal(taps(op, size, axis)[0][0], np.minimum(own, size - 1)):
                return None
        return 1, 0
    kind, least = {"linear": (2, 2), "cubic": (3, 4)}[op.kind]
    if min(height, width) >= least:  # ncnn reads beyond smaller ones
        for corners, places in enumerate(("half_pixel", "align_corners")):
            other = Resize(op.height, op.width, op.kind, places)  # type: ignore[arg-type]
            if same_taps(op, other, (height, width)) and min(op.height, op.width) > corners:
                return kind, corners
    return None


def _pad_around(op: PadAround, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    shape, y = w.shape(x[0]), w.blob(x[0])
    sides = [(max(b, 0), max(a, 0)) for b, a in zip(op.before, op.after, strict=True)]
    longer = [axis for axis, ends in enumerate(sides) if any(ends)]
    axes = kept_axes(shape)
    if op.kind == "reflect" and any(max(sides[a]) >= shape[a] for a in longer):
        raise w.refuse(i, "no reflection that is longer than what it reflects")
    if axes is not None and len(axes) < MOST_AXES and set(longer) <= set(axes):
        y = _padded(op, w, y, [sides[a] for a in axes])
        shape = tuple(size + sum(ends) for size, ends in zip(shape, sides, strict=True))
        longer = []
    for axis in longer:
        y = _padded(op, w, w.merged(y, shape, axis), [(0, 0), sides[axis], (0, 0)])
        shape = _resized(shape, axis, sum(sides[axis]))
    for axis, (before, after) in enumerate(zip(op.before, op.after, strict=True)):
        start, less = -min(before, 0), min(before, 0) + min(after, 0)
        y = cut(w, y, shape, axis, start, shape[axis] + less)
        shape = _resized(shape, axis, less)
    return y


def _resized(shape: tuple[int, ...], axis: int, more: int) -> tuple[int, ...]:
    return (*shape[:axis], shape[axis] + more, *shape[axis + 1 :])


def _padded(op: PadAround, w: NcnnWriter, x: str, sides: Sequence[tuple[int, int]]) -> str:
    if not any(map(any, sides)):
        return x
    front, top, left = [(0, 0)] * (3 - len(sides)) + list(sides)
    found = [size + sum(ends) for size, ends in zip(w.sizes(x), sides, strict=True)]
    value = float(np.clip(op.value, *np.array([-1, 1]) * np.finfo(np.float32).max))
    return w.add(
        "Padding", [x], found, p0=top[0], p1=top[1], p2=left[0], p3=left[1],
        p4=_PADDINGS[op.kind], p5=value, p7=front[0], p8=front[1],
    )  # fmt: skip


def cut(
    w: NcnnWriter, x: str, shape: tuple[int, ...], axis: int, start: int, size: int, step: int = 1
) -> str:
    """Writes a part of one axis.

    Args:
        w: The writer.
        x: The blob.
        shape: The shape that the network knows it by.
        axis: The axis.
        start: The first element.
        size: How many.
        step: The distance between them.

    Returns:
        The part, of whatever axes.
    """
    if (start, size) == (0, shape[axis]):
        return x
    axes, end = kept_axes(shape), start + (size - 1) * step + 1
    if step == 1 and axes is not None and axis in axes:
        x, own = w.reshape(x, stored(shape)), axes.index(axis)
        sizes = [size if a == own else kept for a, kept in enumerate(stored(shape))]
        return w.add("Crop", [x], sizes, p9=[start], p10=[end], p11=[own])
    merged = w.merged(x, shape, axis)
    before, whole, after = w.sizes(merged)
    if (start, end) != (0, whole):
        merged = w.add(
            "Crop", [merged], (before, end - start, after), p9=[start], p10=[end], p11=[1]
        )
    if step == 1:
        return merged
    return w.add(  # a pool of one value a window takes every step-th
        "Pooling", [merged], (before, size, after), p0=MAX_POOL, p1=1, p2=1, p5=VALID, p12=step
    )


def _rect_conv(op: RectConv, w: NcnnWriter, i: int, x: tuple[int, ...]) -> str:
    fusion = w.fusions.get(i)
    last = i if fusion is None else fusion.last
    conv(op, w, str(i), [w.blob(x[0])], f"t{last}")
    w.known(f"t{last}", w.shape(last))
    return f"t{last}"


WINDOW_RULES: GeneralRules = {
    RectConv: _rect_conv,
    RectPool: _pool,
    TransposedConv: _transposed,
    LocalResponseNorm: _local_norm,
    Resize: _resize,
    PadAround: _pad_around,
}
