"""The part of a graph that does not depend on its input, computed by onnx' own reference.

Only operators that move and compute elements are, and never into more memory than a network's
weights may take: a file of a hundred bytes can ask for a terabyte.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from latbench.errors import ParseError, in_words, quoted
from latbench.importing.onnx_file import MOST_ELEMENTS, Array

_ELEMENTS = frozenset({
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean",
    "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor",
})  # fmt: skip
FOLDED = _ELEMENTS | {
    "Abs", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Clip", "Concat", "ConstantOfShape",
    "Cos", "CumSum", "DequantizeLinear", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather",
    "GatherElements", "GatherND", "Identity", "IsInf", "IsNaN", "Log", "MatMul", "Neg", "NonZero",
    "Not", "OneHot", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND", "Sigmoid", "Sign",
    "Sin", "Slice", "Split", "Sqrt", "Squeeze", "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze",
}  # fmt: skip
_OLDEST_DEQUANTIZE = 19
# So much work is done for a constant; a product of two large matrices in Python's loops is none.
MOST_FOLDED = 2**26


def fold(node: onnx.NodeProto, inputs: Sequence[Array | None], opset: int) -> list[Array] | None:
    """Computes an operator of constants.

    Args:
        node: The operator.
        inputs: What it reads; None for an optional input that is left out.
        opset: The version of ONNX' operators.

    Returns:
        Its results, every float as float32; None for an operator that is not to be computed, or
        whose results would be too large.

    Raises:
        ParseError: Where its attributes and inputs do not fit together.
    """
    if node.op_type not in FOLDED or node.domain not in ("", "ai.onnx"):
        return None
    if any(x is not None and x.size > MOST_ELEMENTS for x in inputs):
        return None
    filled = node.op_type == "ConstantOfShape"  # which takes the memory of one value
    if _size(node, inputs) > (MOST_ELEMENTS if filled else MOST_FOLDED):
        return None
    if filled:
        return [_filled(node, inputs)]
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.input if name]
    given = [x for x in inputs if x is not None]
    try:
        graph = onnx.helper.make_graph(
            [node], "constant",
            [onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
             for name, x in dict(zip(names, given, strict=True)).items()],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        )  # fmt: skip
        # What it computes of scales and integers did not change; the reference has no older one.
        least = _OLDEST_DEQUANTIZE if node.op_type == "DequantizeLinear" else 0
        ids = [onnx.helper.make_opsetid("", max(opset, least))]
        model = onnx.helper.make_model(graph, opset_imports=ids)
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, dict(zip(names, given, strict=True)))
    except Exception as error:  # whatever numpy says of shapes that do not fit
        raise ParseError(f"its constants cannot be computed ({in_words(error)})") from error
    results = [np.asarray(x) for x in found]
    return [x.astype(np.float32) if x.dtype.kind == "f" else x for x in results]


def _size(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> float:
    """At most how many elements a result has."""
    sizes = [1 if x is None else max(x.size, 1) for x in inputs]
    values = [np.zeros(0) if x is None else np.abs(np.ravel(x).astype(np.float64)) for x in inputs]
    kind = node.op_type
    if kind == "ConstantOfShape":
        return _product(values[0])
    if kind in ("Expand", "Tile"):
        return sizes[0] * _product(values[1]) if len(values) > 1 else 0
    if kind == "Range" and len(values) == 3:
        step = values[2].item() if values[2].size == 1 and values[2].item() else 1e-9
        return float((values[0].sum() + values[1].sum()) / step)
    if kind == "OneHot" and len(values) > 1:
        return sizes[0] * _product(values[1])
    if kind in ("Gather", "GatherND", "MatMul"):
        return math.prod(sizes)
    shapes = [() if x is None else x.shape for x in inputs]
    if kind in _ELEMENTS:
        rank = max(map(len, shapes))
        padded = [(1,) * (rank - len(s)) + s for s in shapes]
        return float(math.prod(max(column) for column in zip(*padded, strict=True)))
    return sum(sizes)


def _product(values: Array) -> float:
    """The elements of a shape, as a float that does not overflow into a small number."""
    return float(np.prod(np.maximum(values, 1), dtype=np.float64))


def _filled(node: onnx.NodeProto, inputs: Sequence[Array | None]) -> Array:
    """One value in a shape, in the memory of that value."""
    (shape,) = inputs
    value = np.zeros(1, np.float32)
    for attribute in node.attribute:
        if attribute.name == "value":
            value = onnx.numpy_helper.to_array(attribute.t).reshape(-1)
    sizes = [] if shape is None else [int(n) for n in shape.ravel()]
    if shape is None or shape.ndim != 1 or value.size != 1 or min(sizes, default=0) < 0:
        raise ParseError(f"it needs a shape of sizes of at least 0, got {quoted(str(sizes))}")
    if value.dtype.kind == "f":
        value = value.astype(np.float32)
    filled: Array = np.broadcast_to(value.reshape(()), tuple(sizes))
    return filled
