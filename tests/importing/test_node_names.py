"""ONNX files whose nodes are called after layers, and the names that people see instead."""

from __future__ import annotations

import onnx
import pytest
from importing.onnx_texts import drawn, read
from onnx_texts import CHAIN, HALF, model_of

from latbench.backends.onnx_runtime import OnnxRuntime
from latbench.errors import BackendError
from latbench.export.kernel_layers import named_layers
from latbench.importing.node_names import named_after_layers
from latbench.models import Model
from latbench.testing.networks import several_inputs, short_chain

INNER = """
<ir_version: 8, opset_import: ["": 17]>
chosen (float[1,4] x, bool y) => (float[1,4] z)
{
    a = Relu(x)
    z = If<then_branch = one () => (float[1,4] p) { p = Abs(a) },
           else_branch = two () => (float[1,4] q) { q = Neg(a) }>(y)
}
"""


def told(model: Model) -> list[tuple[str, str, set[int]]]:
    """The operator of each node, what people see of its name, and the layers that it says."""
    named, shown = model.named_after_layers()
    return [
        (node.op_type, shown(node.name), {*named_layers(node.name, model.network)})
        for node in onnx.load_from_string(named.source or b"").graph.node
    ]


def test_nodes_without_names_go_by_what_they_give() -> None:
    assert told(model_of(CHAIN)) == [
        ("Conv", "seen", {1}), ("Relu", "on", {2}), ("GlobalAveragePool", "pooled", {3}),
        ("Flatten", "scores", {4}),
    ]  # fmt: skip


def test_what_becomes_one_layer_is_called_after_it() -> None:
    one = read(
        "g (float[1,2,6] x) => (float[1,2,5] y) "
        "{ i = Identity(x) p = MatMul(i, w) a = Add(p, b) s = Sigmoid(a) y = Mul(a, s) }",
        w=drawn(6, 5), b=drawn(5),
    )  # fmt: skip
    assert told(Model("one", one.network, one.weights, source=one.source)) == [
        ("Identity", "i", set()), ("MatMul", "p", {1}), ("Add", "a", {1}), ("Sigmoid", "s", {2}),
        ("Mul", "y", {2}),
    ]  # fmt: skip


def test_names_in_those_of_kernels_are_put_back() -> None:
    _, shown = model_of(CHAIN).named_after_layers()
    assert shown("fused t2.n1_nchwc + t3.n2/Fusion") == "fused on_nchwc + pooled/Fusion"
    assert shown("Cast t2.n1.0") == "Cast on"
    assert shown("n9 t2 Gelu_t2.n1") == "n9 t2 Gelu_t2.n1"  # is no node, or no whole name


@pytest.mark.parametrize("model", [model_of(CHAIN), model_of(HALF), several_inputs()], ids=str)
def test_it_computes_what_the_file_does(model: Model) -> None:
    named, _ = model.named_after_layers()
    found = []
    for one in (model, named):
        with OnnxRuntime().load(one) as session:
            session.run()
            outputs = session.outputs()
        found.append([y.tolist() for y in (outputs if isinstance(outputs, tuple) else [outputs])])
    assert found[0] == found[1]
    onnx.checker.check_model(onnx.load_from_string(named.source or b""), full_check=True)


def test_a_model_of_no_file_is_called_after_layers_as_it_is() -> None:
    model = Model("a", short_chain())
    named, shown = model.named_after_layers()
    assert named is model
    assert shown("t2_nchwc") == "t2_nchwc"


def test_graphs_inside_of_operators_are_refused() -> None:
    model = model_of(INNER)
    with pytest.raises(BackendError, match="with the operator If cannot be profiled"):
        model.named_after_layers()


def test_a_file_of_another_network_is_refused() -> None:
    source = model_of(CHAIN).source
    assert source is not None
    with pytest.raises(BackendError, match="is not that of its network"):
        named_after_layers(source, short_chain())
