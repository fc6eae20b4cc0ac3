"""latbench's campaign against the plain way, on the same architectures in one run.

The plain way is what a user writes in an afternoon: build the torch module, ``torch.onnx.export``
(the TorchScript exporter, the faster of torch's two), an ``InferenceSession``, three warm-up and
twenty timed runs, the median. Both time every architecture twice, in two passes, and the noise
floor is the mean relative difference between the two.
"""

from __future__ import annotations

import io
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from harness import Outcome, figure, main

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.export.torch import to_torch
from latbench.network import Network
from latbench.protocol import Protocol, noise_floor
from latbench.spaces import darts
from latbench.store import Store
from latbench.weights import make_input

# Two points on the curve of time against noise: the default, and a quick one.
PROTOCOLS = {
    "default": Protocol(),
    "quick": Protocol(runs=1, canary_runs=1, min_visits=3, max_visits=3),
}


@dataclass(frozen=True)
class Result:
    """Architectures an hour, noise floor (fraction), and wall time over inference time."""

    per_hour: float
    noise_floor: float
    overhead: float


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


def plain(networks: list[Network]) -> Result:
    """Two passes of the plain way."""
    start, inference, passes = time.perf_counter(), 0.0, []
    for _ in range(2):
        results = [plain_once(network) for network in networks]
        passes.append([r[0] for r in results])
        inference += sum(r[1] for r in results)
    wall = time.perf_counter() - start
    floor = noise_floor(*passes)
    assert floor is not None
    return Result(3600 * 2 * len(networks) / wall, floor, wall / inference)


def campaign(space: Any, architectures: list[Any], protocol: Protocol) -> Result:
    """A campaign with every row timed twice. The start of the worker, once a campaign, is not in
    the rate: it is a second of the hours that a real one takes."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s.sqlite", space) as store:
        outcome = run_campaign(
            store, make_backend("onnxruntime"), architectures=architectures, protocol=protocol,
            options=CampaignOptions(retest=1.0),
        )  # fmt: skip
        floor = store.find_set().noise_floor
    assert floor is not None
    assert outcome.failed == 0
    wall = outcome.seconds - outcome.start_seconds
    return Result(3600 * outcome.measured / wall, floor, wall / outcome.inference_seconds)


def benchmark(quick: bool) -> Outcome:
    """Both ways on DARTS' CIFAR network (C=36, 20 cells, batch 1), one thread."""
    import torch

    torch.set_num_threads(1)
    n = 6 if quick else 30
    space = darts()
    architectures = [space.sample(0, i) for i in range(n)]
    baseline = plain([space.build(a) for a in architectures])
    figures = [
        figure("plain: architectures per hour", baseline.per_hour, "1/h", 2 * n),
        figure("plain: noise floor", 100 * baseline.noise_floor, "%", n),
        figure("plain: overhead", baseline.overhead, "wall / inference", 2 * n),
    ]
    # (speed-up, share of the plain noise floor) that each protocol is held to.
    targets = {"default": (2.0, 0.25), "quick": (4.0, 0.5)}
    floors = []
    for name, protocol in PROTOCOLS.items():
        r = campaign(space, architectures, protocol)
        speed, share = targets[name]
        floors.append(r.noise_floor)
        figures += [
            figure(f"{name}: architectures per hour", r.per_hour, "1/h", 2 * n),
            figure(f"{name}: speed-up", r.per_hour / baseline.per_hour, "x", 2 * n, at_least=speed),
            figure(f"{name}: noise floor", 100 * r.noise_floor, "%", n),
            figure(f"{name}: noise floor over the plain one", r.noise_floor / baseline.noise_floor,
                   "ratio", n, at_most=share),
            # The quick protocol times so little that loading cannot but show; it has no target.
            figure(f"{name}: overhead", r.overhead, "wall / inference", 2 * n,
                   at_most=1.3 if name == "default" else None),
        ]  # fmt: skip
    return Outcome(figures, noise_floor=floors[0])


if __name__ == "__main__":
    main("Campaign: latbench against the plain way", benchmark)
