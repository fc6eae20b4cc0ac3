"""Which protocol and which estimator, by evidence: test-retest error at a stated budget.

Every network is timed twice by each protocol and by the plain way (20 repeats in one go after 3 of
warm-up, by the same backend), in passes that take turns, so that the two timings of a network are
equally far apart for all of them. This is done on the machine as it is and beside a noisy neighbour
that this benchmark starts (a process that multiplies matrices for random spans of time, on every
core but one). The estimators are compared on the same raw timings.
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from harness import Figure, Outcome, figure, main
from threadpoolctl import threadpool_limits

from latbench.backends import make_backend
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.device import usable_cores
from latbench.protocol import Protocol, Visit, noise_floor, undisturbed
from latbench.spaces import darts
from latbench.store import Store
from latbench.store.statistics import trimmed_mean

# As many visits as 50 inferences allow, for every network alike: the default's, and those of fewer
# and longer visits with warm caches.
PROTOCOLS = {
    "default": Protocol(min_visits=22, max_visits=22),
    "warm": Protocol(runs=2, canary_runs=1, warmup=1, min_visits=9, max_visits=9),
}
QUICK = {"default": Protocol(min_visits=5, max_visits=5)}
# Over the visits of a network.
ESTIMATORS: dict[str, Callable[[Sequence[float]], float]] = {
    "median": median,
    "trimmed": trimmed_mean,
    "lower quartile": lambda values: float(np.quantile(values, 0.25)),
    "minimum": min,
    "mean": mean,
}


def _disturb(stop: Any, seed: int) -> None:
    """Multiplies matrices on one core for 0.1 to 2 s, rests as long, and so on."""
    rng, a = random.Random(seed), np.ones((400, 400), np.float32)
    with threadpool_limits(1):
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


def plain_pass(backend: Backend, architectures: list[Any]) -> list[float]:
    """The medians of 20 repeats in one go, in seconds."""
    space, times = darts(), []
    for architecture in architectures:
        with backend.load(space.build(architecture)) as session:
            session.time(3)
            times.append(float(np.median(session.time(20))))
    return times


class Passes:
    """Two passes of the plain way and of each protocol, taking turns."""

    def __init__(self, name: str, n: int, protocols: dict[str, Protocol]) -> None:
        space, backend = darts(), make_backend(name)
        architectures = [space.sample(0, i) for i in range(n)]
        plain: list[list[float]] = []
        self.raw: dict[str, list[list[list[Visit]]]] = {}
        self.inferences: dict[str, float] = dict.fromkeys(protocols, 0.0)
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            stores = {
                p: stack.enter_context(Store(Path(folder) / f"{p}.sqlite", space))
                for p in protocols
            }
            for retest in (0.0, 1.0):
                plain.append(plain_pass(backend, architectures))
                for p, store in stores.items():
                    outcome = run_campaign(
                        store, backend, architectures=architectures, protocol=protocols[p],
                        options=CampaignOptions(retest=retest),
                    )  # fmt: skip
                    self.inferences[p] += outcome.inferences / (2 * n)
            for p, store in stores.items():
                self.raw[p] = list(store.raw(1).values())
            self.rejected = {
                p: store.find_set().rejected / sum(len(t) for pair in self.raw[p] for t in pair)
                for p, store in stores.items()
            }
        floor = noise_floor(*plain)
        assert floor is not None
        self.plain = floor

    def floor(self, protocol: str, figure_of: Callable[[Sequence[Visit]], float]) -> float:
        """The noise floor of a protocol under an estimator."""
        tests = [[figure_of(pair[i]) for pair in self.raw[protocol]] for i in (0, 1)]
        floor = noise_floor(*tests)
        assert floor is not None
        return floor


def estimators() -> dict[str, Callable[[Sequence[Visit]], float]]:
    """Name -> visits of a network -> its figure, without and with canary and rejection."""

    def without(e: Callable[[Sequence[float]], float]) -> Callable[[Sequence[Visit]], float]:
        return lambda visits: e([min(v.network_s) for v in visits])

    def paired(e: Callable[[Sequence[float]], float]) -> Callable[[Sequence[Visit]], float]:
        return lambda visits: e([v.ratio for v in visits])

    def kept(e: Callable[[Sequence[float]], float]) -> Callable[[Sequence[Visit]], float]:
        return lambda visits: e([v.ratio for v in undisturbed(visits)])

    kinds = {"no canary": without, "canary": paired, "canary and rejection": kept}
    return {f"{e}, {k}": kinds[k](ESTIMATORS[e]) for k in kinds for e in ESTIMATORS}


CHOSEN = "median, canary and rejection"


def _figures(where: str, n: int, passes: Passes, at_most: float) -> list[Figure]:
    plain = passes.plain
    figures = [figure(f"{where}: plain median", 100 * plain, "%", n)]
    for protocol in passes.raw:
        floors = {name: passes.floor(protocol, e) for name, e in estimators().items()}
        label = f"{where}: {protocol}"
        shown = floors if protocol == "default" else {CHOSEN: floors[CHOSEN]}
        figures += [figure(f"{label}: {k}", 100 * v, "%", n) for k, v in shown.items()]
        figures.append(figure(f"{label}: visits rejected", 100 * passes.rejected[protocol], "%", n))
    chosen = passes.floor("default", estimators()[CHOSEN])
    return [
        *figures,
        figure(f"{where}: latbench", 100 * chosen, "%", n, at_most=at_most),
        figure(f"{where}: over plain", chosen / plain, "ratio", n, at_most=0.25),
        figure(f"{where}: inferences a network", passes.inferences["default"], "runs", n,
               at_most=50),
    ]  # fmt: skip


def benchmark(quick: bool) -> Outcome:
    """ONNX Runtime and torch eager on DARTS' CIFAR network, quiet and disturbed."""
    import torch

    torch.set_num_threads(1)
    figures: list[Figure] = []
    for backend, n in (("onnxruntime", 3 if quick else 30), ("torch-eager", 2 if quick else 16)):
        for disturbed in (False, True):
            where = f"{backend}, {'neighbour' if disturbed else 'quiet'}"
            with neighbour(disturbed):
                passes = Passes(backend, n, QUICK if quick else PROTOCOLS)
            figures += _figures(where, n, passes, 2 if disturbed else 1)
    quiet = next(f.value for f in figures if f.name == "onnxruntime, quiet: latbench")
    return Outcome(figures, quiet / 100)


if __name__ == "__main__":
    main("Protocol: test-retest error of estimators", benchmark)
