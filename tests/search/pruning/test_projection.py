from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.search.pruning.projection import kept_groups, project
from latbench.sparse.latency_tables import LatencyTable

ENERGIES = st.lists(st.floats(0.01, 1), min_size=2, max_size=8)


@st.composite
def cases(
    draw: st.DrawFn, convex: bool = True
) -> tuple[dict[int, np.ndarray], LatencyTable, float]:
    """Layers of few groups, a table that never falls, and a budget between its ends."""
    energies = {i: np.array(draw(ENERGIES)) for i in range(draw(st.integers(1, 3)))}
    layers = {}
    for i, of in energies.items():
        knots = sorted({1, len(of), draw(st.integers(1, len(of)))})
        slopes = [draw(st.floats(0.1, 2)) for _ in knots]
        slopes = sorted(slopes) if convex else slopes
        steps = [
            s * (b - a) for s, (a, b) in zip(slopes, itertools.pairwise([0, *knots]), strict=True)
        ]
        layers[i] = (tuple(knots), tuple(map(float, np.cumsum(steps))))
    table = LatencyTable(draw(st.floats(0, 2)), layers)
    least = table.latency(dict.fromkeys(energies, 1))
    return energies, table, least + draw(st.floats(0, 1)) * (table.whole - least)


def lost(energies: dict[int, np.ndarray], kept: dict[int, int]) -> float:
    return float(sum(np.sort(of)[: len(of) - kept[i]].sum() for i, of in energies.items()))


@settings(max_examples=300, deadline=None)
@given(case=cases())
def test_it_keeps_the_budget_and_loses_at_most_a_group_a_layer_more_than_the_best(
    case: tuple[dict[int, np.ndarray], LatencyTable, float],
) -> None:
    energies, table, budget = case
    least = dict.fromkeys(energies, 1)
    kept = project(energies, table, budget, least)
    assert table.latency(kept) <= budget + 1e-12
    assert all(1 <= kept[i] <= len(of) for i, of in energies.items())
    every = (
        dict(zip(energies, numbers, strict=True))
        for numbers in itertools.product(*[range(1, len(of) + 1) for of in energies.values()])
    )
    best = min(lost(energies, k) for k in every if table.latency(k) <= budget + 1e-12)
    largest = sum(float(of.max()) for of in energies.values())
    assert lost(energies, kept) <= best + largest + 1e-9


@settings(max_examples=200, deadline=None)
@given(case=cases(convex=False))
def test_any_table_keeps_the_budget_and_no_group_more_fits(
    case: tuple[dict[int, np.ndarray], LatencyTable, float],
) -> None:
    energies, table, budget = case
    kept = project(energies, table, budget, dict.fromkeys(energies, 1))
    assert table.latency(kept) <= budget + 1e-12
    for i, of in energies.items():
        assert kept[i] == len(of) or table.latency({**kept, i: kept[i] + 1}) > budget


def test_a_layer_that_is_dear_at_first_and_cheap_then_is_seen() -> None:
    table = LatencyTable(0.0, {1: ((1, 2, 8), (1.0, 3.0, 3.6)), 2: ((1, 8), (0.1, 0.8))})
    energies = {1: np.full(8, 1.0), 2: np.full(8, 0.3)}
    assert project(energies, table, 1.1 + 2.65, {1: 1, 2: 1}) == {1: 8, 2: 1}


def test_groups_that_were_zero_when_the_table_was_measured_stay_zero() -> None:
    table = LatencyTable(0.0, {1: ((1, 4), (1.0, 4.0))})
    energies = {1: np.array([0.0, 3, 0, 1, 2, 0, 4])}
    assert project(energies, table, 3.5, {1: 1}) == {1: 3}
    assert project(energies, table, 9.0, {1: 1}) == {1: 4}


def test_equal_groups_at_equal_prices_are_shared_out_by_what_they_cost() -> None:
    table = LatencyTable(1.0, {3: ((1, 100), (1.0, 100.0)), 7: ((1, 100), (2.0, 200.0))})
    rng = np.random.default_rng(0)
    energies = {3: rng.random(100), 7: rng.random(100)}
    kept = project(energies, table, 151.0, {3: 1, 7: 1})
    assert kept[3] > kept[7]  # half of the price for the same energy
    assert 150 < table.latency(kept) <= 151
    assert project(energies, table, 400.0, {3: 1, 7: 1}) == {3: 100, 7: 100}


def test_more_budget_never_keeps_less_energy() -> None:
    rng = np.random.default_rng(1)
    table = LatencyTable(0.5, {1: ((5, 40, 80), (1.0, 2.0, 6.0)), 2: ((3, 60), (0.4, 5.0))})
    energies = {1: rng.random(80) ** 3, 2: rng.random(60)}
    losses = [
        lost(energies, project(energies, table, b, {1: 1, 2: 1})) for b in np.linspace(2, 12, 60)
    ]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(losses))


def many(straight: bool) -> tuple[dict[int, np.ndarray], LatencyTable]:
    """Layers of more weights than are looked at in one pass."""
    rng = np.random.default_rng(2)
    energies = {i: rng.standard_normal(n) ** 2 for i, n in enumerate((30_000, 900, 170_000))}
    layers = {}
    for i, of in energies.items():
        knots = [of.size // 20, of.size // 3, of.size]
        slopes = np.full(3, 1.0 + i) if straight else rng.uniform(0.5, 2, 3)
        seconds = np.cumsum(slopes * np.diff([0, *knots]) * 1e-8)
        layers[i] = (tuple(knots), tuple(map(float, seconds)))
    return energies, LatencyTable(1e-4, layers)


def test_of_many_weights_the_best_for_their_time_stay_to_one_a_layer() -> None:
    energies, table = many(straight=True)
    budget = 0.3 * table.whole
    kept = project(energies, table, budget, dict.fromkeys(energies, 1))
    rates = np.concatenate([of / (1.0 + i) for i, of in energies.items()])
    owners = np.repeat(list(energies), [of.size for of in energies.values()])
    order = np.argsort(-rates)
    times = table.rest + np.cumsum((1.0 + owners[order]) * 1e-8)
    stay = owners[order][times <= budget]
    assert all(abs(kept[i] - np.count_nonzero(stay == i)) <= 1 for i in energies)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_of_many_weights_no_more_fits_under_any_table(share: float) -> None:
    energies, table = many(straight=False)
    budget = share * table.whole
    kept = project(energies, table, budget, dict.fromkeys(energies, 1))
    assert table.latency(kept) <= budget + 1e-15
    for i, of in energies.items():
        assert kept[i] == of.size or table.latency({**kept, i: kept[i] + 1}) > budget


def test_a_budget_below_the_fewest_groups_is_refused_with_its_figure() -> None:
    table = LatencyTable(3.0, {1: ((1, 10), (1.0, 7.0))})
    with pytest.raises(UsageError, match=r"budget is 30.0% .* fewest groups it takes 40.0%.*30.0%"):
        project({1: np.ones(10)}, table, 3.0, {1: 1})


def test_the_groups_of_most_energy_stay() -> None:
    energies = np.array([[3.0, 1.0], [2.0, 2.0]])
    assert kept_groups(energies, 2).tolist() == [[True, False], [True, False]]
    assert kept_groups(energies, 4).all()
