"""Latency-aware search on all of NAS-Bench-201, where the best answer is known.

Each searcher gets a predictor fitted on measurements of a device and a latency limit, and a signal
of accuracy that it could really have. What it finds is looked up: measured latency, and CIFAR-10
test accuracy at 200 epochs, which no searcher reads. ``regret`` is how far that accuracy is below
the best that the table has within the limit.

Signals, and what they cost: NASWOT and SynFlow on untrained networks (seconds of a CPU); trainings
that are bought from the table, one an architecture. The table at hand has test splits only, so a
bought training tells the cell's CIFAR-100 accuracy: another task than the one that judges. One row,
marked so, reads the judging split itself: a bound on what the same number of trainings can give.

A searcher's candidates are measured (looked up) from the best score down until one is within the
limit; these measurements count besides the predictor's.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from harness import Figure, Outcome, figure, main
from nb201_table import (
    QUANTILES,
    SPACE,
    Device,
    Table,
    best_under,
    draw,
    front,
    hypervolume,
    load_device,
    load_table,
)
from published import data_folder
from scipy.stats import spearmanr

from latbench.search.baselines import BaselineOutcome, Score, evolution, random_search
from latbench.search.data import load_images
from latbench.search.proxies import naswot, synflow
from latbench.spaces import nasbench201

# Measured end to end, of three kinds: a GPU, a server CPU, a telephone (in whole milliseconds).
DEVICES = ("1080ti_1", "silver_4114", "pixel2")
PREDICTOR, SAMPLES = "ridge-one-hot", 200
WITHIN = 1.0  # percentage points
CORRELATION_ROWS = 300
SHORTLIST = 20  # trainings that are bought of what a training-free search found


@dataclass(frozen=True)
class Found:
    """Candidate rows, the best first, and how many trainings were bought to order them."""

    rows: list[int]
    trainings: int


@dataclass(frozen=True)
class Result:
    """The row that a searcher ends with, and what it spent."""

    row: int
    regret: float
    trainings: int
    measurements: int


Searcher = Callable[[Device, float, int], Found]
# (searcher, device, quantile) to one result a seed
Results = dict[tuple[str, str, float], list[Result]]


class Remembered:
    """A score that is computed once an architecture, and the seconds that it took."""

    def __init__(self, score: Score) -> None:
        self._score, self._known = score, dict[Any, float]()
        self.seconds = 0.0

    def __call__(self, architecture: Any) -> float:
        if architecture not in self._known:
            start = time.process_time()
            self._known[architecture] = self._score(architecture)
            self.seconds += time.process_time() - start
        return self._known[architecture]

    def __len__(self) -> int:
        return len(self._known)


def training_free(folder: Path) -> dict[str, Remembered]:
    """The proxies, on one cell a stage, which ranks as five do and takes a fifth of the time."""
    small = nasbench201(cells=1, resolution=16)
    images = load_images(str(folder / "cifar10_10k_2k.npz"), limit=2000).train_images[:32]
    images = F.avg_pool2d(images, 2)
    flow = nasbench201(cells=1, resolution=8)
    return {
        "naswot": Remembered(lambda a: naswot(small.build(a), images)),
        "synflow": Remembered(lambda a: synflow(flow.build(a))),
    }


def searched(table: Table, search: Callable[..., BaselineOutcome], score: Score, budget: int,
             bought: bool) -> Searcher:  # fmt: skip
    """A baseline as a searcher; ``bought``: each of its scores is a training."""

    def run(device: Device, limit: float, seed: int) -> Found:
        found = search(
            SPACE, lambda cells: device.predicted[table.rows(cells)], score, limit=limit,
            budget=budget, seed=seed,
        )  # fmt: skip
        order = sorted(found.history, key=lambda trial: -trial.score)
        rows = table.rows([trial.architecture for trial in order])
        return Found(rows, len(found.history) if bought else 0)

    return run


def shortlisted(table: Table, searcher: Searcher) -> Searcher:
    """Trains the first ``SHORTLIST`` of another searcher's candidates."""

    def run(device: Device, limit: float, seed: int) -> Found:
        rows = searcher(device, limit, seed).rows
        best = sorted(rows[:SHORTLIST], key=lambda row: -table.cifar100[row])
        return Found(best + rows[SHORTLIST:], len(best))

    return run


def searchers(table: Table, proxies: dict[str, Remembered], quick: bool) -> dict[str, Searcher]:
    """All of them by name. The budget of scores is a training-free one's; m is one of trainings."""
    budget = 60 if quick else 300
    bought: Score = lambda cell: float(table.cifar100[table.row[cell]])  # noqa: E731
    judged: Score = lambda cell: float(table.cifar10[table.row[cell]])  # noqa: E731
    every: dict[str, Searcher] = {}
    for kind, search in (("random", random_search), ("evolution", evolution)):
        for name, score in proxies.items():
            every[f"{kind}, {name}"] = searched(table, search, score, budget, False)
        for m in (100,) if quick else (100, 300):
            every[f"{kind}, {m} trainings"] = searched(table, search, bought, m, True)
    for name in proxies:
        key = f"evolution, {name}"
        every[f"{key} + {SHORTLIST} trainings"] = shortlisted(table, every[key])
    every["evolution, 300 trainings (judging split: bound)"] = searched(
        table, evolution, judged, 300, True
    )
    return every


def judge(table: Table, device: Device, limit: float, found: Found) -> Result:
    """Measures candidates until one is within the limit; with none, the fastest of them."""
    measured = 0
    row = found.rows[0]
    for candidate in found.rows:
        measured += 1
        row = candidate if device.latency[candidate] < device.latency[row] else row
        if device.usable[candidate] and device.latency[candidate] <= limit:
            row = candidate
            break
    best = table.cifar10[best_under(table, device, limit)]
    return Result(row, float(best - table.cifar10[row]), found.trainings, measured)


def run_all(table: Table, devices: list[Device], every: dict[str, Searcher], seeds: int) -> Results:
    """Every searcher on every device, limit and seed."""
    results: Results = defaultdict(list)
    for name, searcher in every.items():
        for device in devices:
            for quantile, limit in zip(QUANTILES, device.limits, strict=True):
                for seed in range(seeds):
                    found = searcher(device, limit, seed)
                    result = judge(table, device, limit, found)
                    results[name, device.name, quantile].append(result)
    return results


def shares(table: Table, device: Device, rows: list[int]) -> float:
    """Hypervolume of rows over that of the true front, up to the largest limit (fraction)."""
    usable = np.flatnonzero(device.usable)
    floor = float(np.median(table.cifar10))
    on = usable[front(device.latency[usable], table.cifar10[usable])]
    found, true = (
        hypervolume(device.latency[at], table.cifar10[at], device.limits[-1], floor)
        for at in (np.array(rows), on)
    )
    return found / true


def searcher_figures(
    table: Table, devices: list[Device], results: Results, name: str, seeds: int
) -> list[Figure]:
    """A searcher's regrets by device and limit, its fronts, and what it spent."""
    cells = {(d.name, q): results[name, d.name, q] for d in devices for q in QUANTILES}
    regrets = {key: np.array([r.regret for r in value]) for key, value in cells.items()}
    means = {key: float(value.mean()) for key, value in regrets.items()}
    runs = [r for value in cells.values() for r in value]
    n, met = len(runs), sum(mean <= WITHIN for mean in means.values())
    found = [
        figure(f"{name}: largest mean regret", max(means.values()), "% points", n, at_most=WITHIN),
        figure(f"{name}: limits with mean regret within 1", met, f"of {len(means)}", n),
        figure(f"{name}: runs within 1", float(np.mean([r.regret <= WITHIN for r in runs])),
               "share", n),
        figure(f"{name}: trainings a limit", float(np.mean([r.trainings for r in runs])), "", n),
        figure(f"{name}: measurements a limit besides {SAMPLES}",
               float(np.mean([r.measurements for r in runs])), "", n),
    ]  # fmt: skip
    for device in devices:
        volumes = [
            shares(table, device, [cells[device.name, q][seed].row for q in QUANTILES])
            for seed in range(seeds)
        ]
        found.append(figure(f"{name}: hypervolume on {device.name}", float(np.mean(volumes)),
                            "of the true front's", seeds))  # fmt: skip
    found += [
        figure(f"{name}: regret on {device} at {100 * q:.0f} %", value, "% points", seeds)
        for (device, q), value in means.items()
    ]
    return found


def context_figures(
    table: Table, devices: list[Device], proxies: dict[str, Remembered], quick: bool
) -> list[Figure]:
    """What there is to work with: predictors, signals, and the best that five cells can do."""
    found = []
    for device in devices:
        u = device.usable
        error = float(np.abs(device.predicted / device.latency - 1)[u].mean())
        rho = float(spearmanr(device.predicted[u], device.latency[u]).statistic)
        best = [best_under(table, device, limit) for limit in device.limits]
        found += [
            figure(f"{PREDICTOR} on {device.name}", error, "MAPE", int(u.sum())),
            figure(f"{PREDICTOR} on {device.name}", rho, "Spearman", int(u.sum())),
            figure(f"best cell of each limit: hypervolume on {device.name}",
                   shares(table, device, best), "of the true front's", len(best)),
        ]  # fmt: skip
        found += [
            figure(f"best accuracy on {device.name} at {100 * q:.0f} % = {1e3 * limit:.3g} ms",
                   float(table.cifar10[row]), "%", 1)
            for q, limit, row in zip(QUANTILES, device.limits, best, strict=True)
        ]  # fmt: skip
    rows = np.random.default_rng(1).choice(len(table.cells), 60 if quick else CORRELATION_ROWS,
                                           replace=False)  # fmt: skip
    signals = {
        name: np.array([max(score(table.cells[i]), -1e9) for i in rows])
        for name, score in proxies.items()
    }
    signals["a bought training (CIFAR-100)"] = table.cifar100[rows]
    signals["parameters"] = np.array([SPACE.build(table.cells[i]).parameters for i in rows])
    for name, values in signals.items():
        rho = float(spearmanr(values, table.cifar10[rows]).statistic)
        found.append(figure(f"{name} against CIFAR-10", rho, "Spearman", len(rows)))
    return found


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All searchers; ``quick`` is one device, one seed and small budgets."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    folder = data_folder() if arguments.data is None else arguments.data
    table = load_table(folder)
    seeds = 1 if quick else arguments.seeds
    devices = [
        load_device(folder, table, name, SAMPLES, PREDICTOR)
        for name in DEVICES[: 1 if quick else None]
    ]
    proxies = training_free(folder)
    found = context_figures(table, devices, proxies, quick)
    every = searchers(table, proxies, quick)
    results = run_all(table, devices, every, seeds)
    for name in every:
        found += searcher_figures(table, devices, results, name, seeds)
    found += [
        figure(f"{name}: CPU seconds a score", score.seconds / len(score), "s", len(score))
        for name, score in proxies.items()
    ]
    if arguments.plot is not None:
        at = {
            name: {d.name: [results[name, d.name, q][0].row for q in QUANTILES] for d in devices}
            for name in every
        }
        draw(arguments.plot, table, devices, at)
    return Outcome(found)


def options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own."""
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the fronts there (PNG)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of every searcher (default 5)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="in place of shared/data")


if __name__ == "__main__":
    main("Search on all of NAS-Bench-201", benchmark, options)
