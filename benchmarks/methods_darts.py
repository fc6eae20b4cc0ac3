"""Methods in DARTS' space under a limit: accuracy, measured latency and size of what they find.

Two spaces: pairs of inputs as published, and any number of inputs a node. In each a sample is
measured on ONNX Runtime and predicted by ``ridge-counts`` (the gradient) and ``ridge-layers`` (the
judge). Every method searches for 65 % of its sample's median latency, from several seeds, and what
it finds is trained from that seed and measured in the end. Seeds are added to a file, so that the
table can be made of those of several days.

TopoNAS is DARTS with topology variables in the space of any number of inputs. Both limits are the
lower one of the two spaces', in milliseconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Figure, figure
from methods_statistics import compared, told
from published import data_folder
from side_by_side import run_side_by_side

from latbench.api import measure
from latbench.device import machine_profile
from latbench.experiment.goals import make_goals
from latbench.experiment.parallel import run_sweep
from latbench.experiment.result_files import load_result
from latbench.experiment.sweep import FittedModel, Sweep, result_path
from latbench.experiment.verification import conditions_of, verify
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.progress import Bars
from latbench.results import SearchResult
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.images.images import load_images
from latbench.search.training.train import train
from latbench.spaces import AnySpace, darts

SHARE = 0.65  # of the median latency
LEAST = 70.0  # % of the test images, of the reference
REFERENCE = "DARTS_V2"  # the published network, trained in the same way without a limit
SIZE = {"channels": 16, "cells": 5, "resolution": 24}
SMALL = {"channels": 4, "cells": 3, "resolution": 8}
SEARCH = SearchConfig(
    epochs=3, channels=4, cells=3, alpha_learning_rate=0.03, topology_warmup_epochs=0
)
TRAIN = TrainConfig(epochs=14, batch=64, learning_rate=0.1, weight_decay=5e-4)
TOPOLOGY = {"topology": "any", "topology_warmup_epochs": 1}
# (space, settings) by the method's name.
METHODS = {
    "DARTS": ("pairs", {"method": "darts"}),
    "TopoNAS (DARTS)": ("any", {"method": "darts", **TOPOLOGY}),
    "GDAS": ("pairs", {"method": "gdas"}),
    "MSG-DAS, K = 2": ("pairs", {"method": "msg-das"}),
}

Floats = npt.NDArray[np.float64]


def spaces(quick: bool) -> dict[str, AnySpace]:
    """The spaces by their names here."""
    size = SMALL if quick else SIZE
    return {"pairs": darts(**size), "any": darts(**size, least_inputs=1, most_inputs=5)}


def fitted(space: AnySpace, folder: Path, n: int) -> tuple[FittedModel, float, float]:
    """The predictors of a space, the median latency (s) of its sample, and the noise floor."""
    folder.mkdir(parents=True, exist_ok=True)
    with measure(space, "onnxruntime", n=n, store=folder / "sample.sqlite") as store:
        data = store.dataset()
    for name in ("ridge-counts", "ridge-layers"):
        LatencyModel.fit(data, make_predictor(name)).save(folder / name)
    median = float(np.median(data.values))
    model = FittedModel(str(folder / "ridge-counts"), median, str(folder / "ridge-layers"))
    return model, median, data.noise_floor or 0.0


def swept(name: str, model: FittedModel, limit: float, seed: int, quick: bool) -> Sweep:
    """The sweep of a method's one search from a seed."""
    settings = replace(SEARCH, seed=seed, **METHODS[name][1])
    training = replace(TRAIN, seed=seed)
    if quick:
        settings = replace(settings, epochs=2, batch=16, channels=4, cells=3)
        training = replace(training, epochs=1)
    goals = make_goals([("onnxruntime",)], [], {"onnxruntime": [f"{1e3 * limit:.6g}ms"]})
    return Sweep(
        {"onnxruntime": model}, tuple(goals), str(data_folder() / "cifar10_10k_2k.npz"),
        128 if quick else 0, settings, training,
    )  # fmt: skip


def run_child(folder: Path, quick: bool) -> None:
    """Runs what a folder is for, on one core and in a process of its own: the sweep that is in it,
    or the training of the reference."""
    if folder.name == REFERENCE:
        train_reference(folder, quick)
        return
    sweep = Sweep.read(folder)
    run_sweep(sweep, sweep.task(), folder, Bars())


def measured(folder: Path) -> SearchResult:
    """The result in a folder whose sweep has run, measured."""
    sweep, bars = Sweep.read(folder), Bars()
    task = sweep.task()
    paths = [result_path(folder, goal) for goal in sweep.goals]
    conditions = conditions_of({"onnxruntime": task.priced["onnxruntime"].model})
    verify(paths, task.space, conditions, folder / "found.sqlite", bars)
    return load_result(paths[0])


def _known(name: str, run: SearchResult) -> tuple[float, float, float]:
    """Accuracy (%), parameters (thousands) and measured latency (s) of what was found."""
    if run.accuracy is None or run.parameters is None or run.measured is None:
        raise SystemExit(f"{name}: {run.label} is not finished; delete its folder")
    return 100 * run.accuracy, run.parameters / 1e3, run.measured


def train_reference(folder: Path, quick: bool) -> None:
    """Trains the reference from one seed, and keeps its accuracy (%) in a file."""
    config = replace(TRAIN, epochs=1) if quick else TRAIN
    if (folder / "accuracy.json").exists():
        if json.loads((folder / "accuracy.json").read_text())["config"] != asdict(config):
            raise SystemExit(f"{folder} is of other settings; delete it, or give another --out")
        return
    space = spaces(quick)["pairs"]
    data = load_images(
        str(data_folder() / "cifar10_10k_2k.npz"), space.config.resolution, 128 if quick else None
    )
    found = train(space.build(space.parse(REFERENCE)), data, config, directory=folder)
    kept = {"config": asdict(config), "accuracy": 100 * found.test_accuracy}
    (folder / "accuracy.json").write_text(json.dumps(kept))


def run_seeds(out: Path, seeds: Sequence[int], quick: bool, runs: Path) -> None:
    """Searches by all methods from seeds, trains and measures what is found, and adds each seed to
    a file."""
    known = {
        name: fitted(space, out / name, 24 if quick else 120)
        for name, space in spaces(quick).items()
    }
    limit = SHARE * min(median for _, median, _ in known.values())
    folders = {
        (name, seed): out / re.sub(r"[^\w-]+", "-", f"{name} {seed}")
        for seed in seeds for name in METHODS
    }  # fmt: skip
    for (name, seed), folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        swept(name, known[METHODS[name][0]][0], limit, seed, quick).write(folder)
    run_side_by_side("methods.py", "{}", [out / REFERENCE, *folders.values()], quick)
    reference = json.loads((out / REFERENCE / "accuracy.json").read_text())["accuracy"]
    found: dict[str, Any] = json.loads(runs.read_text()) if runs.exists() else {}
    for seed in seeds:
        of = {name: _known(name, measured(folders[name, seed])) for name in METHODS}
        found[str(seed)] = {
            "settings": settings(quick), "date": time.strftime("%Y-%m-%d"),
            "cpu": machine_profile()["cpu"], "limit_ms": 1e3 * limit,
            "noise_floor": max(floor for _, _, floor in known.values()), "reference": reference,
            "methods": {
                name: {"accuracy": accuracy, "kparameters": size, "over_limit": seconds / limit}
                for name, (accuracy, size, seconds) in of.items()
            },
        }  # fmt: skip
    runs.write_text(json.dumps(found, indent=1) + "\n")


def settings(quick: bool) -> list[Any]:
    """What every seed of one table has in common."""
    return json.loads(json.dumps([SHARE, SMALL if quick else SIZE, asdict(SEARCH), asdict(TRAIN)]))


def figures(runs: Path, quick: bool) -> tuple[list[Figure], float]:
    """All methods from all seeds that a file has, each from one machine and held by its own limit.

    Stops where they are of other settings.
    """
    if not runs.exists():
        raise SystemExit(f"{runs} has no seed yet; add one by --darts-seed 0")
    found: dict[str, Any] = json.loads(runs.read_text())
    if other := [seed for seed, of in found.items() if of["settings"] != settings(quick)]:
        raise SystemExit(f"{runs} has seeds of other settings: {', '.join(other)}; delete them")
    shown, accuracy, parameters = list[Figure](), dict[str, Floats](), dict[str, Floats]()
    for name in METHODS:
        each = [of["methods"][name] for of in found.values()]
        accuracy[name] = np.array([one["accuracy"] for one in each])
        parameters[name] = np.array([one["kparameters"] for one in each])
        shown += told(f"{name}: accuracy", accuracy[name], "%")
        over = np.array([one["over_limit"] for one in each])
        shown += told(f"{name}: measured latency over the limit", over, "x")
        shown += told(f"{name}: parameters", parameters[name], "k")
    reference = min(of["reference"] for of in found.values())
    shown.append(figure(f"{REFERENCE}, no limit: accuracy, the scale that is asked for", reference,
                        "%", 1, at_least=LEAST))  # fmt: skip
    shown += compared({n: accuracy[n] for n in ("GDAS", "MSG-DAS, K = 2")}, "GDAS", "% points")
    behind = float(accuracy["MSG-DAS, K = 2"].mean() - accuracy["GDAS"].mean())
    shown.append(figure("MSG-DAS, K = 2, not behind GDAS on the mean", behind, "% points",
                        len(found), at_least=0.0))  # fmt: skip
    of = ("DARTS", "TopoNAS (DARTS)")
    shown += compared({n: parameters[n] for n in of}, "DARTS", "k parameters")
    ratio = float(parameters[of[1]].mean() / parameters[of[0]].mean())
    shown.append(figure("TopoNAS (DARTS, any number of inputs): parameters over DARTS (two)",
                        ratio, "x", len(found), at_most=1.0))  # fmt: skip
    shown += compared({n: accuracy[n] for n in of}, "DARTS", "% points")
    return shown, max(of["noise_floor"] for of in found.values())
