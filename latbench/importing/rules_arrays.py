"""Rules for operators that move, choose or sum up elements."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from latbench.errors import ParseError
from latbench.importing.graph_reader import Node, Rule
from latbench.importing.onnx_values import dtype_of
from latbench.networks.general.arithmetic import Cast
from latbench.networks.general.arrays import (
    ArgMax,
    Cut,
    Embedding,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
)
from latbench.networks.ops import (
    ChannelShuffle,
    Concat,
    Flatten,
    GlobalAvgPool,
    Shape,
    Slice,
)


def _same(node: Node) -> list[int]:
    """The input itself."""
    return [node.layer()]


def _dropout(node: Node) -> list[int]:
    """Its input; a second result, the mask, is given by no rule where something reads it."""
    return [node.layer()]


def _to_shape(node: Node, shape: Shape) -> list[int]:
    """The first input in another shape, as the most telling layer that does it."""
    x, old = node.layer(), node.shape()
    if shape == old:
        return [x]
    shuffled = _shuffle(node, x, shape)
    if shuffled is not None:
        return [shuffled]
    if len(old) > 2 and shape == (old[0], math.prod(old[1:])):
        return [node.add(Flatten(), x)]
    return [node.reader.reshaped(x, shape)]


def _shuffle(node: Node, x: int, shape: Shape) -> int | None:
    """A reshape, transpose and reshape that mix groups of channels, as the one layer that it is."""
    op, read = node.reader.op_of(x)
    if not (isinstance(op, Transpose) and op.order == (0, 2, 1, 3, 4)):
        return None
    before, first = node.reader.op_of(read[0])
    if not (isinstance(before, Reshape) and node.reader.shape(first[0]) == shape):
        return None
    n, groups, per_group, *image = before.shape
    if (n, groups * per_group, *image) != shape or len(shape) != 4:
        return None
    return node.add(ChannelShuffle(groups), first[0])


def _reshape(node: Node) -> list[int]:
    wanted, old = node.numbers(1, "shape"), node.shape()
    if wanted is None:
        raise ParseError("it has no shape")
    keep = not node.attributes.get("allowzero", 0)
    sizes = [old[i] if n == 0 and keep and i < len(old) else n for i, n in enumerate(wanted)]
    if sizes.count(-1) > 1 or min(sizes, default=1) < -1:
        raise ParseError(f"a tensor of shape {old} has no shape {tuple(wanted)}")
    if -1 in sizes:
        known = math.prod(n for n in sizes if n != -1)
        if not known or math.prod(old) % known:
            raise ParseError(f"a tensor of shape {old} has no shape {tuple(wanted)}")
        sizes[sizes.index(-1)] = math.prod(old) // known
    return _to_shape(node, tuple(sizes))


def _flatten(node: Node) -> list[int]:
    shape = node.shape()
    axis = int(node.attributes.get("axis", 1))
    axis = axis + len(shape) if axis < 0 else axis
    return _to_shape(node, (math.prod(shape[:axis]), math.prod(shape[axis:])))


def _squeeze(node: Node) -> list[int]:
    shape = node.shape()
    given = node.numbers(1, "axes")
    axes = (
        [i for i, size in enumerate(shape) if size == 1]
        if given is None
        else [node.axis(a, len(shape)) for a in given]
    )
    if any(shape[a] != 1 for a in axes):
        raise ParseError(f"its axes {tuple(axes)} of shape {shape} are not all of size 1")
    return _to_shape(node, tuple(n for i, n in enumerate(shape) if i not in axes))


def _unsqueeze(node: Node) -> list[int]:
    shape, given = node.shape(), node.numbers(1, "axes") or ()
    rank = len(shape) + len(given)
    axes, left = {node.axis(a, rank) for a in given}, iter(shape)
    return _to_shape(node, tuple(1 if i in axes else next(left) for i in range(rank)))


def _transpose(node: Node) -> list[int]:
    rank = len(node.shape())
    order = tuple(int(i) for i in node.attributes.get("perm") or reversed(range(rank)))
    if order == tuple(range(rank)):
        return [node.layer()]
    return [node.add(Transpose(order), node.layer())]


def _cut(node: Node, x: int, axis: int, start: int, end: int, step: int = 1) -> int:
    """A part of one axis of a layer; the layer itself where that is the whole."""
    size = node.reader.shape(x)[axis]
    if (start, end, step) == (0, size, 1):
        return x
    if axis and step == 1 and 0 <= start < end <= size:
        return node.add(Slice(axis, start, None if end == size else end), x)
    return node.add(Cut(axis, start, end, step), x)


def _slice(node: Node) -> list[int]:
    x, shape = node.layer(), node.shape()
    starts, ends = node.numbers(1, "starts"), node.numbers(2, "ends")
    if starts is None or ends is None:
        raise ParseError("it has no starts or no ends")
    axes = node.numbers(3, "axes") or tuple(range(len(starts)))
    steps = node.numbers(4) or (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        a = node.axis(axis, len(shape))
        places = range(shape[a])[start:end:step] if step else range(0)
        if not places:
            raise ParseError(f"it takes nothing of the axis {a} of shape {shape}")
        if step < 0:
            return []
        x = _cut(node, x, a, places[0], places[-1] + 1, step)
    return [x]


def _split(node: Node) -> list[int]:
    x, shape = node.layer(), node.shape()
    axis = node.axis(int(node.attributes.get("axis", 0)), len(shape))
    parts = node.numbers(1, "split")
    if parts is None:
        many = int(node.attributes.get("num_outputs", len(node.proto.output)))
        each = -(-shape[axis] // many)
        parts = tuple(min(each, shape[axis] - i * each) for i in range(many))
    if sum(parts) != shape[axis] or min(parts) < 1 or len(parts) != len(node.proto.output):
        raise ParseError(f"it splits {shape[axis]} elements into {parts}")
    starts = np.cumsum([0, *parts])
    return [
        _cut(node, x, axis, int(start), int(start) + size)
        for start, size in zip(starts[:-1], parts, strict=True)
    ]


def _concat(node: Node) -> list[int]:
    layers = [node.layer(i) for i, name in enumerate(node.proto.input) if name]
    rank = len(node.reader.shape(layers[0]))
    axis = node.axis(int(node.attributes.get("axis", 1)), rank)
    if len(layers) == 1:
        return layers
    return [node.add(Concat() if axis == 1 and rank > 1 else Join(axis), *layers)]


def _reduce(node: Node) -> list[int]:
    shape, x = node.shape(), node.layer()
    given = node.numbers(1, "axes")
    if not given and node.attributes.get("noop_with_empty_axes"):
        return [x]
    axes = tuple(sorted({node.axis(a, len(shape)) for a in given or range(len(shape))}))
    keep = bool(node.attributes.get("keepdims", 1))
    kind = cast(Any, node.kind.removeprefix("Reduce").lower())
    if (kind, len(shape), axes) == ("mean", 4, (2, 3)):
        pooled = node.add(GlobalAvgPool(), x)
        return [pooled if keep else node.add(Flatten(), pooled)]
    return [node.add(Reduce(kind, axes, keep), x)]


def _arg_max(node: Node) -> list[int]:
    if node.attributes.get("select_last_index"):
        return []
    axis = node.axis(int(node.attributes.get("axis", 0)), len(node.shape()))
    return [node.add(ArgMax(axis, bool(node.attributes.get("keepdims", 1))), node.layer())]


def _expand(node: Node) -> list[int]:
    wanted, shape = node.numbers(1), node.shape()
    rank = max(len(wanted or ()), len(shape))
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in (wanted or (), shape)]
    target = tuple(max(a, b) for a, b in zip(*padded, strict=True))
    return [node.layer() if target == shape else node.add(Expand(target), node.layer())]


def _tile(node: Node) -> list[int]:
    times, shape, x = node.numbers(1), node.shape(), node.layer()
    if times is None or len(times) != len(shape) or min(times) < 1:
        raise ParseError(f"its repeats are {times}, for {len(shape)} axes")
    for axis, many in enumerate(times):
        if many > 256:
            return []
        if many > 1:
            x = node.add(Concat() if axis == 1 else Join(axis), *[x] * many)
    return [x]


def _gather(node: Node) -> list[int]:
    shape, places = node.shape(0), node.constant(1)
    axis = node.axis(int(node.attributes.get("axis", 0)), len(shape))
    if places is None:
        index = node.layer(1)
        if node.constant(0) is not None:
            node.reader.choose_rows(index, shape[axis])
            if len(shape) == 2 and axis == 0:
                return [node.add(Embedding(*shape), index, weight=node.weight(0))]
        return [node.add(Gather(axis), node.layer(0), index)]
    size = shape[axis]
    chosen = [p + size if p < 0 else p for p in map(int, places.ravel())]
    if not chosen or min(chosen) < 0 or max(chosen) >= size:
        raise ParseError(f"it chooses {chosen[:8]} of an axis of {size}")
    if chosen == list(range(chosen[0], chosen[0] + len(chosen))) and places.ndim < 2:
        cut = _cut(node, node.layer(), axis, chosen[0], chosen[-1] + 1)
        if places.ndim:
            return [cut]
        return [node.reader.reshaped(cut, (*shape[:axis], *shape[axis + 1 :]))]
    return [node.add(Gather(axis), node.layer(0), node.layer(1))]


def _cast(node: Node) -> list[int]:
    x = node.layer()
    to = dtype_of(int(node.attributes["to"]))
    return [x if node.reader.type_of(x) == to else node.add(Cast(to), x)]


def _cast_like(node: Node) -> list[int]:
    x, to = node.layer(0), node.reader.type_of(node.layer(1))
    return [x if node.reader.type_of(x) == to else node.add(Cast(to), x)]


def _depth_to_space(node: Node) -> list[int]:
    n, c, h, w = node.shape()
    b = int(node.attributes["blocksize"])
    x = node.layer()
    if node.kind == "SpaceToDepth":
        crd = node.attributes.get("mode", "DCR") == "CRD"
        parts = (n, c, h // b, b, w // b, b)
        order = (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)
        result = (n, c * b * b, h // b, w // b)
    elif node.attributes.get("mode", "DCR") == "DCR":
        parts, order = (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2)
        result = (n, c // (b * b), h * b, w * b)
    else:
        parts, order = (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3)
        result = (n, c // (b * b), h * b, w * b)
    x = node.reader.reshaped(x, parts)
    return [node.reader.reshaped(node.add(Transpose(order), x), result)]


ARRAYS: dict[str, Rule] = {
    "Identity": _same,
    "Dropout": _dropout,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
         "ReduceL2"),
        _reduce,
    ),
    "ArgMax": _arg_max,
    "Expand": _expand,
    "Tile": _tile,
    "Gather": _gather,
    "Cast": _cast,
    "CastLike": _cast_like,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _depth_to_space,
}  # fmt: skip
