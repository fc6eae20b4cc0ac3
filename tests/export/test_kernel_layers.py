"""Which layers a kernel computes, by the names that runtimes give kernels."""

from __future__ import annotations

import pytest

from latbench.errors import BackendError
from latbench.export.kernel_layers import (
    KernelTime,
    check_kernels,
    kernel_layers,
    kernels_of,
    named_layers,
)
from latbench.networks.general.arrays import Constant
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Activation, BatchNorm, Conv, Elementwise, Input, Linear, Pad, Pool


def residual() -> Network:
    """1 conv, 2 norm, 3 relu; 4 conv, 5 norm, 6 add of 2 and 5, 7 relu; 8 pool."""
    b = NetworkBuilder((1, 4, 8, 8))
    short = b.add(BatchNorm(), b.add(Conv(4, kernel=1), b.input))
    x = b.add(Activation("relu"), short)
    x = b.add(BatchNorm(), b.add(Conv(4, kernel=3, padding=1), x))
    x = b.add(Activation("relu"), b.add(Elementwise("add"), short, x))
    return b.build(b.add(Pool("max", 2, 2), x))


def several() -> Network:
    """0 and 1 inputs, 2 a constant; 3 sum of 1 and 2, the second output; 4 relu of 0, the first."""
    b = NetworkBuilder.of_inputs(Input((1, 4), "text"), Input((1, 4), "outputs"))
    both = b.add(Elementwise("add"), 1, b.add(Constant((1, 4))))
    return b.build(b.add(Activation("relu"), 0), both)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("t3_nchwc", {3}), ("fused t3", {3}), ("t3.share", {3}), ("Multiply_9,t2,t3", {2, 3}),
        ("output", {8}), ("[ONNX Layer: t1]\x1e[ONNX Layer: t2]", {1, 2}), ("t5_conv", {5}),
        ("ReorderOutput_token_3", set()), ("input_abcd_acdb_t3", set()), ("input", set()),
        ("t0", set()), ("t99", set()), ("Convolution_1", set()), ("output0", set()),
    ],
)  # fmt: skip
def test_names_of_nodes_are_found_in_those_of_kernels(text: str, layers: set[int]) -> None:
    assert named_layers(text, residual()) == layers


@pytest.mark.parametrize(
    ("named", "layers"),
    [
        # Every layer by itself.
        ([{i} for i in range(1, 9)], [(i,) for i in range(1, 9)]),
        # Kernels called after the last layer that was fused when they were made: the sum came
        # later, and its activation with it.
        ([{2}, {3}, {5}, {8}], [(1, 2), (3,), (4, 5, 6, 7), (8,)]),
        # After the first.
        ([{1}, {4}, {8}], [(1, 2, 3), (4, 5, 6, 7), (8,)]),
        # After all but a convolution that was made anew.
        ([{2, 3}, {5, 6}, {7}, {8}], [(1, 2, 3), (4, 5, 6), (7,), (8,)]),
        # The other way round, the sum is in the one that runs last.
        ([set(), {5}, {2}, {8}], [(), (4, 5), (1, 2, 3, 6, 7), (8,)]),
        # One kernel for everything.
        ([{8}], [(1, 2, 3, 4, 5, 6, 7, 8)]),
        ([set()], [()]),
    ],
)
def test_layers_that_no_kernel_is_called_after(
    named: list[set[int]], layers: list[tuple[int, ...]]
) -> None:
    assert kernel_layers(residual(), named) == layers


def test_what_does_the_same_is_in_the_kernel_that_does_it() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    one, two = (b.add(Activation("relu"), b.input) for _ in range(2))
    network = b.build(b.add(Elementwise("add"), one, two))
    assert kernel_layers(network, [{2}, {3}]) == [(1, 2), (3,)]
    assert kernel_layers(network, [{1}, {2}, {3}]) == [(1,), (2,), (3,)]


def test_a_pad_is_in_the_convolution_that_reads_it() -> None:
    b = NetworkBuilder((1, 4, 8, 8))
    x = b.add(Activation("relu"), b.input)
    x = b.add(Conv(4, kernel=3), b.add(Pad(1, 1), x))
    assert kernel_layers(b.build(x), [{1}, {3}]) == [(1,), (2, 3)]


def test_an_activation_at_the_beginning_is_in_what_reads_it() -> None:
    b = NetworkBuilder((1, 4))
    network = b.build(b.add(Linear(2), b.add(Activation("relu"), b.input)))
    assert kernel_layers(network, [{2}]) == [(1, 2)]


def test_two_kernels_of_a_layer_are_one() -> None:
    timed = [("Sigmoid", {3}, 1.0), ("Reorder", set[int](), 2.0), ("Mul", {3}, 4.0), ("p", {8}, 8)]
    found = kernels_of(residual(), timed)
    assert [(k.name, k.seconds) for k in found] == [
        ("Reorder", 2.0), ("Sigmoid + Mul", 5.0), ("p", 8),
    ]  # fmt: skip
    assert found[0].layers == ()
    check_kernels(residual(), found)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("output", {4}), ("output_1", {3}), ("fused output_1_nchwc", {3}), ("output_2", set()),
        ("t0 t1", set()), ("t_3", {3}), ("output_", {4}), ("output_1_", {3}), ("t2,t3", {2, 3}),
    ],
)  # fmt: skip
def test_names_of_nodes_of_several_inputs_and_outputs(text: str, layers: set[int]) -> None:
    assert named_layers(text, several()) == layers


def test_inputs_are_in_no_kernel_and_constants_may_be_in_none() -> None:
    timed = [("a", {0, 1}, 1.0), ("b", {3}, 1.0), ("c", {4}, 1.0)]
    found = kernels_of(several(), timed, str.upper)
    assert [(k.name, k.layers) for k in found] == [("A", ()), ("B", (2, 3)), ("C", (4,))]
    check_kernels(several(), found)
    check_kernels(several(), [KernelTime("k", (3, 4), 1.0)])
    with pytest.raises(BackendError, match="the layer 2 in 2 kernels"):
        check_kernels(several(), [KernelTime("k", (2, i), 1.0) for i in (3, 4)])
    with pytest.raises(BackendError, match=r"the layer 4 in 0 kernels, .* layers are 2 to 4"):
        check_kernels(several(), [KernelTime("k", (2, 3), 1.0)])


@pytest.mark.parametrize(
    ("layers", "seconds", "told"),
    [
        ([(1, 2)], 1.0, "the layer 3 in 0 kernels, of a network whose layers are 1 to 8"),
        ([tuple(range(1, 9)), (4,)], 1.0, "the layer 4 in 2 kernels"),
        ([tuple(range(10))], 1.0, "the layer 0 in 1 kernels"),
        ([tuple(range(1, 9))], 0.0, "0.0 seconds for the kernel 'k'; times must be positive"),
        ([tuple(range(1, 9))], float("nan"), "nan seconds"),
    ],
)
def test_a_wrong_profile_is_refused(
    layers: list[tuple[int, ...]], seconds: float, told: str
) -> None:
    with pytest.raises(BackendError, match=told):
        check_kernels(residual(), [KernelTime("k", own, seconds) for own in layers])
