"""Search methods beside each other: what a step costs, and what they find.

    python benchmarks/methods.py [--part costs|known|darts] [--out FOLDER] [--seeds N]

**costs**: the peak of torch's allocations and the time of a search step, each method on the same
supernet (DARTS' published one, any number of inputs a node, random images) in a fresh process, one
thread.

**known**: searches in NAS-Bench-201 with a reduced supernet, every one of as many steps, from
several seeds; what is derived is looked up in the benchmark's table (CIFAR-10 test accuracy at 200
epochs, the mean of its runs), which no search reads.

**darts**: searches in DARTS' space at a reduced scale with a limit of 65 % of the median latency of
a sample; what is found is trained, and measured on ONNX Runtime, see ``methods_darts``.

With ``--out`` a run that was stopped goes on. Beside each mean of seeds stands its standard
deviation, beside each difference its 95 % interval (Welch's t), and whether that leaves out 0.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import methods_darts
import numpy as np
import numpy.typing as npt
import torch
from harness import Figure, Outcome, figure, main
from methods_statistics import compared, told
from nb201_table import SPACE, load_table
from published import data_folder
from step_children import peak_mib, told_by_a_child
from torch.profiler import ProfilerActivity, profile

from latbench.device import usable_cores
from latbench.files import content_hash
from latbench.search.config import SearchConfig
from latbench.search.images.images import ImageData, load_images
from latbench.search.loop import search
from latbench.spaces import darts, nasbench201

PARTS = ("costs", "known", "darts")
DARTS_RUNS = Path(__file__).with_name("results") / "methods_darts_runs.json"
COSTS = {
    "DARTS": {"method": "darts"},
    "DARTS, second order": {"method": "darts-2nd"},
    "PC-DARTS": {"method": "pc-darts"},
    "GDAS": {"method": "gdas"},
    "FBNet": {"method": "fbnet"},
    "MSG-DAS, K = 1": {"method": "msg-das(subgraphs=1, guidance=0)"},
    "MSG-DAS, K = 2": {"method": "msg-das(subgraphs=2, guidance=0)"},
    "MSG-DAS, K = 4": {"method": "msg-das(subgraphs=4, guidance=0)"},
    "MSG-DAS, K = 4, at once": {"method": "msg-das(subgraphs=4, guidance=0, at_once=true)"},
    "MSG-DAS, K = 2, guided": {"method": "msg-das(subgraphs=2)"},
}
GROWTH = 1.2  # of the memory of four sub-graphs over that of one
TIMED, PATHS = 6, 8  # steps, the first of which is not counted, and paths whose memory is counted
# 3 epochs of 5,000 images: 237 steps of each optimiser, so that alpha moves faster than published.
KNOWN = SearchConfig(
    epochs=3, batch=64, channels=8, cells=1, learning_rate=0.05, weight_decay=5e-4, nesterov=True,
    alpha_learning_rate=0.02,
)  # fmt: skip
KNOWN_METHODS = {
    "DARTS": "darts",
    "DARTS, second order": "darts-2nd",
    "GDAS": "gdas",
    "FBNet": "fbnet(decay=0.6)",
    "MSG-DAS, K = 2, not guided": "msg-das(subgraphs=2, guidance=0)",
    "MSG-DAS, K = 2": "msg-das(subgraphs=2)",
    "MSG-DAS, K = 4": "msg-das(subgraphs=4)",
}
DROPPED = ("DARTS", "GDAS", "MSG-DAS, K = 2", "MSG-DAS, K = 4")  # also with Dropblock-Identity
DROPBLOCK = {"dropblock": 0.3, "dropblock_size": 3}

Floats = npt.NDArray[np.float64]


# -- costs -----------------------------------------------------------------------------------------


def step_costs(settings: dict[str, Any], quick: bool) -> tuple[float, float]:
    """The peak of torch's allocations (MiB) in a search of a few steps, and the median seconds of a
    step of another one, which nothing watches.

    As many paths are drawn in the first one whatever their number a step, since some paths take
    twice the memory of others.
    """
    torch.set_num_threads(1)
    small = {"channels": 4, "cells": 3} if quick else {"channels": 16, "cells": 8}
    side, batch = (8, 8) if quick else (32, 16)
    space = darts(**small, resolution=side, least_inputs=1, most_inputs=5)
    of_step = re.search(r"subgraphs=(\d)", settings["method"])
    watched = PATHS // int(of_step[1]) if of_step else PATHS if "gdas" in settings["method"] else 1
    config = SearchConfig(epochs=1, batch=batch, **small, **settings)
    with tempfile.TemporaryDirectory() as folder:
        ends = [time.perf_counter()]
        search(
            space, _noise(TIMED, batch, side), config, directory=f"{folder}/timed",
            stepped=lambda _: ends.append(time.perf_counter()),
        )  # fmt: skip
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            search(space, _noise(watched, batch, side), config, directory=f"{folder}/watched")
    return peak_mib(seen), float(np.median(np.diff(ends)[1:]))


def _noise(steps: int, batch: int, side: int) -> ImageData:
    """Images for so many steps, which take a batch of either half."""
    n, stream = 2 * steps * batch, torch.Generator().manual_seed(0)
    images = torch.randn(n, 3, side, side, generator=stream)
    labels = torch.randint(10, (n,), generator=stream)
    return ImageData("noise", images, labels, images[:8], labels[:8], 10, torch.zeros(3), 0, False)


def cost_figures(quick: bool) -> list[Figure]:
    """Memory and time of a step of every method, with and without topology variables."""
    found, memory = [], dict[str, float]()
    for name, given in COSTS.items():
        if quick and not re.fullmatch("MSG-DAS, K = [14]", name):
            continue
        for settings in (given,) if quick else (given, given | {"topology": "any"}):
            label = f"{name}, topology" if "topology" in settings else name
            memory[label], seconds = told_by_a_child(__file__, settings, label, quick)
            found.append(figure(f"{label}: peak memory of a step", memory[label], "MiB", 1))
            found.append(figure(f"{label}: time of a step", seconds, "s", TIMED - 1))
    for one, four in (("K = 1", "K = 4"), ("K = 1, topology", "K = 4, topology")):
        if f"MSG-DAS, {one}" in memory:
            ratio = memory[f"MSG-DAS, {four}"] / memory[f"MSG-DAS, {one}"]
            found.append(figure(f"MSG-DAS: memory of {four} over {one}", ratio, "x", 1,
                                at_most=GROWTH))  # fmt: skip
    return found


# -- known truth -----------------------------------------------------------------------------------


def known_searches() -> dict[str, dict[str, Any]]:
    """The settings of each search by its label."""
    plain = {name: {"method": method} for name, method in KNOWN_METHODS.items()}
    dropped = {f"{name}, Dropblock-Identity": plain[name] | DROPBLOCK for name in DROPPED}
    return plain | dropped


def derived(settings: dict[str, Any], seed: int, folder: Path, quick: bool) -> str:
    """What a search from a seed derives; kept in a file, so that it is not searched for again."""
    path = folder / f"{content_hash(settings, asdict(KNOWN), quick)}-{seed}"
    if not (path / "found").exists():
        command = [sys.executable, __file__, "--child", json.dumps(settings)]
        command += ["--known", str(seed), "--out", str(path), *(["--quick"] * quick)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        if child.returncode:
            raise SystemExit(f"{path}: {child.stderr[-2000:]}")
    return (path / "found").read_text()


def search_known(settings: dict[str, Any], seed: int, path: Path, quick: bool) -> None:
    """One search in NAS-Bench-201, whose architecture goes into a file."""
    torch.set_num_threads(1)
    data = load_images(
        str(data_folder() / "cifar10_10k_2k.npz"), resolution=16, limit=256 if quick else None
    )
    config = replace(KNOWN, seed=seed, **settings)
    config = replace(config, epochs=1) if quick else config
    space = nasbench201(resolution=16)
    found = search(space, data, config, directory=path)
    (path / "found").write_text(str(found.architecture))


def known_figures(folder: Path, seeds: int, quick: bool) -> list[Figure]:
    """Accuracy of what is derived, differences, and the share of collapsed cells."""
    table, found = load_table(data_folder()), list[Figure]()
    searches = known_searches()
    if quick:
        searches = {name: searches[name] for name in ("GDAS", "MSG-DAS, K = 2")}
    jobs = [(name, seed) for name in searches for seed in range(seeds)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        texts = list(pool.map(lambda job: derived(searches[job[0]], job[1], folder, quick), jobs))
    accuracy: dict[str, Floats] = {}
    for name in searches:
        own = [text for (of, _), text in zip(jobs, texts, strict=True) if of == name]
        accuracy[name] = table.cifar10[table.rows([SPACE.parse(text) for text in own])]
        skips = [text.count("skip_connect") for text in own]
        found += told(f"{name}: accuracy", accuracy[name], "%")
        found.append(figure(f"{name}: more than half skips", float(np.mean(np.array(skips) > 3)),
                            "share", seeds))  # fmt: skip
    found += compared({n: a for n, a in accuracy.items() if "Drop" not in n}, "GDAS", "% points")
    for name in DROPPED:
        if (dropped := f"{name}, Dropblock-Identity") in accuracy:
            found += compared({n: accuracy[n] for n in (name, dropped)}, name, "% points")
    if "MSG-DAS, K = 2" in accuracy:
        behind = float(accuracy["MSG-DAS, K = 2"].mean() - accuracy["GDAS"].mean())
        found.append(figure("MSG-DAS, K = 2, not behind GDAS on the mean", behind, "% points",
                            seeds, at_least=0.0))  # fmt: skip
    return found


# -- all -------------------------------------------------------------------------------------------


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """The parts that are asked for."""
    if arguments.child is not None:
        settings = json.loads(arguments.child)
        if arguments.core is not None:
            os.sched_setaffinity(0, {arguments.core})
            methods_darts.run_child(arguments.out, quick)
        elif arguments.known is None:
            print(json.dumps(step_costs(settings, quick)))
        else:
            search_known(settings, arguments.known, arguments.out, quick)
        raise SystemExit(0)
    parts: Sequence[str] = arguments.part or PARTS
    figures, floor = list[Figure](), None
    with tempfile.TemporaryDirectory() as scratch:
        out = arguments.out or Path(scratch)
        if "costs" in parts:
            figures += cost_figures(quick)
        if "known" in parts:
            figures += known_figures(out / "known", 2 if quick else arguments.seeds, quick)
        if "darts" in parts:
            runs = out / "runs.json" if quick else DARTS_RUNS
            seeds = [0] if quick else arguments.darts_seed or []
            out.mkdir(parents=True, exist_ok=True)
            if seeds:
                methods_darts.run_seeds(out / "darts", seeds, quick, runs)
            of, floor = methods_darts.figures(runs, quick)
            figures += of
    return Outcome(figures, floor)


def options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own."""
    parser.add_argument("--part", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the searches there")
    parser.add_argument("--seeds", type=int, default=5, help="of a search in NAS-Bench-201")
    parser.add_argument(
        "--darts-seed",
        type=int,
        action="append",
        metavar="SEED",
        help="add this seed to the table of DARTS' space; repeatable",
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)  # the settings of a process of its own
    parser.add_argument("--known", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    main("Search methods beside each other", benchmark, options)
