"""How far two correct programs may differ, and that a wrong one is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from loading import as_model
from onnx_texts import CHAIN, HALF, QUANTISED, file_of, model_of

from latbench.errors import BackendError, UsageError
from latbench.export import parity as module
from latbench.export.parity import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    file_outputs,
    parity,
    reference_outputs,
    relative_error,
    tolerance_of_file,
)
from latbench.export.parity import QUANTISED as QUANTISED_TOLERANCE
from latbench.models import Model
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, ChannelShuffle, Conv, Pad
from latbench.networks.weights import make_weights
from latbench.testing.networks import default_networks, short_chain


def test_the_error_is_a_share_of_the_largest_output() -> None:
    expected = np.array([[1.0, -4.0]])
    assert relative_error(np.array([[1.0, -3.0]]), expected) == 0.25
    assert relative_error(np.array([[np.nan, -4.0]]), expected) == np.inf


def test_the_same_work_costs_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    network = short_chain()
    got, calls = reference_outputs(network), []

    def counted(network: Network, precision: str, *given: Any) -> Any:
        calls.append(precision)
        return reference_outputs(network, precision, *given)

    monkeypatch.setattr(module, "reference_outputs", counted)
    assert parity(as_model(network), got, FLOAT32) == (0.0, FLOAT32)
    assert calls == ["float32"]


@pytest.mark.parametrize("tolerance", [1e-4, 1e-2])
def test_another_result_is_not_allowed(tolerance: float) -> None:
    network = short_chain()
    error, allowed = parity(as_model(network), reference_outputs(network) * 1.05, tolerance)
    assert error == pytest.approx(0.05, rel=0.01)
    assert allowed == tolerance  # torch's own rounding is far below it


@pytest.mark.parametrize(
    ("rounding", "tolerance", "own", "expected"),
    [
        ("float32", 1e-4, 1e-5, 16e-5),
        ("float32", 1e-4, 1e-4, 4e-4),  # never more than four tolerances
        ("float32", 1e-3, 1e-4, 16e-4),  # somebody's limit
        ("float32", 1e-1, 2e-4, 1e-1),  # that of int8, which torch's float32 says nothing of
        ("tf32", 1e-2, 3e-3, 24e-3),
        ("float16", 1e-2, 3e-3, 24e-3),
        ("float16", 1e-2, 1e-4, 1e-2),
        ("bfloat16", 5e-2, 2e-2, 16e-2),
        ("bfloat16", 5e-2, 1e-1, 2e-1),
        ("bfloat16", 5e-2, np.inf, 5e-2),
    ],
)
def test_what_a_network_amplifies_by_itself_is_allowed(
    monkeypatch: pytest.MonkeyPatch, rounding: Any, tolerance: float, own: float, expected: float
) -> None:
    """Where torch itself is off by 1e-4 in float32, a limit of 1e-4 would refuse torch."""
    network = short_chain()
    right = reference_outputs(network)
    runs: list[str] = []

    def rounded(network: Network, precision: str, *given: Any) -> Any:
        runs.append(precision)
        return right if precision == "float32" else right + own * np.abs(right).max()

    monkeypatch.setattr(module, "reference_outputs", rounded)
    got = right + 0.5 * np.abs(right).max()
    error, allowed = parity(as_model(network), got, tolerance, rounding=rounding)
    assert error == pytest.approx(0.5, rel=0.01)
    assert allowed == pytest.approx(expected, rel=0.01)
    other = {"float32": "float64", "tf32": "float16"}.get(rounding, rounding)
    assert runs == ["float32", other]


def test_a_precision_that_torch_cannot_run_a_layer_in_stretches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = as_model(short_chain())
    right = reference_outputs(model.network)

    def refused(network: Network, precision: str, *given: Any) -> Any:
        if precision != "float32":
            raise RuntimeError("not implemented for 'BFloat16'")
        return right

    monkeypatch.setattr(module, "reference_outputs", refused)
    assert parity(model, right * 1.1, BFLOAT16, rounding="bfloat16")[1] == BFLOAT16
    with pytest.raises(UsageError, match=r"one of float32, tf32, float16, bfloat16, got 'int8'"):
        parity(model, right, BFLOAT16, rounding="int8")  # type: ignore[arg-type]


def test_torch_in_a_precision_rounds_to_it() -> None:
    network, errors = short_chain(), []
    exact = reference_outputs(network, "float64")
    assert exact.dtype == np.float64
    for precision in ("float32", "float16", "bfloat16"):
        got = reference_outputs(network, precision)
        assert got.dtype == np.float32
        errors.append(relative_error(got, exact))
    assert errors[0] < 1e-5 < errors[1] < errors[2] < BFLOAT16


@pytest.mark.parametrize(
    ("tolerance", "rounding"),
    [(FLOAT32, "float32"), (FLOAT16, "float16"), (BFLOAT16, "bfloat16")],
)
def test_other_weights_are_seen_in_every_network(tolerance: float, rounding: Any) -> None:
    """Whatever a network amplifies, what it is allowed leaves the check able to fail."""
    for label, network in default_networks():
        other = reference_outputs(network, weights=make_weights(network, seed=1))
        error, allowed = parity(as_model(network), other, tolerance, rounding=rounding)
        assert error > allowed, label


def changes(network: Network) -> Iterator[tuple[str, npt.NDArray[np.floating]]]:
    """Outputs of a network in which one layer computes something else, as a runtime that
    misunderstands it would: the same shapes and weights, but another padding, activation or order
    of groups. The first and last layer of each kind."""
    found: dict[str, list[int]] = {}
    for i, layer in enumerate(network.layers):
        op, shapes = layer.op, network.input_shapes(layer)
        if isinstance(op, Conv) and op.padding:
            found.setdefault("padding", []).append(i)
        if isinstance(op, Activation):
            found.setdefault("activation", []).append(i)
        if isinstance(op, Conv) and op.groups > 1:
            found.setdefault("order of groups", []).append(i)
        if isinstance(op, ChannelShuffle) and op.groups**2 != shapes[0][1]:
            found.setdefault("shuffle", []).append(i)
    for what, places in found.items():
        for i in dict.fromkeys((places[0], places[-1])):
            yield f"{what} of layer {i}", changed(network, i, what)


def changed(network: Network, place: int, what: str) -> Any:
    """The output where one layer computes something else; another padding is all of it below and
    to the right, as TensorFlow's converters have it in places."""
    b, index = NetworkBuilder(network.input_shape), {0: 0}
    weights, own = {}, make_weights(network)
    for i, layer in enumerate(network.layers[1:], 1):
        op, read = layer.op, [index[j] for j in layer.inputs]
        if i == place and isinstance(op, Conv) and what == "padding":
            read = [b.add(Pad(2 * op.padding, 2 * op.padding), *read)]
            op = replace(op, padding=0)
        elif i == place and isinstance(op, Activation):
            op = Activation("relu" if op.kind in ("hswish", "silu") else "silu")
        elif i == place and isinstance(op, ChannelShuffle):
            op = ChannelShuffle(b.shape(read[0])[1] // op.groups)
        index[i] = b.add(op, *read)
        for name, array in own.items():
            if name.startswith(f"{i}."):
                turned = i == place and what == "order of groups" and name == f"{i}.weight"
                weights[f"{index[i]}.{name.partition('.')[2]}"] = (
                    np.ascontiguousarray(array[::-1]) if turned else array
                )
    return reference_outputs(b.build(index[len(network.layers) - 1]), weights=weights)


def test_one_layer_that_computes_something_else_is_seen_in_float32() -> None:
    for label, network in default_networks():
        kinds = set()
        for what, got in changes(network):
            error, allowed = parity(as_model(network), got, FLOAT32)
            assert error > allowed, f"{what} in {label}"
            kinds.add(what.partition(" of layer")[0])
        assert kinds >= {"padding", "activation"}, label


def test_one_layer_that_computes_something_else_is_seen_in_bfloat16() -> None:
    """But for another activation, and two spaces: in a cell of DARTS one layer counts for less than
    the tolerance, and in ``proxyless`` the first one for less than its deep chain adds up."""
    hidden, seen = ("of darts(", "of proxyless("), 0
    for label, network in default_networks():
        if any(space in label for space in hidden):
            continue
        for what, got in changes(network):
            if not what.startswith("activation"):
                error, allowed = parity(as_model(network), got, BFLOAT16, rounding="bfloat16")
                assert error > allowed, f"{what} in {label}"
                seen += 1
    assert seen > 40


def test_given_weights_are_what_is_compared_with() -> None:
    network = short_chain()
    weights = make_weights(network, seed=1)
    got = reference_outputs(network, weights=weights)
    assert parity(Model("m", network, weights), got, FLOAT32) == (0.0, FLOAT32)
    error, allowed = parity(as_model(network), got, FLOAT32)
    assert error > allowed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_is_alike_that_is_no_number(value: float) -> None:
    network = short_chain()
    weights = {name: np.full_like(w, value) for name, w in make_weights(network).items()}
    for got in (reference_outputs(network, weights=weights), reference_outputs(network)):
        assert parity(Model("m", network, weights), got, FLOAT32) == (np.inf, FLOAT32)


def test_of_several_outputs_each_has_its_own_scale() -> None:
    expected = (np.array([100.0, 50.0]), np.array([0.01]))
    assert relative_error((np.array([100.0, 51.0]), np.array([0.01])), expected) == 0.01
    assert relative_error((np.array([100.0, 50.0]), np.array([0.02])), expected) == 1.0
    with pytest.raises(
        BackendError, match=r"have the shapes \[\(2,\)\]; expected \[\(2,\), \(1,\)\]"
    ):
        relative_error(expected[0], expected)
    with pytest.raises(BackendError, match="the shapes"):  # which numpy would broadcast
        relative_error(np.zeros((1, 2)), np.zeros((2, 2)))


def test_a_file_is_its_own_reference() -> None:
    """Also where the weights beside it say something else."""
    model = model_of(CHAIN)
    assert model.source is not None
    (right,) = file_outputs(model.source, model.inputs())
    assert parity(model, right, FLOAT32) == (0.0, FLOAT32)
    others = replace(model, weights=make_weights(model.network, seed=1))
    assert parity(others, right, FLOAT32) == (0.0, FLOAT32)
    error, allowed = parity(model, right * 1.01, FLOAT32)
    assert error == pytest.approx(0.01, rel=0.01)
    assert allowed == FLOAT32


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pads = [1, 1, 1, 1]", "pads = [2, 2, 0, 0]"),
        ("pads = [1, 1, 1, 1]", "pads = [2, 2, 2, 2], dilations = [2, 2]"),
        ("Relu(seen)", "Identity(seen)"),
        ("Relu(seen)", "LeakyRelu<alpha = 0.01>(seen)"),
        ("GlobalAveragePool", "GlobalMaxPool"),
        ("0.1, -0.2, 0.3, 0.4, 0.5", "0.1, -0.2, 0.3, 0.5, 0.4"),
    ],
)
def test_an_attribute_that_was_read_otherwise_is_seen(old: str, new: str) -> None:
    assert old in CHAIN
    other = model_of(CHAIN.replace(old, new, 1))
    assert other.source is not None
    (wrong,) = file_outputs(other.source, other.inputs())
    error, allowed = parity(model_of(CHAIN), wrong, FLOAT32)
    assert error > allowed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHAIN, (FLOAT32, "float32")),
        (HALF, (FLOAT16, "float16")),
        (HALF.replace("float16", "bfloat16").replace("to = 10", "to = 16"), (BFLOAT16, "bfloat16")),
        (QUANTISED, (QUANTISED_TOLERANCE, "float32")),
    ],
)
def test_a_file_that_rounds_by_itself_has_a_tolerance_of_its_own(
    text: str, expected: tuple[float, str]
) -> None:
    assert tolerance_of_file(file_of(text)) == expected


def test_what_a_file_in_float16_rounds_is_allowed() -> None:
    """Torch computes its layers in float32: it is off by the file's rounding, and by no more."""
    model = model_of(HALF)
    by_torch = reference_outputs(model.network, "float32", model.weights, model.inputs())
    error, allowed = parity(model, by_torch, FLOAT32)
    assert FLOAT32 < error <= allowed == FLOAT16
    error, allowed = parity(model, (by_torch[0] * 1.1, by_torch[1]), FLOAT32)
    assert error > allowed


def test_a_layer_without_a_rule_of_torch_leaves_the_tolerance_as_it_is() -> None:
    model = model_of(QUANTISED)
    assert model.source is not None
    (right,) = file_outputs(model.source, model.inputs())
    error, allowed = parity(model, right * 1.5, FLOAT32)
    assert error == pytest.approx(0.5, rel=0.01)
    assert allowed == QUANTISED_TOLERANCE


def test_what_onnx_runtime_cannot_run_has_no_reference() -> None:
    unknown = CHAIN.replace("Relu(seen)", "mine.Odd(seen)").replace("17]", '17, "mine": 1]')
    with pytest.raises(
        BackendError, match=r"by which an ONNX file is checked, cannot run it: .*Odd"
    ):
        file_outputs(file_of(unknown), model_of(CHAIN).inputs())
