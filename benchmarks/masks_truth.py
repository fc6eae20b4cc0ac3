"""Widths where the truth is known: every combination of a tiny network, trained from three seeds.

81 residual networks of four stages, three widths a stage, on a half of the images at 16 pixels. A
search sees none of their accuracies. Every one is measured on ONNX Runtime, the limit is their
median latency, and a search pays by ``ridge-layers`` fitted to the measurements. Regret: how far
what is found is below what the grid of two seeds would have chosen, as a third judges it.

Beside it: random search with as many trainings as a search takes time for, each from one seed, of
networks that keep the limit; what one seed's grid would have chosen; and any network that keeps
it. Nothing is judged by a seed that chose it.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from itertools import combinations
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
# The schedules of the paper over 27 epochs instead of 90: a warm-up of a ninth, a temperature that
# ends as low (0.956 ** (90 / 27) an epoch), and a faster theta.
SEARCH = SearchConfig(
    method="dmasking(decay=0.861)", epochs=27, warmup_epochs=3, batch=64, learning_rate=0.1,
    weight_decay=1e-4, alpha_learning_rate=0.02, alpha_weight_decay=5e-4,
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
    seconds of the processor that a training takes; those that a file has are not trained again."""
    path, known = folder / "grid.jsonl", dict[tuple[int, int], float]()
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            known[row["seed"], row["rank"]] = row["accuracy"]
    config = replace(TRAIN, epochs=1) if quick else TRAIN
    with path.open("a") as out:
        for seed in range(GRID_SEEDS):
            for rank in range(space.size):
                if (seed, rank) in known:
                    continue
                found = train(space.build(space.unrank(rank)), data, replace(config, seed=seed))
                known[seed, rank] = 100 * found.test_accuracy
                row = {"seed": seed, "rank": rank, "accuracy": known[seed, rank]}
                out.write(json.dumps(row) + "\n")
                out.flush()
    table = np.array([
        [known[seed, rank] for rank in range(space.size)] for seed in range(GRID_SEEDS)
    ])  # fmt: skip
    start = time.process_time()
    train(space.build(space.reference()), data, config)
    return table, time.process_time() - start


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
    runs = [
        _searched(space, data, model, limit, out / f"search-{k}", k, quick) for k in range(seeds)
    ]
    ranks = [space.rank(space.parse(text)) for text, _ in runs]
    trainings = float(np.mean([took for _, took in runs])) / seconds
    budget = max(1, round(trainings))
    truth = _of_grids(accuracy, kept, GRID_SEEDS - 1)
    regret = {
        "dmasking": truth.mean() - mean[ranks],
        f"random search of {budget} trainings": truth.mean() - _random(accuracy, kept, budget),
        "one seed's grid": truth.mean() - _of_grids(accuracy, kept, 1),
        "a random network": truth.mean() - mean[kept],
    }
    shown = [
        f for name, values in regret.items() for f in told(f"{name}: regret", values, "% points")
    ]
    over = np.array([latency[str(every[rank])] / limit for rank in ranks])
    shown += told("dmasking: measured latency over the limit", over, "x")
    best = float(mean[kept].max())
    shown += [
        figure("dmasking: limits kept as measured", 100 * float((over <= 1).mean()), "%", seeds),
        figure("dmasking: time of a search", trainings, "trainings", seeds),
        figure("dmasking: below the best mean of the grid", float((best - mean[ranks]).mean()),
               "% points", seeds),
        figure("the grid of two seeds, judged by the third", float(truth.mean()), "%", len(truth)),
        figure("the grid: best mean accuracy that keeps the limit", best, "%", GRID_SEEDS),
        figure("the grid: best mean accuracy at all", float(mean.max()), "%", GRID_SEEDS),
        figure("the grid: standard deviation of a seed",
               float(accuracy.std(axis=0, ddof=1).mean()), "% points", GRID_SEEDS),
    ]  # fmt: skip
    return shown, measured.noise_floor or 0.0


def _searched(
    space: AnySpace, data: ImageData, model: LatencyModel, limit: float, folder: Path, seed: int,
    quick: bool,
) -> tuple[str, float]:  # fmt: skip
    """What a search from a seed finds, and the seconds that it took; kept in a file."""
    kept = folder / "found.json"
    if kept.exists():
        text, seconds = json.loads(kept.read_text())
        return text, seconds
    settings = replace(SEARCH, epochs=2, warmup_epochs=1) if quick else SEARCH
    config = replace(settings, seed=seed, target=limit)
    shutil.rmtree(folder, ignore_errors=True)  # of a search that goes on no time is known
    start = time.process_time()  # whatever runs beside it
    found = search(space, data, config, LatencyPenalty.of(model, config), directory=folder)
    seconds = time.process_time() - start
    kept.write_text(json.dumps([str(found.architecture), seconds]))
    return str(found.architecture), seconds


def _random(accuracy: Floats, kept: npt.NDArray[np.bool_], trainings: int) -> Floats:
    """The accuracies that random search finds: the best by one seed, judged by another."""
    rng, found, places = np.random.default_rng(0), [], np.flatnonzero(kept)
    for _ in range(REPEATS):
        drawn = rng.choice(places, min(trainings, len(places)), replace=False)
        chooses, judges = rng.permutation(len(accuracy))[:2]
        found.append(accuracy[judges, drawn[accuracy[chooses, drawn].argmax()]])
    return np.array(found)


def _of_grids(accuracy: Floats, kept: npt.NDArray[np.bool_], seeds: int) -> Floats:
    """The accuracies of what the grids of so many seeds choose, judged by each other seed."""
    places, found = np.flatnonzero(kept), []
    for judge in range(len(accuracy)):
        others = [k for k in range(len(accuracy)) if k != judge]
        for chosen in combinations(others, seeds):
            best = places[accuracy[list(chosen)].mean(axis=0)[places].argmax()]
            found.append(accuracy[judge, best])
    return np.array(found)
