from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, networks, spaces

from latbench.encodings import encode, encode_networks, layers_of
from latbench.encodings.kind_numbers import KIND_NUMBERS, OP_KINDS, kind_number
from latbench.encodings.layers import (
    LAYER_FEATURES,
    SIZE_SLOTS,
    LayerTable,
    size_slot,
    slots_of,
    unpack_layers,
)
from latbench.errors import UsageError
from latbench.networks import ops
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.optimisation import savings
from latbench.spaces import AnySpace, darts, nasbench201


@dataclass(frozen=True)
class Swish(ops.Op):
    """A layer kind that latbench does not have."""

    kind: str = "hard"


def table_of(*networks: Network) -> LayerTable:
    """Their layers by size, as they are without a space."""
    return unpack_layers(encode_networks(networks, "layers").astype(float))


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_layers_add_up_to_the_network(data: st.DataObject) -> None:
    space: AnySpace = data.draw(spaces())
    architecture = data.draw(architectures(space))
    network = space.build(architecture)
    exact = unpack_layers(encode(space, [architecture], "layers").astype(float))
    for table in (exact, table_of(network)):
        count, macs, moved = table.counts[0], table.macs[0], table.bytes_moved[0]
        assert count.sum() == len(network.layers) - 1
        np.testing.assert_allclose(count @ macs, network.macs, rtol=1e-6)
        np.testing.assert_allclose(count @ moved, network.bytes_moved, rtol=1e-6)
        repeated, fusible = savings(network)
        assert (table.repeated.sum(), table.fusible.sum()) == (len(repeated), len(fusible))


@pytest.mark.parametrize("space", [darts(channels=4, cells=4), nasbench201(channels=4, cells=2)])
def test_a_slot_stands_for_one_kind_of_layer(space: AnySpace) -> None:
    kinds = space.layer_kinds()
    assert len(set(kinds)) == len(kinds)
    architecture = space.sample(9, 9)
    network = space.build(architecture)
    table = unpack_layers(encode(space, [architecture], "layers").astype(float))
    found = dict(zip(kinds, zip(table.counts[0], table.macs[0], strict=True), strict=True))
    assert {k: c for k, (c, _) in found.items() if c} == network.kinds()
    for layer in network.layers[1:]:
        assert found[network.kind(layer)][1] == np.float32(network.layer_macs(layer))
    assert len(LAYER_FEATURES) * len(kinds) == encode(space, [], "layers").shape[1]


def two_convolutions() -> Network:
    b = NetworkBuilder((1, 2, 8, 8))
    return b.build(b.add(ops.Conv(3, 1), b.add(ops.Conv(2, 3), b.input)))


def test_the_slots_are_those_that_are_given() -> None:
    network = two_convolutions()
    (second, first) = reversed(network.kinds())
    values = layers_of(network, slots_of([first, second])).reshape(2, -1)
    np.testing.assert_array_equal(values[:, 0], [1, 1])
    np.testing.assert_array_equal(values[:, 1], [36 * 2 * 2 * 9, 36 * 3 * 2])
    swapped = layers_of(network, slots_of([second, first, second])).reshape(2, -1)
    np.testing.assert_array_equal(swapped, values[::-1])
    with pytest.raises(UsageError, match=r"Conv\(.* is none of the 1 kinds of layers that"):
        layers_of(network, slots_of([first]))


def test_layers_of_one_slot_have_their_mean_work() -> None:
    b = NetworkBuilder((1, 16, 16, 16))
    x = b.add(ops.Conv(16, 3, padding=1), b.input)
    network = b.build(b.add(ops.Conv(17, 3, padding=1), x))
    table = table_of(network)
    (slot,) = np.flatnonzero(table.counts[0])
    assert table.counts[0, slot] == 2
    assert table.macs[0, slot] == network.macs / 2


def test_sizes_have_slots_of_a_factor_of_four() -> None:
    conv = (ops.Conv(8, 3), ((1, 8, 8, 8),))
    at = [size_slot(conv, macs, 1) for macs in (1, 1023, 1024, 4095, 4096, 4**17, 4**40)]
    assert [slot - at[0] for slot in at] == [0, 0, 1, 1, 2, 13, 13]
    relu = (ops.Activation("relu"), ((1, 8, 8, 8),))
    assert size_slot(relu, 0, 1024) == size_slot(relu, 0, 4095) != size_slot(relu, 0, 4096)


def test_kinds_have_slots_of_their_own_and_all_fit() -> None:
    shape = ((1, 8, 8, 8),)
    kinds = [ops.Conv(8, 3), ops.Conv(8, 1), ops.Conv(8, 3, groups=8), ops.Activation("relu"),
             ops.Activation("sigmoid"), ops.Pool("max", 3), Swish(), Swish("soft")]  # fmt: skip
    slots = [size_slot((op, shape), 10**9, 10**9) for op in kinds]
    assert len(set(slots)) == len(slots)
    assert max(slots) < SIZE_SLOTS


@settings(deadline=None, max_examples=30)
@given(st.lists(networks(), min_size=1, max_size=3))
def test_networks_of_no_space_have_one_width(some: list[Network]) -> None:
    assert encode_networks(some, "layers").shape == (len(some), SIZE_SLOTS * len(LAYER_FEATURES))


def test_every_op_has_a_number_that_stays() -> None:
    names = {kind.split()[0] for kind in OP_KINDS}
    # Tests of error messages define operations of their own.
    own = {cls for cls in ops.Op.__subclasses__() if cls.__module__ == ops.__name__}
    assert names == {cls.__name__ for cls in own}
    kinds = [*(f"Activation {kind}" for kind in ops.ActivationKind.__args__)]  # type: ignore[attr-defined]
    assert set(kinds) <= set(OP_KINDS)
    some = [ops.Input((1,)), ops.Conv(1, 1), ops.Activation("sigmoid"), ops.Linear(3)]
    assert [kind_number(op) for op in some] == [1, 2, 7, 18]


def test_a_kind_from_outside_has_a_number_by_its_name() -> None:
    assert kind_number(Swish()) == 58
    assert kind_number(Swish("soft")) == 63
    assert len(OP_KINDS) < 48 <= kind_number(Swish("any")) < KIND_NUMBERS == 64


def test_other_widths_are_no_layers() -> None:
    with pytest.raises(UsageError, match="X has 7 columns, not 6 for each layer"):
        unpack_layers(np.ones((2, 7)))
