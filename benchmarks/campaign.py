"""latbench's campaign against the plain way, on the same architectures in one run.

The plain way is what a user writes in an afternoon: build the torch module, ``torch.onnx.export``
(the TorchScript exporter, the faster of torch's two), an ``InferenceSession``, three warm-up and
twenty timed runs, the median. Both time every architecture twice, in passes that take turns, so
that the two timings of an architecture are equally far apart; the noise floor is the mean relative
difference between them.

With ``--backend`` (and ``--option``) another backend is measured, without the plain way, which is
ONNX Runtime's: what is left is whether loading ahead of time pays and disturbs on that device.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from harness import Figure, Outcome, figure, main

from latbench.backends import make_backend
from latbench.backends.base import Backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.cli.common import parse_options
from latbench.export.torch import to_torch
from latbench.networks.network import Network
from latbench.networks.weights import make_input
from latbench.spaces import darts
from latbench.store import Store
from latbench.timing.protocol import Protocol, noise_floor

# Two points on the curve of time against noise, the default and a quick one; and the default while
# a second worker loads the next block.
WAYS = {
    "default": (Protocol(), False),
    "quick": (Protocol(min_visits=6, max_visits=6), False),
    "overlap": (Protocol(), True),
}
# (speed-up, share of the plain noise floor) that each is held to.
TARGETS = {"default": (2.0, 0.25), "quick": (4.0, 0.5), "overlap": (None, None)}


@dataclass
class Way:
    """What two passes took: seconds in all and inside inference calls, inferences, networks."""

    noise_floor: float = 0.0
    wall_s: float = 0.0
    inference_s: float = 0.0
    inferences: int = 0
    networks: int = 0

    @property
    def per_hour(self) -> float:
        """Architectures an hour."""
        return 3600 * self.networks / self.wall_s

    @property
    def overhead(self) -> float:
        """Wall time over the time inside inference calls."""
        return self.wall_s / self.inference_s


def plain_once(network: Network) -> tuple[float, float]:
    """The plain way for one network: median seconds, and seconds inside ``run``."""
    import onnxruntime
    import torch

    buffer = io.BytesIO()
    module, x = to_torch(network), make_input(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.from_numpy(x),), buffer, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: x}
    times = []
    for _ in range(23):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return median(times[3:]), sum(times)


def plain_pass(networks: list[Network], way: Way) -> list[float]:
    """One pass of the plain way; median seconds of each network."""
    start = time.perf_counter()
    results = [plain_once(network) for network in networks]
    way.wall_s += time.perf_counter() - start
    way.inference_s += sum(seconds for _, seconds in results)
    way.inferences += 23 * len(networks)
    way.networks += len(networks)
    return [found for found, _ in results]


def campaign_pass(
    store: Store, backend: Backend, architectures: list[Any], how: tuple[Protocol, bool],
    retest: float, way: Way,
) -> None:  # fmt: skip
    """One pass of a campaign: with ``retest`` 1 after 0, the second timing of every row.

    The start of the worker, once a campaign, is not in the rate: it is a second of the hours that
    a real one takes."""
    protocol, overlap = how
    outcome = run_campaign(
        store, backend, architectures=architectures, protocol=protocol,
        options=CampaignOptions(retest=retest, overlap=overlap),
    )  # fmt: skip
    assert outcome.failed == 0
    assert outcome.measured == len(architectures)
    way.wall_s += outcome.seconds - outcome.start_seconds
    way.inference_s += outcome.inference_seconds
    way.inferences += outcome.inferences
    way.networks += outcome.measured + outcome.again


def all_ways(n: int, backend: Backend, plain: bool) -> tuple[dict[str, Way], float]:
    """Two passes of each way, taking turns, with the plain one if asked for; and the mean relative
    difference between the latencies with and without overlap."""
    space = darts()
    architectures = [space.sample(0, i) for i in range(n)]
    networks = [space.build(a) for a in architectures]
    ways = {name: Way() for name in (*["plain"] * plain, *WAYS)}
    passes = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stores = {
            name: stack.enter_context(Store(Path(folder) / f"{name}.sqlite", space))
            for name in WAYS
        }
        for retest in (0.0, 1.0):
            if plain:
                passes.append(plain_pass(networks, ways["plain"]))
            for name, store in stores.items():
                campaign_pass(store, backend, architectures, WAYS[name], retest, ways[name])
        floors = {name: store.find_set().noise_floor for name, store in stores.items()}
        alone, beside = (stores[name].relative(1) for name in ("default", "overlap"))
    if plain:
        floors["plain"] = noise_floor(*passes)
    for name, floor in floors.items():
        assert floor is not None
        ways[name].noise_floor = floor
    bias = mean(mean(beside[a]) / mean(alone[a]) for a in alone) - 1
    return ways, bias


def figures_of(name: str, way: Way, n: int) -> Iterator[Figure]:
    """What a way took and how well it measured."""
    speed, noise = way.per_hour, 100 * way.noise_floor
    yield figure(f"{name}: architectures per hour", speed, "1/h", 2 * n)
    yield figure(f"{name}: noise floor", noise, "%", n)
    # The quick protocol times so little that loading cannot but show; it has no target.
    limit = 1.3 if name in ("default", "overlap") else None
    yield figure(f"{name}: overhead", way.overhead, "wall / inference", 2 * n, at_most=limit)
    inferences = way.inferences / way.networks
    yield figure(f"{name}: inferences a network", inferences, "runs", 2 * n, at_most=50)


def against_plain(name: str, way: Way, plain: Way, n: int) -> Iterator[Figure]:
    """A way's ratios to the plain one, with their targets."""
    speed, share = TARGETS[name]
    faster, noisier = way.per_hour / plain.per_hour, way.noise_floor / plain.noise_floor
    yield figure(f"{name}: speed-up", faster, "x", 2 * n, at_least=speed)
    yield figure(f"{name}: noise floor over the plain one", noisier, "ratio", n, at_most=share)


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All ways on DARTS' CIFAR network (C=36, 20 cells, batch 1), one thread."""
    import torch

    torch.set_num_threads(1)
    n, usual = 4 if quick else 30, arguments.backend is None
    backend = make_backend(arguments.backend or "onnxruntime", **parse_options(arguments.option))
    ways, bias = all_ways(n, backend, plain=usual)
    figures = []
    for name, way in ways.items():
        figures += figures_of(name, way, n)
        if usual and name != "plain":
            figures += against_plain(name, way, ways["plain"], n)
    figures.append(figure("overlap: latencies against default", 100 * bias, "% longer", n))
    return Outcome(figures, noise_floor=ways["default"].noise_floor)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", help="another backend, without the plain way")
    parser.add_argument("--option", action="append", default=[], help="its option key=value")


if __name__ == "__main__":
    main("Campaign: latbench against the plain way", benchmark, options)
