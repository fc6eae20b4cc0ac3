from __future__ import annotations

import numpy as np
import pytest

from latbench.errors import ParseError, UsageError
from latbench.networks.ops import ChannelShuffle, Conv, Elementwise
from latbench.spaces.architecture import Architecture
from latbench.spaces.chains.fbnet_space import OPERATIONS, FBNetConfig, FBNetSpace, named

SPACE = FBNetSpace()


def test_all_operations_at_22_layers() -> None:
    assert SPACE.size == 9**22
    assert {v.options for v in SPACE.forest.variables} == {tuple(OPERATIONS)}


@pytest.mark.parametrize(
    ("name", "head", "parameters", "macs"),
    [
        ("fbnet_a", 1504, 4_304_584, 244_452_664),
        ("fbnet_b", 1984, 4_801_368, 291_004_424),
        ("fbnet_c", 1984, 5_570_664, 378_136_224),
    ],
)
def test_published_networks(name: str, head: int, parameters: int, macs: int) -> None:
    space = FBNetSpace(FBNetConfig(head=head))
    network = space.build(space.parse(name))
    assert (network.parameters, network.macs) == (parameters, macs)


def test_a_skip_is_a_convolution_where_it_changes_something() -> None:
    skips = SPACE.of((list(OPERATIONS).index("skip"),) * 22)
    convolutions = [la.op for la in SPACE.build(skips).layers if isinstance(la.op, Conv)]
    # The stem, the first layers of stages 2 to 7, the head.
    assert [(c.out_channels, c.kernel, c.stride) for c in convolutions] == [
        (16, 3, 2), (24, 1, 2), (32, 1, 2), (64, 1, 2), (112, 1, 1), (184, 1, 2), (352, 1, 1),
        (1984, 1, 1),
    ]  # fmt: skip


def test_a_skip_that_does_nothing_makes_no_other_network() -> None:
    space = FBNetSpace(FBNetConfig(most_layers=3, resolution=32))

    def written(second: str) -> Architecture:
        stages = ("skip", second, *["k3_e1 k3_e1 k3_e1"] * 4, "k3_e1")
        return space.parse(named(*stages))

    alike = [written("k3_e3 skip k5_e1"), written("k3_e3 k5_e1 skip")]
    assert len({space.canonical(a) for a in alike}) == 1
    assert space.build(alike[0]).layers == space.build(alike[1]).layers
    # The first one of a stage is a convolution, which is not alike, and stands where it is.
    first = written("skip k3_e3 k5_e1")
    assert space.canonical(first) == first
    assert space.build(first).layers != space.build(alike[0]).layers
    for i in range(50):
        a = space.sample(0, i)
        kept = space.canonical(a)
        assert space.canonical(kept) == kept
        assert space.build(kept).layers == space.build(a).layers


def test_runs_of_equal_layers_go_over_the_ends_of_stages() -> None:
    """At a width of next to nothing all layers have 8 channels, and stage 5 keeps the size."""
    space = FBNetSpace(FBNetConfig(width=0.01, most_layers=2, head=16, resolution=32))
    rest = "k3_e1 k3_e1"
    a, b = (
        space.parse(named("k3_e1", rest, rest, fourth, fifth, rest, "k3_e1"))
        for fourth, fifth in (("k3_e3 skip", "k5_e1 k5_e6"), ("k3_e3 k5_e1", "skip k5_e6"))
    )
    assert space.build(a).layers == space.build(b).layers
    assert space.canonical(a) == space.canonical(b)
    assert str(space.canonical(a)).endswith(
        "4.1=k3_e3;4.2=k5_e1;5.1=k5_e6;5.2=skip;6.1=k3_e1;6.2=k3_e1;7.1=k3_e1"
    )


def test_groups_are_shuffled_and_equal_shapes_added() -> None:
    grouped = SPACE.build(SPACE.of((list(OPERATIONS).index("k5_e1_g2"),) * 22))
    ops = [layer.op for layer in grouped.layers]
    assert ops.count(ChannelShuffle(2)) == 22
    assert sum(isinstance(op, Conv) and op.groups == 2 for op in ops) == 22
    assert ops.count(Elementwise("add")) == 16  # all but the first of stages 2 to 7


def test_the_vectors_are_those_of_tables_of_numbers() -> None:
    codes = np.random.default_rng(0).integers(9, size=(20, 22))
    architectures = [SPACE.of(tuple(code)) for code in codes.tolist()]
    one_hot = np.eye(9)[codes]
    assert np.array_equal(SPACE.one_hot_all(architectures), one_hot.reshape(20, -1))
    assert np.array_equal(SPACE.counts_all(architectures), one_hot.sum(axis=1))


def test_it_is_drawn_layer_by_layer() -> None:
    (graph,) = SPACE.drawing(SPACE.parse("fbnet_c"))
    steps = {step.name: (step.operation, step.channels, step.size) for step in graph.steps}
    assert len(steps) == 24
    assert (steps["2.2"], steps["7.1"]) == (("skip", 24, 56), ("k3_e6", 352, 7))


def test_what_is_not_of_the_space_is_refused() -> None:
    with pytest.raises(ParseError, match="k7_e6"):
        SPACE.parse(SPACE.published["fbnet_a"].replace("1.1=skip", "1.1=k7_e6"))
    with pytest.raises(UsageError, match=r"^head must be 1 to"):
        FBNetConfig(head=0)
    with pytest.raises(UsageError, match=r"^most_layers must be 1 to"):
        FBNetConfig(most_layers=0)
