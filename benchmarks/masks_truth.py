"""Widths where the truth is known: every combination of a tiny network, trained from three seeds.

81 residual networks of four stages, three widths a stage, on a half of the images at 16 pixels. A
search sees none of their accuracies. Every one is measured on ONNX Runtime, the limit is their
median latency, and a search pays by ``ridge-layers`` fitted to the measurements. Regret: how far
the mean accuracy of what is found, over the grid's seeds, is below the best that keeps the limit.

Beside it: random search with as many trainings as a search takes time for, each from one seed, of
networks that keep the limit; and what one seed's grid would have chosen, judged by another's.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import Figure, figure
from methods_statistics import told
from published import data_folder

from latbench.api import measure
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.images.images import ImageData, load_images
from latbench.search.loop import search
from latbench.search.penalty import LatencyPenalty
from latbench.search.training.train import train
from latbench.spaces import AnySpace, make_space

GRID_SEEDS = 3
REPEATS = 2000  # of random search
TRAIN = TrainConfig(epochs=8, batch=64, learning_rate=0.1, weight_decay=5e-4)
# The schedules of the paper over fewer epochs: a warm-up of a ninth, and a faster theta.
SEARCH = SearchConfig(
    method="dmasking", epochs=27, warmup_epochs=3, batch=64, learning_rate=0.1, weight_decay=1e-4,
    alpha_learning_rate=0.02, alpha_weight_decay=5e-4,
)  # fmt: skip

Floats = npt.NDArray[np.float64]


def grid(quick: bool) -> AnySpace:
    """The space of all combinations."""
    widths, shares = ((16, 32), (50, 100)) if quick else ((32, 64, 64, 64), (25, 50, 100))
    settings = {"stem": "cifar", "depths": (1,), "classes": 10, "resolution": 16}
    return make_space("resnet", {**settings, "widths": widths, "shares": shares})


def _images(quick: bool) -> ImageData:
    return load_images(str(data_folder() / "cifar10_10k_2k.npz"), 16, 256 if quick else 5000)


def trained(space: AnySpace, data: ImageData, folder: Path, quick: bool) -> tuple[Floats, float]:
    """The accuracy of every combination from every seed, ``(seeds, combinations)`` in %, and the
    mean seconds of a training; those that a file has are not trained again."""
    path, known = folder / "grid.jsonl", dict[tuple[int, int], tuple[float, float]]()
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            known[row["seed"], row["rank"]] = (row["accuracy"], row["seconds"])
    config = replace(TRAIN, epochs=1) if quick else TRAIN
    with path.open("a") as out:
        for seed in range(GRID_SEEDS):
            for rank in range(space.size):
                if (seed, rank) in known:
                    continue
                start = time.perf_counter()
                found = train(space.build(space.unrank(rank)), data, replace(config, seed=seed))
                known[seed, rank] = (100 * found.test_accuracy, time.perf_counter() - start)
                accuracy, seconds = known[seed, rank]
                row = {"seed": seed, "rank": rank, "accuracy": accuracy, "seconds": seconds}
                out.write(json.dumps(row) + "\n")
                out.flush()
    table = np.array([
        [known[seed, rank][0] for rank in range(space.size)] for seed in range(GRID_SEEDS)
    ])  # fmt: skip
    return table, float(np.mean([seconds for _, seconds in known.values()]))


def figures(out: Path, seeds: int, quick: bool) -> tuple[list[Figure], float]:
    """The regrets, and the noise floor of the latencies."""
    out.mkdir(parents=True, exist_ok=True)
    space, data = grid(quick), _images(quick)
    every = [space.unrank(rank) for rank in range(space.size)]
    with measure(space, "onnxruntime", n=space.size, store=out / "grid.sqlite") as store:
        measured = store.dataset()
    latency = {str(a): v for a, v in zip(measured.architectures, measured.values, strict=True)}
    limit = float(np.median(measured.values))
    kept = np.array([latency[str(a)] <= limit for a in every])
    model = LatencyModel.fit(measured, make_predictor("ridge-layers"))
    accuracy, seconds = trained(space, data, out, quick)
    mean = accuracy.mean(axis=0)
    best = float(mean[kept].max())
    settings = replace(SEARCH, epochs=2, warmup_epochs=1) if quick else SEARCH
    regrets, over, took = list[float](), list[float](), list[float]()
    for seed in range(seeds):
        config = replace(settings, seed=seed, target=limit)
        start = time.perf_counter()
        found = search(
            space, data, config, LatencyPenalty.of(model, config), directory=out / f"search-{seed}"
        )
        if found.resumed_from == 0:
            took.append(time.perf_counter() - start)
        regrets.append(best - float(mean[space.rank(found.architecture)]))
        over.append(latency[str(found.architecture)] / limit)
    cost = float(np.mean(took)) / seconds if took else float("nan")
    trainings = 1 if np.isnan(cost) else max(1, round(cost))
    shown = told("dmasking: regret", np.array(regrets), "% points")
    shown += told("dmasking: measured latency over the limit", np.array(over), "x")
    shown.append(figure("dmasking: time of a search", cost, "trainings", len(took)))
    shown += told(f"random search of {trainings} trainings: regret",
                  _random(accuracy, kept, trainings), "% points")  # fmt: skip
    shown += told("one seed's grid, judged by another's: regret", _grids(accuracy, kept),
                  "% points")  # fmt: skip
    shown += told("a random network that keeps the limit: regret", best - mean[kept], "% points")
    spread = float(accuracy.std(axis=0, ddof=1).mean())
    shown += [
        figure("the grid: best mean accuracy that keeps the limit", best, "%", GRID_SEEDS),
        figure("the grid: best mean accuracy at all", float(mean.max()), "%", GRID_SEEDS),
        figure("the grid: standard deviation of a seed", spread, "% points", GRID_SEEDS),
    ]
    return shown, measured.noise_floor or 0.0


def _random(accuracy: Floats, kept: npt.NDArray[np.bool_], trainings: int) -> Floats:
    """Regrets of random search: the best of so many trainings, judged by the mean."""
    rng, mean, found = np.random.default_rng(0), accuracy.mean(axis=0), []
    places = np.flatnonzero(kept)
    for _ in range(REPEATS):
        drawn = rng.choice(places, min(trainings, len(places)), replace=False)
        seen = accuracy[rng.integers(len(accuracy), size=len(drawn)), drawn]
        found.append(mean[places].max() - mean[drawn[seen.argmax()]])
    return np.array(found)


def _grids(accuracy: Floats, kept: npt.NDArray[np.bool_]) -> Floats:
    """Regrets of the choice of one seed's grid in that of another seed."""
    places, found = np.flatnonzero(kept), []
    for i, own in enumerate(accuracy):
        choice = places[own[places].argmax()]
        found += [o[places].max() - o[choice] for j, o in enumerate(accuracy) if j != i]
    return np.array(found)
