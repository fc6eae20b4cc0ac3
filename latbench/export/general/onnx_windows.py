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
    maximum = op.kind == "max"
    if not maximum and op.dilation != (1, 1):
        _dilated_average(op, g, key, x, y)
        return
    g.node(
        "MaxPool" if maximum else "AveragePool", x, y,
        kernel_shape=op.kernel, strides=op.stride, pads=op.padding, ceil_mode=int(op.ceil),
        dilations=op.dilation if maximum else None,
        count_include_pad=None if maximum else int(op.counted),
    )  # fmt: skip


def _dilated_average(op: RectPool, g: OnnxGraph, key: str, x: list[str], y: str) -> None:
    """Writes what opset 19 has a pooling for, as a sum by a convolution."""
    shape, _ = g.results[x[0]]
    ones = g.store(f"{key}.ones", np.ones((shape[1], 1, *op.kernel), np.float32))
    pads = [max(side, 0) for side in spans(op, shape)]
    g.node(
        "Conv", [*x, ones], f"{y}.sum",
        kernel_shape=op.kernel, strides=op.stride, pads=pads, dilations=op.dilation,
        group=shape[1],
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
