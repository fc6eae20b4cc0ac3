"""The queue of a measurement set, without Ray."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.campaign.plan import Task
from latbench.errors import UsageError
from latbench.fleet import run_fleet
from latbench.fleet.work import MAX_ATTEMPTS, Share
from latbench.models import Model
from latbench.spaces import nasbench201
from latbench.store import Measurement, Store
from latbench.testing import CostModelBackend
from latbench.testing.networks import short_chain


def share(*sizes: int) -> Share:
    todo = [[Task(f"{block}.{i}", 0, i) for i in range(size)] for block, size in enumerate(sizes)]
    return Share(7, todo)


def lose(work: Share, times: int) -> list[Measurement | None]:
    rows = []
    for i in range(times):
        part = work.take()
        assert part is not None
        rows.append(work.lose(part, f"loss {i}"))
    return rows


def test_a_part_lost_too_often_is_set_aside_and_blames_nobody() -> None:
    work = share(3, 2)
    assert lose(work, MAX_ATTEMPTS) == [None] * MAX_ATTEMPTS
    assert [part.number for part in work.aside] == [0]
    rest = work.take()
    assert rest is not None
    assert rest.number == 1
    assert work.open
    rest.tasks.clear()
    work.finish(rest)
    assert not work.open


def test_a_single_task_lost_too_often_is_guilty() -> None:
    work = share(1)
    *before, row = lose(work, MAX_ATTEMPTS)
    assert before == [None] * (MAX_ATTEMPTS - 1)
    assert row is not None
    assert row.status == "failed"
    assert row.error is not None
    assert "loss 0; loss 1; loss 2" in row.error
    assert not work.open
    assert not work.aside


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=6), st.randoms(use_true_random=False))
def test_whatever_is_lost_every_task_is_finished_once_or_accounted_for(sizes, random) -> None:  # type: ignore[no-untyped-def]
    work = share(*sizes)
    finished: list[tuple[str, int]] = []
    while (part := work.take()) is not None:
        for key in list(part.tasks)[: random.randint(0, len(part.tasks))]:
            del part.tasks[key]
            finished.append(key)
        if part.tasks or random.random() < 0.5:
            row = work.lose(part, "lost")
            finished += [(row.architecture, row.repeat)] if row else []
        else:
            work.finish(part)
    aside = [key for part in work.aside for key in part.tasks]
    assert not work.open
    assert sorted(finished + aside) == sorted(
        (f"{block}.{i}", 0) for block, size in enumerate(sizes) for i in range(size)
    )


def test_models_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    model = Model("mine", short_chain())
    with (
        Store(tmp_path / "s.sqlite", nasbench201()) as store,
        pytest.raises(UsageError, match="not the model 'mine'; measure models on each device"),
    ):
        run_fleet(store, CostModelBackend(), "nowhere:1", models=[model])
