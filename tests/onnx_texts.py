"""Small ONNX files as texts: ``from onnx_texts import`` (see pyproject.toml)."""

from __future__ import annotations

from typing import Any

import onnx.parser

from latbench.importing.reading import read_onnx_bytes
from latbench.models import Model

CHAIN = """
<ir_version: 8, opset_import: ["": 17]>
chain (float[1,2,6,6] image) => (float[1,3] scores)
<float[3,2,3,3] filters = {
    0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9, 1.0, 1.1, 1.2, -1.3, 1.4, 1.5, 1.6, 1.7, -1.8,
    0.9, 0.8, -0.7, 0.6, 0.5, 0.4, 0.3, -0.2, 0.1, 0.0, -0.1, 0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8,
    1.9, -1.8, 1.7, 1.6, 1.5, 1.4, -1.3, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, -0.4, 0.3, 0.2}>
{
    seen = Conv<pads = [1, 1, 1, 1]>(image, filters)
    on = Relu(seen)
    pooled = GlobalAveragePool(on)
    scores = Flatten(pooled)
}
"""
# Its own types are no float32, in and out.
HALF = """
<ir_version: 8, opset_import: ["": 17]>
half (float16[1,2,4,4] image, int32[1,2] rows) => (float16[1,3] scores, int32[1,2] same)
<float[3,2,1,1] filters = {1.5, -2.25, 3.0, 4.125, 5.0, -6.5}>
{
    halved = Cast<to = 10>(filters)
    seen = Conv(image, halved)
    on = Relu(seen)
    pooled = GlobalAveragePool(on)
    scores = Flatten(pooled)
    same = Identity(rows)
}
"""
QUANTISED = """
<ir_version: 8, opset_import: ["": 17]>
quantised (float[1,2,6,6] image) => (float[1,3] scores)
<float scale = {0.03}, uint8 zero = {128}, float step = {0.02}, int8 none = {0},
 float wide = {0.1}, int8[3,2,1,1] filters = {10, -20, 30, 40, -50, 60}>
{
    small = QuantizeLinear(image, scale, zero)
    x = DequantizeLinear(small, scale, zero)
    w = DequantizeLinear(filters, step, none)
    seen = Conv(x, w)
    seen8 = QuantizeLinear(seen, wide, zero)
    y = DequantizeLinear(seen8, wide, zero)
    on = Relu(y)
    pooled = GlobalAveragePool(on)
    scores = Flatten(pooled)
}
"""


def file_of(text: str) -> bytes:
    """The ONNX file that a text says."""
    data: bytes = onnx.parser.parse_model(text).SerializeToString()
    return data


def model_of(text: str, **given: Any) -> Model:
    """The model of the ONNX file that a text says."""
    read = read_onnx_bytes(file_of(text), "a file", **given)
    return Model(
        "a file", read.network, read.weights, source=read.source, given=read.given,
        notes=read.notes,
    )  # fmt: skip
