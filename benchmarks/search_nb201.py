"""Latency-aware search on all of NAS-Bench-201, where the best answer is known.

Each searcher gets a predictor fitted on measurements of a device and a latency limit, and a signal
of accuracy that it could really have. What it finds is looked up: measured latency, and CIFAR-10
test accuracy at 200 epochs, which no searcher reads. ``regret`` is how far that accuracy is below
the best that the table has within the limit.

Signals, and what they cost: NASWOT and SynFlow on untrained networks (CPU seconds); a supernet's
weights (CPU minutes, once, see ``nb201_supernet``), for one-shot scores and the differentiable
search; trainings that are bought from the table, one an architecture. The table at hand has test
splits only, so a bought training tells the cell's CIFAR-100 accuracy: another task than the one
that judges. One row, which says so, reads the judging split itself, to show what that makes of a
difference.

A search goes beyond the limit by twice the predictor's cross-validated error, because what it
finds is measured (looked up): candidates from the best score down until one is within the limit, or
before each training, and none over the limit is trained. These measurements count besides the
predictor's. ``+ 20 trainings``: the first 20 candidates within the limit are trained. A model of
accuracy (GP) is fitted on 200 random trainings, which serve all limits and devices and are counted
at each.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from harness import Figure, Outcome, figure, main
from nb201_searchers import (
    DIFFERENTIABLE,
    Result,
    Searcher,
    Timed,
    judge,
    searchers,
    training_free,
)
from nb201_supernet import Budget, TrainedSupernet, differentiable
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

from latbench.search.images.images import load_images
from latbench.spaces import nasbench201

# Measured end to end, of three kinds: a GPU, a server CPU, a telephone (in whole milliseconds).
DEVICES = ("1080ti_1", "silver_4114", "pixel2")
PREDICTOR, SAMPLES = "ridge-one-hot", 200
WITHIN = 1.0  # percentage points
CORRELATION_ROWS = 300

# (searcher, device, quantile) to one result a seed
Results = dict[tuple[str, str, float], list[Result]]


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
    table: Table, devices: list[Device], results: Results, name: str
) -> list[Figure]:
    """A searcher's regrets by device and limit, its fronts, and what it spent."""
    cells = {(d.name, q): results[name, d.name, q] for d in devices for q in QUANTILES}
    regrets = {key: np.array([r.regret for r in value]) for key, value in cells.items()}
    means = {key: float(value.mean()) for key, value in regrets.items()}
    runs = [r for value in cells.values() for r in value]
    seeds = len(runs) // len(cells)
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
    table: Table, devices: list[Device], scores: dict[str, Timed], quick: bool
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
    rows = np.random.default_rng(1).choice(len(table.cells), 40 if quick else CORRELATION_ROWS,
                                           replace=False)  # fmt: skip
    signals = {
        name: np.array([max(score(table.cells[i]), -1e9) for i in rows])
        for name, score in scores.items()
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
    with tempfile.TemporaryDirectory() as scratch:
        return _run(arguments, quick, arguments.scores or Path(scratch))


def _run(arguments: argparse.Namespace, quick: bool, scores: Path) -> Outcome:
    folder = data_folder() if arguments.data is None else arguments.data
    table = load_table(folder)
    seeds = 1 if quick else arguments.seeds
    names = DEVICES[: 1 if quick else None]
    devices = [load_device(folder, table, name, SAMPLES, PREDICTOR) for name in names]
    data = load_images(
        str(folder / "cifar10_10k_2k.npz"), resolution=16, limit=500 if quick else None
    )
    proxies = training_free(data, scores)
    budget = Budget(training=1, search=1, images=50) if quick else Budget()
    supernet = TrainedSupernet(nasbench201(resolution=16), data, scores, budget)
    one_shot = supernet.one_shot()
    signals = {**proxies, "one-shot": one_shot}
    found = context_figures(table, devices, signals, quick)
    gradient = differentiable(table, supernet)
    every = searchers(table, proxies, one_shot, gradient, quick)
    results = run_all(table, devices, every, seeds)
    for name in every:
        found += searcher_figures(table, devices, results, name)
    for name, score in signals.items():
        if n := score.remembered.computed:
            found.append(figure(f"{name}: CPU seconds a score", score.seconds / n, "s", n))
    if n := supernet.epochs:
        found.append(figure("supernet: CPU seconds of its training", supernet.seconds, "s", n))
    if taken := supernet.search_seconds:
        found.append(figure(f"{DIFFERENTIABLE}: CPU seconds a search", float(np.mean(taken)), "s",
                            len(taken)))  # fmt: skip
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
    parser.add_argument(
        "--scores", type=Path, metavar="FOLDER", help="keep scores there, to go on from later"
    )


if __name__ == "__main__":
    main("Search on all of NAS-Bench-201", benchmark, options)
