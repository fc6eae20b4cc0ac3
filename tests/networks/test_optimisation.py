from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from strategies import networks

from latbench.export.onnx import to_onnx
from latbench.networks import ops
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.optimisation import savings
from latbench.spaces import AnySpace, darts, nasbench201

RELU = ops.Activation("relu")
POOL = ops.Pool("max", 3, padding=1)


def two_readers() -> tuple[NetworkBuilder, int]:
    """A convolution with its BatchNorm, which a pool reads."""
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(ops.BatchNorm(), b.add(ops.Conv(4, 3, padding=1), b.input))
    return b, x


def test_the_same_on_the_same_input_is_repeated_and_so_is_what_follows_it() -> None:
    b, x = two_readers()
    one, two = (b.add(POOL, b.add(RELU, x)) for _ in range(2))
    network = b.build(b.add(ops.Elementwise("add"), one, two))
    # input, conv, norm, relu, pool, relu, pool, add; the ReLU that is left is the norm's one reader
    assert savings(network) == ({5, 6}, {3})


def test_equal_layers_with_weights_are_not_repeated() -> None:
    b, x = two_readers()
    one, two = (b.add(ops.Conv(4, 1), x) for _ in range(2))
    network = b.build(b.add(ops.Elementwise("add"), one, two))
    assert savings(network) == (set(), {5})


def test_nothing_is_fused_into_a_convolution_that_something_else_reads() -> None:
    b, x = two_readers()
    network = b.build(b.add(ops.Elementwise("add"), b.add(RELU, x), b.add(POOL, x)))
    assert savings(network) == (set(), set())


@settings(deadline=None, max_examples=30)
@given(networks())
def test_what_is_saved_has_no_weights_and_is_counted_once(network: Network) -> None:
    repeated, fusible = savings(network)
    assert not repeated & fusible
    for i in repeated | fusible:
        layer = network.layers[i]
        assert layer.inputs
        assert not layer.op.parameters(*network.input_shapes(layer))


@pytest.mark.parametrize("space", [darts(channels=8, cells=3), nasbench201(channels=8, cells=1)])
def test_onnxruntime_leaves_out_the_same_layers(space: AnySpace, tmp_path: Path) -> None:
    """Its optimised model, before layouts are chosen for this processor."""
    found = (0, 0)
    for i in range(4):
        network = space.build(space.sample(0, i))
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.log_severity_level = 3
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        ort.InferenceSession(
            to_onnx(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        nodes = onnx.load(options.optimized_model_filepath).graph.node
        ran = Counter(node.op_type for node in nodes)
        saved = savings(network)
        left = Counter(
            str(getattr(layer.op, "kind", ""))
            for j, layer in enumerate(network.layers)
            if j not in saved.repeated | saved.fusible
        )
        assert (ran["Relu"], ran["MaxPool"], ran["AveragePool"]) == (
            left["relu"], left["max"], left["avg"],
        )  # fmt: skip
        found = found[0] + len(saved.repeated), found[1] + len(saved.fusible)
    assert min(found) > 0
