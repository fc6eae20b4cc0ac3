"""The right operators for each runtime, found in two stages (HURRICANE).

Runtimes of one CPU stand for hardware. Parts:

- ``pools``: every operator of the default body (20 layers, 224 pixels) timed on every runtime, and
  on one of them a second time; in which layers two runtimes' pools differ beyond the noise.
- ``stages``: one stage against two on 10,000 images of CIFAR-10 (``hurricane_jobs.py``).
- ``runtimes``: what is found for each runtime, measured on all.
- ``limits``: three limits on one runtime.
- ``ranking``: the supernet's scores against accuracies trained from scratch.

All but the first are of a small body (``hurricane_jobs.py``): stages are compared in the pool of
ONNX Runtime, the other parts choose from the union of the pools of all runtimes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from harness import Figure, Outcome, figure, main
from hurricane_jobs import FEW_OPERATORS, body
from hurricane_search import (
    Setting,
    limit_figures,
    ranking_figures,
    run_job,
    runtime_figures,
    stage_figures,
)

from latbench.backends import make_backend
from latbench.files import write_text
from latbench.operators.candidates import candidates
from latbench.operators.pools import Rules, Timed, differ, liking, pools
from latbench.operators.space_file import space_text, union, with_pools
from latbench.operators.timing import time_operators
from latbench.progress import Bars, of_campaign
from latbench.spaces import AnySpace, make_space
from latbench.store import Store

PARTS = ("pools", "stages", "runtimes", "limits", "ranking")
BACKENDS = ("onnxruntime", "torch-eager", "openvino", "ncnn", "litert")
SMALL = {"widths": (8, 16, 24, 32), "blocks": (2, 1), "resolution": 32, "classes": 10,
         "pools": FEW_OPERATORS}  # fmt: skip
RULES = Rules()
QUARTER, TWENTIETH = 0.25, 0.05  # of the layers


def timed(space: AnySpace, path: Path, backend: str) -> Timed:
    """The latencies of a space's operators on a runtime, kept in a store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, space) as store, Bars().bar(f"operators on {backend}") as step:
        return time_operators(store, make_backend(backend), report=of_campaign(step))


def pool_figures(out: Path, backends: Sequence[str], quick: bool) -> tuple[list[Figure], float]:
    """In which share of the layers pools differ, of every pair and of a runtime with itself."""
    space = make_space("operators", dict(SMALL) if quick else {})
    found = candidates(space)
    every = {name: timed(space, out / f"{name}.sqlite", name) for name in backends}
    again = timed(space, out / f"{backends[0]}-again.sqlite", backends[0])
    likes = {name: liking(found, one, RULES) for name, one in every.items()}
    shown, many = list[Figure](), 0
    for a, b in combinations(backends, 2):
        share = _differing(differ(likes[a], likes[b]))
        many += share >= QUARTER
        shown.append(figure(f"{a} and {b}: layers whose pools differ", share, "share",
                            len(space.forest.variables)))  # fmt: skip
    pairs = len(shown)
    shown.append(figure("pairs that differ in a quarter of the layers or more", many, "pairs",
                        pairs, at_least=7))  # fmt: skip
    share = _differing(differ(likes[backends[0]], liking(found, again, RULES)))
    shown.append(figure(f"{backends[0]} timed twice: layers whose pools differ", share, "share",
                        len(space.forest.variables), at_most=TWENTIETH))  # fmt: skip
    for name, one in every.items():
        shown.append(figure(f"{name}: operators that could not be timed", len(one.failed),
                            "layers x operators", len(found)))  # fmt: skip
        shown.append(figure(f"{name}: noise floor", 100 * (one.floor or 0.0), "%", 1))
    return shown, max(one.floor or 0.0 for one in every.values())


def _differing(layers: dict[str, bool | None]) -> float:
    return float(np.mean([bool(value) for value in layers.values()]))


def setting(arguments: argparse.Namespace, out: Path, quick: bool, every_pool: bool) -> Setting:
    """Times the operators of the small body, and writes the pool of the first runtime or the union
    of all pools; its part has a folder of its own."""
    backends = BACKENDS[:2] if quick else BACKENDS
    backends = backends if every_pool else backends[:1]
    space = body(quick)
    found = candidates(space)
    every = [
        pools(found, timed(space, out / "small" / f"{name}.sqlite", name), RULES)
        for name in backends
    ]
    folder = out / ("union" if every_pool else "own")
    folder.mkdir(parents=True, exist_ok=True)
    pool = with_pools(space, union(every, space))
    write_text(folder / "pool.toml", space_text(pool, f"pools of {', '.join(backends)}"))
    write_text(folder / "all.toml", space_text(space, "all operators"))
    of = Setting(folder, backends, 1 if quick else arguments.seeds, 3 if quick else 20, quick)
    for name in of.backends:  # while nothing is trained beside it
        of.fitted(name)
    return of


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """The parts that are asked for."""
    if arguments.child is not None:
        os.sched_setaffinity(0, {arguments.core})
        run_job(arguments.out, quick)
        raise SystemExit(0)
    parts: Sequence[str] = arguments.part or PARTS
    figures, floors = list[Figure](), list[float]()
    with tempfile.TemporaryDirectory() as scratch:
        out = (arguments.out or Path(scratch)).absolute()
        if "pools" in parts:
            backends = BACKENDS[:2] if quick else BACKENDS
            shown, floor = pool_figures(out / "pools", backends, quick)
            figures, floors = figures + shown, [*floors, floor]
        if "stages" in parts:
            figures += stage_figures(setting(arguments, out, quick, every_pool=False))
        if {"runtimes", "limits", "ranking"} & set(parts):
            of = setting(arguments, out, quick, every_pool=True)
            if "runtimes" in parts:
                shown, floor = runtime_figures(of)
                figures, floors = figures + shown, [*floors, floor]
            if "limits" in parts:
                figures += limit_figures(of)
            if "ranking" in parts:
                figures += ranking_figures(of)
    return Outcome(figures, max(floors, default=None))


def options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own."""
    parser.add_argument("--part", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep what is done there")
    parser.add_argument("--seeds", type=int, default=3, help="of supernets and trainings")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    main("The right operators for each runtime", benchmark, options)
