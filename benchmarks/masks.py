"""Widths and resolutions by masks (DMaskingNAS): what a step costs, and what is found.

    python benchmarks/masks.py [--part costs|space|truth|accuracy|reference]
        [--out FOLDER]

**costs**: the peak of torch's allocations and the time of a step (forward, backward to weights and
choices, the weights' optimiser), of a chain of inverted residuals whose inner widths are masked,
over the same network without masks and over a supernet that has every width as a branch of its own;
and of resolutions, one drawn a step or all mixed. Each in a fresh process, one thread, the best
time of three.

**space**: a search in FBNetV2's space at its full widths, on small images: its size and its steps
an hour on two cores.

**truth**: searches in a space of which every network was trained, see ``masks_truth``.

**accuracy**: widths and resolutions beside operations alone under one limit on the measured
latency; what is found is trained, see ``masks_accuracy``.

**reference**: the largest network of that, trained.

With ``--out`` a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import masks_accuracy
import masks_truth
import numpy as np
import torch
from harness import Figure, Outcome, figure, main
from step_children import peak_mib, told_by_a_child
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from latbench.export.torch import NetworkModule
from latbench.networks.blocks import classifier
from latbench.networks.mobile_blocks import HSWISH, conv_bn_act, inverted_residual
from latbench.networks.ops import Shape
from latbench.search.config import SearchConfig
from latbench.search.images.images import ImageData
from latbench.search.loop import search
from latbench.search.methods import parse_method
from latbench.search.supernets.searchable import make_supernet
from latbench.search.training.steps import LAYOUT, prepare, sgd
from latbench.spaces import make_space
from latbench.spaces.assembly import Assembler, Step
from latbench.spaces.base import SearchSpace
from latbench.spaces.space_config import SpaceConfig
from latbench.spaces.variables import One

PARTS = ("costs", "space", "truth", "accuracy", "reference")
BLOCKS, WIDTH, MOST, SIDE, BATCH, STEPS = 8, 24, 160, 32, 32, 16
LEAST_SIZE = 1e35


# -- costs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChainConfig(SpaceConfig):
    """``inner`` are the widths inside a block; ``branches`` makes each one a branch of its own;
    ``sizes`` are the resolutions."""

    inner: tuple[int, ...] = (MOST,)
    branches: bool = False
    sizes: tuple[int, ...] = (SIDE,)


class Chain(SearchSpace[ChainConfig]):
    """Inverted residuals of one width, whose inner widths are searched."""

    name = "chain"

    def __init__(self, config: ChainConfig | None = None) -> None:
        self.config = config or ChainConfig()

    def variables(self) -> Iterator[One]:
        yield One("resolution", tuple(map(str, self.config.sizes)), kind="resolution")
        for i in range(BLOCKS):
            yield One(f"{i}.inner", tuple(map(str, self.config.inner)), kind="width")

    def input_shape(self, number: Callable[[str], int]) -> Shape:
        size = number("resolution")
        return (self.config.batch, self.config.in_channels, size, size)

    def assemble(self, b: Assembler) -> int:
        x = conv_bn_act(b, b.input, WIDTH, 3, activation=HSWISH)
        for i in range(BLOCKS):
            name = f"{i}.inner"
            if self.config.branches:
                options: dict[str, Step] = {str(n): partial(_block, n) for n in self.config.inner}
                x = b.one(name, options, x)
            else:
                x = _block(b.number(name), b, x)
        return classifier(b, x, self.config.classes)


def _block(inner: int, b: Assembler, x: int) -> int:
    return inverted_residual(b, x, WIDTH, 3, 1, inner, HSWISH, residual=True)


def chain(spec: dict[str, Any]) -> Chain:
    """The space of a case."""
    widths = spec.get("widths", 1)
    inner = tuple(MOST * (k + 1) // widths for k in range(widths))
    return Chain(
        ChainConfig(inner=inner, branches=spec.get("branches", False),
                    sizes=tuple(spec.get("sizes", (SIDE,))))
    )  # fmt: skip


def step_costs(spec: dict[str, Any], quick: bool) -> tuple[float, float]:
    """The peak of torch's allocations (MiB) from a network's making through its steps, and the mean
    seconds of a step: forward, backward to weights and choices, and the weights' optimiser."""
    torch.set_num_threads(1)
    space, batch, steps = chain(spec), 4 if quick else BATCH, 2 if quick else STEPS
    stream = torch.Generator().manual_seed(0)
    side = max(space.config.sizes)
    x = torch.randn(batch, 3, side, side, generator=stream).contiguous(memory_format=LAYOUT)
    labels = torch.randint(10, (batch,), generator=stream)

    def made() -> Callable[[], None]:
        torch.manual_seed(0)
        if spec.get("plain"):
            module: nn.Module = NetworkModule(space.build(space.reference())).train()
            run: Callable[[], Tensor] = partial(module, x)
        else:
            method = parse_method(f"dmasking(resolutions={spec.get('resolutions', 'drawn')})")
            choices = method.relaxation(space, stream)
            choices.begin_epoch(0, 1)
            module = make_supernet(space, SearchConfig(str(method)), choices).train()

            def run() -> Tensor:
                found: Tensor = module(x, choices.subgraphs(stream)[0])
                return found

        prepare(module, "cpu")
        optimizer = sgd(module, 0.01, 0.9, 1e-4)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(run(), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        return step

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step = made()
        for _ in range(1 if quick else 4 * len(space.config.sizes)):  # the largest is drawn
            step()
    peak = peak_mib(seen)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return peak, (time.perf_counter() - start) / steps


SIZES = (SIDE - 12, SIDE - 8, SIDE - 4, SIDE)
CASES: dict[str, dict[str, Any]] = {
    "plain": {"plain": True},
    "2 widths": {"widths": 2},
    "10 widths": {"widths": 10},
    "10 widths, a branch each": {"widths": 10, "branches": True},
    **{f"10 widths at {n} pixels": {"widths": 10, "sizes": (n,)} for n in SIZES[:-1]},
    "10 widths, 4 resolutions, one drawn": {"widths": 10, "sizes": SIZES, "resolutions": "drawn"},
    "10 widths, 4 resolutions, all mixed": {"widths": 10, "sizes": SIZES, "resolutions": "mixed"},
}
# (case, over which, at most in memory, at most in time)
RATIOS = (
    ("10 widths", "2 widths", 1.02, 1.05),
    ("10 widths", "plain", 1.5, 1.25),
    ("10 widths, 4 resolutions, one drawn", "10 widths", 1.15, 1.15),
    ("10 widths, 4 resolutions, all mixed", "10 widths", None, None),
    ("10 widths, a branch each", "plain", None, None),
)


def cost_figures(quick: bool) -> list[Figure]:
    """Memory and time of each case, and their ratios; the best of three processes each."""
    costs: dict[str, tuple[float, float]] = {}
    for _ in range(1 if quick else 3):
        for name, spec in CASES.items():
            memory, seconds = told_by_a_child(__file__, spec, name, quick)
            costs[name] = (memory, min(seconds, costs.get(name, (0, math.inf))[1]))
    found = []
    for name, (memory, seconds) in costs.items():
        found.append(figure(f"{name}: peak memory", memory, "MiB", 1))
        found.append(figure(f"{name}: time of a step", seconds, "s", STEPS))
    for case, over, *most in RATIOS:
        for k, what in enumerate(("memory", "time")):
            ratio = costs[case][k] / costs[over][k]
            found.append(figure(f"{what} of {case} over {over}", ratio, "x", 1, at_most=most[k]))
    alone = [costs[f"10 widths at {n} pixels"][1] for n in SIZES[:-1]] + [costs["10 widths"][1]]
    ratio = costs["10 widths, 4 resolutions, one drawn"][1] / float(np.mean(alone))
    found.append(figure("time of one drawn over the mean of the 4 sizes alone", ratio, "x", 1))
    return found


# -- a large space ---------------------------------------------------------------------------------


def space_figures(quick: bool) -> list[Figure]:
    """A search in a space of 10^35 networks."""
    sizes = (17, 20) if quick else (32, 40, 48, 56, 64, 72)
    space = make_space("fbnetv2", {"resolutions": sizes, "resolution": sizes[-1], "classes": 10})
    steps, batch = (2, 4) if quick else (12, 32)
    stream = torch.Generator().manual_seed(0)
    images = torch.randn(2 * steps * batch, 3, sizes[-1], sizes[-1], generator=stream)
    labels = torch.randint(10, (len(images),), generator=stream)
    data = ImageData("noise", images, labels, images[:8], labels[:8], 10, torch.zeros(3), 0, False)
    config = SearchConfig("dmasking", epochs=1, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        ends = [time.perf_counter()]
        search(
            space, data, config, directory=folder,
            stepped=lambda _: ends.append(time.perf_counter()),
        )  # fmt: skip
    seconds = float(np.mean(np.diff(ends)[1:]))
    least = None if quick else LEAST_SIZE
    return [
        figure("fbnetv2: networks in the space", float(space.size), "", 1, at_least=least),
        figure(f"fbnetv2: steps of {batch} images an hour", 3600 / seconds, "", steps - 1),
    ]


# -- all -------------------------------------------------------------------------------------------


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """The parts that are asked for."""
    if arguments.child is not None:
        print(json.dumps(step_costs(json.loads(arguments.child), quick)))
        raise SystemExit(0)
    parts: Sequence[str] = arguments.part or PARTS
    figures, floor = list[Figure](), None
    with tempfile.TemporaryDirectory() as scratch:
        out = arguments.out or Path(scratch)
        if "costs" in parts:
            figures += cost_figures(quick)
        if "space" in parts:
            figures += space_figures(quick)
        if "truth" in parts:
            of, floor = masks_truth.figures(out / "truth", 1 if quick else 3, quick)
            figures += of
        if "accuracy" in parts:
            of, own = masks_accuracy.figures(out / "accuracy", 1 if quick else 3, quick)
            figures, floor = figures + of, max(own, floor or 0.0)
        if "reference" in parts:
            figures.append(masks_accuracy.reference_figure(out / "reference", quick))
    return Outcome(figures, floor)


def options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own."""
    parser.add_argument("--part", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the trainings there")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # the case of a process of its own


if __name__ == "__main__":
    main("Widths and resolutions by masks", benchmark, options)
