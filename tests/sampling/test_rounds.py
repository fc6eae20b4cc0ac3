"""Campaigns in rounds: their budgets, their indices, going on after a kill, stopping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.campaign import CampaignOptions
from latbench.campaign.campaign import Progress, run_campaign
from latbench.campaign.plan import Plan
from latbench.errors import NotEnoughData, UsageError
from latbench.models import Model
from latbench.predictors import make_predictor
from latbench.sampling.rounds import (
    Judged,
    measure_actively,
    measure_until,
    pool_of,
    round_ends,
    space_filling_indices,
)
from latbench.spaces import nasbench201
from latbench.store import Done, Store
from latbench.testing.fake import CostModelBackend

SPACE = nasbench201(channels=4, cells=1, resolution=8)
QUICK = CampaignOptions(retest=0.1, overlap=False)
RIDGE = make_predictor("ridge-counts")


class Killed(Exception):
    """Stands for a kill in the middle of a campaign."""


def _rows(path: Path) -> tuple[list[int], list[str]]:
    """Indices and architectures of the first timings in a store of one set."""
    with Store(path) as store:
        done = store.done(1, 0)
        order = np.argsort(done.index)
        return done.index[order].tolist(), [str(SPACE.unrank(r)) for r in done.first[order]]


def _active(path: Path, **options: Any) -> Any:
    with Store(path, SPACE) as store:
        return measure_actively(
            store, CostModelBackend(), RIDGE, n=60, rounds=3, options=QUICK, **options
        )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("active") / "s.sqlite"
    rounds: list[tuple[int, int]] = []
    outcome = _active(path, begin=lambda *r: rounds.append(r))
    assert rounds == [(1, 3), (2, 3), (3, 3)]
    with Store(path) as store:
        (found,) = store.sets()
        assert found.ok == 60
        assert outcome.measured == 60 + found.retested
        assert 60 * 0.02 < found.retested < 60 * 0.3
    return path


def test_rows_carry_their_index_in_the_stream(finished: Path) -> None:
    indices, architectures = _rows(finished)
    assert len(set(architectures)) == 60
    assert [str(SPACE.sample(0, i)) for i in indices] == architectures
    assert indices[:20] == [i for i, _ in SPACE.unique_samples(0, 20)]
    assert max(indices) > 200  # later rounds choose from the whole pool
    with Store(finished) as store:
        assert len(store.dataset()) == 60


def test_the_anchor_is_not_moved(finished: Path) -> None:
    with Store(finished) as store:
        dataset = store.dataset()
    backend = CostModelBackend()
    truth = [backend.latency_s(SPACE.build(a)) for a in dataset.architectures]
    assert np.allclose(dataset.values, truth, rtol=0.03)


def test_a_longer_random_campaign_keeps_the_chosen_rows(finished: Path) -> None:
    with Store(finished) as store:
        plan = Plan(SPACE, 0, 40, (), store.done(1, 0), size=24, retest=0)
        planned = [task for block in plan for task in block]
    indices = [task.sample_index for task in planned]
    wanted = {i for i, _ in SPACE.unique_samples(0, 40)}
    assert set(indices) == wanted - set(_rows(finished)[0])


def test_the_same_call_again_measures_nothing(finished: Path) -> None:
    before = _rows(finished)
    assert _active(finished).measured == 0
    assert _rows(finished) == before


@pytest.mark.parametrize("after", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_campaign_goes_on(tmp_path: Path, after: int, finished: Path) -> None:
    count = 0

    def report(progress: Progress) -> None:
        nonlocal count
        count += bool(progress.architecture)
        if count == after:
            raise Killed

    with pytest.raises(Killed):
        _active(tmp_path / "s.sqlite", report=report)
    assert 0 < len(_rows(tmp_path / "s.sqlite")[0]) <= after
    kept = set(_rows(tmp_path / "s.sqlite")[1])
    _active(tmp_path / "s.sqlite")
    indices, architectures = _rows(tmp_path / "s.sqlite")
    assert len(architectures) == 60
    assert kept < set(architectures)
    if after <= 20:  # killed in the first round, which no fit decides
        assert indices == _rows(finished)[0]
    with Store(tmp_path / "s.sqlite") as store:
        assert store.sets()[0].retested > 0


@pytest.mark.slow
def test_failed_rows_count_and_are_not_chosen_again(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        backend = CostModelBackend(noise=0.01, fault="exception", fault_every=5, seed=1)
        measure_actively(store, backend, RIDGE, n=60, rounds=2, options=QUICK)
        (found,) = store.sets()
        assert found.failed > 0
        assert found.ok + found.failed == 60


@pytest.mark.parametrize(("n", "rounds"), [(60, 1), (59, 3), (0, 2)])
def test_rounds_that_make_no_sense_are_refused(n: int, rounds: int) -> None:
    with pytest.raises(UsageError, match="2 rounds or more of 20"):
        round_ends(n, rounds)


def test_rounds_are_about_equal() -> None:
    assert round_ends(200, 4) == [50, 100, 150, 200]
    assert round_ends(61, 3) == [20, 41, 61]


def test_space_filling_indices_are_of_the_pool_and_grow() -> None:
    indices = space_filling_indices(SPACE, 3, 30)
    assert len(set(indices)) == 30
    assert set(indices) <= set(pool_of(SPACE, 3, 30))
    assert space_filling_indices(SPACE, 3, 10) == indices[:10]
    plan = Plan(SPACE, 3, 0, (), Done.nothing(), size=24, retest=0, indices=indices)
    tasks = [task for block in plan for task in block]
    assert [t.sample_index for t in tasks] == indices
    assert {t.seed for t in tasks} == {3}


def _until(
    path: Path, error: float, noise: float = 0.0, **options: Any
) -> tuple[Any, list[Judged]]:
    judged: list[Judged] = []
    backend = CostModelBackend(noise=noise / 10, session_noise=noise)
    with Store(path, SPACE) as store:
        enough = measure_until(
            store, backend, options.pop("predictor", RIDGE), error, judge=judged.append,
            options=CampaignOptions(retest=0.5, overlap=False), **options,
        )  # fmt: skip
    return enough, judged


def test_it_stops_when_the_error_is_reached(tmp_path: Path) -> None:
    enough, judged = _until(tmp_path / "s.sqlite", 0.05, step=25)
    assert judged[-1].why == "error"
    assert judged[-1].mape[0] <= 0.05
    assert all(j.why is None and j.mape[0] > 0.05 for j in judged[:-1])
    assert len(enough.dataset) == judged[-1].samples == 25 * len(judged)
    again, rounds = _until(tmp_path / "s.sqlite", 0.05, step=25)
    assert len(rounds) == 1  # what is there is judged, nothing is measured
    # All but how long the fits took.
    assert replace(again.result, costs=None) == replace(enough.result, costs=None)


@pytest.mark.slow
def test_it_stops_at_the_noise_floor(tmp_path: Path) -> None:
    enough, judged = _until(
        tmp_path / "s.sqlite", 0.001, noise=0.2, step=40, predictor=make_predictor("ridge-cost")
    )
    assert judged[-1].why == "noise floor"
    assert enough.dataset.noise_floor is not None
    assert judged[-1].mape[1] <= enough.dataset.noise_floor / 2**0.5
    assert judged[-1].samples < 1000


@pytest.mark.slow
def test_it_stops_when_no_more_may_be_measured(tmp_path: Path) -> None:
    _, judged = _until(tmp_path / "s.sqlite", 1e-6, step=25, max_n=40)
    assert [j.samples for j in judged] == [25, 40]
    assert [j.why for j in judged] == [None, "budget"]


@pytest.mark.parametrize("bad", [{"error": 0.0}, {"error": 1.0}, {"step": 0}, {"max_n": 19}])
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        _until(tmp_path / "s.sqlite", **{"error": 0.1, **bad})


def test_too_many_failures_are_said(tmp_path: Path) -> None:
    backend = CostModelBackend(fault="exception", fault_every=2, seed=13)
    with Store(tmp_path / "s.sqlite", SPACE) as store, pytest.raises(NotEnoughData):
        measure_until(store, backend, RIDGE, 0.01, step=20, max_n=24, options=QUICK)


def test_indices_and_named_architectures_are_both_measured(tmp_path: Path) -> None:
    named = SPACE.reference()
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        run_campaign(store, CostModelBackend(), architectures=[named], indices=[7], options=QUICK)
        done = store.done(1, 0)
        assert sorted(done.index.tolist()) == [-1, 7]
        assert len(store.dataset()) == 1


def test_models_that_a_set_has_besides_are_no_part_of_the_choice(
    tmp_path: Path, finished: Path
) -> None:
    model = Model("mine", SPACE.build(SPACE.reference()))
    with Store(tmp_path / "s.sqlite", SPACE) as store:
        run_campaign(store, CostModelBackend(), models=[model], options=QUICK)
    _active(tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store.dataset()) == 60
        done = store.done(1, 0)
    assert (done.first[done.index < 0] < 0).all()
    assert sorted(done.index[done.index >= 0].tolist()) == _rows(finished)[0]
