"""The latency penalty's share of a search step, both timed in one run.

The step is one of ``latbench.search.search`` without a penalty: an epoch of a single batch of 64 on
the published supernet (16 channels, 8 cells), its checkpoint included. What a penalty adds is timed
by itself: samples, predictor and gradient, with a target also the cost of what would be derived.
On a CPU both are in seconds of CPU time, so that other programs count in neither; on a GPU
(``--device cuda``) in wall time to the end of the work. What the predictors were fitted on plays no
part in the time. ``--quick`` takes images of 16 x 16 instead of 32 x 32, which makes the step
shorter and the shares larger.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from harness import Figure, Outcome, figure, main

from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.search import DartsRelaxation, LatencyPenalty, SearchConfig, load_images, search
from latbench.search.constraint import Constraint
from latbench.search.judge import Judge
from latbench.search.penalty import Cost
from latbench.search.rng import generator
from latbench.spaces import AnySpace, darts
from latbench.spaces.streams import Purpose
from latbench.store.dataset import LatencyDataset

MOST = 0.03  # share of a step
BATCH = 64


def now(device: str) -> float:
    """Seconds of the clock that belongs to a device."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def step_seconds(space: AnySpace, steps: int, device: str) -> list[float]:
    """Seconds of each step but the first, which pays for the start."""
    data = load_images("digits", resolution=space.config.resolution, limit=2 * BATCH)
    config = SearchConfig(epochs=steps + 1, batch=BATCH, device=device)
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        search(
            space, data, config, directory=folder,
            progress=lambda epoch: ends.append(now(device)),
        )  # fmt: skip
    return [b - a for a, b in itertools.pairwise(ends)]


def model(space: AnySpace, predictor: str) -> LatencyModel:
    """A predictor of its usual size, of made-up latencies."""
    architectures = tuple(a for _, a in space.unique_samples(0, 60))
    seconds = 5e-3 * np.exp(0.1 * np.random.default_rng(0).normal(size=len(architectures)))
    dataset = LatencyDataset(space, architectures, seconds, "made up", "made up")
    return LatencyModel.fit(dataset, make_predictor(predictor))


def penalties(space: AnySpace) -> dict[str, LatencyPenalty]:
    """Every kind of penalty by name."""
    plain = model(space, "mlp").as_module()
    careful = model(space, "mlp-ensemble").as_module(deviations=1.0)
    return {
        "MLP": LatencyPenalty(plain, 5e-3, 0.5),
        "MLP with a target": LatencyPenalty(plain, 5e-3, 0.0, target=4e-3),
        "MLP with a target, judged by ridge-layers": LatencyPenalty(
            plain, 5e-3, 0.0, target=4e-3, judge=Judge(model(space, "ridge-layers"))
        ),
        "two MLPs, the worst": LatencyPenalty(plain, 5e-3, 0.5, others=(Cost(plain, 5e-3),)),
        "ensemble and its deviation": LatencyPenalty(careful, 5e-3, 0.5),
    }


def added(space: AnySpace, penalty: LatencyPenalty, device: str) -> Callable[[], None]:
    """What the penalty adds to a step; with a target, to one that derives a network never seen
    before, which a judge has to build."""
    stream, penalty = generator(Purpose.SEARCH, 0), penalty.to(device)
    relaxation = DartsRelaxation(stream).to(device)
    constraint = Constraint(relaxation, 3e-4) if penalty.target is not None else None

    def add() -> None:
        if constraint is not None:
            for weights in relaxation.parameters():
                weights.data.normal_(generator=stream)
            architecture = relaxation.derive()
            encoding = torch.from_numpy(space.one_hot(architecture)).to(device)
            constraint.observe(relaxation, penalty.cost_of(architecture, encoding)[1], 0)
        term = penalty.term(relaxation, stream, constraint)
        torch.autograd.grad(term.loss, list(relaxation.parameters()))

    return add


def seconds_of(call: Callable[[], None], n: int, device: str) -> float:
    """Median of ``n`` calls, after some that are not counted."""
    taken = []
    for i in range(n + 5):
        start = now(device)
        call()
        if i >= 5:
            taken.append(now(device) - start)
    return statistics.median(taken)


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """The shares of all kinds of penalty."""
    space = darts(channels=36, cells=20, in_channels=1, resolution=16 if quick else 32)
    device = arguments.device
    steps = step_seconds(space, 2 if quick else 9, device)
    step = statistics.median(steps)
    figures: list[Figure] = [figure("search step without a penalty", step, "s", len(steps))]
    n = 30 if quick else 200
    for name, penalty in penalties(space).items():
        extra = seconds_of(added(space, penalty, device), n, device)
        figures.append(figure(f"{name}: added to a step", 1e3 * extra, "ms", n))
        share = extra / (step + extra)
        figures.append(figure(f"{name}: share of a step", 100 * share, "%", n, at_most=100 * MOST))
    return Outcome(figures)


if __name__ == "__main__":
    main(
        "Latency penalty in a search step", benchmark,
        lambda parser: parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N"),
    )  # fmt: skip
