from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import ACTIVATIONS, OPS, networks, spaces_and_architectures

from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.network import Network, NetworkBuilder
from latbench.ops import (
    Activation,
    BatchNorm,
    Conv,
    Elementwise,
    Linear,
    Op,
    Pool,
)
from latbench.spaces import AnySpace
from latbench.weights import Array, Weights, make_input, make_weights

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
from ai_edge_litert import schema_py_generated as schema  # noqa: E402 - as below

from latbench.export.flatbuffer import ALIGNMENT  # noqa: E402 - as below
from latbench.export.tflite import to_tflite  # noqa: E402 - it needs the runtime's schema

torch.set_num_threads(1)


def run_tflite(network: Network, weights: Weights | None, xnnpack: bool) -> Array:
    kernels = interpreter.OpResolverType
    runtime = interpreter.Interpreter(
        model_content=to_tflite(network, weights),
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


def assert_agrees(network: Network, weights: Weights | None = None) -> None:
    with torch.no_grad():
        expected = to_torch(network, weights)(torch.from_numpy(make_input(network))).numpy()
    for xnnpack in (True, False):
        actual = run_tflite(network, weights, xnnpack)
        assert actual.shape == expected.shape
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * scale + 1e-7)


@settings(deadline=None, max_examples=100)
@given(networks())
def test_random_networks_agree_with_torch(network: Network) -> None:
    assert_agrees(network)


@settings(deadline=None, max_examples=10)
@given(spaces_and_architectures())
def test_random_architectures_agree_with_torch(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    assert_agrees(space.build(architecture))


@pytest.mark.parametrize("op", OPS, ids=str)
@pytest.mark.parametrize("scale", [1, 10])
def test_every_kind_of_layer_by_itself(op: Op, scale: int) -> None:
    b = NetworkBuilder((2, 4, 7, 6))
    network = b.build(b.add(op, b.add(BatchNorm(), b.input)))
    weights = make_weights(network)
    weights["1.weight"] *= scale
    assert_agrees(network, weights)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_takes_over_what_follows(
    kind: Any, groups: int, affine: bool, bias: bool
) -> None:
    b = NetworkBuilder((2, 4, 7, 6))
    x = b.add(Conv(4, 3, groups=groups, bias=bias), b.input)
    network = b.build(b.add(Activation(kind), b.add(BatchNorm(affine, 0.1), x)))
    weights = make_weights(network)
    weights["1.weight"] *= 5  # so that both bends of an activation show
    assert_agrees(network, weights)


def test_what_is_read_elsewhere_is_not_taken_over() -> None:
    b = NetworkBuilder((1, 4, 7, 6))
    conv = b.add(Conv(4, 3), b.input)
    norm = b.add(BatchNorm(), conv)
    network = b.build(b.add(Elementwise("add"), b.add(Activation("relu"), norm), norm, conv))
    assert_agrees(network)


def test_a_network_of_vectors() -> None:
    b = NetworkBuilder((3, 5))
    assert_agrees(b.build(b.add(Activation("relu"), b.add(Linear(4), b.input))))


def test_a_network_that_does_nothing() -> None:
    b = NetworkBuilder((2, 3, 4, 5))
    assert_agrees(b.build(b.input))


def test_the_weights_must_be_the_networks() -> None:
    b = NetworkBuilder((1, 2, 4, 4))
    with pytest.raises(UsageError, match=r"lack '1\.weight'"):
        to_tflite(b.build(b.add(Conv(1, 1), b.input)), {})


def test_the_data_of_tensors_are_aligned() -> None:
    b = NetworkBuilder((1, 3, 8, 8))
    x = b.add(BatchNorm(), b.add(Pool("avg", 3, 2, 1), b.add(Conv(5, 3, bias=True), b.input)))
    model = to_tflite(b.build(x))
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
    model = schema.Model.GetRootAs(to_tflite(network))
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
    assert_agrees(network)


def test_a_convolution_becomes_one_operator_with_what_follows() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(BatchNorm(), b.add(Conv(4, 3), b.input))
    assert operators(b.build(b.add(Activation("relu6"), x))) == ["CONV_2D"]
    assert operators(b.build(b.add(Activation("hswish"), x))) == ["CONV_2D", "HARD_SWISH"]
    both = b.add(Elementwise("add"), b.add(Activation("relu"), x), x)
    assert operators(b.build(both)) == ["CONV_2D", "RELU", "ADD"]
