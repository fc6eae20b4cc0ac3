"""Networks from outside on runtimes that read no ONNX: what torch computes, or a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from general_cases import cases, detector, model_of, transformer
from hypothesis import HealthCheck, given, settings
from operators_table import PAGE, table
from random_general import general_networks

from latbench.backends import Backend
from latbench.backends.litert import LiteRt
from latbench.backends.ncnn import Ncnn
from latbench.backends.simd_sparse import SimdSparse
from latbench.errors import BackendError, UsageError
from latbench.export.ncnn_model import to_ncnn
from latbench.export.ncnn_rules.ncnn_writer import permute_type
from latbench.export.one_image import split_batch
from latbench.export.torch import run_layers
from latbench.models import Model
from latbench.networks.general.arithmetic import Binary, Cast, Unary
from latbench.networks.general.arrays import (
    Constant,
    Gather,
    Reduce,
    Reshape,
    Transpose,
    Unread,
)
from latbench.networks.general.products import Dense, MatMul, Softmax
from latbench.networks.general.windows import RectConv, RectPool
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, Concat, Conv, GlobalAvgPool, Input
from latbench.networks.weights import make_weights
from latbench.sparse.saved import saveable

pytest.importorskip("ai_edge_litert.interpreter")
pytest.importorskip("ncnn")
from ai_edge_litert import schema_py_generated as schema

from latbench.export.tflite import to_tflite

torch.set_num_threads(1)

RUNTIMES: dict[str, Backend] = {
    "litert": LiteRt(),
    "litert without XNNPACK": LiteRt(xnnpack=False),
    "ncnn": Ncnn(),
    "ncnn without fusing": Ncnn(fuse=False),
    "simd-sparse": SimdSparse(tune=False),
}
PARTS = 6
_SETTINGS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
Arrays = tuple[npt.NDArray[Any], ...]


def as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def expected(model: Model, dtype: torch.dtype = torch.float64) -> Arrays:
    xs = [torch.from_numpy(x) for x in model.inputs()]
    found = as_tuple(run_layers(model.network, model.arrays, *xs, dtype=dtype))
    return tuple(y.double().numpy() for y in found)


def outputs(backend: Backend, model: Model) -> Arrays:
    with backend.load(model) as session:
        session.run()
        session.run()
        return as_tuple(session.outputs())


def assert_agrees(backend: Backend, model: Model, name: str = "") -> None:
    right, alone = expected(model), expected(model, torch.float32)
    actual = outputs(backend, model)
    assert len(actual) == len(right), name
    for got, y, rounded in zip(actual, right, alone, strict=True):
        assert got.shape == y.shape, name
        assert got.dtype == np.float32, name
        scale = float(np.abs(y).max()) or 1.0
        rounding = float(np.abs(rounded - y).max())
        np.testing.assert_allclose(got, y, rtol=0, atol=2e-5 * scale + 30 * rounding, err_msg=name)


def refused(backend: Backend, network: Network) -> str:
    with pytest.raises(BackendError) as caught:
        backend.load(model_of(network))
    return str(caught.value)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_kind_agrees_with_torch(runtime: str, part: int) -> None:
    refusals = []
    for name, network in list(cases())[part::PARTS]:
        try:
            assert_agrees(RUNTIMES[runtime], model_of(network), name)
        except BackendError as error:
            refusals.append(str(error))
    lacks = {"litert": "LiteRT has no pooling", "ncnn": "ncnn has no "}
    begins = lacks.get(runtime.partition(" ")[0], "none")
    assert [text for text in refusals if not text.startswith(begins)] == []


@pytest.mark.parametrize("runtime", ["litert without XNNPACK", "ncnn", "simd-sparse"])
@settings(max_examples=25, **_SETTINGS)
@given(network=general_networks())
def test_random_networks_agree_with_torch(runtime: str, network: Network) -> None:
    model = Model("random", network, make_weights(network))
    if not all(np.isfinite(y).all() for y in expected(model)):
        return
    try:
        assert_agrees(RUNTIMES[runtime], model)
    except BackendError as error:
        if not str(error).startswith("ncnn has no "):
            raise


@pytest.mark.slow
@pytest.mark.parametrize("network", [transformer(), detector()], ids=["transformer", "detector"])
def test_executorch_runs_them_too(network: Network) -> None:
    pytest.importorskip("executorch")
    from latbench.backends.executorch import ExecuTorch

    assert_agrees(ExecuTorch(), model_of(network))


def batched() -> Network:
    """Two inputs of a batch of 3, of which no layer mixes the images."""
    b = NetworkBuilder.of_inputs(Input((3, 2, 4, 4)), Input((3, 2, 4, 4)))
    x = b.add(Concat(), b.add(RectConv(4, (1, 3), padding=(0, 1, 0, 1)), 0), 1)
    y = b.add(Transpose((0, 2, 1)), b.add(Reshape((3, 6, 16)), x))
    y = b.add(Binary("add"), b.add(Dense(5), y), b.add(Constant((16, 5))))
    return b.build(b.add(Reduce("mean", (1,), keep=False), y), b.add(GlobalAvgPool(), x))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_images_of_a_batch(runtime: str) -> None:
    assert split_batch(batched())[1] == 3
    assert_agrees(RUNTIMES[runtime], model_of(batched()))


@pytest.mark.parametrize("kind", [Softmax(0), Reduce("sum", (0,)), Transpose((1, 0, 2, 3))])
def test_a_network_that_mixes_its_batch_is_run_whole(kind: Any) -> None:
    b = NetworkBuilder((3, 3, 4, 4))
    network = b.build(b.add(kind, b.input))
    assert split_batch(network) == (network, 1)
    for backend in RUNTIMES.values():
        assert_agrees(backend, model_of(network))
    b = NetworkBuilder((3, 3, 4, 4))
    text = refused(Ncnn(), b.build(b.add(kind, b.add(Conv(3, 1), b.input))))
    assert text.startswith("ncnn has no images that are not one at a time, which layer 1 (Conv)")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_operator_that_was_not_read_is_named_with_its_place(runtime: str) -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    network = b.build(b.add(Unread("Einsum", "node 7 ('/attention')", (1, 3, 4, 4)), b.input))
    text = refused(RUNTIMES[runtime], network)
    assert "Einsum" in text
    assert "/attention" in text
    assert "onnxruntime" in text


@pytest.mark.parametrize(
    ("backend", "make", "lacks"),
    [
        (LiteRt(), lambda b: RectPool("max", (2, 2), dilation=(2, 2)), "LiteRT has no pooling"),
        (Ncnn(), lambda b: RectPool("max", (2, 2), dilation=(2, 2)), "ncnn has no pooling"),
        (Ncnn(), lambda b: Cast("bool"), "ncnn has no comparison of floats with 0"),
    ],
)
def test_what_a_runtime_lacks_is_named_with_its_layer(backend: Any, make: Any, lacks: str) -> None:
    b = NetworkBuilder((1, 3, 6, 6))
    x = b.add(Activation("relu"), b.input)
    op = make(b)
    text = refused(backend, b.build(b.add(op, x)))
    assert text.startswith(lacks)
    assert f"which layer 2 ({type(op).__name__}) needs" in text


def test_ncnn_embeds_no_integers_that_are_computed() -> None:
    b = NetworkBuilder.of_inputs(Input((1, 4, 6)), Input((3,), "places", "int64", 4))
    text = refused(Ncnn(), b.build(b.add(Gather(1), 0, b.add(Binary("mul"), 1, 1))))
    assert text.startswith("ncnn has no choice by places that are computed, which layer 3 (Gather)")


def operators(network: Network) -> list[str]:
    model = schema.Model.GetRootAs(to_tflite(network).content)
    graph, names = model.Subgraphs(0), vars(schema.BuiltinOperator)
    codes = [
        model.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode()
        for i in range(graph.OperatorsLength())
    ]
    return [next(name for name, value in names.items() if value == code) for code in codes]


def test_litert_transposes_only_where_a_layer_needs_another_order() -> None:
    b = NetworkBuilder((1, 8, 8, 3))  # NHWC, as TensorFlow has it
    x = b.add(Conv(4, 3), b.add(Transpose((0, 3, 1, 2)), b.input))
    x = b.add(Softmax(1), b.add(Unary("exp"), b.add(Binary("add"), x, b.add(Constant((4, 1, 1))))))
    network = b.build(b.add(Transpose((0, 2, 3, 1)), x))
    assert operators(network) == ["CONV_2D", "ADD", "EXP", "SOFTMAX"]
    assert "TRANSPOSE" not in operators(detector())[:8]
    # Three heads are turned, their product is turned back; the keys' second turn is the product's.
    assert operators(transformer()).count("TRANSPOSE") == 4


def test_litert_has_scores_of_attention_in_the_networks_order() -> None:
    b = NetworkBuilder.of_inputs(Input((1, 2, 5, 4)), Input((1, 2, 4, 5)))
    network = b.build(b.add(Softmax(3), b.add(MatMul(), 0, 1)))
    assert operators(network) == ["BATCH_MATMUL", "SOFTMAX"]
    assert to_tflite(network).inputs == ((0, 1, 2, 3), (0, 1, 2, 3))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_an_output_is_not_taken_over(runtime: str) -> None:
    b = NetworkBuilder((1, 3, 6, 6))
    x = b.add(Conv(4, 3, bias=True), b.input)
    network = b.build(b.add(Activation("relu"), x), x)
    assert_agrees(RUNTIMES[runtime], model_of(network))


def test_a_blob_that_is_read_often_is_split_once() -> None:
    b = NetworkBuilder.of_inputs(Input((1, 5)))
    x = b.add(Unary("softsign"), 0)
    text = to_ncnn(b.build(x, b.add(Unary("tanh"), x))).param
    assert text.count("Split ") == 2


@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1), (1, 2, 0), (3, 1, 0, 2), (0, 3, 2, 1)])
def test_ncnn_counts_orders_so(order: tuple[int, ...]) -> None:
    import ncnn

    shape = (2, 3, 4, 5)[: len(order)]
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    net = ncnn.Net()
    text = f"7767517\n2 2\nInput in 0 1 x\nPermute turn 1 1 x y 0={permute_type(order)}\n"
    assert net.load_param_mem(text) == 0
    net.load_model_mem(b"\0")
    with net.create_extractor() as extractor:
        extractor.input("x", ncnn.Mat(x).clone())
        np.testing.assert_array_equal(np.array(extractor.extract("y")[1]), x.transpose(order))


def test_simd_sparse_names_what_torch_computes() -> None:
    with SimdSparse(tune=False).load(model_of(detector())) as session:
        assert "RectConv by torch" in session.fallbacks
        assert "Conv by torch" not in session.fallbacks
        assert not any(name.startswith(("Input", "Constant")) for name in session.fallbacks)
        assert session.time_steps(2).shape[0] == 2


def test_tuning_meets_layers_of_integers() -> None:
    assert_agrees(SimdSparse(tune=True), model_of(transformer()))


def test_a_network_of_several_outputs_is_not_saved_for_the_engine() -> None:
    with pytest.raises(UsageError, match="has not one input and one output of floats"):
        saveable(model_of(detector()))


def test_the_page_says_which_kinds_run_where() -> None:
    """``python tests/operators_table.py`` writes it anew."""
    assert table() in PAGE.read_text()
