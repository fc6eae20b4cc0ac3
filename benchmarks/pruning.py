"""Pruned networks on latbench's sparse engine: how fast they are, and how well that is predicted.

    python benchmarks/pruning.py [--part speed|tables|budgets|accuracy] [--seed N] [--out FOLDER]
        [--quick] [--json FILE]

**speed**: whole networks of which a share of the groups stays, at random, on ``simd-sparse``
against the dense network on ONNX Runtime, one thread, one image, all in one loop, medians: a CIFAR
ResNet-20 of 32, 64 and 128 channels, ResNet-18 and MobileNetV1 at 224 pixels. Targets differ for
AVX2 and AVX-512; where there is AVX-512, AVX2's code runs in the same loop. Beside the medians
stands the same of the fastest tenths, since another machine's work on the same core slows what
keeps its multipliers busy more than what waits for memory. Single weights at the same densities, by
the engine's kernel of their own, run in the same loop. Zeros alone on ONNX Runtime stand there,
too, and the largest difference of outputs from torch.

**tables**: the latency of networks of mixed densities as the table of their layers gives it, and
as they are measured, 16 of each network, in the campaign of the table (``latbench measure
--tables``); beside it the error of the sum of their own layers. And how much faster the networks
would be at each density if each layer had the better of two tiles: those that are the fastest at
density 1, and those at the table's.

**budgets**: how well three budgets of each network are kept, see ``pruning_budgets``.

**accuracy**: what pruning costs in accuracy, see ``pruning_accuracy``; ``--seed`` adds a seed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import pruning_accuracy
import pruning_budgets
import torch
from harness import Figure, Outcome, figure, main
from pruning_accuracy import residual_network

from latbench.backends.simd_sparse import SimdSparse
from latbench.campaign.group_tables import HELD_OUT, measure_table
from latbench.models import Model
from latbench.networks.network import Network
from latbench.networks.weights import make_weights
from latbench.spaces import SPACES, make_space
from latbench.sparse.groups import thinned
from latbench.sparse.latency_tables import TUNED_AT
from latbench.sparse.libraries import usable_sets
from latbench.sparse.running import SparseNetwork
from latbench.store import Store
from latbench.zoo.published_networks import published_network

PARTS = ("speed", "tables", "budgets", "accuracy")
RUNS = Path(__file__).parent / "results" / "pruning_runs.json"
DENSITIES = (1.0, 0.5, 0.2, 0.1)
SINGLE = (0.5, 0.2, 0.1)  # the densities of single weights
# At least so many times as fast as dense ONNX Runtime (issue 23): with AVX-512, and with AVX2.
TARGETS = {
    "ResNet-20": {16: (0.95, 1.9, 4.6, 8.5), 8: (0.8, 1.8, 4.5, 8.0)},
    "ResNet-18": {16: (0.95, 1.75, 3.4, 5.0), 8: (0.8, 1.5, 2.7, 3.6)},
    "MobileNetV1": {16: (0.95, 1.5, 2.4, 3.1), 8: (0.8, 1.25, 1.8, 2.1)},
}
LARGEST_ERROR, AT_MOST_ERROR, ABOVE_SUM = 1e-5, 3.0, 1.0
Run = Callable[[], object]


def networks(quick: bool) -> dict[str, Network]:
    """The networks; smaller images with ``quick``."""
    if quick:
        return {"ResNet-20": residual_network(3, 16)}
    return {
        "ResNet-20": residual_network(3, 32),
        "ResNet-18": published_network("resnet18"),
        "MobileNetV1": published_network("mobilenet_v1"),
    }


def in_turns(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """The seconds of each, all of them run in turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            run()  # its weights are in the caches now, as where one network serves
            start = time.perf_counter_ns()
            run()
            times[name].append(1e-9 * (time.perf_counter_ns() - start))
    return times


def tenth(times: list[float]) -> float:
    """The time below which the fastest tenth lies."""
    return float(np.quantile(times, 0.1))


def onnx_run(model: Model, threads: int = 1) -> Run:
    """A run of a model on ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        model.onnx().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"input": model.input()}
    return lambda: session.run(None, feed)


def engine_run(loaded: SparseNetwork, model: Model) -> Run:
    """A run of a model that the engine has loaded."""
    images = model.input()
    outputs = np.empty((len(images), *loaded.output_shape), np.float32)
    return lambda: loaded.run(images, outputs)


def difference(loaded: SparseNetwork, model: Model) -> float:
    """The largest difference from torch, as a share of the largest output."""
    with torch.inference_mode():
        expected = model.torch()(torch.from_numpy(model.input())).numpy()
    return float(np.abs(loaded(model.input()) - expected).max() / np.abs(expected).max())


def speed_figures(quick: bool) -> list[Figure]:
    """How many times as fast as dense ONNX Runtime each density is."""
    figures = []
    for name, network in networks(quick).items():
        dense = Model(name, network, make_weights(network))
        models = {d: Model(name, network, thinned(dense, 16, d)) for d in DENSITIES}
        models[1.0] = dense
        loaded = {d: SparseNetwork(network, m.arrays) for d, m in models.items()}
        thin = {d: Model(name, network, thinned(dense, 1, d)) for d in SINGLE}
        single = {d: SparseNetwork(network, m.arrays, group=1) for d, m in thin.items()}
        for engine in (*loaded.values(), *single.values()):
            engine.tune()
        runs = {"ort": onnx_run(dense), "zeros": onnx_run(models[0.1])}
        runs |= {str(d): engine_run(loaded[d], models[d]) for d in DENSITIES}
        if wide := usable_sets()[0] == "avx512":  # AVX2's code beside it
            for d, model in models.items():
                narrow = SparseNetwork(network, model.arrays, instructions="avx2")
                narrow.tune()
                runs[f"avx2 {d}"] = engine_run(narrow, model)
        runs |= {f"single {d}": engine_run(single[d], thin[d]) for d in SINGLE}
        rounds = 5 if quick else 200 if network.macs < 3e8 else 40
        times = in_turns(runs, rounds)
        dense_s, dense_fast = median(times["ort"]), tenth(times["ort"])
        figures += [
            figure(f"{name}: dense, ONNX Runtime", 1e3 * dense_s, "ms", rounds),
            figure(f"{name}: dense, ONNX Runtime, fastest tenth", 1e3 * dense_fast, "ms", rounds),
        ]
        register = loaded[1.0].register
        kinds = [("", register), *([("avx2 ", 8)] if wide else [])]
        for (kind, lanes), (i, d) in product(kinds, enumerate(DENSITIES)):
            target = None if quick else TARGETS[name].get(lanes, (None,) * 4)[i]
            own = times[f"{kind}{d}"]
            code = "AVX2's code, " if kind else ""
            figures += [
                figure(f"{name}: {code}density {d:g}", dense_s / median(own), "x", rounds,
                       at_least=target),
                figure(f"{name}: {code}density {d:g}, fastest tenth", dense_fast / tenth(own), "x",
                       rounds),
            ]  # fmt: skip
        for d in SINGLE:
            own, of = times[f"single {d}"], f"{name}: density {d:g} of single weights"
            figures += [
                figure(of, dense_s / median(own), "x", rounds),
                figure(f"{of}, fastest tenth", dense_fast / tenth(own), "x", rounds),
            ]  # fmt: skip
        zeros = dense_s / median(times["zeros"])
        figures.append(figure(f"{name}: a tenth left, zeros on ONNX Runtime", zeros, "x", rounds))
        errors = [difference(loaded[d], models[d]) for d in DENSITIES]
        errors += [difference(single[d], thin[d]) for d in SINGLE]
        figures.append(
            figure(
                f"{name}: differs from torch by", max(errors), "", len(errors),
                at_most=LARGEST_ERROR,
            )
        )  # fmt: skip
    return figures


def larger_figures(quick: bool) -> list[Figure]:
    """Two threads, and eight images at once, of a ResNet-20 of which a fifth is left."""
    figures = []
    for what, images, threads in (("two threads", 1, 2), ("8 images", 8, 1)):
        network = residual_network(3, 16 if quick else 32, images)
        dense = Model("ResNet-20", network, make_weights(network))
        thin = Model("ResNet-20", network, thinned(dense, 16, 0.2))
        loaded = SparseNetwork(network, thin.arrays, threads=threads)
        loaded.tune()
        rounds = 5 if quick else 60
        # Not in turns: between its runs ONNX Runtime's second thread waits on the core that the
        # engine needs (0.49 times as fast then, and 4.0 times alone, 2026-12-01).
        times = in_turns({"own": engine_run(loaded, thin)}, rounds)
        times |= in_turns({"ort": onnx_run(dense, threads)}, rounds)
        faster = median(times["ort"]) / median(times["own"])
        figures.append(figure(f"ResNet-20: density 0.2, {what}", faster, "x", rounds))
    return figures


def table_figures(quick: bool) -> list[Figure]:
    """How far tables, and the sums of the networks' own layers, are from whole runs."""
    figures = []
    for name, network in networks(quick).items():
        count = 4 if quick else HELD_OUT
        with (
            tempfile.TemporaryDirectory() as folder,
            Store(Path(folder) / "tables.sqlite", make_space(SPACES[0])) as store,
        ):
            table = measure_table(store, SimdSparse(), Model(name, network), held_out=count)
        errors = 100 * np.abs(table.errors)
        least = float(100 * np.abs(table.sum_errors).mean())
        limit = None if quick else min(AT_MOST_ERROR, least + ABOVE_SUM)
        figures += [
            figure(f"{name}: error of the sum of its own layers", least, "%", count),
            figure(f"{name}: error of the table", float(errors.mean()), "%", count, at_most=limit),
            figure(f"{name}: largest error of the table", float(errors.max()), "%", count),
            *tile_figures(name, network, quick),
        ]
    return figures


def tile_figures(name: str, network: Network, quick: bool) -> list[Figure]:
    """What is gained where each layer has the faster of two tiles, those that were chosen at
    density 1 and at the table's, by the fastest run of each step."""
    dense = Model(name, network, make_weights(network))
    weights = {d: dense.arrays if d == 1 else thinned(dense, 16, d) for d in (*DENSITIES[:2], 0.2)}
    tiles = {}
    for at in (1.0, TUNED_AT):
        with SparseNetwork(network, weights[at]) as loaded:
            loaded.tune()
            tiles[at] = loaded.tiles
    every = {(d, at): SparseNetwork(network, weights[d]) for d in weights for at in tiles}
    fastest = dict[tuple[float, float], Any]()
    rounds = 3 if quick else 60 if network.macs < 3e8 else 15
    for _ in range(rounds):
        for (density, at), loaded in every.items():
            loaded.tiles = tiles[at]
            times = loaded.profile(dense.input()[0], 4)[1:].min(axis=0)
            fastest[density, at] = np.minimum(fastest.get((density, at), times), times)
    gains = {
        d: 100 * (1 - np.minimum(fastest[d, 1.0], own := fastest[d, TUNED_AT]).sum() / own.sum())
        for d in weights
    }
    return [
        figure(f"{name}: density {d:g}, faster with the better of two tiles", gain, "%", rounds)
        for d, gain in gains.items()
    ]


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """The parts that are asked for."""
    torch.set_num_threads(1)
    if arguments.child is not None:
        os.sched_setaffinity(0, {arguments.core})
        pruning_accuracy.run_child(arguments.out, quick)
        raise SystemExit(0)
    parts = arguments.part or PARTS
    figures = list[Figure]()
    if "speed" in parts:
        figures += speed_figures(quick) + larger_figures(quick)
    if "tables" in parts:
        figures += table_figures(quick)
    if "budgets" in parts:
        with tempfile.TemporaryDirectory() as scratch:
            out = (arguments.out or Path(scratch)) / "budgets"
            figures += pruning_budgets.figures(networks(quick), out, quick)
    if "accuracy" in parts:
        with tempfile.TemporaryDirectory() as scratch:
            runs = Path(scratch) / "runs.json" if quick else RUNS
            seeds = arguments.seed or ([0, 1] if quick else [])
            if seeds:
                out = arguments.out or Path(scratch) / "accuracy"
                pruning_accuracy.run_seeds(out, seeds, quick, runs)
            figures += pruning_accuracy.figures(runs, quick)
    return Outcome(figures)


def options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own."""
    parser.add_argument("--part", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("--seed", type=int, action="append", help="add this seed to the accuracies")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep what is done there")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # a seed in a process of its own
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    main("Pruned networks on the sparse engine", benchmark, options)
