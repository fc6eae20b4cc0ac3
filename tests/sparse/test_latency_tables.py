from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from latbench.networks.network import NetworkBuilder
from latbench.networks.residual_blocks import basic_block
from latbench.sparse.groups import prunable_layers
from latbench.sparse.latency_tables import LatencyTable, TimedDensity, mixed_densities, table_of

GROUPS = {3: 100, 7: 40}


def timed(density: float, own: dict[int, float], rest: float) -> TimedDensity:
    kept = {layer: round(density * n) for layer, n in GROUPS.items()}
    return TimedDensity(kept, rest + sum(own.values()), own)


def test_a_curve_goes_through_its_knots_and_never_falls() -> None:
    table = LatencyTable(0.0, {1: ((4, 8, 10), (2.0, 4.0, 3.5))})
    curve = table.seconds(1, np.arange(11))
    assert curve[[4, 8]].tolist() == [2.0, 4.0]
    assert curve.tolist() == [float(table.seconds(1, n)) for n in range(11)]
    assert curve[0] == 0.0
    assert (np.diff(curve) >= 0).all()


def test_a_table_says_exactly_what_its_own_networks_took() -> None:
    """Also where the layers that are not pruned take less when the others do."""
    networks = [
        timed(1.0, {3: 8.0, 7: 2.0}, 5.0),
        timed(0.5, {3: 4.5, 7: 1.2}, 4.0),
        timed(0.1, {3: 1.0, 7: 0.5}, 3.5),
    ]
    table = table_of(networks)
    assert table.rest == 3.5
    for one in networks:
        assert table.latency(one.kept) == pytest.approx(one.whole)
    assert table.at(0.5) == pytest.approx(networks[1].whole)
    assert table.whole == pytest.approx(15.0)
    # The rest's fall is given to both by what they take: four fifths of a half, and a fifth.
    assert table.layers[3][1] == pytest.approx((1.0, 4.5 + 0.8 * 0.5, 8.0 + 0.8 * 1.5))
    # Between two densities it is a straight line.
    assert table.latency({3: 75, 7: 4}) == pytest.approx(3.5 + (4.9 + 9.2) / 2 + 0.5)


def test_a_layer_never_takes_less_with_more_groups() -> None:
    table = table_of([timed(1.0, {3: 4.0, 7: 1.0}, 1.0), timed(0.5, {3: 5.0, 7: 0.5}, 1.0)])
    assert table.layers[3] == ((50, 100), (4.5, 4.5))


def test_densities_that_leave_as_many_groups_are_one_knot() -> None:
    small = TimedDensity({3: 1, 7: 1}, 3.0, {3: 1.0, 7: 1.0})
    smaller = TimedDensity({3: 1, 7: 1}, 5.0, {3: 3.0, 7: 1.0})
    table = table_of([timed(1.0, {3: 4.0, 7: 1.0}, 1.0), small, smaller])
    assert table.layers[3] == ((1, 100), (2.0, 4.0))


def test_a_table_up_to_fewer_groups_is_the_same_below_them() -> None:
    table = LatencyTable(1.0, {1: ((2, 10, 20), (1.0, 3.0, 9.0)), 2: ((1, 4), (1.0, 2.0))})
    part = table.up_to({1: 15, 2: 4})
    assert part.layers[1] == ((2, 10, 15), (1.0, 3.0, 6.0))
    assert part.layers[2] == table.layers[2]
    assert part.latency({1: 12, 2: 1}) == table.latency({1: 12, 2: 1})
    assert part.whole == table.latency({1: 15, 2: 4})
    assert LatencyTable.from_values(json.loads(json.dumps(part.values()))) == part
    assert table.up_to({1: 0, 2: 4}).layers[1] == ((0,), (float(table.seconds(1, 0)),))
    assert table.scaled(2.0).latency({1: 12, 2: 1}) == 2 * table.latency({1: 12, 2: 1})


def test_mixed_densities_are_near_one_centre_and_others_with_each_seed() -> None:
    b = NetworkBuilder((1, 16, 8, 8))
    network = b.build(basic_block(b, b.input, 16, 1, projected=False))
    drawn = [mixed_densities(network, seed) for seed in range(20)]
    for densities in drawn:
        assert list(densities) == list(prunable_layers(network))
        assert all(0.05 <= d <= 1 for d in densities.values())
        assert max(densities.values()) <= np.exp(2) * min(densities.values())
    assert all(a != b for a, b in itertools.pairwise(drawn))
    assert mixed_densities(network, 3) == drawn[3]
