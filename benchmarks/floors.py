"""Noise floors inside a campaign and between campaigns, quiet and beside two disturbers.

Campaigns of the same networks (``mixed_space``: five kinds, 0.1 to 30 ms) on ONNX Runtime and torch
eager, in rounds at least 20 minutes apart; in each round one campaign on the quiet machine, one
beside a process that multiplies matrices (a) and one beside a process that streams memory (b).
Beside latbench's protocol stand, on ONNX Runtime, protocol 1 (the ratio to one canary) and the
plain way (20 repeats, their median).

The floor inside is of networks timed twice in a campaign; the floor between, of the same networks
in campaigns that follow each other. With ``--folder`` what was measured is kept, and a later call
goes on: ``--rounds 1``, then 2 and 3, on another day if you like. ``--way`` measures only those
whose name it is in, and shows what is there of the others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from harness import Figure, Outcome, figure, main
from mixed_space import Mixed

from latbench.backends import make_backend
from latbench.backends.base import Session
from latbench.campaign import CampaignOptions, run_campaign
from latbench.models import Model
from latbench.store import Store
from latbench.store.protocol_1 import relative_and_canary
from latbench.store.repeats import bias_of
from latbench.timing.protocol import Visit, noise_floor

Timings = dict[str, list[float]]  # of each network one or two timings, seconds

DISTURBERS = {
    "quiet": "",
    "matmul": (
        "import os\nos.environ['OPENBLAS_NUM_THREADS'] = '1'\nimport numpy\n"
        "x = numpy.random.rand(1024, 1024).astype('f4')\nwhile True: x @ x"
    ),
    "stream": (
        "import numpy\nx = numpy.ones(1 << 26, 'f4'); y = numpy.empty_like(x)\n"
        "while True: numpy.copyto(y, x)"
    ),
}
BACKENDS = {"onnxruntime": {"threads": 1}, "torch-eager": {"threads": 1}}
CLASSES = ((0.0, 1e-3), (1e-3, 5e-3), (5e-3, math.inf))
RETEST = 0.4
OLD_BLOCK, OLD_VISITS = 24, 20


@contextmanager
def beside(name: str) -> Iterator[None]:
    """Beside a disturber, which has had time to begin."""
    if not DISTURBERS[name]:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", DISTURBERS[name]])
    try:
        time.sleep(3)
        yield
    finally:
        other.kill()
        other.wait()


def latbench_way(folder: Path, backend: str, names: list[str]) -> Timings:
    """A campaign of its own; its anchored latencies."""
    space = Mixed()
    with Store(folder / "campaign.sqlite", space) as store:
        outcome = run_campaign(
            store, make_backend(backend, **BACKENDS[backend]),
            architectures=[space.parse(name) for name in names],
            options=CampaignOptions(retest=RETEST),
        )  # fmt: skip
        anchor = store.find_set().anchor_s or math.nan
        found = store.relative(outcome.set_id)
    return {name: [anchor * value for value in values] for name, values in found.items()}


def _sessions(stack: ExitStack, names: list[str]) -> dict[str, Session]:
    backend, space = make_backend("onnxruntime", **BACKENDS["onnxruntime"]), Mixed()
    found = {
        name: stack.enter_context(backend.load(Model(name, space.build(space.parse(name)))))
        for name in names
    }
    for session in found.values():
        session.time(2)
    return found


def _again(names: list[str]) -> list[str]:
    """Those that the two other ways time twice."""
    return names[:: round(1 / RETEST)]


def old_way(names: list[str], rng: np.random.Generator) -> Timings:
    """Protocol 1: visits between runs of one canary of half a millisecond, medians of ratios."""
    found: Timings = {name: [] for name in names}
    canary_s: list[float] = []
    with ExitStack() as held:
        (canary,) = _sessions(held, [str(Mixed().reference())]).values()
        for part in (names, _again(names)):
            order = rng.permutation(part).tolist()
            for block in _batches(order):
                with ExitStack() as stack:
                    sessions = _sessions(stack, list(block))
                    visits: dict[str, list[Visit]] = {name: [] for name in block}
                    before = _part(canary)
                    for _ in range(OLD_VISITS):
                        for name in rng.permutation(list(block)).tolist():
                            network = _part(sessions[name])
                            after = _part(canary)
                            visits[name].append(Visit(network, before + after))
                            before = after
                for name, timed in visits.items():
                    ratio, own_s = relative_and_canary(timed)
                    found[name].append(ratio)
                    canary_s.append(own_s)
    anchor = median(canary_s)
    return {name: [anchor * value for value in values] for name, values in found.items()}


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), OLD_BLOCK):
        yield names[start : start + OLD_BLOCK]


def _part(session: Session) -> tuple[float, ...]:
    first = session.time(1)
    more = min(31, math.ceil(1e7 / first[0]) - 1)
    return tuple(ns * 1e-9 for ns in first + (session.time(more) if more > 0 else []))


def plain_way(names: list[str], rng: np.random.Generator) -> Timings:
    """Load, three untimed runs, twenty timed ones, their median; one network after another."""
    found: Timings = {name: [] for name in names}
    for part in (names, _again(names)):
        for name in rng.permutation(part).tolist():
            with ExitStack() as stack:
                session = _sessions(stack, [name])[name]
                found[name].append(median(session.time(23)[3:]) * 1e-9)
    return found


def measured(
    folder: Path, condition: str, number: int, names: list[str], wanted: str
) -> Iterator[tuple[str, Timings]]:
    """What each way says in a round beside a disturber; from its file where it is there, measured
    where ``wanted`` is in its name."""
    rng = np.random.default_rng(number)
    ways = {
        **{f"latbench, {b}": lambda own, b=b: latbench_way(own, b, names) for b in BACKENDS},
        "protocol 1, onnxruntime": lambda own: old_way(names, rng),
        "plain, onnxruntime": lambda own: plain_way(names, rng),
    }
    for way, measure in ways.items():
        own = folder / f"{number}-{condition}-{way.replace(', ', '-').replace(' ', '-')}"
        file = own / "timings.json"
        if not file.exists() and wanted not in f"{way}, {condition}":
            continue
        if not file.exists():
            own.mkdir(parents=True, exist_ok=True)
            with beside(condition):
                timings = measure(own)
            file.write_text(json.dumps(timings))
        yield way, json.loads(file.read_text())


def figures_of(way: str, condition: str, rounds: list[Timings]) -> Iterator[Figure]:
    """Floors inside and between, and the bias of each size class, of one way."""
    mean = {n: float(np.exp(np.mean(np.log([r[n][0] for r in rounds])))) for n in rounds[0]}
    label, ours = f"{way}, {condition}", way.startswith("latbench")
    twice = [(n, *r[n][:2]) for r in rounds for n in r if len(r[n]) > 1]
    later = [(n, a[n][0], b[n][0]) for a, b in itertools.pairwise(rounds) for n in a]
    quiet = condition == "quiet"
    yield _floor(f"{label}: inside", twice, 1.0 if ours and quiet else None)
    for low, high in CLASSES:
        own = [row for row in twice if low <= mean[row[0]] < high]
        yield _floor(f"{label}: inside, {_size(low, high)}", own, 1.5 if ours and quiet else None)
    if not later:
        return
    yield _floor(f"{label}: between", later, (1.5 if quiet else 3.0) if ours else None)
    for low, high in CLASSES:
        own = [name for name in mean if low <= mean[name] < high]
        found = [
            bias_of(np.array([(a[name][0], b[name][0]) for name in own]))
            for a, b in itertools.pairwise(rounds)
            if len(own) > 1
        ]
        if not found:
            continue
        worst = max(found, key=lambda bias: abs(bias.bias) + bias.half_width)
        limit = (1.5 if quiet else 2.0) if ours else None
        told = f"{100 * worst.bias:+.2f} ± {100 * worst.half_width:.2f}"
        name, value = f"{label}: bias, {_size(low, high)} ({told})", abs(worst.bias)
        yield figure(name, 100 * (value + worst.half_width), "%", worst.pairs, at_most=limit)


def _floor(name: str, rows: list[tuple[str, float, float]], at_most: float | None) -> Figure:
    pairs = np.array([row[1:] for row in rows]).reshape(-1, 2)
    found = noise_floor(*pairs.T)
    value = math.nan if found is None else 100 * found
    return figure(name, value, "%", len(pairs), at_most=at_most)


def _size(low: float, high: float) -> str:
    if not low:
        return f"below {1e3 * high:g} ms"
    return f"above {1e3 * low:g} ms" if math.isinf(high) else f"{1e3 * low:g} to {1e3 * high:g} ms"


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All rounds that are not in the folder yet, and what they say together."""
    # A worker imports the space by its name.
    here = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(here)
    space = Mixed()
    names = [str(space.unrank(rank)) for rank in range(0, space.size, 25 if quick else 1)]
    conditions = ["stream"] if quick else list(DISTURBERS)
    rounds, apart_s = (2, 0.0) if quick else (arguments.rounds, 60 * arguments.apart)
    found: dict[tuple[str, str], list[Timings]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for number in range(1, rounds + 1):
            last = folder / f"round-{number - 1}"
            if last.exists() and not (folder / f"round-{number}").exists():
                time.sleep(max(0.0, last.stat().st_mtime + apart_s - time.time()))
            for condition in conditions:
                for way, timings in measured(folder, condition, number, names, arguments.way):
                    found.setdefault((way, condition), []).append(timings)
            done = folder / f"round-{number}"
            if not done.exists():  # its time is that of the round
                done.touch()
    figures = [f for key, timings in found.items() for f in figures_of(*key, timings)]
    inside = next(f.value for f in figures if f.name.startswith("latbench"))
    return Outcome(figures, noise_floor=inside / 100)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3, help="campaigns a condition")
    parser.add_argument("--apart", type=float, default=20.0, help="minutes between rounds")
    parser.add_argument("--way", default="", help="only ways with this in their name")
    parser.add_argument("--folder", type=Path, help="keeps what was measured; go on from there")


if __name__ == "__main__":
    main("Noise floors inside and between campaigns", benchmark, options)
