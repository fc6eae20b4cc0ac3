"""The search benchmark's searchers, on a made-up table; what they find is not judged here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cost_modules import Convolutions

from latbench.errors import UsageError
from latbench.search.images.images import ImageData, load_images
from latbench.spaces import nasbench201
from latbench.spaces.cells.nasbench201_space import OPERATIONS

FOLDER = Path(__file__).parents[2] / "benchmarks"
SPACE = nasbench201(resolution=8, in_channels=1)
LIMIT = 3.5e-3


@pytest.fixture(scope="module")
def modules() -> Iterator[Any]:
    """``table``, ``searchers`` and ``supernet`` of the benchmark, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        names = ("table", "searchers", "supernet")
        yield SimpleNamespace(**{n: import_module(f"nb201_{n}") for n in names})
        for name in [m for m in sys.modules if m.startswith(("nb201_", "published"))]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def table(modules: Any) -> Any:
    """300 cells whose accuracy is their number in the table."""
    cells = tuple(a for _, a in SPACE.unique_samples(0, 300))
    accuracy = np.arange(300) / 4
    return modules.table.Table(cells, {c: i for i, c in enumerate(cells)}, accuracy, accuracy)


@pytest.fixture(scope="module")
def device(modules: Any, table: Any) -> Any:
    """Measured 4 % slower than predicted, and a margin of 10 % that a search may go beyond."""
    encoded = torch.from_numpy(np.stack([SPACE.one_hot(c) for c in table.cells]))
    predicted = Convolutions(OPERATIONS, 6)(encoded).numpy().astype(float)
    model = SimpleNamespace(as_module=lambda: Convolutions(OPERATIONS, 6))
    usable = np.ones(300, bool)
    return modules.table.Device(
        "made-up", 1.04 * predicted, usable, model, predicted, 0.10, (LIMIT,)
    )


@pytest.fixture(scope="module")
def images() -> ImageData:
    torch.set_num_threads(1)
    return load_images("digits", limit=64)


def trained(modules: Any, images: ImageData, folder: Path, epochs: int = 2) -> Any:
    budget = modules.supernet.Budget(training=epochs, search=1, images=16)
    return modules.supernet.TrainedSupernet(SPACE, images, folder, budget)


def test_a_supernet_is_trained_once_and_its_scores_are_its_own(
    modules: Any, images: ImageData, tmp_path: Path
) -> None:
    first = trained(modules, images, tmp_path)
    cells = [SPACE.sample(1, i) for i in range(6)]
    scores = [first.one_shot()(cell) for cell in cells]
    assert first.epochs == 2
    assert len(set(scores)) > 1
    again = trained(modules, images, tmp_path)
    assert again.epochs == 0
    kept = again.one_shot()
    assert [kept(cell) for cell in cells] == scores
    assert kept.remembered.computed == 0
    other = trained(modules, images, tmp_path / "other", epochs=1)
    other.folder = tmp_path
    with pytest.raises(UsageError, match="holds scores of another"):
        other.one_shot()


def test_scores_are_of_images_that_the_weights_were_not_trained_on(
    modules: Any, images: ImageData, tmp_path: Path
) -> None:
    supernet = trained(modules, images, tmp_path)
    changed = images.train_labels.clone()
    changed[supernet.held_out] = 11  # nothing is right any more
    assert len(supernet.held_out) == 32
    supernet.data = replace(images, train_labels=changed)
    assert supernet.one_shot()(SPACE.reference()) == 0
    again = replace(images, train_labels=changed.clamp_max(9))
    same = trained(modules, again, tmp_path / "changed")
    assert all(torch.equal(same.weights[k], v) for k, v in supernet.weights.items())


def test_a_search_ends_with_probabilities_and_is_not_run_twice(
    modules: Any, images: ImageData, device: Any, tmp_path: Path
) -> None:
    supernet = trained(modules, images, tmp_path)
    first = supernet.probabilities(device, LIMIT, 0)
    assert first.shape == (6, 5)
    assert first.sum(1) == pytest.approx(np.ones(6), abs=1e-5)
    assert len(supernet.search_seconds) == 1
    assert not np.array_equal(first, supernet.probabilities(device, LIMIT, 1))
    again = trained(modules, images, tmp_path)
    assert np.array_equal(first, again.probabilities(device, LIMIT, 0))
    assert not again.search_seconds


def test_candidates_are_the_derived_cell_and_then_draws_within_the_limit(
    modules: Any, table: Any, device: Any
) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(5), 6)
    asked: list[Any] = []

    def probabilities(*arguments: Any) -> Any:
        asked.append(arguments)
        return p

    searcher = modules.supernet.differentiable(table, SimpleNamespace(probabilities=probabilities))
    within = [i for i in range(300) if device.predicted[i] <= 1.2 * LIMIT]
    chances = np.zeros(300)
    for i in within:
        chances[i] = np.prod((SPACE.one_hot(table.cells[i]).reshape(6, 5) * p).sum(1))
    lists = [searcher(device, LIMIT, seed).rows for seed in range(300)]
    assert len(asked) == 300
    assert 0 < len(within) < 300
    assert all(set(rows) == set(within) and len(rows) == len(within) for rows in lists)
    assert all(rows[0] == np.argmax(chances) for rows in lists)
    # The second is the first draw that is not the derived cell.
    second = np.bincount([rows[1] for rows in lists], minlength=300) / 300
    others = np.where(np.arange(300) == np.argmax(chances), 0, chances)
    likely = np.argsort(-others)[:3]
    assert second[likely] == pytest.approx((others / others.sum())[likely], abs=0.09)
    searcher(device, LIMIT, 0)
    assert len(asked) == 300  # the same search is not run again


def test_a_shortlist_is_measured_until_it_is_full_and_the_best_of_it_is_found(
    modules: Any, table: Any, device: Any
) -> None:
    over = [i for i in range(300) if not device.fits(i, LIMIT)]
    fits = [i for i in range(300) if device.fits(i, LIMIT)]
    candidates = [over[0], fits[3], over[1], fits[9], fits[5], fits[-1], over[2]]
    short = modules.searchers.shortlisted(
        table, lambda *_: modules.searchers.Found(candidates), trainings=3, before=7
    )
    result = modules.searchers.judge(table, device, LIMIT, short(device, LIMIT, 0))
    assert result.row == fits[9]  # not the last one, which was not trained
    assert (result.trainings, result.measurements) == (10, 5)
    assert result.regret == pytest.approx((fits[-1] - fits[9]) / 4)


def test_a_search_that_finds_nothing_within_the_limit_is_judged_as_chance(
    modules: Any, table: Any, device: Any
) -> None:
    over = [i for i in range(300) if not device.fits(i, LIMIT)][:5]
    result = modules.searchers.judge(table, device, LIMIT, modules.searchers.Found(over))
    assert result.regret == pytest.approx(max(
        i for i in range(300) if device.fits(i, LIMIT)
    ) / 4 - 10)  # fmt: skip
    assert result.measurements == 5
