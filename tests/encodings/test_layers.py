from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, networks, spaces

from latbench.encodings import encode, encode_networks, layers_of
from latbench.encodings.kind_numbers import KIND_NUMBERS, OP_KINDS, SAME_KERNELS, kind_number
from latbench.encodings.layers import (
    GROUPS,
    LAYER_FEATURES,
    SIZE_SLOTS,
    LayerTable,
    layer_group,
    size_slot,
    slots_of,
    unpack_layers,
)
from latbench.errors import UsageError
from latbench.networks import ops
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.optimisation import savings
from latbench.spaces import AnySpace, darts, make_space, nasbench201


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
    latbench = "latbench.networks."
    own = {cls for cls in ops.Op.__subclasses__() if cls.__module__.startswith(latbench)}
    general = {name.split()[0] for name in SAME_KERNELS}
    inside = {"Mixed", "Blend", "Mask"}  # of supernets, which are never encoded
    assert names | general | inside == {cls.__name__ for cls in own} | inside
    kinds = [*(f"Activation {kind}" for kind in ops.ActivationKind.__args__)]  # type: ignore[attr-defined]
    assert set(kinds) <= set(OP_KINDS)
    some = [ops.Input((1,)), ops.Conv(1, 1), ops.Activation("sigmoid"), ops.Linear(3)]
    assert [kind_number(op) for op in some] == [1, 2, 7, 18]


def test_a_kind_from_outside_has_a_number_by_its_name() -> None:
    assert kind_number(Swish()) == 58
    assert kind_number(Swish("soft")) == 63
    assert len(OP_KINDS) < 48 <= kind_number(Swish("any")) < KIND_NUMBERS == 64


SHAPES = ((1, 8, 8, 8),)
GROUP_OF: list[tuple[ops.Op, int]] = [
    (ops.Conv(4, 3), kind_number(ops.Conv(1, 1))),
    (ops.Conv(16, 5, stride=2), kind_number(ops.Conv(1, 1))),
    (ops.Conv(4, 1), KIND_NUMBERS),
    (ops.Conv(16, 1, stride=2), KIND_NUMBERS),
    (ops.Conv(8, 3, groups=8), KIND_NUMBERS + 1),
    (ops.Conv(8, 1, groups=8), KIND_NUMBERS + 1),
    (ops.Conv(8, 5, groups=8), KIND_NUMBERS + 2),
    (ops.Conv(8, 7, groups=8), KIND_NUMBERS + 3),
    (ops.Conv(8, 9, groups=8), KIND_NUMBERS + 3),
    (ops.Conv(8, 3, stride=2, groups=8), KIND_NUMBERS + 4),
    (ops.Conv(8, 5, stride=2, groups=8), KIND_NUMBERS + 5),
    (ops.Conv(8, 7, stride=2, groups=8), KIND_NUMBERS + 6),
    (ops.Conv(8, 3, groups=2), KIND_NUMBERS + 7),
    (ops.Conv(8, 1, groups=2), KIND_NUMBERS + 7),
    (ops.Conv(16, 3, groups=8), KIND_NUMBERS + 7),
    (ops.Activation("relu"), kind_number(ops.Activation("relu"))),
]


@pytest.mark.parametrize(("op", "group"), GROUP_OF)
def test_convolutions_have_groups_of_their_own(op: ops.Op, group: int) -> None:
    assert layer_group((op, SHAPES)) == group < GROUPS


@pytest.mark.parametrize("name", ["fbnet", "ofa", "nasbench201"])
def test_the_sixth_column_is_the_group_of_each_kind(name: str) -> None:
    space = make_space(name, make_space(name).small)
    groups = [layer_group(kind) for kind in space.layer_kinds()]
    drawn = [space.sample(0, i) for i in range(3)]
    table = unpack_layers(encode(space, drawn, "layers").astype(float))
    np.testing.assert_array_equal(table.group, [groups] * 3)
    assert len(set(groups)) > 5


def test_without_a_space_each_group_has_a_slot_of_every_size() -> None:
    table = table_of(two_convolutions())
    slots = np.flatnonzero(table.counts[0])
    expected = [kind_number(ops.Conv(1, 1)), KIND_NUMBERS]  # 3 x 3, and of one pixel
    assert table.group[0, slots].tolist() == expected


def test_other_widths_are_no_layers() -> None:
    with pytest.raises(UsageError, match="X has 7 columns, not 6 for each layer"):
        unpack_layers(np.ones((2, 7)))


@pytest.mark.parametrize(
    ("row", "group", "says"),
    [
        (0, 1.5, r"the group 1\.5 in its slot 2 .* not a whole number from 0 to 71"),
        (0, -1, "the group -1 in its slot 2 "),
        (0, GROUPS, "the group 72 in its slot 2 "),
        (0, np.nan, "the group nan in its slot 2 "),
        (0, 7, r"the group 2 in its slot 2 of row 1 .*, not the 7 of row 0"),
        (3, 7, r"the group 7 in its slot 2 of row 3 .*, not the 2 of row 0"),
    ],
)
def test_a_column_that_is_no_group_is_refused(row: int, group: float, says: str) -> None:
    X = np.full((4, 5 * len(LAYER_FEATURES)), 2.0)
    assert (unpack_layers(X).group == 2).all()
    X[row, 3 * len(LAYER_FEATURES) - 1] = group
    with pytest.raises(UsageError, match=says):
        unpack_layers(X)
