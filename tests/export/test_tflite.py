from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from exporter_contract import ExporterContract

from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Op, Pool
from latbench.networks.weights import Array, Weights, make_input

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
from ai_edge_litert import schema_py_generated as schema  # noqa: E402 - as below

from latbench.export.flatbuffer import ALIGNMENT  # noqa: E402 - as below
from latbench.export.tflite import to_tflite  # noqa: E402 - it needs the runtime's schema

torch.set_num_threads(1)


def run_tflite(network: Network, weights: Weights | None, xnnpack: bool) -> Array:
    kernels = interpreter.OpResolverType
    runtime = interpreter.Interpreter(
        model_content=to_tflite(network, weights).content,
        num_threads=1,
        experimental_op_resolver_type=(
            kernels.BUILTIN if xnnpack else kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    runtime.allocate_tensors()
    image = make_input(network)
    image = np.moveaxis(image, 1, -1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], np.ascontiguousarray(image))
    runtime.invoke()
    return np.asarray(np.moveaxis(runtime.get_tensor(output_index(runtime)), -1, 1))


def output_index(runtime: Any) -> int:
    return int(runtime.get_output_details()[0]["index"])


class TestTflite(ExporterContract):
    def outputs(self, network: Network, weights: Weights | None) -> Iterator[Array]:
        for xnnpack in (True, False):
            yield run_tflite(network, weights, xnnpack)


def test_the_data_of_tensors_are_aligned() -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(BatchNorm(), b.add(Pool("avg", 3, 2, 1), b.add(Conv(5, 3, bias=True), b.input)))
    model = to_tflite(b.build(x)).content
    assert model[4:8] == b"TFL3"
    graph = schema.Model.GetRootAs(model)
    found = 0
    for i in range(graph.BuffersLength()):
        data = graph.Buffers(i).DataAsNumpy()
        if not isinstance(data, int):  # no data
            offset = (
                data.__array_interface__["data"][0]
                - np.frombuffer(model, np.uint8).__array_interface__["data"][0]
            )
            assert offset % ALIGNMENT == 0
            found += 1
    assert found >= 5


def operators(network: Network) -> list[str]:
    model = schema.Model.GetRootAs(to_tflite(network).content)
    graph, names = model.Subgraphs(0), vars(schema.BuiltinOperator)
    codes = [
        model.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode()
        for i in range(graph.OperatorsLength())
    ]
    return [next(name for name, value in names.items() if value == code) for code in codes]


@pytest.mark.parametrize(
    ("size", "op", "expected"),
    [
        (8, Conv(4, 3, padding=1), ["CONV_2D"]),
        (7, Conv(4, 3, stride=2, padding=1), ["CONV_2D"]),
        (8, Conv(4, 3, stride=2, padding=1), ["PAD", "CONV_2D"]),  # SAME has another first window
        (8, Conv(4, 3, padding=2, dilation=2, groups=4), ["DEPTHWISE_CONV_2D"]),
        (8, Pool("max", 3, 1, 1), ["MAX_POOL_2D"]),
        (8, Pool("max", 3, 2, 1), ["PADV2", "MAX_POOL_2D"]),
        (8, Pool("avg", 3, 1, 1), ["AVERAGE_POOL_2D"]),
        (8, Pool("avg", 3, 2, 1), ["PAD", "AVERAGE_POOL_2D", "MUL"]),
    ],
)
def test_images_are_padded_only_where_litert_would_not(
    size: int, op: Op, expected: list[str]
) -> None:
    b = NetworkBuilder((1, 4, size, size))
    network = b.build(b.add(op, b.input))
    assert operators(network) == expected
    TestTflite().assert_agrees(network)


def test_a_convolution_becomes_one_operator_with_what_follows() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(BatchNorm(), b.add(Conv(4, 3), b.input))
    assert operators(b.build(b.add(Activation("relu6"), x))) == ["CONV_2D"]
    assert operators(b.build(b.add(Activation("hswish"), x))) == ["CONV_2D", "HARD_SWISH"]
    both = b.add(Elementwise("add"), b.add(Activation("relu"), x), x)
    assert operators(b.build(both)) == ["CONV_2D", "RELU", "ADD"]
