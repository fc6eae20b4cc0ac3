from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import OPS, networks, spaces_and_architectures
from torch.utils.flop_counter import FlopCounterMode

from latbench.errors import BackendError, UsageError
from latbench.export.onnx import INPUT, IR_VERSION, OPSET, OUTPUT, to_onnx
from latbench.export.onnx_graph import BESIDE_BYTES
from latbench.export.torch import NetworkModule, run_layers, to_torch
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Op, Slice
from latbench.networks.weights import Weights, make_input, make_weights
from latbench.spaces import AnySpace
from latbench.spaces.base import Array
from latbench.testing.networks import impossible_network

torch.set_num_threads(1)


def run_torch(network: Network, weights: Weights | None = None) -> Array:
    with torch.no_grad():
        out = to_torch(network, weights)(torch.from_numpy(make_input(network)))
    return np.asarray(out.numpy(), np.float32)


def run_onnx(
    network: Network, weights: Weights | None = None, optimise: bool = True, dtype: Any = "float32"
) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = to_onnx(network, weights, dtype=dtype).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (out,) = session.run([OUTPUT], {INPUT: make_input(network)})
    return np.asarray(out)


def assert_close(actual: Array, expected: Array) -> None:
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert np.isfinite(expected).all()
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * scale + 1e-7)


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def check_model(network: Network) -> None:
    """The model is valid, and ONNX infers the shapes that the network has."""
    model = to_onnx(network)
    onnx.checker.check_model(model, full_check=True)
    del model.graph.output[0].type.tensor_type.shape.dim[:]  # to be inferred, not to be confirmed
    model.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {v.name: shape_of(v) for v in [*inferred.graph.value_info, *inferred.graph.output]}
    assert shapes[OUTPUT] == network.output_shape
    for i, layer in enumerate(network.layers[1:-1], start=1):
        assert shapes[f"t{i}"] == layer.shape


def assert_modules_are_layers(network: Network) -> None:
    """What parity is checked with is what the torch backends time, bit by bit."""
    weights, x = make_weights(network, seed=1), torch.from_numpy(make_input(network))
    with torch.no_grad():
        for dtype in (torch.float32, torch.float64):
            module = to_torch(network, weights).to(dtype)
            found = run_layers(network, weights, x.to(dtype))
            assert found.dtype == dtype
            torch.testing.assert_close(found, module(x.to(dtype)), rtol=0, atol=0, equal_nan=True)


@settings(deadline=None, max_examples=60)
@given(networks())
def test_layers_run_one_by_one_are_the_module_on_random_networks(network: Network) -> None:
    assert_modules_are_layers(network)


@settings(deadline=None, max_examples=120)
@given(networks())
def test_onnx_runtime_and_torch_agree_on_random_networks(network: Network) -> None:
    check_model(network)
    expected = run_torch(network)
    assert expected.shape == network.output_shape
    assert_close(run_onnx(network), expected)
    assert_close(run_onnx(network, optimise=False), expected)


@pytest.mark.parametrize("start", [0, 1, -2])
@pytest.mark.parametrize("end", [None, 3, -1, 100])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_slice_is_numpys(axis: int, start: int, end: int | None) -> None:
    b = NetworkBuilder((2, 4, 4, 4))
    network = b.build(b.add(Slice(axis, start, end), b.input))
    check_model(network)
    index = (slice(None),) * axis + (slice(start, end),)
    for out in (run_torch(network), run_onnx(network)):
        np.testing.assert_array_equal(out, make_input(network)[index])


@pytest.mark.parametrize("op", OPS, ids=str)
@pytest.mark.parametrize("scale", [1, 10])
def test_every_kind_of_layer_by_itself(op: Op, scale: int) -> None:
    """At a size that no axis shares, and at values where every bend of an activation shows."""
    b = NetworkBuilder((2, 4, 7, 6))
    network = b.build(b.add(op, b.add(BatchNorm(), b.input)))
    weights = make_weights(network)
    weights["1.weight"] *= scale
    check_model(network)
    assert_costs_are_torchs(network)
    assert_close(run_onnx(network, weights), run_torch(network, weights))


@settings(deadline=None, max_examples=25)
@given(spaces_and_architectures())
def test_onnx_runtime_and_torch_agree_on_random_architectures(pair: tuple[AnySpace, Any]) -> None:
    space, architecture = pair
    network = space.build(architecture)
    check_model(network)
    expected = run_torch(network)
    assert expected.shape == (space.config.batch, space.config.classes)
    assert_close(run_onnx(network), expected)


def assert_costs_are_torchs(network: Network) -> None:
    module = to_torch(network)
    assert network.parameters == sum(p.numel() for p in module.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(network.input_shape))
    assert network.flops == counter.get_total_flops()


@settings(deadline=None, max_examples=80)
@given(networks())
def test_parameters_and_flops_of_random_networks_are_torchs(network: Network) -> None:
    assert_costs_are_torchs(network)


@settings(deadline=None, max_examples=20)
@given(spaces_and_architectures())
def test_parameters_and_flops_of_architectures_are_torchs(pair: tuple[AnySpace, Any]) -> None:
    assert_costs_are_torchs(pair[0].build(pair[1]))


@settings(deadline=None, max_examples=25)
@given(networks(classifier=True))
def test_a_module_takes_any_batch_image_by_image(network: Network) -> None:
    module = to_torch(network)
    images = torch.randn(5, *network.input_shape[1:], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = module(images)
        apart = torch.cat([module(image[None]) for image in images])
    assert together.shape == (5, network.output_shape[1])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(networks())
def test_weights_that_are_given_are_the_weights_that_are_got(network: Network) -> None:
    weights = make_weights(network, seed=7)
    got = to_torch(network, weights).weights()
    assert list(got) == [name for name, _, _ in network.tensors()]
    for name, array in weights.items():
        np.testing.assert_array_equal(got[name], array)


def small_network() -> Network:
    b = NetworkBuilder((2, 3, 6, 6))
    x = b.add(BatchNorm(), b.add(Conv(4, 3, padding=1, bias=True), b.input))
    return b.build(b.add(Elementwise("add"), x, b.add(Activation("relu"), x)))


@pytest.mark.parametrize("export", [to_onnx, to_torch])
def test_an_unknown_layer_kind_is_named(export: Any) -> None:
    with pytest.raises(BackendError, match=r"no layer kind UnknownOp in the (ONNX|torch) export"):
        export(impossible_network())


def test_both_exporters_use_the_weights_that_they_are_given() -> None:
    network = small_network()
    weights = make_weights(network, seed=1)
    assert_close(run_onnx(network, weights), run_torch(network, weights))
    assert not np.allclose(run_torch(network, weights), run_torch(network))


def test_got_weights_are_a_copy_that_training_does_not_change() -> None:
    module = to_torch(small_network())
    before = module.weights()
    kept = {name: array.copy() for name, array in before.items()}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    for name, array in kept.items():
        np.testing.assert_array_equal(before[name], array)
    assert not np.array_equal(module.weights()["1.weight"], kept["1.weight"])


def test_given_weights_do_not_tie_the_module_to_the_arrays() -> None:
    network = small_network()
    weights = make_weights(network)
    kept = weights["1.weight"].copy()
    module = to_torch(network, weights)
    weights["1.weight"][:] = 0
    np.testing.assert_array_equal(module.weights()["1.weight"], kept)


@pytest.mark.parametrize("export", [to_onnx, to_torch])
def test_weights_that_do_not_fit_are_refused(export: Any) -> None:
    network = small_network()
    weights = make_weights(network)
    name = "2.running_var"
    with pytest.raises(UsageError, match=r"lack '2\.running_var'"):
        export(network, {k: v for k, v in weights.items() if k != name})
    with pytest.raises(UsageError, match=r"shape \(5,\)"):
        export(network, weights | {name: np.ones(5, np.float32)})
    with pytest.raises(UsageError, match="float64"):
        export(network, weights | {name: np.ones(4)})


@settings(deadline=None, max_examples=15)
@given(spaces_and_architectures())
def test_architectures_can_be_trained(pair: tuple[AnySpace, Any]) -> None:
    network = pair[0].build(pair[1])
    module = NetworkModule(network).train()
    images = torch.randn(4, *network.input_shape[1:], generator=torch.Generator().manual_seed(0))
    logits = module(images)
    torch.nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long)).backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(logits).all()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_training_moves_the_running_statistics_and_evaluation_does_not() -> None:
    module = to_torch(small_network())
    before = module.weights()
    images = torch.full((4, 3, 6, 6), 2.0)
    module(images)
    np.testing.assert_array_equal(module.weights()["2.running_mean"], before["2.running_mean"])
    module.train()(images)
    after = module.weights()
    assert not np.allclose(after["2.running_mean"], before["2.running_mean"])
    assert not np.allclose(after["2.running_var"], before["2.running_var"])


def test_a_step_against_the_gradient_lowers_the_loss() -> None:
    module = to_torch(small_network()).train()
    images = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.SGD(module.parameters(), lr=0.01)
    losses = []
    for _ in range(3):
        loss = module(images).square().mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[2] < losses[1] < losses[0]


def test_a_copied_module_is_independent() -> None:
    module = to_torch(small_network())
    twin = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    images = torch.ones(1, 3, 6, 6)
    assert twin(images).abs().max() < module(images).abs().max()


def test_a_new_module_has_fresh_weights() -> None:
    """Training from scratch must not start from the weights of the parity check."""
    network = small_network()
    fresh = NetworkModule(network).weights()
    assert not np.allclose(fresh["1.weight"], make_weights(network)["1.weight"])


def test_the_model_is_old_enough_for_the_last_runtimes_of_old_devices() -> None:
    model = to_onnx(small_network())
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET) == (8, 17)
    assert [shape_of(v) for v in model.graph.input] == [(2, 3, 6, 6)]
    assert [shape_of(v) for v in model.graph.output] == [(2, 4, 6, 6)]


def in_float16(network: Network) -> Array:
    return run_onnx(network, optimise=False, dtype="float16")


def assert_close_in_float16(actual: Array, expected: Array) -> None:
    """Within 2 % of the largest output, which TensorRT in float16 has to keep as well."""
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    scale = float(np.abs(expected).max()) or 1.0
    assert float(np.abs(actual - expected).max()) <= 2e-2 * scale


def typed(model: onnx.ModelProto) -> dict[str, int]:
    """The type of every tensor by its name, as ONNX infers it."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = [*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output]
    found = {v.name: v.type.tensor_type.elem_type for v in values}
    return found | {t.name: t.data_type for t in model.graph.initializer}


@settings(deadline=None, max_examples=60)
@given(networks())
def test_a_float16_model_is_float16_between_its_two_casts(network: Network) -> None:
    model = to_onnx(network, dtype="float16")
    onnx.checker.check_model(model, full_check=True)
    types = typed(model)
    assert types.pop(INPUT) == types.pop(OUTPUT) == onnx.TensorProto.FLOAT
    assert set(types.values()) <= {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}
    assert [n.op_type for n in model.graph.node].count("Cast") == 2


@settings(deadline=None, max_examples=25)
@given(spaces_and_architectures())
def test_architectures_in_float16_agree_with_torch(pair: tuple[AnySpace, Any]) -> None:
    network = pair[0].build(pair[1])
    # Differences are shares of the largest output, and the largest of a few can be next to nothing.
    assume(math.prod(network.output_shape) >= 8)
    assert_close_in_float16(in_float16(network), run_torch(network))


@pytest.mark.parametrize("op", OPS, ids=str)
def test_every_kind_of_layer_in_float16(op: Op) -> None:
    b = NetworkBuilder((2, 4, 7, 6))
    network = b.build(b.add(op, b.add(BatchNorm(), b.input)))
    assert_close_in_float16(in_float16(network), run_torch(network))


def test_float16_weights_are_the_nearest_and_half_the_bytes() -> None:
    network = small_network()
    weights = make_weights(network)
    (stored,) = (
        t for t in to_onnx(network, dtype="float16").graph.initializer if t.name == "1.weight"
    )
    np.testing.assert_array_equal(
        onnx.numpy_helper.to_array(stored), weights["1.weight"].astype(np.float16)
    )
    assert len(stored.raw_data) == weights["1.weight"].nbytes // 2


def test_another_type_is_refused() -> None:
    with pytest.raises(UsageError, match="dtype must be float32 or float16, got 'int8'"):
        to_onnx(small_network(), dtype="int8")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_input_alone_is_a_network_in_every_type(dtype: Any) -> None:
    b = NetworkBuilder((1, 2, 3, 3))
    network = b.build(b.input)
    onnx.checker.check_model(to_onnx(network, dtype=dtype), full_check=True)
    check_model(network)
    expected = make_input(network).astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(run_onnx(network, optimise=False, dtype=dtype), expected)


def test_exporting_twice_gives_the_same_bytes() -> None:
    network = small_network()
    assert to_onnx(network).SerializeToString(deterministic=True) == to_onnx(
        network
    ).SerializeToString(deterministic=True)


def test_integer_tensors_are_64_bit_on_every_platform() -> None:
    b = NetworkBuilder((1, 2, 3, 3))
    model = to_onnx(b.build(b.add(Slice(2, 1), b.input)))
    assert {t.data_type for t in model.graph.initializer} == {onnx.TensorProto.INT64}


@settings(max_examples=20, deadline=None)
@given(networks(), st.sampled_from(["float32", "float16"]))
def test_weights_beside_a_model_complete_it(network: Network, dtype: Any) -> None:
    beside: Weights = {}
    small, whole = to_onnx(network, dtype=dtype, beside=beside), to_onnx(network, dtype=dtype)
    assert all(array.nbytes >= BESIDE_BYTES for array in beside.values())
    for tensor in small.graph.initializer:
        assert (tensor.data_location == onnx.TensorProto.EXTERNAL) == (tensor.name in beside)
        if tensor.name in beside:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = beside[tensor.name].tobytes()
    assert small.SerializeToString() == whole.SerializeToString()
