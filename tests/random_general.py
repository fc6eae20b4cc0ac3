"""Random networks of the general layer kinds, for properties of exporters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from latbench.networks.general.arithmetic import Binary, Unary
from latbench.networks.general.arrays import Constant, Cut, Expand, Join, Reduce, Reshape, Transpose
from latbench.networks.general.products import Dense, GroupNorm, LayerNorm, MatMul, Softmax
from latbench.networks.general.windows import (
    LocalResponseNorm,
    PadAround,
    RectConv,
    RectPool,
    Resize,
    TransposedConv,
)
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Concat, Conv, Elementwise, Flatten, Input, Shape

Draw = Callable[[st.SearchStrategy[Any]], Any]
MOST_ELEMENTS = 3000


def _pair(draw: Draw, least: int, most: int) -> tuple[int, int]:
    sizes = st.integers(least, most)
    return draw(sizes), draw(sizes)


def _groups(draw: Draw, channels: int) -> int:
    return int(draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0])))


def _rect_conv(draw: Draw, b: NetworkBuilder, x: int) -> int:
    kernel, dilation = _pair(draw, 1, 3), _pair(draw, 1, 2)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    lacks = [max(0, r - size) for r, size in zip(reach, b.shape(x)[2:], strict=True)]
    sides = [draw(st.integers(0, 2)) for _ in range(4)]
    padding = (sides[0] + lacks[0], sides[1] + lacks[1], sides[2], sides[3])
    groups = _groups(draw, b.shape(x)[1])
    channels = groups * draw(st.integers(1, 2))
    stride, bias = _pair(draw, 1, 3), draw(st.booleans())
    return b.add(RectConv(channels, kernel, stride, padding, dilation, groups, bias), x)


def _transposed_conv(draw: Draw, b: NetworkBuilder, x: int) -> int:
    kernel, stride, dilation = (_pair(draw, 1, 3) for _ in range(3))
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(draw(st.integers(0, min(reach[i % 2] // 2, 2))) for i in range(4))
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    groups = _groups(draw, b.shape(x)[1])
    channels, bias = groups * draw(st.integers(1, 2)), draw(st.booleans())
    op = TransposedConv(channels, kernel, stride, padding, extra, dilation, groups, bias)
    return b.add(op, x)


def _rect_pool(draw: Draw, b: NetworkBuilder, x: int) -> int:
    kernel = tuple(draw(st.integers(1, min(size, 3))) for size in b.shape(x)[2:])
    padding = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    kind, flags = draw(st.sampled_from(["max", "avg"])), st.booleans()
    op = RectPool(kind, kernel, _pair(draw, 1, 3), padding, (1, 1), draw(flags), draw(flags))
    return b.add(op, x)


def _resize(draw: Draw, b: NetworkBuilder, x: int) -> int:
    kind = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    height, width = _pair(draw, 1, 12)
    place, choice = draw(st.sampled_from(places)), draw(st.sampled_from(nearest))
    return b.add(Resize(height, width, kind, place, choice), x)


def _group_norm(draw: Draw, b: NetworkBuilder, x: int) -> int:
    groups = _groups(draw, b.shape(x)[1])
    if math.prod(b.shape(x)) == groups:  # of one element each, which torch refuses
        return b.add(Unary("abs"), x)
    return b.add(GroupNorm(groups, 0.1), x)


def _pad_around(draw: Draw, b: NetworkBuilder, x: int) -> int:
    shape, kind = b.shape(x), draw(st.sampled_from(["constant", "reflect", "edge"]))
    sides = []
    for size in shape[1:]:
        sides.append([draw(st.integers(-min(1, (size - 1) // 2), min(2, size - 1))) for _ in "ab"])
    before, after = zip([0, 0], *sides, strict=True)
    return b.add(PadAround(before, after, kind, draw(st.sampled_from([0.0, 1.5]))), x)


def _reshape(draw: Draw, b: NetworkBuilder, x: int) -> int:
    sizes, left = [], math.prod(b.shape(x))
    for _ in range(draw(st.integers(0, 4))):
        sizes.append(draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0])))
        left //= sizes[-1]
    return b.add(Reshape((1, *sizes, left)), x)


def _broadcast(draw: Draw, b: NetworkBuilder, x: int) -> int:
    shape = b.shape(x)
    last = shape[draw(st.integers(0, len(shape) - 1)) :]
    other = tuple(draw(st.sampled_from([1, size])) for size in last)
    c = b.add(Constant(other))
    pair = (c, x) if draw(st.booleans()) else (x, c)
    return b.add(Binary(draw(st.sampled_from(["add", "sub", "mul", "min", "max", "prelu"]))), *pair)


def _cut(draw: Draw, b: NetworkBuilder, x: int) -> int:
    axis = draw(st.integers(0, len(b.shape(x)) - 1))
    size = b.shape(x)[axis]
    start = draw(st.integers(0, size - 1))
    return b.add(Cut(axis, start, draw(st.integers(start + 1, size)), draw(st.integers(1, 3))), x)


def _reduce(draw: Draw, b: NetworkBuilder, x: int) -> int:
    rank = len(b.shape(x))
    axes = tuple(sorted(draw(st.sets(st.integers(0, rank - 1), min_size=1, max_size=rank - 1))))
    kind = draw(st.sampled_from(["mean", "sum", "max", "min", "l1", "l2"]))
    return b.add(Reduce(kind, axes, draw(st.booleans())), x)


def _expand(draw: Draw, b: NetworkBuilder, x: int) -> int:
    sizes = tuple(2 if size == 1 and i else size for i, size in enumerate(b.shape(x)))
    return b.add(Expand(sizes), x)


def _product(draw: Draw, b: NetworkBuilder, x: int) -> int:
    rank = len(b.shape(x))
    turned = b.add(Transpose((*range(rank - 2), rank - 1, rank - 2)), x)
    return b.add(Unary("tanh"), b.add(MatMul(), x, turned))


def _add(op: Callable[[Draw, Shape], Any]) -> Callable[[Draw, NetworkBuilder, int], int]:
    return lambda draw, b, x: b.add(op(draw, b.shape(x)), x)


_IMAGES: dict[str, Callable[[Draw, NetworkBuilder, int], int]] = {
    "conv": lambda draw, b, x: b.add(Conv(draw(st.integers(1, 5)), 1, bias=True), x),
    "rect conv": _rect_conv,
    "transposed conv": _transposed_conv,
    "rect pool": _rect_pool,
    "resize": _resize,
    "local norm": _add(lambda draw, shape: LocalResponseNorm(draw(st.integers(1, 5)), 0.5)),
    "group norm": _group_norm,
}
_ANY: dict[str, Callable[[Draw, NetworkBuilder, int], int]] = {
    "transpose": _add(
        lambda draw, shape: Transpose(
            draw(st.sampled_from(list(itertools.permutations(range(len(shape))))))
        )
    ),
    "reshape": _reshape,
    "flatten": lambda draw, b, x: b.add(Flatten(), x),
    "broadcast": _broadcast,
    "pad": _pad_around,
    "cut": _cut,
    "join": lambda draw, b, x: b.add(Join(draw(st.integers(0, len(b.shape(x)) - 1))), x, x),
    "concat": lambda draw, b, x: b.add(Concat(), x, x),
    "sum": lambda draw, b, x: b.add(Elementwise("add"), x, x),
    "reduce": _reduce,
    "expand": _expand,
    "product": _product,
    "dense": _add(lambda draw, shape: Dense(draw(st.integers(1, 5)), draw(st.booleans()))),
    "softmax": _add(
        lambda draw, shape: Softmax(draw(st.integers(0, len(shape) - 1)), draw(st.booleans()))
    ),
    "layer norm": _add(
        lambda draw, shape: LayerNorm(
            draw(st.integers(1, len(shape) - 1)), 0.1, draw(st.booleans())
        )
    ),
    "unary": _add(
        lambda draw, shape: Unary(draw(st.sampled_from(["tanh", "gelu", "abs", "erf", "softplus"])))
    ),
    "activation": _add(lambda draw, shape: Activation(draw(st.sampled_from(["relu", "hswish"])))),
}


@st.composite
def general_networks(draw: Draw, max_layers: int = 6) -> Network:
    """Chains of every general kind of floats, images and others, with up to three outputs."""
    sizes = st.integers(1, 6)
    shape = (1, draw(st.integers(1, 5)), draw(sizes), draw(sizes))
    b = NetworkBuilder.of_inputs(Input(shape))
    layers = [0]
    for _ in range(draw(st.integers(1, max_layers))):
        x = layers[-1]
        image = len(b.shape(x)) == 4 and b.shape(x)[0] == 1
        several = len(b.shape(x)) > 1
        names = [*(_IMAGES if image else ()), *(_ANY if several else ("unary", "dense"))]
        y = (_IMAGES | _ANY)[draw(st.sampled_from(names))](draw, b, x)
        if math.prod(b.shape(y)) <= MOST_ELEMENTS and len(b.shape(y)) <= 6:
            layers.append(y)
    others = draw(st.sets(st.sampled_from(layers[1:-1]), max_size=2)) if layers[1:-1] else ()
    return b.build(layers[-1], *sorted(others))
