"""Rows in parts: every network in one, and nothing new where all rows are different."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import KFold

from latbench.errors import NotEnoughData
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.evaluation.folds import folds_of, shuffled
from latbench.predictors.evaluation.learning_curve import held_out
from latbench.predictors.families.ridge import RidgeCounts
from latbench.predictors.transfer.choice import choose
from latbench.predictors.transfer.methods import METHODS
from latbench.predictors.transfer.prior import Source, learn
from latbench.spaces import nasbench201
from latbench.store.dataset import LatencyDataset, network_numbers

SPACE = nasbench201(channels=4, cells=1)


def twins(networks: int, each: int = 3) -> LatencyDataset:
    """Cells of which so many at a time are one network, in random order."""
    ranks = np.arange(SPACE.size)
    canonical = SPACE.canonical_ranks(ranks)
    often = np.flatnonzero(np.bincount(canonical) >= each)[:networks]
    rows = np.concatenate([ranks[canonical == of][:each] for of in often])
    rows = np.random.default_rng(0).permutation(rows)
    architectures = tuple(SPACE.unrank(rank) for rank in rows.tolist())
    counts = np.stack([SPACE.counts(a) for a in architectures]).sum(axis=1)
    return LatencyDataset(SPACE, architectures, 1e-3 * (1 + counts), "fake", "here")


@pytest.mark.parametrize(("rows", "folds"), [(20, 5), (67, 3), (10, 10)])
@pytest.mark.parametrize("seed", [0, 7])
def test_rows_of_different_networks_are_in_the_folds_that_they_were_in(
    rows: int, folds: int, seed: int
) -> None:
    before = list(KFold(folds, shuffle=True, random_state=seed).split(np.empty(rows)))
    for ours, theirs in zip(folds_of(np.arange(rows), folds, seed), before, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("first", [1, 20, 66])
def test_rows_of_different_networks_are_held_out_as_they_were(first: int) -> None:
    before = np.random.default_rng(3).permutation(67)
    held, others = shuffled(np.arange(67), first, 3)
    np.testing.assert_array_equal(held, before[:first])
    np.testing.assert_array_equal(others, before[first:])


def test_folds_are_balanced_and_no_network_is_in_two() -> None:
    networks = twins(42).networks
    tests = [test for _, test in folds_of(networks, 5, 1)]
    assert sorted(np.concatenate(tests).tolist()) == list(range(len(networks)))
    sets = [set(networks[test].tolist()) for test in tests]
    assert sum(map(len, sets)) == 42
    assert {len(s) for s in sets} == {8, 9}
    assert [t.tolist() for _, t in folds_of(networks, 5, 2)] != [t.tolist() for t in tests]


def test_fewer_networks_than_folds_are_refused() -> None:
    with pytest.raises(NotEnoughData, match=r"5 folds need as many .* the rows are of 4"):
        folds_of(np.array([0, 1, 2, 3, 3]), 5, 0)


@pytest.mark.parametrize("first", [1, 10, 62])
def test_no_network_is_held_out_and_kept(first: int) -> None:
    networks = twins(21).networks
    held, others = shuffled(networks, first, 0)
    assert sorted([*held.tolist(), *others.tolist()]) == list(range(63))
    assert not {*networks[held].tolist()} & {*networks[others].tolist()}
    assert first - 3 < len(held) <= max(first, 3)


def spied(dataset: LatencyDataset, seen: list[tuple[set[int], set[int]]]) -> RidgeCounts:
    """A predictor that notes which networks it is fitted on, and which it is asked for after."""
    known = {
        SPACE.one_hot(a).tobytes(): int(n)
        for a, n in zip(dataset.architectures, dataset.networks, strict=True)
    }

    def networks(X: Any) -> set[int]:
        return {known[row.tobytes()] for row in np.asarray(X, np.float32)}

    class Spy(RidgeCounts):
        name, encoding = "spy", "one_hot"

        def fit(self, X: Any, y: Any = None) -> Spy:
            seen.append((networks(X), set()))
            super().fit(X, y)
            return self

        def predict(self, X: Any, return_interval: Any = None) -> Any:
            if len(X) < len(known):  # not when its speed is taken
                seen[-1][1].update(networks(X))
            return super().predict(X)

    return Spy()


def test_a_cross_validation_asks_for_networks_that_it_did_not_fit() -> None:
    dataset, seen = twins(20), list[tuple[set[int], set[int]]]()
    compare(dataset, [spied(dataset, seen)], folds=4, curves=True)
    assert len(seen) > 4
    assert all(asked and not fitted & asked for fitted, asked in seen)


def test_a_learning_curve_holds_networks_out() -> None:
    dataset, seen = twins(20), list[tuple[set[int], set[int]]]()
    X = dataset.encode("one_hot")
    held_out(spied(dataset, seen), X, dataset.values, dataset.networks, 30, 0)
    ((fitted, asked),) = seen
    assert asked
    assert not fitted & asked


def test_a_way_to_transfer_is_chosen_on_networks_that_it_did_not_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset, seen = twins(4), list[tuple[set[int], set[int]]]()
    spy = spied(dataset, seen)
    monkeypatch.setitem(METHODS, "spy", lambda prior, X, y: spy.fit(X, y))
    X = dataset.encode("one_hot").astype(float)
    networks = network_numbers(SPACE, dataset.architectures)
    counts = np.tile(np.eye(5), (6, 1))
    prior = learn([Source("twins", twins(20).encode("one_hot").astype(float), twins(20).values)],
                  counts, network=False)  # fmt: skip
    choose(prior, X, dataset.values, methods=["spy"], networks=networks)
    *folds, whole = seen
    assert [len(fitted) for fitted, _ in folds] == [3] * 4  # one network a fold
    assert all(not fitted & asked for fitted, asked in folds)
    assert len(whole[0]) == 4
