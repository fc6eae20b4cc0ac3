"""The searchers of ``search_nb201.py`` that need no supernet, and how what they find is judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from nb201_table import SPACE, Device, Table, best_under
from published_tables import Floats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from latbench.search.baselines import BaselineOutcome, Score, evolution, random_search
from latbench.search.data import load_images
from latbench.search.proxies import naswot, synflow
from latbench.search.scores import RememberedScore
from latbench.spaces import nasbench201

SHORTLIST = 20  # trainings bought of what a search found
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


def training_free(folder: Path, scores: Path) -> dict[str, Timed]:
    """The proxies, on one cell a stage, which ranks as five do and takes a fifth of the time."""
    small = nasbench201(cells=1, resolution=16)
    images = load_images(str(folder / "cifar10_10k_2k.npz"), limit=2000).train_images[:32]
    images = F.avg_pool2d(images, 2)
    flow = nasbench201(cells=1, resolution=8)
    every: dict[str, Score] = {
        "naswot": lambda a: naswot(small.build(a), images),
        "synflow": lambda a: synflow(flow.build(a)),
    }
    return {
        name: Timed(score, scores / f"{name}.jsonl", f"{name}, 1 cell, 32 images")
        for name, score in every.items()
    }


def both(proxies: dict[str, Timed]) -> Score:
    """The sum of the proxies, each standardised over a hundred random cells."""
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
    kernel = ConstantKernel() * RBF(2.0) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    model.fit(encoded[rows], -np.log(101 - table.cifar100[rows]))
    return np.asarray(model.predict(encoded))


def searched(table: Table, search: Callable[..., BaselineOutcome], score: Callable[[int], Score],
             budget: int, trainings: int) -> Searcher:  # fmt: skip
    """A baseline as a searcher; ``score`` is made for a seed, ``trainings`` are what it costs.

    It looks a little beyond the limit, by the predictor's own error: what it finds is measured.
    """

    def run(device: Device, limit: float, seed: int) -> Found:
        found = search(
            SPACE, lambda cells: device.predicted[table.rows(cells)], score(seed),
            limit=limit * (1 + device.margin), budget=budget, seed=seed,
        )  # fmt: skip
        order = sorted(found.history, key=lambda trial: -trial.score)
        spent = min(trainings, len(order)) if trainings == budget else trainings
        return Found(table.rows([trial.architecture for trial in order]), spent)

    return run


def shortlisted(table: Table, searcher: Searcher) -> Searcher:
    """Measures a searcher's candidates until ``SHORTLIST`` are within the limit; trains those."""

    def run(device: Device, limit: float, seed: int) -> Found:
        found = searcher(device, limit, seed)
        kept, measured = [], set(found.measured)
        for row in found.rows:
            measured.add(row)
            if device.fits(row, limit):
                kept.append(row)
            if len(kept) == SHORTLIST:
                break
        best = sorted(kept, key=lambda row: -table.cifar100[row])
        return Found(best or found.rows, found.trainings + len(kept), frozenset(measured))

    return run


def searchers(table: Table, proxies: dict[str, Timed], quick: bool) -> dict[str, Searcher]:
    """All by name. A free score's budget is of scores, a bought one's of trainings."""
    budget = 60 if quick else 300
    bought: Score = lambda cell: float(table.cifar100[table.row[cell]])  # noqa: E731
    judged: Score = lambda cell: float(table.cifar10[table.row[cell]])  # noqa: E731
    free: dict[str, Score] = {**proxies, "naswot and synflow": both(proxies)}
    every: dict[str, Searcher] = {}
    for kind, search in (("random", random_search), ("evolution", evolution)):
        for name, score in free.items():
            every[f"{kind}, {name}"] = searched(table, search, _always(score), budget, 0)
        for m in (100,) if quick else (100, 300):
            every[f"{kind}, {m} trainings"] = searched(table, search, _always(bought), m, m)
    for name in free:
        key = f"evolution, {name}"
        every[f"{key} + {SHORTLIST} trainings"] = shortlisted(table, every[key])
    model = searched(table, evolution, _surrogates(table), 10 * budget, SURROGATE)
    every[f"evolution, GP of {SURROGATE} + {SHORTLIST} trainings"] = shortlisted(table, model)
    every["evolution, 300 trainings of the judging split (bound)"] = searched(
        table, evolution, _always(judged), 300, 300
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
    """Measures candidates until one is within the limit; with none, the fastest of them."""
    measured = set(found.measured)
    for row in found.rows:
        measured.add(row)
        if device.fits(row, limit):
            break
    else:
        row = min(found.rows, key=lambda candidate: device.latency[candidate])
    best = table.cifar10[best_under(table, device, limit)]
    return Result(row, float(best - table.cifar10[row]), found.trainings, len(measured))
