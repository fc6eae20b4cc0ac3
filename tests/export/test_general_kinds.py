"""The layer kinds of networks from outside: torch computes what ONNX Runtime does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from general_networks import (
    CASES,
    IMAGE,
    ROWS,
    Case,
    differs,
    encoder,
    integers,
    network_of,
    onnx_arrays,
    torch_arrays,
)

from latbench.errors import BackendError, UsageError
from latbench.export.onnx import input_names, output_names, to_onnx
from latbench.export.torch import NetworkModule, to_torch
from latbench.networks.general.arithmetic import (
    BINARY_KINDS,
    UNARY_KINDS,
    Binary,
    Cast,
    Unary,
    Where,
)
from latbench.networks.general.arrays import (
    ArgMax,
    Constant,
    Cut,
    Embedding,
    Expand,
    Gather,
    Join,
    Reduce,
    Reshape,
    Transpose,
    Unread,
)
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
from latbench.networks.ops import Input, Op
from latbench.networks.weights import make_inputs, make_weights

torch.set_num_threads(1)


def ids(case: Case) -> str:
    return f"{case[0]} of {', '.join(str(i.shape) for i in case[1])}"


def assert_agrees(network: Network) -> None:
    expected = torch_arrays(network)
    assert not differs(onnx_arrays(network), expected)
    assert not differs(onnx_arrays(network, optimise=False), expected)


def check(network: Network) -> None:
    """The model is valid, and ONNX infers the shapes and types that the network has."""
    onnx.checker.check_model(to_onnx(network), full_check=True)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_onnx_runtime_and_torch_agree_on_every_kind(case: Case) -> None:
    network = network_of(case[0], *case[1])
    check(network)
    assert_agrees(network)


def test_every_kind_is_among_the_cases() -> None:
    kinds = {
        Unary,
        Binary,
        Where,
        Cast,
        Reshape,
        Transpose,
        Cut,
        Join,
        Reduce,
        ArgMax,
        Expand,
        Gather,
    }
    kinds |= {Embedding, MatMul, Dense, Softmax, LayerNorm, GroupNorm, RectConv, TransposedConv}
    kinds |= {RectPool, LocalResponseNorm, Resize, PadAround}
    assert {type(op) for op, _ in CASES} == kinds
    assert {op.kind for op, _ in CASES if isinstance(op, Unary)} == {*UNARY_KINDS}
    assert {op.kind for op, _ in CASES if isinstance(op, Binary)} == {*BINARY_KINDS}


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_other_precisions_compute_nearly_the_same(case: Case) -> None:
    """Parity asks torch in them how far rounding alone goes; a layer that fails in one says
    nothing."""
    network = network_of(case[0], *case[1])
    expected = torch_arrays(network)
    if network.types[-1] == "float32" and np.isfinite(expected[0]).all():
        for dtype, tolerance in ((torch.float64, 1e-5), (torch.float16, 1e-2)):
            found = torch_arrays(network, dtype=dtype)[0]
            assert found.dtype == str(dtype).removeprefix("torch.")
            scale = np.abs(expected[0]).max()
            assert np.abs(found - expected[0]).max() <= tolerance * scale
        half = onnx_arrays(network, dtype="float16")
        assert not differs(half, expected, 2e-2)
    to_torch(network).to(torch.bfloat16)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_module_is_its_layers_one_by_one(case: Case) -> None:
    network = network_of(case[0], *case[1])
    xs = [torch.from_numpy(x) for x in make_inputs(network)]
    with torch.no_grad():
        found = to_torch(network)(*xs).numpy()
    np.testing.assert_array_equal(found, torch_arrays(network)[0])


# An op, and the same with one attribute that is wrong.
BROKEN: list[tuple[Op, Op, tuple[Input, ...]]] = [
    (Unary("gelu"), Unary("gelu_tanh"), (ROWS,)),
    (Unary("clip", -0.5, 0.7), Unary("clip", -0.5, 0.6), (ROWS,)),
    (Binary("sub"), Binary("add"), (ROWS, Input((3, 1)))),
    (Binary("less"), Binary("greater"), (ROWS, Input((3, 1)))),
    (Cast("int64"), Cast("float32"), (ROWS,)),
    (Reshape((4, 2, 3)), Reshape((4, 3, 2)), (Input((2, 3, 4)),)),
    (Transpose((0, 2, 1)), Transpose((1, 2, 0)), (Input((3, 3, 3)),)),
    (Cut(2, 1, 7, 2), Cut(2, 2, 8, 2), (ROWS,)),
    (Join(0), Join(1), (Input((1, 1)), Input((1, 1)))),
    (Reduce("max", (1,)), Reduce("min", (1,)), (ROWS,)),
    (Reduce("sum", (0,)), Reduce("sum", (1,)), (Input((3, 3)),)),
    (ArgMax(0), ArgMax(1), (Input((5, 5)),)),
    (Expand((2, 2, 3)), Expand((4, 2, 3)), (Input((2, 3)),)),
    (Gather(0), Gather(1), (Input((8, 8)), integers(8))),
    (Softmax(1), Softmax(2), (Input((2, 8, 8)),)),
    (Softmax(1), Softmax(1, log=True), (ROWS,)),
    (LayerNorm(2), LayerNorm(2, eps=0.01), (ROWS,)),
    (GroupNorm(2), GroupNorm(4), (IMAGE,)),
    (
        RectConv(4, (3, 2), padding=(1, 0, 1, 1)),
        RectConv(4, (3, 2), padding=(1, 1, 1, 0)),
        (IMAGE,),
    ),
    (
        RectConv(4, (3, 3), dilation=(1, 2)),
        RectConv(4, (3, 3), dilation=(2, 1)),
        (Input((2, 4, 9, 9)),),
    ),
    (
        TransposedConv(4, (3, 2), (2, 2), padding=(1, 0, 0, 0)),
        TransposedConv(4, (3, 2), (2, 2), padding=(0, 0, 1, 0)),
        (IMAGE,),
    ),
    (
        RectPool("max", (3, 2), padding=(1, 0, 1, 0)),
        RectPool("max", (3, 2), padding=(2, 0, 0, 0)),
        (IMAGE,),
    ),
    (
        RectPool("avg", (3, 2), padding=(1, 0, 1, 0)),
        RectPool("avg", (3, 2), padding=(1, 0, 1, 0), counted=True),
        (IMAGE,),
    ),
    (
        RectPool("avg", (3, 2), (2, 2), ceil=True),
        RectPool("avg", (3, 2), (2, 2)),
        (Input((2, 4, 8, 9)),),
    ),
    (LocalResponseNorm(3, 0.5), LocalResponseNorm(3, 0.4), (IMAGE,)),
    (Resize(14, 18), Resize(14, 18, nearest="floor", places="align_corners"), (IMAGE,)),
    (Resize(14, 18, "linear"), Resize(14, 18, "linear", "asymmetric"), (IMAGE,)),
    (Resize(14, 18, "cubic"), Resize(14, 18, "cubic", cubic=-0.5), (IMAGE,)),
    (Resize(9, 9, "linear"), Resize(9, 9, "linear", scales=(1.3, 1.0)), (IMAGE,)),
    (PadAround((1, 0), (0, 1), "reflect"), PadAround((1, 0), (0, 1), "edge"), (Input((3, 4)),)),
    (PadAround((1, 0), (0, 1)), PadAround((1, 0), (0, 1), value=1), (Input((3, 4)),)),
    (Dense(5), Dense(5, bias=False), (ROWS,)),
]  # fmt: skip


@pytest.mark.parametrize(("op", "broken", "inputs"), BROKEN, ids=str)
def test_an_attribute_that_is_wrong_is_seen(op: Op, broken: Op, inputs: Any) -> None:
    right, wrong = network_of(op, *inputs), network_of(broken, *inputs)
    weights = make_weights(right)
    used = {name: weights[name] for name, _, _ in wrong.tensors()}
    expected = torch_arrays(right, weights)
    assert not differs(onnx_arrays(right, weights), expected)
    assert differs(onnx_arrays(wrong, used), expected)
    assert differs(torch_arrays(wrong, used), expected)


def test_an_encoder_has_two_inputs_and_two_outputs() -> None:
    network = encoder()
    check(network)
    assert_agrees(network)
    assert input_names(network) == ["input_ids", "attention_mask"]
    assert output_names(network) == ["output", "output_1"]
    assert not differs(onnx_arrays(network, dtype="float16"), torch_arrays(network), 1e-2)
    for value in to_onnx(network, dtype="float16").graph.output:
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_inputs_without_names_are_numbered_around_those_with_names() -> None:
    given = (
        Input((2,)),
        Input((2,), "input_1"),
        Input((2,)),
        Input((2,), "output"),
        Input((2,), "t4"),
    )
    b = NetworkBuilder.of_inputs(*given)
    total = 0
    for i in range(1, 5):
        total = b.add(Binary("add"), total, i)
    network = b.build(total)
    assert input_names(network) == ["input", "input_1", "input_2", "output", "t4"]
    assert output_names(network) == ["output_"]
    check(network)
    assert_agrees(network)


def test_an_input_may_be_called_like_a_weight() -> None:
    network = network_of(Dense(3), Input((2, 4), "1.weight"))
    check(network)
    assert_agrees(network)


def test_two_inputs_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="2 inputs are called 'x'; give them names of their own"):
        NetworkBuilder.of_inputs(Input((1,), "x"), Input((2,), "x"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_whatever_is_an_output_is_given_once_for_each(dtype: Any) -> None:
    """An input, a constant, a result that others read, and one that is asked for twice."""
    b = NetworkBuilder.of_inputs(Input((2, 3)), integers(2, 3, name="ids"))
    constant, twice = b.add(Constant((2, 3))), b.add(Unary("tanh"), 0)
    last = b.add(Binary("add"), twice, constant)
    network = b.build(0, 1, constant, twice, twice, last, b.add(Constant((2,), "int64")))
    onnx.checker.check_model(to_onnx(network, dtype=dtype), full_check=True)
    assert not differs(onnx_arrays(network, dtype=dtype), torch_arrays(network), 1e-2)


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_constants_of_other_types_are_exact_in_every_precision(dtype: Any) -> None:
    """4097 is no float16."""
    b = NetworkBuilder.of_inputs(Input((2,)))
    network = b.build(b.add(Constant((2,), dtype)), 0)
    value = np.array([4097, 0], np.float32)
    expected = value.astype(dtype)
    for precision in (torch.float16, torch.float64):
        found = torch_arrays(network, {"1.value": value}, precision)[0]
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    module = to_torch(network, {"1.value": value}).half()
    np.testing.assert_array_equal(module(torch.zeros(2).half())[0], expected)
    np.testing.assert_array_equal(module.weights()["1.value"], expected)
    np.testing.assert_array_equal(
        onnx_arrays(network, {"1.value": value}, dtype="float16")[0], expected
    )


def test_integers_are_divided_towards_zero() -> None:
    b = NetworkBuilder.of_inputs(Input((1,)))
    dividend, divisor = b.add(Constant((4,), "int64")), b.add(Constant((4,), "int64"))
    network = b.build(
        b.add(Binary("div"), dividend, divisor), b.add(Binary("mod"), dividend, divisor), 0
    )
    numbers = list(network.tensors())
    weights = {
        numbers[0][0]: np.array([7, -7, 7, -7], np.float32),
        numbers[1][0]: np.array([2, 2, -2, -2], np.float32),
    }
    for found in (torch_arrays(network, weights), onnx_arrays(network, weights)):
        np.testing.assert_array_equal(found[0], [3, -3, -3, 3])
        np.testing.assert_array_equal(found[1], [1, 1, -1, -1])


def test_slopes_of_more_axes_than_what_they_multiply() -> None:
    assert_agrees(network_of(Binary("prelu"), Input((3, 1)), Input((2, 3, 4))))


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_a_local_response_norm_has_the_neighbours_of_onnx(size: int) -> None:
    """Of an even number ONNX Runtime runs none, so that the formula of its page decides."""
    op = LocalResponseNorm(size, 0.5, 0.6, 1.1)
    network = network_of(op, IMAGE)
    (x,) = make_inputs(network)
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        first, last = max(0, c - (size - 1) // 2), min(x.shape[1] - 1, c + size // 2)
        total[:, c] = np.square(x[:, first : last + 1]).sum(1)
    expected = x / (op.bias + op.alpha / size * total) ** op.beta
    assert not differs(torch_arrays(network), [expected])


def test_another_batch_goes_through_reshapes_and_constants() -> None:
    """What is trained runs in batches, whatever the file's was."""
    b = NetworkBuilder.of_inputs(Input((1, 4, 2, 2)))
    tokens = b.add(Transpose((0, 2, 1)), b.add(Reshape((1, 4, 4)), 0))
    joined = b.add(Join(1), b.add(Expand((1, 1, 4)), b.add(Constant((1, 1, 4)))), tokens)
    network = b.build(b.add(Dense(3), b.add(Reshape((1, 20)), b.add(LayerNorm(), joined))))
    x, module = torch.randn(5, 4, 2, 2), to_torch(network)
    with torch.no_grad():
        torch.testing.assert_close(module(x), torch.cat([module(one) for one in x[:, None]]))


def test_a_fresh_module_has_the_tensors_of_the_network() -> None:
    network = encoder()
    module = NetworkModule(network)
    assert module.weights().keys() == {name for name, _, _ in network.tensors()}
    found = module(*map(torch.from_numpy, make_inputs(network)))
    assert all(torch.isfinite(y).all() for y in found)


@pytest.mark.parametrize("export", [to_torch, to_onnx])
def test_an_operator_that_was_not_read_is_named_with_its_place(export: Any) -> None:
    op = Unread("NonMaxSuppression", "/head/nms", (1, 3), "int64")
    network = network_of(op, Input((1, 4)))
    with pytest.raises(BackendError) as refused:
        export(network)
    assert str(refused.value) == (
        "the operator NonMaxSuppression at '/head/nms' is no layer kind of latbench; only runtimes "
        "that read ONNX run it, such as onnxruntime"
    )


def test_bounds_beyond_a_precision_are_none_in_it() -> None:
    largest = float(np.finfo(np.float32).max)
    network = network_of(Unary("clip", 0.0, largest), ROWS)
    expected = [np.maximum(make_inputs(network)[0], 0)]
    assert not differs(
        [torch_arrays(network, dtype=torch.float16)[0].astype(np.float32)], expected, 1e-2
    )
    assert not differs(onnx_arrays(network, dtype="float16"), expected, 1e-2)
    assert_agrees(network_of(Unary("clip", -float("inf"), 3.0), integers(2, 5)))
    assert_agrees(network_of(Unary("clip", 1.0, largest), integers(2, 5)))
