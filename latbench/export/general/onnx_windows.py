"""The ONNX rules of windows, resizing and padding (``latbench.networks.general.windows``)."""

from __future__ import annotations

import numpy as np

from latbench.export.general.pooling import shares, spans
from latbench.export.onnx_graph import OnnxGraph, Rule
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.ops import Op, Shape


def _rect_conv(op: RectConv, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    g.node(
        "Conv", x + g.layer_weights(key, "weight", "bias"), y,
        kernel_shape=op.kernel, strides=op.stride, pads=op.padding, dilations=op.dilation,
        group=op.groups,
    )  # fmt: skip


def _transposed_conv(
    op: TransposedConv, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape
) -> None:
    g.node(
        "ConvTranspose", x + g.layer_weights(key, "weight", "bias"), y,
        kernel_shape=op.kernel, strides=op.stride, pads=op.padding, output_padding=op.extra,
        dilations=op.dilation, group=op.groups,
    )  # fmt: skip


def _rect_pool(op: RectPool, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    shape, maximum = g.results[x[0]][0], op.kind == "max"
    pads, ceil = [*op.padding], op.ceil
    if ceil and any(_begins_outside(op, shape[2 + i], i) for i in range(2)):
        # ONNX' shape inference and some runtimes add that window: without ``ceil_mode`` none does.
        filled = [max(side, 0) for side in spans(op, shape)]
        if all(side < op.kernel[i % 2] for i, side in enumerate(filled)):  # as runtimes demand
            pads, ceil = filled, False
    if not maximum and (op.dilation != (1, 1) or (op.counted and pads != [*op.padding])):
        _average_by_sum(op, g, key, x, y)
        return
    g.node(
        "MaxPool" if maximum else "AveragePool", x, y,
        kernel_shape=op.kernel, strides=op.stride, pads=pads, ceil_mode=int(ceil),
        dilations=op.dilation if maximum else None,
        count_include_pad=None if maximum else int(op.counted),
    )  # fmt: skip


def _begins_outside(op: RectPool, size: int, axis: int) -> bool:
    """Whether rounding up alone adds a window that begins beyond the end of an axis."""
    before, after = op.padding[axis::2]
    left = size + before + after - op.dilation[axis] * (op.kernel[axis] - 1) - 1
    return -(-left // op.stride[axis]) * op.stride[axis] >= size + before


def _average_by_sum(op: RectPool, g: OnnxGraph, key: str, x: list[str], y: str) -> None:
    """Writes an average that opset 17 has no pooling for: dilated (opset 19), or one that counts
    padding where its last window would begin outside."""
    shape, _ = g.results[x[0]]
    ones = g.store(f"{key}.ones", np.ones((shape[1], 1, *op.kernel), np.float32))
    g.node(
        "Conv", [*x, ones], f"{y}.sum",
        kernel_shape=op.kernel, strides=op.stride, dilations=op.dilation, group=shape[1],
        pads=[max(side, 0) for side in spans(op, shape)],
    )  # fmt: skip
    g.node("Mul", [f"{y}.sum", g.store(f"{key}.shares", shares(op, shape))], y)


def _local_response(
    op: LocalResponseNorm, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape
) -> None:
    numbers = {"alpha": float(op.alpha), "beta": float(op.beta), "bias": float(op.bias)}
    g.node("LRN", x, y, size=op.size, **numbers)


def _resize(op: Resize, g: OnnxGraph, key: str, x: list[str], y: str, shape: Shape) -> None:
    if op.scales is None:
        how = ["", g.store(f"{key}.sizes", np.array(shape, np.int64))]
    else:
        scales = np.array([1, 1, *op.scales], np.float32)
        how = [g.store(f"{key}.scales", scales, exact=True)]
    nearest, cubic = op.kind == "nearest", op.kind == "cubic"
    g.node(
        "Resize", [*x, "", *how], y,
        mode=op.kind, coordinate_transformation_mode=op.places,
        nearest_mode=op.nearest if nearest else None,
        cubic_coeff_a=float(op.cubic) if cubic else None,
    )  # fmt: skip


def _pad_around(op: PadAround, g: OnnxGraph, key: str, x: list[str], y: str, _: Shape) -> None:
    read = [*x, g.store(f"{key}.pads", np.array([*op.before, *op.after], np.int64))]
    if op.kind == "constant":
        dtype = g.results[x[0]][1]
        largest = np.finfo(g.dtype).max
        value = op.value if np.isinf(op.value) else np.clip(op.value, -largest, largest)
        read.append(g.store(f"{key}.value", np.array(value, dtype)))
    g.node("Pad", read, y, mode=op.kind)


WINDOW_RULES: dict[type[Op], Rule] = {
    RectConv: _rect_conv,
    TransposedConv: _transposed_conv,
    RectPool: _rect_pool,
    LocalResponseNorm: _local_response,
    Resize: _resize,
    PadAround: _pad_around,
}
