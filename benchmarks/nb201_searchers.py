"""The searchers of ``search_nb201.py``, and how what they find is judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from nb201_table import SPACE, Device, Table, best_under
from published_tables import Floats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from latbench.search.baselines.proxies import naswot, synflow
from latbench.search.baselines.scores import RememberedScore
from latbench.search.baselines.searches import (
    BaselineOutcome,
    Cost,
    Score,
    evolution,
    random_search,
)
from latbench.search.images.images import ImageData
from latbench.spaces import nasbench201

CHANCE = 10.0  # % of CIFAR-10 by guessing
SHORTLIST = 20  # trainings bought of what a search found
DIFFERENTIABLE = "differentiable, target"
SURROGATE = 200  # trainings that an accuracy model is fitted on, for all limits and devices


@dataclass(frozen=True)
class Found:
    """Candidate rows, the best first; trainings that were bought; rows that were measured."""

    rows: list[int]
    trainings: int = 0
    measured: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Result:
    """The row that a searcher ends with, and what it spent besides the predictor's samples."""

    row: int
    regret: float
    trainings: int
    measurements: int


# A device, a limit (s) and a seed to candidates.
Searcher = Callable[[Device, float, int], Found]


class Timed:
    """A score that is computed once an architecture (kept in a file), and its seconds of CPU."""

    def __init__(self, score: Score, path: Path, label: str) -> None:
        self.seconds = 0.0

        def timed(architecture: Any) -> float:
            start = time.process_time()
            value = score(architecture)
            self.seconds += time.process_time() - start
            return value

        self._known: dict[Any, float] = {}  # a file is known by text, which takes time to write
        self.remembered = RememberedScore(timed, SPACE, path, label)

    def __call__(self, architecture: Any) -> float:
        if architecture not in self._known:
            self._known[architecture] = self.remembered(architecture)
        return self._known[architecture]


def training_free(data: ImageData, scores: Path) -> dict[str, Timed]:
    """The proxies, on one cell a stage, which ranks as five do and takes a fifth of the time."""
    small, images = nasbench201(cells=1, resolution=16), data.train_images[:32]
    flow = nasbench201(cells=1, resolution=8)
    every: dict[str, Score] = {
        "naswot": lambda a: naswot(small.build(a), images),
        "synflow": lambda a: synflow(flow.build(a)),
    }
    return {
        name: Timed(score, scores / f"{name}.jsonl", f"{name}, 1 cell, 32 images")
        for name, score in every.items()
    }


def summed(proxies: dict[str, Timed]) -> Score:
    """The sum of proxies, each standardised over a hundred random cells."""
    cells = [SPACE.sample(7, i) for i in range(100)]
    scales = {}
    for name, score in proxies.items():
        values = np.array([score(cell) for cell in cells])
        values = values[np.isfinite(values)]
        scales[name] = float(values.mean()), float(values.std())

    def score(cell: Any) -> float:
        return sum((proxies[name](cell) - mean) / std for name, (mean, std) in scales.items())

    return score


def surrogate(table: Table, encoded: Floats, seed: int) -> Floats:
    """Accuracy of all rows by a Gaussian process on the one-hot encoding of ``SURROGATE`` trained
    ones, drawn at random; in the logarithm of the error, since cells that fail are far off."""
    rows = np.random.default_rng(seed).choice(len(table.cells), SURROGATE, replace=False)
    kernel = ConstantKernel() * RBF(2.0) + WhiteKernel(0.01, "fixed")
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    model.fit(encoded[rows], -np.log(101 - table.cifar100[rows]))
    return np.asarray(model.predict(encoded))


def searched(table: Table, search: Callable[..., BaselineOutcome], score: Callable[[int], Score],
             budget: int) -> Searcher:  # fmt: skip
    """A baseline as a searcher whose score, made for a seed, costs nothing."""

    @cache  # a shortlist of it begins with the same search
    def run(device: Device, limit: float, seed: int) -> Found:
        found = search(
            SPACE, _predicted(table, device), score(seed), limit=beyond(device, limit),
            budget=budget, seed=seed,
        )  # fmt: skip
        return Found(_best_first(table, found))

    return run


def bought(table: Table, search: Callable[..., BaselineOutcome], accuracy: Floats,
           budget: int) -> Searcher:  # fmt: skip
    """A baseline whose candidates are measured, and trained if they are within the limit."""

    def run(device: Device, limit: float, seed: int) -> Found:
        def score(cell: Any) -> float:
            row = table.row[cell]
            return float(accuracy[row]) if device.fits(row, limit) else -np.inf

        found = search(
            SPACE, _predicted(table, device), score, limit=beyond(device, limit), budget=budget,
            seed=seed,
        )  # fmt: skip
        rows = _best_first(table, found)
        trained = sum(device.fits(row, limit) for row in rows)
        return Found(rows, trained, frozenset(rows))

    return run


def _predicted(table: Table, device: Device) -> Cost:
    return lambda cells: device.predicted[table.rows(cells)]


def beyond(device: Device, limit: float) -> float:
    """The limit of a search whose candidates are measured: twice the predictor's mean error off."""
    return limit * (1 + 2 * device.margin)


def _best_first(table: Table, found: BaselineOutcome) -> list[int]:
    order = sorted(found.history, key=lambda trial: -trial.score)
    return table.rows([trial.architecture for trial in order])


def shortlisted(table: Table, searcher: Searcher, trainings: int, before: int = 0) -> Searcher:
    """Measures a searcher's candidates until ``trainings`` are within the limit; trains those.

    ``before`` are trainings that the searcher itself rests on.
    """

    def run(device: Device, limit: float, seed: int) -> Found:
        rows = searcher(device, limit, seed).rows
        kept, measured = [], set()
        for row in rows:
            measured.add(row)
            if device.fits(row, limit):
                kept.append(row)
            if len(kept) == trainings:
                break
        best = sorted(kept, key=lambda row: -table.cifar100[row])
        return Found(best or rows, before + len(kept), frozenset(measured))

    return run


def searchers(
    table: Table, proxies: dict[str, Timed], one_shot: Timed, gradient: Searcher, quick: bool
) -> dict[str, Searcher]:
    """All by name. A free score's budget is of scores, a bought one's of trainings. ``gradient`` is
    the differentiable search."""
    budget = 40 if quick else 300
    free: dict[str, Score] = {
        **proxies, " and ".join(proxies): summed(proxies), "one-shot": one_shot
    }  # fmt: skip
    every: dict[str, Searcher] = {}
    for kind, search in (("random", random_search), ("evolution", evolution)):
        for name, score in free.items():
            every[f"{kind}, {name}"] = searched(table, search, _always(score), budget)
        for m in (100, 300):
            every[f"{kind}, {m} trainings"] = bought(table, search, table.cifar100, m)
    for name in free:
        key = f"evolution, {name}"
        every[f"{key} + {SHORTLIST} trainings"] = shortlisted(table, every[key], SHORTLIST)
    every[DIFFERENTIABLE] = gradient
    every[f"{DIFFERENTIABLE} + {SHORTLIST} trainings"] = shortlisted(table, gradient, SHORTLIST)
    model = searched(table, evolution, _surrogates(table), 10 * budget)
    for m in (SHORTLIST, 2 * SHORTLIST):
        name = f"evolution, GP of {SURROGATE} + {m} trainings"
        every[name] = shortlisted(table, model, m, SURROGATE)
    every["evolution, 300 trainings of the judging split"] = bought(
        table, evolution, table.cifar10, 300
    )
    return every


def _always(score: Score) -> Callable[[int], Score]:
    return lambda seed: score


def _surrogates(table: Table) -> Callable[[int], Score]:
    encoded = np.stack([SPACE.one_hot(cell) for cell in table.cells])
    known: dict[int, Floats] = {}

    def of(seed: int) -> Score:
        if seed not in known:
            known[seed] = surrogate(table, encoded, seed)
        return lambda cell: float(known[seed][table.row[cell]])

    return of


def judge(table: Table, device: Device, limit: float, found: Found) -> Result:
    """Measures candidates until one is within the limit. With none, the search has failed: the row
    is the fastest, and the regret is against an accuracy of chance (10 %)."""
    measured = set(found.measured)
    best = table.cifar10[best_under(table, device, limit)]
    for row in found.rows:
        measured.add(row)
        if device.fits(row, limit):
            regret = float(best - table.cifar10[row])
            return Result(row, regret, found.trainings, len(measured))
    fastest = min(found.rows, key=lambda row: device.latency[row])
    return Result(fastest, float(best - CHANCE), found.trainings, len(measured))
