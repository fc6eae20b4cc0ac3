from __future__ import annotations

import doctest

import pytest
import torch
from hypothesis import given, settings
from strategies import networks

import latbench.networks.network
from latbench.errors import UsageError
from latbench.export.torch import to_torch
from latbench.networks.network import FLOAT32_BYTES, Network, NetworkBuilder
from latbench.networks.ops import (
    Activation,
    BatchNorm,
    Concat,
    Conv,
    Elementwise,
    Flatten,
    Input,
    Linear,
)

RELU = Activation("relu")


def test_the_docstring_example() -> None:
    assert doctest.testmod(latbench.networks.network).attempted > 0
    assert doctest.testmod(latbench.networks.network).failed == 0


@settings(deadline=None, max_examples=150)
@given(networks())
def test_every_layer_has_the_shape_that_torch_gives_it(network: Network) -> None:
    module = to_torch(network)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in module.layers.items():
        layer.register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape)})
        )
    with torch.no_grad():
        module(torch.zeros(network.input_shape))
    assert shapes == {str(i): x.shape for i, x in enumerate(network.layers) if i > 0}


@settings(deadline=None)
@given(networks())
def test_a_network_is_in_order_and_has_no_dead_layer(network: Network) -> None:
    read = {j for layer in network.layers for j in layer.inputs}
    assert all(j < i for i, layer in enumerate(network.layers) for j in layer.inputs)
    assert read | {0, len(network.layers) - 1} == set(range(len(network.layers)))


def test_dead_layers_are_dropped_and_the_rest_renumbered() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    dead = b.add(Conv(64, 3, padding=1), b.input)
    b.add(RELU, dead)
    kept = b.add(Conv(2, 1), b.input)
    b.add(Concat(), dead, kept)
    network = b.build(b.add(Elementwise("add"), kept, kept))
    assert [type(layer.op) for layer in network.layers] == [Input, Conv, Elementwise]
    assert network.layers[2].inputs == (1, 1)
    assert network.parameters == 6


def test_a_builder_can_build_more_than_once() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    x = b.add(RELU, b.input)
    first = b.build(x)
    b.add(RELU, x)
    assert b.build(x) == first
    assert hash(b.build(x)) == hash(first)
    assert b.build(b.input).layers == first.layers[:1]


def test_costs_by_hand() -> None:
    b = NetworkBuilder((2, 3, 4, 4))
    x = b.add(BatchNorm(), b.add(Conv(5, 3, stride=2, padding=1), b.input))
    network = b.build(b.add(Linear(7), b.add(Flatten(), b.add(RELU, x))))
    conv, linear = 5 * 3 * 9, 7 * 20 + 7
    assert network.parameters == conv + 2 * 5 + linear
    assert network.macs == (2 * 5 * 2 * 2) * 27 + 2 * 20 * 7
    assert network.flops == 2 * network.macs
    image, maps, logits = 2 * 3 * 16, 2 * 5 * 4, 2 * 7
    moved = (
        (image + conv + maps) + (maps + 4 * 5 + maps) + 2 * (2 * maps) + (maps + linear + logits)
    )
    assert network.bytes_moved == FLOAT32_BYTES * moved
    assert network.output_shape == (2, 7)
    assert [name for name, _, trained in network.tensors() if not trained] == [
        "2.running_mean",
        "2.running_var",
    ]


@pytest.mark.parametrize("index", [-1, 1, 99])
def test_layers_that_do_not_exist_are_refused(index: int) -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    for call in (lambda: b.add(RELU, index), lambda: b.build(index), lambda: b.shape(index)):
        with pytest.raises(UsageError, match=f"no layer {index}"):
            call()


def test_wrong_numbers_of_inputs_are_refused() -> None:
    b = NetworkBuilder((1, 3, 4, 4))
    with pytest.raises(UsageError, match="takes one input, got 2"):
        b.add(RELU, b.input, b.input)
    with pytest.raises(UsageError, match="takes one input, got 0"):
        b.add(RELU)
    with pytest.raises(UsageError, match="takes one or more inputs, got 0"):
        b.add(Concat())
    with pytest.raises(UsageError, match="there from the start"):
        b.add(Input((1, 3)))
    assert b.build(b.input).layers == (b.build(0).layers)  # nothing was added


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3), (1, 3, 0, 4), (0, 3, 4, 4), (1, -3)])
def test_impossible_inputs_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="the input must be"):
        NetworkBuilder(shape)
