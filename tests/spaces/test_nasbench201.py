from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from latbench.networks.ops import Conv, Pool, Zero
from latbench.spaces.architecture import Architecture
from latbench.spaces.cells.nasbench201_space import (
    EDGES,
    OPERATIONS,
    NasBench201Config,
    NasBench201Space,
)

SPACE = NasBench201Space()


def cell_of(operations: Sequence[str]) -> Architecture:
    return SPACE.of(tuple(map(OPERATIONS.index, operations)))


# Cells whose cost the benchmark's own API has been quoted with: multiply-adds and parameters of
# CELL_0 (https://github.com/D-X-Y/NATS-Bench/issues/24), CELL_1 (issue 18) and CELL_A (issue 36).
CELL_0 = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
    "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)
CELL_1 = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
CELL_A = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("text", "classes", "resolution", "published"),
    [
        (CELL_0, 10, 32, 15.64737),
        (CELL_0, 100, 32, 15.65322),
        (CELL_0, 120, 16, 3.91948),
        (CELL_A, 10, 32, 113.95137),
    ],
)
def test_published_multiply_adds(
    text: str, classes: int, resolution: int, published: float
) -> None:
    """The benchmark counts the linear layer's bias as one multiply-add a class; we do not."""
    space = NasBench201Space(NasBench201Config(classes=classes, resolution=resolution))
    macs = space.build(space.parse(text)).macs
    assert round((macs + classes) / 1e6, 5) == published


@pytest.mark.parametrize(("classes", "published"), [(10, 0.802), (100, 0.808), (120, 0.810)])
def test_published_parameters(classes: int, published: float) -> None:
    space = NasBench201Space(NasBench201Config(classes=classes))
    assert round(space.build(space.parse(CELL_1)).parameters / 1e6, 3) == published


def test_published_parameters_to_the_last_digit() -> None:
    assert SPACE.build(SPACE.parse(CELL_A)).parameters == 802_426


def test_one_hot_has_one_choice_an_edge() -> None:
    for i in range(20):
        cell = SPACE.sample(0, i)
        rows = SPACE.one_hot(cell).reshape(len(EDGES), len(OPERATIONS))
        np.testing.assert_array_equal(rows.sum(axis=1), 1)
        assert tuple(rows.argmax(axis=1).tolist()) == cell.code


def test_counts_leave_none_out() -> None:
    np.testing.assert_array_equal(SPACE.counts(SPACE.parse(CELL_0)), [3, 2, 0, 1])
    np.testing.assert_array_equal(SPACE.counts(cell_of(("none",) * 6)), [0, 0, 0, 0])


def test_edges_are_named_target_and_source() -> None:
    cell = SPACE.parse(CELL_1)
    assert cell["3.1"] == "nor_conv_3x3"


def layer_kinds(cell: Architecture) -> list[str]:
    space = NasBench201Space(NasBench201Config(cells=1))
    return [type(layer.op).__name__ for layer in space.build(cell).layers]


def test_edges_that_do_not_reach_the_output_cost_nothing() -> None:
    """Node 1 feeds only node 2, whose way to the output is cut."""
    dead = cell_of(("nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "none", "none"))
    plain = cell_of(("none", "none", "none", "skip_connect", "none", "none"))
    assert layer_kinds(dead) == layer_kinds(plain)


def test_an_empty_cell_gives_zeros() -> None:
    network = SPACE.build(cell_of(("none",) * 6))
    assert sum(isinstance(layer.op, Zero) for layer in network.layers) > 0
    assert network.output_shape == (1, 10)


@pytest.mark.parametrize("resolution", [1, 2, 3, 7, 8, 31, 33])
def test_odd_resolutions_halve_upwards(resolution: int) -> None:
    space = NasBench201Space(NasBench201Config(resolution=resolution, cells=1, channels=4))
    sizes = {
        layer.shape[2] for layer in space.build(space.reference()).layers if len(layer.shape) == 4
    }
    half = -(-resolution // 2)
    assert sizes == {resolution, half, -(-half // 2), 1}


def test_the_shortcut_pools_two_by_two_where_it_can() -> None:
    layers = SPACE.build(SPACE.reference()).layers
    pools = [layer.op for layer in layers if isinstance(layer.op, Pool)]
    assert pools == [Pool("avg", 2, 2)] * 2


def test_every_convolution_of_a_cell_is_counted() -> None:
    """15 cells of ``n`` convolutions, a stem, and two residual blocks of three."""
    for operations in itertools.product(("skip_connect", "nor_conv_3x3"), repeat=6):
        layers = SPACE.build(cell_of(operations)).layers
        convolutions = sum(isinstance(layer.op, Conv) for layer in layers)
        assert convolutions == 15 * operations.count("nor_conv_3x3") + 1 + 6
