"""What groups of weights cost in accuracy, and what they gain in measured latency.

A residual network (ResNet-8 of 32, 64 and 128 channels, 24 x 24 pixels) is trained on 10,000 images
of CIFAR-10 from each seed. Then it is trained on as it is (the reference of every difference), and
pruned for as many epochs to several shares of its latency on ``simd-sparse``, by the table of its
layers alone, and in channels to shares of its latency on ONNX Runtime, by a predictor of widths. In
the end the networks of all seeds and the dense one on ONNX Runtime are timed in
turns. Seeds add up: each is kept in a file with its settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from harness import Figure, figure
from methods_statistics import told
from published import data_folder
from scipy import stats
from side_by_side import run_side_by_side

from latbench.api import measure
from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign.group_tables import GroupTable, measure_table
from latbench.device import machine_profile
from latbench.models import Model, read_model, save_model
from latbench.networks.blocks import RELU, classifier
from latbench.networks.mobile_blocks import conv_bn_act
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.residual_blocks import basic_block
from latbench.networks.weights import make_weights
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search.config import TrainConfig
from latbench.search.images.images import ImageData, load_images
from latbench.search.pruning.prune import Budget, PruneConfig, prune
from latbench.search.pruning.sparsify import GroupBudget, SparsifyConfig, sparsify
from latbench.search.training.train import train
from latbench.spaces import SPACES, make_space
from latbench.store import Store

BASE = TrainConfig(epochs=16, batch=64, learning_rate=0.1, weight_decay=5e-4)
AFTER = TrainConfig(epochs=10, batch=64, learning_rate=0.05, weight_decay=5e-4)
LEAST, AT_MOST = 70.0, 1.0  # % of the test images; % points below the dense network
SPEED_UP = 3.0
# What is pruned, by its name: the share of the latency, and the settings.
CASES: dict[str, tuple[float, SparsifyConfig]] = {
    "magnitude, a half": (1 / 2, SparsifyConfig(rounds=3)),
    "magnitude, a third": (1 / 3, SparsifyConfig(rounds=3)),
    "magnitude, a quarter": (1 / 4, SparsifyConfig(rounds=3)),
    "at once, a third": (1 / 3, SparsifyConfig(rounds=1)),
    "ADMM, a third": (1 / 3, SparsifyConfig("admm", rounds=4)),
}
# Channels that are pruned, by the name of the case: the share of the latency on ONNX Runtime.
CHANNELS = {"channels, a half": 1 / 2, "channels, a third": 1 / 3, "channels, a quarter": 1 / 4}
BESIDE = "magnitude, a third"  # what channels are compared with at its accuracy
FASTER = 1.7
Floats = npt.NDArray[np.float64]


def residual_network(blocks: int, resolution: int, images: int = 1) -> Network:
    """A CIFAR ResNet (He et al., 2015, section 4.2) of twice its published widths: 32, 64 and 128
    channels, so many basic blocks of each; ResNet-8 has one and ResNet-20 three."""
    b = NetworkBuilder((images, 3, resolution, resolution))
    x = conv_bn_act(b, b.input, 32, 3, 1, RELU)
    for stage, width in enumerate((32, 64, 128)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            x = basic_block(b, x, width, stride, projected=stride == 2)
    return b.build(classifier(b, x, 10))


def _data(quick: bool) -> ImageData:
    path = str(data_folder() / "cifar10_10k_2k.npz")
    return load_images(path, 8 if quick else 24, 128 if quick else None)


def _configs(seed: int, quick: bool) -> tuple[TrainConfig, TrainConfig]:
    epochs = (1, 5) if quick else (BASE.epochs, AFTER.epochs)
    return replace(BASE, seed=seed, epochs=epochs[0]), replace(AFTER, seed=seed, epochs=epochs[1])


def settings(quick: bool) -> list[Any]:
    """What every seed of one table has in common."""
    cases = {name: (share, asdict(config)) for name, (share, config) in CASES.items()}
    return json.loads(json.dumps([quick, asdict(BASE), asdict(AFTER), cases, CHANNELS]))


def check_settings(found: dict[str, Any], runs: Path, quick: bool) -> None:
    """Stops where a file has seeds of other settings."""
    if other := [seed for seed, of in found.items() if of["settings"] != settings(quick)]:
        raise SystemExit(f"{runs} has seeds of other settings: {', '.join(other)}; delete them")


def run_child(folder: Path, quick: bool) -> None:
    """Trains and prunes the network of one seed, in a process of its own; what was finished is
    kept."""
    torch.set_num_threads(1)
    seed, data = int(folder.name.rpartition("-")[2]), _data(quick)
    base, after = _configs(seed, quick)
    network = residual_network(1, data.train_images.shape[2])
    dense = train(network, data, base, directory=folder / "base")
    model = Model("dense", network, dense.weights)
    save_model(model, folder / "dense")
    on = train(network, data, after, directory=folder / "on", weights=dense.weights)
    accuracy = {"before": dense.test_accuracy, "dense": on.test_accuracy}
    table = table_in(folder.parent, network).latency
    space: Any = make_space("widths", _widths(folder.parent))
    widths = LatencyModel.load(folder.parent / "widths")
    whole = float(widths.predict([space.reference()])[0])
    for name, share in CHANNELS.items():
        budget = Budget(widths.predict, "widths", whole, share * whole)
        place = folder / _name(name)
        pruned, steps = prune(space, model, data, budget, PruneConfig(), after, directory=place)
        accuracy[name] = steps[-1].accuracy
        save_model(pruned, place / "model")
    for name, (share, config) in CASES.items():
        budget = GroupBudget(table, 16, share * table.whole)
        place = folder / _name(name)
        pruned, rounds = sparsify(model, data, budget, config, after, directory=place)
        accuracy[name] = rounds[-1].accuracy
        save_model(Model(name, network, pruned.weights), place / "model")
    (folder / "accuracy.json").write_text(json.dumps(accuracy))


def _name(case: str) -> str:
    """The folder of a case."""
    return case.replace(", ", "-").replace(" ", "-")


def _widths(out: Path) -> dict[str, Any]:
    """The settings of the space of all widths of the network."""
    return {"model": str(out / "shape"), "step": 8, "least": 12}


def fit_widths(out: Path, network: Network, quick: bool) -> None:
    """Measures networks of other widths on ONNX Runtime, and fits a predictor on them."""
    if not (out / "shape").exists():
        save_model(Model("shape", network, make_weights(network)), out / "shape")
    space = make_space("widths", _widths(out))
    n = 24 if quick else 100
    with measure(space, "onnxruntime", n=n, store=out / "widths.sqlite") as store:
        data = store.dataset()
    if not (out / "widths").exists():
        LatencyModel.fit(data, make_predictor("ridge-layers")).save(out / "widths")


def table_in(folder: Path, network: Network) -> GroupTable:
    """The latency table of a network in a folder's store, measured where it is not there yet."""
    with Store(folder / "tables.sqlite", make_space(SPACES[0])) as store:
        return measure_table(store, SimdSparse(), Model("dense", network), held_out=0)


def run_seeds(out: Path, seeds: Sequence[int], quick: bool, runs: Path) -> None:
    """Trains and prunes from seeds, times what is left, and adds each seed to a file."""
    from pruning import engine_run, in_turns, onnx_run, tenth

    from latbench.sparse.running import SparseNetwork

    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = json.loads(runs.read_text()) if runs.exists() else {}
    check_settings(found, runs, quick)
    network = residual_network(1, 8 if quick else 24)
    fit_widths(out, network, quick)
    tiles = table_in(out, network).tiles.array()
    folders = [out / f"seed-{seed}" for seed in seeds]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    run_side_by_side("pruning.py", "{}", folders, quick)
    for seed, folder in zip(seeds, folders, strict=True):
        accuracy = json.loads((folder / "accuracy.json").read_text())
        models = {"dense": read_model(folder / "dense")}
        for name in CASES:
            models[name] = read_model(folder / _name(name) / "model")
        loaded = {n: SparseNetwork(m.network, m.arrays) for n, m in models.items()}
        for engine in loaded.values():
            engine.tiles = tiles
        turns = {name: engine_run(loaded[name], models[name]) for name in models}
        for name in CHANNELS:  # on the faster of both
            narrow = read_model(folder / _name(name) / "model")
            own = SparseNetwork(narrow.network, narrow.arrays)
            own.tune()
            turns |= {name: onnx_run(narrow), f"{name}, simd-sparse": engine_run(own, narrow)}
        times = in_turns({**turns, "onnxruntime": onnx_run(models["dense"])}, 20 if quick else 400)
        found[str(seed)] = {
            "settings": settings(quick), "date": time.strftime("%Y-%m-%d"),
            "cpu": machine_profile()["cpu"], "register": loaded["dense"].register,
            "accuracy": accuracy, "ms": {n: 1e3 * median(of) for n, of in times.items()},
            "fastest_ms": {n: 1e3 * tenth(of) for n, of in times.items()},
        }  # fmt: skip
    runs.write_text(json.dumps(found, indent=1) + "\n")


def figures(runs: Path, quick: bool) -> list[Figure]:
    """The losses and gains of all seeds that a file has. Stops where they are of other settings."""
    if not runs.exists():
        raise SystemExit(f"{runs} has no seed yet; add one by --seed 0")
    found: dict[str, Any] = json.loads(runs.read_text())
    check_settings(found, runs, quick)
    every = list(found.values())
    dense = np.array([100 * of["accuracy"]["dense"] for of in every])
    shown = told("dense, trained on: accuracy", dense, "%")
    before = float(np.mean([100 * of["accuracy"]["before"] for of in every]))
    shown.append(
        figure("dense: accuracy, the scale that is asked for", before, "%", len(every),
               at_least=LEAST)
    )  # fmt: skip
    good = []
    for name in CASES:
        own = np.array([100 * of["accuracy"][name] for of in every])
        faster = np.array([of["ms"]["onnxruntime"] / of["ms"][name] for of in every])
        own_dense = np.array([of["ms"]["dense"] / of["ms"][name] for of in every])
        shown += told(f"{name}: accuracy", own, "%")
        shown += _paired(f"{name}: below the dense network", dense - own)
        shown += told(f"{name}: over dense ONNX Runtime", faster, "x")
        shown += told(f"{name}: over the dense network on simd-sparse", own_dense, "x")
        if (dense - own).mean() <= AT_MOST:
            good.append(float(faster.mean()))
    for name in CHANNELS:
        own = np.array([100 * of["accuracy"][name] for of in every])
        shown += told(f"{name}: accuracy", own, "%")
        shown += _paired(f"{name}: below the dense network", dense - own)
        faster = np.array([of["ms"]["onnxruntime"] / _fastest(of["ms"], name) for of in every])
        shown += told(f"{name}: over dense ONNX Runtime", faster, "x")
    shown.append(
        figure(f"{BESIDE}: over channels of equal accuracy", _over_channels(every), "x",
               len(every), at_least=FASTER)
    )  # fmt: skip
    third = [np.array([100 * of["accuracy"][f"{m}, a third"] for of in every])
             for m in ("ADMM", "magnitude")]  # fmt: skip
    shown += _paired("ADMM over magnitude, a third", third[0] - third[1])
    shown.append(
        figure("speed-up at a mean loss of at most 1 point", max(good, default=1.0), "x",
               len(every), at_least=SPEED_UP)
    )  # fmt: skip
    return shown


def _fastest(ms: dict[str, float], channels: str) -> float:
    """What a network of fewer channels takes on the faster runtime."""
    return min(ms[channels], ms[f"{channels}, simd-sparse"])


def _over_channels(every: list[dict[str, Any]]) -> float:
    """How many times as fast groups are as channels that lose as much on the mean over the seeds:
    between two shares the latency of channels is drawn as a line over what is lost."""

    def lost(case: str) -> float:
        return float(np.mean([of["accuracy"]["dense"] - of["accuracy"][case] for of in every]))

    def takes(case: str) -> float:
        return float(np.mean([_fastest(of["ms"], case) for of in every]))

    whole = [min(of["ms"]["onnxruntime"], of["ms"]["dense"]) for of in every]
    points = [(0.0, float(np.mean(whole))), *((lost(case), takes(case)) for case in CHANNELS)]
    losses, latencies = zip(*sorted(points), strict=True)
    own = float(np.mean([of["ms"][BESIDE] for of in every]))
    return float(np.interp(lost(BESIDE), losses, latencies)) / own


def _paired(name: str, differences: Floats) -> list[Figure]:
    """The mean of paired differences, and the ends of its 95 % interval."""
    n = len(differences)
    rows = [figure(name, float(differences.mean()), "% points", n)]
    if n > 1:
        half = float(stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))
        rows += [
            figure(f"{name}, low end", rows[0].value - half, "% points", n),
            figure(f"{name}, high end", rows[0].value + half, "% points", n),
        ]
    return rows
