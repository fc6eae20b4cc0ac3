"""Rules for operators that slide a window over an image, or change its size.

What has one spatial axis is read as an image of height 1: every runtime has two-dimensional
convolutions, and the work is the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from latbench.errors import ParseError
from latbench.importing.graph_reader import Node, NoLayer, Origin, Rule
from latbench.importing.onnx_file import Array
from latbench.networks.general.arrays import Reduce
from latbench.networks.general.products import GroupNorm
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    Pair,
    RectConv,
    RectPool,
    Resize,
    Sides,
    TransposedConv,
)
from latbench.networks.ops import BatchNorm, Conv, GlobalAvgPool, Op, Pool, Shape

_SPATIAL = {3: 1, 4: 2}


def _image(node: Node) -> tuple[int, int]:
    """The first input as a layer ``(N, C, H, W)``, and how many of these are spatial."""
    shape = node.shape()
    if len(shape) not in _SPATIAL:
        raise NoLayer(
            f"its input has the shape {shape}, and latbench's are images (N, C, H, W) and signals "
            "(N, C, L)"
        )
    if len(shape) == 3:
        flat = (*shape[:2], 1, shape[2])
        return node.reader.reshaped(node.layer(), flat), 1
    return node.layer(), 2


def _back(node: Node, layer: int, axes: int) -> list[int]:
    n, c, h, w = node.reader.shape(layer)
    return [layer if axes == 2 else node.reader.reshaped(layer, (n, c, h * w))]


def _pair(node: Node, name: str, axes: int, default: int = 1) -> Pair:
    values = node.attributes.get(name) or [default] * axes
    if len(values) != axes:
        raise ParseError(f"its {name} are {list(values)}, for {axes} spatial axes")
    return (default, int(values[0])) if axes == 1 else (int(values[0]), int(values[1]))


def _sides(node: Node, sizes: Sequence[int], kernel: Pair, stride: Pair, axes: int) -> Sides:
    """The padding, stated or such that the size divided by the stride results."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, _dilation(node, axes), strict=True)]
        total = [
            max((math.ceil(size / s) - 1) * s + r - size, 0)
            for size, s, r in zip(sizes, stride, reach, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
        return (before[0], before[1], after[0], after[1])
    pads = [] if auto == "VALID" else list(node.attributes.get("pads") or [])
    pads = [int(p) for p in pads] or [0] * (2 * axes)
    if len(pads) != 2 * axes:
        raise ParseError(f"its pads are {pads}, for {axes} spatial axes")
    return (0, pads[0], 0, pads[1]) if axes == 1 else cast(Sides, tuple(pads))


def _dilation(node: Node, axes: int) -> Pair:
    return _pair(node, "dilations", axes)


def _same(pair: Sequence[int]) -> bool:
    return len(set(pair)) == 1


def _weights(node: Node, axes: int) -> tuple[dict[str, tuple[Array, Origin | None]], Shape]:
    """The weight ``(a, b, kh, kw)`` and the bias of a convolution."""
    if node.constant(1) is None or (node.has(2) and node.constant(2) is None):
        raise NoLayer("its weights are computed when the network runs")
    values, origin = node.weight(1)
    if values.ndim != axes + 2:
        raise ParseError(f"its weight has the shape {values.shape}, for {axes} spatial axes")
    values = values[:, :, None, :] if axes == 1 else values
    found = {"weight": (values, origin)}
    if node.has(2):
        found["bias"] = node.weight(2)
    return found, tuple(values.shape)


def _conv(node: Node) -> list[int]:
    x, axes = _image(node)
    weights, (out, _, *window) = _weights(node, axes)
    kernel, stride = (window[0], window[1]), _pair(node, "strides", axes)
    dilation, groups = _dilation(node, axes), int(node.attributes.get("group", 1))
    pads = _sides(node, node.reader.shape(x)[2:], kernel, stride, axes)
    bias = "bias" in weights
    op: Op = RectConv(out, kernel, stride, pads, dilation, groups, bias)
    if all(map(_same, (kernel, stride, pads, dilation))):
        op = Conv(out, kernel[0], stride[0], pads[0], dilation[0], groups, bias)
    return _back(node, node.add(op, x, **weights), axes)


def _conv_transpose(node: Node) -> list[int]:
    x, axes = _image(node)
    weights, (_, out, *window) = _weights(node, axes)
    kernel, stride, dilation = (
        (window[0], window[1]), _pair(node, "strides", axes), _dilation(node, axes),
    )  # fmt: skip
    groups, extra = int(node.attributes.get("group", 1)), _pair(node, "output_padding", axes, 0)
    sizes = node.reader.shape(x)[2:]
    auto = node.attributes.get("auto_pad", "NOTSET")
    wanted = node.attributes.get("output_shape")
    if wanted or auto in ("SAME_UPPER", "SAME_LOWER"):
        target = [int(n) for n in wanted[-axes:]] if wanted else [
            size * s for size, s in zip(sizes[-axes:], stride[-axes:], strict=True)
        ]  # fmt: skip
        target = [1, *target] if axes == 1 else target
        total = [
            max(s * (size - 1) + e + (k - 1) * d + 1 - t, 0)
            for s, size, e, k, d, t in zip(
                stride, sizes, extra, kernel, dilation, target, strict=True
            )
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
        pads: Sides = (before[0], before[1], after[0], after[1])
    else:
        pads = _sides(node, sizes, kernel, stride, axes)
    op = TransposedConv(
        out * groups, kernel, stride, pads, extra, dilation, groups, "bias" in weights
    )
    return _back(node, node.add(op, x, **weights), axes)


def _pool(node: Node) -> list[int]:
    if len([name for name in node.proto.output if name]) > 1:
        return []  # the places of the largest are wanted, too
    x, axes = _image(node)
    kernel, stride = _pair(node, "kernel_shape", axes), _pair(node, "strides", axes)
    pads = _sides(node, node.reader.shape(x)[2:], kernel, stride, axes)
    dilation, ceil = _dilation(node, axes), bool(node.attributes.get("ceil_mode", 0))
    average = node.kind == "AveragePool"
    counted = average and bool(node.attributes.get("count_include_pad", 0)) and any(pads)
    kind: Any = "avg" if average else "max"
    op: Op = RectPool(kind, kernel, stride, pads, dilation, ceil, counted)
    plain = all(map(_same, (kernel, stride, pads))) and pads[0] <= kernel[0] // 2
    if plain and dilation == (1, 1) and not counted and not _hangs(op, node.reader.shape(x)):
        op = Pool(kind, kernel[0], stride[0], pads[0])
    return _back(node, node.add(op, x), axes)


def _hangs(op: Op, shape: Shape) -> bool:
    """Whether rounding up makes a pool's result larger than rounding down."""
    assert isinstance(op, RectPool)
    down = RectPool(op.kind, op.kernel, op.stride, op.padding, op.dilation, False, op.counted)
    return op.ceil and op.output_shape(shape) != down.output_shape(shape)


def _global_pool(node: Node) -> list[int]:
    shape = node.shape()
    if len(shape) < 3:
        raise ParseError(f"its input has the shape {shape}, without spatial axes")
    if node.kind == "GlobalAveragePool" and len(shape) in _SPATIAL:
        x, axes = _image(node)
        return _back(node, node.add(GlobalAvgPool(), x), axes)
    kind: Any = "mean" if node.kind == "GlobalAveragePool" else "max"
    return [node.add(Reduce(kind, tuple(range(2, len(shape)))), node.layer())]


def _batch_norm(node: Node) -> list[int]:
    if node.attributes.get("training_mode"):
        raise ParseError("it is in training mode; export the network for inference (module.eval())")
    if any(node.constant(i) is None for i in range(1, 5)):
        raise NoLayer("its scale, shift or statistics are computed when the network runs")
    shape, x = node.shape(), node.layer()
    if len(shape) < 2:
        raise ParseError(f"its input has the shape {shape}, without channels")
    n, c, *rest = shape
    image = shape if len(shape) == 4 else (n, c, 1, math.prod(rest))
    x = node.reader.reshaped(x, image)
    names = ("weight", "bias", "running_mean", "running_var")
    weights = {name: node.weight(i) for i, name in enumerate(names, start=1)}
    op = BatchNorm(eps=float(node.attributes.get("epsilon", 1e-5)))
    return [node.reader.reshaped(node.add(op, x, **weights), shape)]


def _instance_norm(node: Node) -> list[int]:
    if node.constant(1) is None or node.constant(2) is None:
        return []
    op = GroupNorm(node.shape()[1], float(node.attributes.get("epsilon", 1e-5)))
    return [node.add(op, node.layer(), weight=node.weight(1), bias=node.weight(2))]


def _group_norm(node: Node) -> list[int]:
    if node.constant(1) is None or node.constant(2) is None:
        return []
    groups, shape = int(node.attributes.get("num_groups", 1)), node.shape()
    scale, shift = node.weight(1), node.weight(2)
    if node.opset < 21 and len(scale[0]) == groups != shape[1]:  # one value a group
        times = shape[1] // groups
        scale, shift = (np.repeat(scale[0], times), None), (np.repeat(shift[0], times), None)
    op = GroupNorm(groups, float(node.attributes.get("epsilon", 1e-5)))
    return [node.add(op, node.layer(), weight=scale, bias=shift)]


def _lrn(node: Node) -> list[int]:
    given = node.attributes
    op = LocalResponseNorm(
        int(given["size"]), float(given.get("alpha", 1e-4)), float(given.get("beta", 0.75)),
        float(given.get("bias", 1.0)),
    )  # fmt: skip
    return [node.add(op, node.layer())]


def _resize(node: Node) -> list[int]:
    """Resize of opset 10 and newer, and Upsample before it."""
    given, shape = node.attributes, node.shape()
    old = node.kind == "Upsample" or node.opset < 11
    scales = given.get("scales") if "scales" in given else node.constant(1 if old else 2)
    sizes = None if old else node.numbers(3)
    axes = [int(a) % len(shape) for a in given.get("axes", range(len(shape)))]
    if given.get("keep_aspect_ratio_policy", "stretch") != "stretch" or given.get("antialias"):
        return []
    if sizes:
        target, factors = dict(zip(axes, sizes, strict=True)), None
    elif scales is not None and len(scales) == len(axes):
        factors = {a: float(s) for a, s in zip(axes, np.ravel(scales), strict=True)}
        target = {a: math.floor(shape[a] * factor) for a, factor in factors.items()}
    else:
        raise NoLayer("its sizes are computed when the network runs")
    whole = tuple(target.get(i, size) for i, size in enumerate(shape))
    if len(shape) not in _SPATIAL or whole[:2] != shape[:2]:
        return []
    mode = given.get("mode", "nearest")
    places = given.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    nearest = given.get("nearest_mode", "floor" if old else "round_prefer_floor")
    if mode not in ("nearest", "linear", "cubic") or given.get("exclude_outside") or places not in (
        "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"
    ):  # fmt: skip
        return []
    x, spatial = _image(node)
    stated = None
    if factors is not None:
        last = [factors.get(i, 1.0) for i in range(2, len(shape))]
        stated = (1.0, last[0]) if spatial == 1 else (last[0], last[1])
    height, width = (1, whole[2]) if spatial == 1 else whole[2:]
    op = Resize(
        height, width, mode, places, nearest, stated, float(given.get("cubic_coeff_a", -0.75))
    )
    return _back(node, node.add(op, x), spatial)


def _pad(node: Node) -> list[int]:
    rank = len(node.shape())
    pads = node.numbers(1, "pads")
    if pads is None:
        raise ParseError("it has no pads")
    axes = node.numbers(3) or tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise ParseError(f"its pads are {pads}, for {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for k, axis in enumerate(axes):
        before[node.axis(axis, rank)] = pads[k]
        after[node.axis(axis, rank)] = pads[k + len(axes)]
    mode = node.attributes.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        return []
    value = node.attributes.get("value", 0.0)
    if node.has(2):
        stated = node.constant(2)
        if stated is None:
            return []
        value = float(np.ravel(stated)[0]) if stated.size else 0.0
    if not any(before) and not any(after):
        return [node.layer()]
    return [node.add(PadAround(tuple(before), tuple(after), mode, float(value)), node.layer())]


WINDOWS: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LRN": _lrn,
    "Resize": _resize,
    "Upsample": _resize,
    "Pad": _pad,
}
