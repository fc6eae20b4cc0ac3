"""The floors inside and between occasions, the bias by size, and the sentinels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import SPACE, make_set, row

from latbench.store import Store
from latbench.store.occasions import disturbed_rows, next_occasion, sentinels
from latbench.store.repeats import (
    BETWEEN_S,
    MOST_SENTINELS,
    Timing,
    between,
    bias_by_size,
    inside,
)

LATER = BETWEEN_S + 1


def timing(occasion: int, finished: float, value: float, repeat: int = 0) -> Timing:
    return Timing(7, repeat, occasion, finished, value, 1)


@pytest.mark.parametrize(
    ("group", "near", "far"),
    [
        ([(1, 0, 1.0), (1, 9, 1.1)], [(1.0, 1.1)], []),
        ([(1, 0, 1.0), (2, LATER, 1.1)], [], [(1.0, 1.1)]),
        # Another run of the campaign a minute later is no other occasion of the machine.
        ([(1, 0, 1.0), (2, 60, 1.1)], [(1.0, 1.1)], []),
        # A long campaign is one occasion.
        ([(1, 0, 1.0), (1, 9 * LATER, 1.1)], [(1.0, 1.1)], []),
        (
            [
                (1, 0, 1.0),
                (1, 9, 1.1),
                (2, 2 * LATER, 1.2),
                (2, 2 * LATER + 9, 1.3),
                (3, 4 * LATER, 1.4),
            ],
            [(1.0, 1.1), (1.2, 1.3)],
            [(1.0, 1.2), (1.2, 1.4)],
        ),
    ],
)
def test_timings_of_one_occasion_and_of_two(
    group: list[tuple[int, float, float]], near: list[object], far: list[object]
) -> None:
    timings = [timing(*entry) for entry in group]
    assert list(map(tuple, inside([timings]))) == near
    assert list(map(tuple, between([timings]))) == far


def test_the_bias_is_told_by_size() -> None:
    rng = np.random.default_rng(0)
    first = np.exp(rng.uniform(0, 6, 90))
    slower = np.where(first > np.exp(4), 0.9, 1.0)
    pairs = np.column_stack([first, first * slower * np.exp(rng.normal(0, 0.01, 90))])
    small, middle, large = bias_by_size(pairs)
    assert small.high < middle.low < middle.high < large.low
    for found, truth in ((small, 0.0), (middle, 0.0), (large, -0.1)):
        assert found.pairs == 30
        assert found.half_width < 0.03
        assert found.bias == pytest.approx(truth, abs=0.03)
    assert bias_by_size(pairs[:5]) == ()


def filled(path: Path, n: int = 40, **changes: object) -> Store:
    store = Store(path, SPACE)
    number = store.add_set(make_set(**changes))
    for i in range(n):
        named: Any = {"architecture": str(SPACE.unrank(31 * i)), "factor": 1 + i, "occasion": 1}
        store.add(number, row(i, **named))
        if i % 4 == 0:
            store.add(number, row(i, 1, **named))
    return store


def test_sentinels_are_early_retested_rows_over_the_range_of_latencies(tmp_path: Path) -> None:
    with filled(tmp_path / "s.sqlite") as store:
        chosen = sentinels(store, 1)
        retested = {str(SPACE.unrank(31 * i)) for i in range(0, 40, 4)}
        assert len(chosen) == 6
        assert {a for a, _ in chosen} <= retested
        assert {repeat for _, repeat in chosen} == {2}
        fastest, slowest = (str(SPACE.unrank(31 * i)) for i in (0, 36))
        assert {fastest, slowest} <= {a for a, _ in chosen}
        # Once they were checked they stay what they are.
        for architecture, repeat in chosen[:3]:
            store.add(1, row(0, repeat, architecture=architecture, occasion=2))
        assert set(sentinels(store, 1)) == {(a, 3) for a, _ in chosen[:3]}


def test_there_are_only_so_many_sentinels(tmp_path: Path) -> None:
    with filled(tmp_path / "s.sqlite", 400) as store:
        assert len(sentinels(store, 1)) == 10
        assert len(sentinels(store, 1, 30)) == 30
        assert len(sentinels(store, 1, 9999)) == 400
    assert MOST_SENTINELS == 24


def test_a_set_states_both_floors(tmp_path: Path) -> None:
    with filled(tmp_path / "s.sqlite") as store:
        before = store.find_set()
        assert before.floors.inside == pytest.approx(0)
        assert (before.floor_between, before.size_bias, before.rechecked) == (None, (), 0)
        for architecture, repeat in sentinels(store, 1):
            store.add(1, row(0, repeat, architecture=architecture, factor=9, occasion=2))
        assert store.find_set().rechecked == 0  # at once, so in the same occasion
        store.connection.execute("UPDATE main.measurements SET finished = finished + 1e4"
                                 " WHERE occasion = 2")  # fmt: skip
        after = store.find_set()
        assert after.rechecked == 6
        assert after.floor_between is not None
        assert after.floor_between > 0.1
        assert after.noise_floor == pytest.approx(0)
        assert store.dataset().floors == after.floors


def test_rows_of_a_disturbed_block_are_told(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        for i in range(20):
            usual = row(i, occasion=1)
            assert usual.estimate is not None
            slow = replace(usual.estimate, canary_s=1.05 * usual.estimate.canary_s)
            store.add(number, replace(usual, estimate=slow) if i > 16 else usual)
        expected = {(str(SPACE.sample(0, i)), 0, i, 0) for i in range(17, 20)}
        assert set(disturbed_rows(store, number, 1)) == expected
        assert disturbed_rows(store, number, 2) == []
        assert store.find_set().disturbed == pytest.approx(3 / 20)


def test_of_two_disturbed_timings_the_faster_stays(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        store.add(number, row(0))
        store.put(number, row(0, factor=1.5), faster=True)
        assert store.relative(number)[str(SPACE.sample(0, 0))] == [pytest.approx(2.0)]
        store.put(number, row(0, factor=0.5), faster=True)
        assert store.relative(number)[str(SPACE.sample(0, 0))] == [pytest.approx(1.0)]


def test_occasions_are_counted(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        number = store.add_set(make_set())
        assert next_occasion(store, number) == 1
        store.add(number, row(0))  # of before occasions were counted
        assert next_occasion(store, number) == 2
        store.add(number, row(1, occasion=2))
        assert next_occasion(store, number) == 3
