"""Which protocol and which estimator, by evidence: test-retest error at a stated budget.

Raw timings of the same networks are taken twice with the campaign's own visits, on the machine as
it is and beside a noisy neighbour that this benchmark starts (a process that multiplies matrices
for random spans of time, one on each core but one). Estimators are then compared on the same raw
data. "plain" are 20 repeats in one go after 3 of warm-up, by the same backend, in the same minutes.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Figure, Outcome, figure, main

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.device import usable_cores
from latbench.protocol import Protocol, noise_floor
from latbench.spaces import darts
from latbench.store import Store
from latbench.store.statistics import ESTIMATORS

Floats = npt.NDArray[np.float64]
# As many visits as 50 inferences allow, for every network alike.
PROTOCOL = Protocol(min_visits=9, max_visits=9)
# Of each visit, warm-up and canary included, and those that follow a load.
INFERENCES = 9 * (2 + 1 + 2) + 3


def _disturb(stop: Any, seed: int) -> None:
    """Multiplies matrices for 0.1 to 2 s, rests as long, and so on."""
    rng, a = random.Random(seed), np.ones((400, 400), np.float32)
    while not stop.is_set():
        end = time.monotonic() + rng.uniform(0.1, 2.0)
        while time.monotonic() < end:
            a = a @ a / 400
        stop.wait(rng.uniform(0.1, 2.0))


@contextmanager
def neighbour(wanted: bool) -> Iterator[None]:
    """A noisy neighbour on every core but one while the context lasts."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    processes = [
        context.Process(target=_disturb, args=(stop, seed), daemon=True)
        for seed in range(max(1, usable_cores() - 1) if wanted else 0)
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            process.join()


def raw_visits(backend: str, n: int) -> dict[str, list[tuple[Floats, Floats]]]:
    """For each of ``n`` networks, two timings of (network seconds, canary seconds), each
    ``(visits, runs)``."""
    space = darts()
    architectures = [space.sample(0, i) for i in range(n)]
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s.sqlite", space) as store:
        outcome = run_campaign(
            store, make_backend(backend), architectures=architectures, protocol=PROTOCOL,
            options=CampaignOptions(retest=1.0),
        )  # fmt: skip
        raw = store.raw(outcome.set_id)
    return {
        a: [(np.array([n for n, _ in repeat]), np.array([c for _, c in repeat])) for repeat in pair]
        for a, pair in raw.items()
    }


def plain_twice(backend: str, n: int) -> float:
    """The noise floor of 20 repeats in one go, each network loaded and timed twice."""
    space, made = darts(), make_backend(backend)
    passes = []
    for _ in range(2):
        times = []
        for i in range(n):
            with made.load(space.build(space.sample(0, i))) as session:
                session.time(3)
                times.append(float(np.median(session.time(20))))
        passes.append(times)
    floor = noise_floor(*passes)
    assert floor is not None
    return floor


def floors(raw: dict[str, list[tuple[Floats, Floats]]]) -> dict[str, float]:
    """The noise floor of every estimator, with and without the canary."""
    found = {}
    for name, estimator in ESTIMATORS.items():
        for paired in (False, True):
            tests = [
                [_estimate(*repeats[i], estimator, paired) for repeats in raw.values()]
                for i in (0, 1)
            ]
            floor = noise_floor(*tests)
            assert floor is not None
            found[f"{name}{', canary' if paired else ''}"] = floor
    return found


def _estimate(
    network: Floats, canary: Floats, estimator: Callable[[Floats], float], paired: bool
) -> float:
    visits = [estimator(v) / (estimator(c) if paired else 1) for v, c in zip(
        network, canary, strict=True)]  # fmt: skip
    return float(np.median(visits))


def benchmark(quick: bool) -> Outcome:
    """ONNX Runtime and torch eager on DARTS' CIFAR network, quiet and disturbed."""
    import torch

    torch.set_num_threads(1)
    figures: list[Figure] = []
    quiet_floor = None
    for backend, n in (("onnxruntime", 6 if quick else 30), ("torch-eager", 2 if quick else 12)):
        for disturbed in (False, True):
            where = f"{backend}, {'neighbour' if disturbed else 'quiet'}"
            with neighbour(disturbed):
                plain = plain_twice(backend, n)
                found = floors(raw_visits(backend, n))
            chosen = found["lower-quartile, canary"]
            quiet_floor = chosen if quiet_floor is None else quiet_floor
            figures.append(figure(f"{where}: plain median", 100 * plain, "%", n))
            figures += [figure(f"{where}: {k}", 100 * v, "%", n) for k, v in found.items()]
            figures += [
                figure(f"{where}: latbench", 100 * chosen, "%", n, at_most=2 if disturbed else 1),
                figure(f"{where}: over plain", chosen / plain, "ratio", n, at_most=0.25),
            ]
    figures.append(figure("inferences a network", INFERENCES, "runs", 1, at_most=50))
    return Outcome(figures, quiet_floor)


if __name__ == "__main__":
    main("Protocol: test-retest error of estimators", benchmark)
