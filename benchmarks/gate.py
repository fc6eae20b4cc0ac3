"""The gate for CI: how often it fails where nothing changed, and finds what became 6 % slower.

Simulated pairs have the noise floors that ``floors.py`` recorded for ONNX Runtime: a job that
measures both sides in turns (the floor inside), and one whose base is of another day (the floor
between). Real pairs are campaigns on ONNX Runtime in turns, base and new side, each with the
occasions that docs/gate.md asks for: of networks that are the same on both sides, and of one that
has a layer more on the new side. With ``--folder`` what was measured is kept, and a later call goes
on.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gate_pairs import Conditions, gate
from harness import Figure, Outcome, figure, main

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.recheck import recheck
from latbench.comparison.gate import judge
from latbench.comparison.significance import Comparison, compare
from latbench.models import Model
from latbench.networks.network import Network, NetworkBuilder
from latbench.networks.ops import Conv
from latbench.spaces import nasbench201
from latbench.store import Store
from latbench.store.sides import pair_sides

LIMIT, SLOWER = 0.03, 0.06
# Floors inside and between of ONNX Runtime (README.md, `floors.py`).
CONDITIONS = {
    "quiet": Conditions(0.0052, 0.0092),
    "quiet, long tails": Conditions(0.0052, 0.0092, freedom=4),
    "beside a memory stream": Conditions(0.0064, 0.0111),
    "quiet, base of another day": Conditions(0.0052, 0.0092, in_turns=False),
}
NETWORKS = 4
OCCASIONS = 3
LAYERS = 17  # one more is 6 %
CHANGED = "changed"
BLOCK = CampaignOptions(retest=1.0, parity=False)


def simulated(quick: bool) -> Iterator[Figure]:
    """How often the gate fails and passes on simulated pairs of each kind."""
    equal, slower = (200, 50) if quick else (10_000, 2_000)
    for name, how in CONDITIONS.items():
        rng = np.random.default_rng(0)
        found = [gate(how, [0.0] * NETWORKS, rng).outcome for _ in range(equal)]
        label = f"simulated, {name}"
        failed = 100 * found.count("slower") / equal
        yield figure(f"{label}: equal code fails", failed, "%", equal, at_most=1)
        untold = 100 * found.count("untold") / equal
        yield figure(f"{label}: equal code cannot be told", untold, "%", equal)
        changed = [SLOWER, *[0.0] * (NETWORKS - 1)]
        found = [gate(how, changed, rng).outcome for _ in range(slower)]
        caught = 100 * found.count("slower") / slower
        yield figure(f"{label}: 6 % slower fails", caught, "%", slower, at_least=95)
        missed = 100 * found.count("passed") / slower
        yield figure(f"{label}: 6 % slower passes", missed, "%", slower, at_most=5)


def chain(layers: int, channels: int, size: int) -> Network:
    """Equal convolutions, one after the other."""
    b = NetworkBuilder((1, channels, size, size))
    x = b.input
    for _ in range(layers):
        x = b.add(Conv(channels, 3, padding=1), x)
    return b.build(x)


def models(changed: bool) -> list[Model]:
    """The networks of a side, of which one has a layer more where something ``changed``."""
    return [
        Model("narrow", chain(LAYERS, 32, 16)),
        Model("wide", chain(9, 64, 12)),
        Model(CHANGED, chain(LAYERS + changed, 48, 14)),
    ]


def measure(path: Path, side: list[Model], occasion: int) -> None:
    """Times a side at its next occasion."""
    backend, space = make_backend("onnxruntime", threads=1), nasbench201()
    with Store(path, space) as store:
        if occasion == 0:
            run_campaign(store, backend, models=side, options=BLOCK)
        else:
            recheck(store, models=side, options=BLOCK, n=len(side))


def real_pairs(folder: Path, pairs: int) -> Iterator[Comparison]:
    """Comparisons of a base and a new side that were measured in turns."""
    for i in range(pairs):
        paths = [folder / f"{i}-{side}.sqlite" for side in ("base", "new")]
        done = folder / f"{i}.done"
        if not done.exists():
            for path in paths:
                path.unlink(missing_ok=True)
            for occasion in range(OCCASIONS):
                for changed, path in enumerate(paths):
                    measure(path, models(bool(changed)), occasion)
            done.touch()
        ((a, b),) = pair_sides(*paths, fewest=1)
        yield compare(a, b)
        print(f"pair {i + 1} of {pairs}", flush=True)


def real(folder: Path, pairs: int) -> Iterator[Figure]:
    """How often real pairs fail, by the networks that are equal and by the one that changed."""
    whole = [judge([c], LIMIT) for c in real_pairs(folder, pairs)]
    equal = [{j.outcome for j in g.judged if j.network not in (CHANGED, None)} for g in whole]
    failed = 100 * sum("slower" in outcomes for outcomes in equal) / pairs
    yield figure("real, equal code fails", failed, "%", pairs, at_most=4)
    untold = 100 * sum("untold" in outcomes for outcomes in equal) / pairs
    yield figure("real, equal code cannot be told", untold, "%", pairs)
    caught = sum(any(j.network == CHANGED for j in g.having("slower")) for g in whole)
    yield figure("real, a layer more fails", 100 * caught / pairs, "%", pairs, at_least=95)
    missed = sum(any(j.network == CHANGED for j in g.having("passed")) for g in whole)
    yield figure("real, a layer more passes", 100 * missed / pairs, "%", pairs, at_most=5)
    changes = [j.change.value for g in whole for j in g.judged if j.network == CHANGED]
    yield figure("real, a layer more is slower by (median)", 100 * np.median(changes), "%", pairs)
    others = [
        j.change.value for g in whole for j in g.judged if j.network not in (CHANGED, None)
    ]  # fmt: skip
    spread = 100 * float(np.std(np.log1p(others)))
    yield figure("real, equal networks differ by (deviation)", spread, "%", len(others))


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All figures; the noise floor is the mean one inside of the real sides."""
    figures = list(simulated(quick)) if arguments.part in ("", "simulated") else []
    pairs = 2 if quick else arguments.pairs
    floor = math.nan
    if arguments.part in ("", "real"):
        with tempfile.TemporaryDirectory() as temporary:
            folder = arguments.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            figures += real(folder, pairs)
            floors = [
                side.noise_floor
                for i in range(pairs)
                for side in pair_sides(*(folder / f"{i}-{s}.sqlite" for s in ("base", "new")),
                                       fewest=1)[0]
            ]  # fmt: skip
            floor = float(np.mean([f for f in floors if f is not None]))
    return Outcome(figures, noise_floor=None if math.isnan(floor) else floor)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=50, help="real pairs")
    parser.add_argument("--part", choices=("simulated", "real"), default="", help="only this part")
    parser.add_argument("--folder", type=Path, help="keeps the real pairs; go on from there")


if __name__ == "__main__":
    main("A gate for CI", benchmark, options)
