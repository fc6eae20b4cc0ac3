"""The torch code of windows, resizing and padding (``latbench.networks.general.windows``).

Torch's own layers wherever they compute the same, behind a padding or before a cut elsewhere; what
only sums of chosen elements would compute is refused, since nobody writes that by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latbench.errors import BackendError
from latbench.export.code.layer_text import Argument, LayerCode
from latbench.export.general.code_arrays import number, span
from latbench.export.general.interpolation import torch_mode
from latbench.export.general.pooling import spans
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.ops import Op, Shape

_AVERAGE = '''
def average_pool(
    x: Tensor, window: tuple[int, int], stride: tuple[int, int], counted: tuple[int, ...],
    around: tuple[int, ...],
) -> Tensor:
    """The averages of windows over the image and the padding that is counted, but not over what is
    around these."""
    ones = F.pad(torch.ones_like(x[:1, :1]), counted, value=1.0)
    x = F.avg_pool2d(F.pad(F.pad(x, counted), around), window, stride)
    return x / F.avg_pool2d(F.pad(ones, around), window, stride)
'''


def _one(pair: tuple[int, int]) -> int | tuple[int, int]:
    """A number for two equal ones, as torch takes it."""
    return pair[0] if pair[0] == pair[1] else pair


def _sides(sides: Sequence[int]) -> tuple[int, int, int, int]:
    """``(top, left, bottom, right)`` in the order of ``F.pad``."""
    top, left, bottom, right = sides
    return left, right, top, bottom


def _behind_padding(sides: Sequence[int], value: str = "") -> str:
    """The call of a module on its padded input."""
    return f"{{self}}(F.pad({{0}}, {_sides(sides)}{value}))"


def _refused(op: Op, lacks: str) -> BackendError:
    return BackendError(
        f"torch has {lacks}, which {type(op).__name__} needs, so that there is no torch code for "
        "it; export the network as ONNX"
    )


def _rect_conv(op: RectConv, inputs: Sequence[Shape]) -> LayerCode:
    even = op.padding[:2] == op.padding[2:]
    name = "depthwise" if op.depthwise(inputs[0]) else "grouped" if op.groups > 1 else "conv"
    return LayerCode(
        name, "nn.Conv2d",
        (
            Argument("in_channels", inputs[0][1], by_name=False),
            Argument("out_channels", op.out_channels, by_name=False),
            Argument("kernel_size", _one(op.kernel)), Argument("stride", _one(op.stride), 1),
            Argument("padding", _one(op.padding[:2]) if even else 0, 0),
            Argument("dilation", _one(op.dilation), 1),
            Argument("groups", op.groups, 1), Argument("bias", op.bias, True),
        ),
        "" if even else _behind_padding(op.padding),
    )  # fmt: skip


def _transposed_conv(op: TransposedConv, inputs: Sequence[Shape]) -> LayerCode:
    reach = (max(s, d) for s, d in zip(op.stride, op.dilation, strict=True))
    if any(extra >= most for extra, most in zip(op.extra, reach, strict=True)):
        raise _refused(op, "no transposed convolution that adds rows beyond its stride")
    even = op.padding[:2] == op.padding[2:]
    forward = ""
    if not even:
        top, left, bottom, right = op.padding
        height, width = op.output_shape(*inputs)[2:]
        rows = span(top, top + height, top + height + bottom)
        columns = span(left, left + width, left + width + right)
        forward = f"{{self}}({{0}})[:, :, {rows}, {columns}]"
    return LayerCode(
        "transposed", "nn.ConvTranspose2d",
        (
            Argument("in_channels", inputs[0][1], by_name=False),
            Argument("out_channels", op.out_channels, by_name=False),
            Argument("kernel_size", _one(op.kernel)), Argument("stride", _one(op.stride), 1),
            Argument("padding", _one(op.padding[:2]) if even else 0, 0),
            Argument("output_padding", _one(op.extra), 0), Argument("groups", op.groups, 1),
            Argument("bias", op.bias, True), Argument("dilation", _one(op.dilation), 1),
        ),
        forward,
    )  # fmt: skip


def _rect_pool(op: RectPool, inputs: Sequence[Shape]) -> LayerCode:
    even = op.padding[:2] == op.padding[2:]
    native = even and all(2 * p <= k for p, k in zip(op.padding, op.kernel, strict=False))
    around = spans(op, inputs[0])
    sizes = (
        Argument("kernel_size", _one(op.kernel), by_name=False),
        Argument("stride", _one(op.stride)),
        Argument("padding", _one(op.padding[:2]) if native else 0, 0),
    )
    ceil = Argument("ceil_mode", op.ceil and native, False)
    if op.kind == "max":
        forward = "" if native else _behind_padding(around, ', value=float("-inf")')
        dilation = Argument("dilation", _one(op.dilation), 1)
        return LayerCode("max_pool", "nn.MaxPool2d", (*sizes, dilation, ceil), forward)
    if op.dilation != (1, 1):
        raise _refused(op, "no average pooling whose window has gaps")
    if native:
        counted = Argument("count_include_pad", op.counted or not any(op.padding), True)
        return LayerCode("avg_pool", "nn.AvgPool2d", (*sizes, ceil, counted))
    inner = op.padding if op.counted else (0, 0, 0, 0)
    outer = [a - b for a, b in zip(around, inner, strict=True)]
    given = f"{op.kernel}, {op.stride}, {_sides(inner)}, {_sides(outer)}"
    return LayerCode("avg_pool", forward=f"average_pool({{0}}, {given})", source=_AVERAGE)


def _local_response(op: LocalResponseNorm, inputs: Sequence[Shape]) -> LayerCode:
    arguments = (
        Argument("size", op.size, by_name=False), Argument("alpha", float(op.alpha), 1e-4),
        Argument("beta", float(op.beta), 0.75), Argument("k", float(op.bias), 1.0),
    )  # fmt: skip
    # Of an even number of neighbours ONNX has one more behind, torch one more before.
    forward = "" if op.size % 2 else "{self}({0}.flip(1)).flip(1)"
    return LayerCode("response_norm", "nn.LocalResponseNorm", arguments, forward)


def _resize(op: Resize, inputs: Sequence[Shape]) -> LayerCode:
    height, width = inputs[0][2:]
    mode = torch_mode(op, (height, width))
    if mode is None:
        raise _refused(op, f"no {op.kind} interpolation with such places ({op.places})")
    corners = (
        ", align_corners=True" if op.places == "align_corners" and op.kind != "nearest" else ""
    )
    given = f'size=({op.height}, {op.width}), mode="{mode}"{corners}'
    return LayerCode("resize", forward=f"F.interpolate({{0}}, {given})")


def _pad_around(op: PadAround, inputs: Sequence[Shape]) -> LayerCode:
    shape, pairs = inputs[0], list(zip(op.before, op.after, strict=True))
    moved = [axis for axis, pair in enumerate(pairs) if any(pair)]
    first = moved[0] if moved else len(pairs) - 1
    if op.kind == "constant":
        value = f", value={number(op.value)}" if op.value else ""
        return LayerCode("pad", forward=f"F.pad({{0}}, {_flat(pairs[first:])}{value})")
    grown = [(max(before, 0), max(after, 0)) for before, after in pairs]
    cut = [(min(before, 0), min(after, 0)) for before, after in pairs]
    padded = next((axis for axis, pair in enumerate(grown) if any(pair)), len(shape))
    # Torch takes the last axes of an image or the like, with or without a batch before them.
    axes = max(len(shape) - padded, len(shape) - 2, 1)
    fits = op.kind == "edge" or all(
        max(pair) < size for pair, size in zip(grown, shape, strict=True)
    )
    if not (axes <= min(3, len(shape) - 1) and fits):
        raise _refused(op, f"no padding of these axes by the {op.kind} kind")
    text = "{0}"
    if any(map(any, grown)):
        mode = "replicate" if op.kind == "edge" else "reflect"
        text = f'F.pad({text}, {_flat(grown[-axes:])}, mode="{mode}")'
    return LayerCode("pad", forward=_cut_off(text, cut))


def _flat(pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(side for pair in reversed(pairs) for side in pair)


def _cut_off(text: str, cut: Sequence[tuple[int, int]]) -> str:
    """A tensor without what negative sides cut off."""
    if not any(map(any, cut)):
        return text
    parts = [f"{-before or ''}:{after or ''}" for before, after in cut]
    while parts[-1] == ":":
        parts.pop()
    return f"{text}[{', '.join(parts)}]"


WINDOW_CODE: dict[type[Op], Callable[[Any, Sequence[Shape]], LayerCode]] = {
    RectConv: _rect_conv,
    TransposedConv: _transposed_conv,
    RectPool: _rect_pool,
    LocalResponseNorm: _local_response,
    Resize: _resize,
    PadAround: _pad_around,
}
