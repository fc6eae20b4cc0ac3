"""Single values of an ONNX message: attributes, types of elements, shapes of results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from latbench.errors import ParseError
from latbench.importing.onnx_file import FLOATS, INTEGERS
from latbench.networks.ops import Dtype, Shape


def attribute_value(attribute: AttributeProto) -> Any:
    """Returns an attribute as Python has it; None for a graph."""
    if attribute.type == AttributeProto.TENSOR:
        return attribute.t
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        return None
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, float):  # 1e-5 rather than 9.999999747378752e-06
        return float(str(np.float32(value)))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def dtype_of(element: int) -> Dtype:
    """Returns latbench's type of ONNX' one. Raises ParseError for texts, complex numbers and the
    like."""
    if element in FLOATS:
        return "float32"
    if element in INTEGERS:
        return "int64"
    if element == TensorProto.BOOL:
        return "bool"
    known = TensorProto.DataType.values()
    name = TensorProto.DataType.Name(element) if element in known else str(element)
    raise ParseError(f"it is of {name}; latbench reads floats, integers and truth values")


def stated_types(model: onnx.ModelProto) -> dict[str, tuple[Shape, Dtype]]:
    """Returns the shapes and types that the file states, or that ONNX' shape inference finds."""
    try:
        # In a message without weights, which it does not need and would copy.
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:
        graph = model.graph
    found: dict[str, tuple[Shape, Dtype]] = {}
    for info in (*model.graph.value_info, *model.graph.output, *graph.value_info, *graph.output):
        kind = info.type.tensor_type
        sizes = tuple(d.dim_value for d in kind.shape.dim)
        if info.type.HasField("tensor_type") and kind.HasField("shape") and all(sizes):
            try:
                found[info.name] = (sizes, dtype_of(kind.elem_type))
            except ParseError:
                continue
    return found
