"""Latency tables: what each layer takes within the network, by the groups that it keeps.

Networks of one density each, with random groups, are run in turns, and every step of theirs is
timed where it is: timed alone, a layer is up to 12 % off (prototypes of 2026-11-29). All of them
are computed in the same tiles, without which a table would describe several networks. A round's
times are taken as multiples of the dense network's in the same round, so that a slow moment of the
machine counts for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.device.cpu import cpu_name
from latbench.models import Model
from latbench.sparse.groups import prunable_layers, thinned
from latbench.sparse.running import SparseNetwork

DENSITIES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05)
TUNED_AT = 0.2  # the density whose tiles all are computed in
_RUNS = 4  # in a row, of which the first, whose caches are cold, does not count
_QUANTILE = 0.2


@dataclass(frozen=True)
class MeasuredTable:
    """A latency table as it was measured: of which network, where, and how it was computed.

    ``rest`` are the seconds of the steps that are not pruned. ``layers`` has, by the index of each
    layer, numbers of kept groups, rising, and its seconds with them. ``whole`` is what the dense
    network took in one piece, in seconds. ``tiles`` are those of the engine, three numbers a step.
    """

    model: str
    device: str
    version: str
    options: dict[str, Any]
    whole: float
    rest: float
    layers: dict[int, tuple[tuple[int, ...], tuple[float, ...]]]
    tiles: tuple[tuple[int, ...], ...]

    def differences(self, other: MeasuredTable) -> list[str]:
        """Names what differs from the conditions of another table."""
        names = ("model", "device", "version", "options")
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def measure_table(
    model: Model,
    *,
    group: int = 16,
    threads: int = 1,
    instructions: str = "auto",
    tune: bool = True,
    version: str = "",
    rounds: int = 40,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> MeasuredTable:
    """Measures what the layers of a network take, by the groups that they keep.

    Args:
        model: The network with its weights.
        group: How many filters make a group.
        threads: The threads of a run.
        instructions: The set of instructions, as the backend's option.
        tune: Whether the fastest tiles are taken, as the backend's option.
        version: The engine's version, which is kept with the table.
        rounds: How often every network is run.
        report: Called with the rounds that are done and all of them.

    Returns:
        The table.
    """
    layers = prunable_layers(model.network)
    loaded: list[SparseNetwork] = []
    try:
        for density in DENSITIES:
            weights = model.arrays if density == 1 else thinned(model, group, density)
            loaded.append(
                SparseNetwork(
                    model.network, weights, group=group, threads=threads, instructions=instructions
                )
            )
        tuned = loaded[DENSITIES.index(TUNED_AT)]
        if tune:
            tuned.tune()
        for network in loaded:
            network.tiles = tuned.tiles
        steps, whole = _timed(loaded, model.input()[:1], rounds, report)
        kept = [network.groups()[:, 0] for network in loaded]
        program = tuned.program
        tiles = tuple(tuple(map(int, row)) for row in tuned.tiles)
    finally:
        for network in loaded:
            network.close()
    step_of = {s.layers[0]: i for i, s in enumerate(program.steps) if s.layers}
    curves = {}
    for layer in layers:
        step = step_of[layer]
        knots = sorted(
            {int(k[step]): float(t[step + 1]) for k, t in zip(kept, steps, strict=True)}.items()
        )
        seconds = _rising(np.array([t for _, t in knots]))
        curves[layer] = (tuple(n for n, _ in knots), tuple(map(float, seconds)))
    pruned = [step_of[layer] + 1 for layer in layers]
    rest = float(np.median([np.delete(t, pruned).sum() for t in steps]))
    # The clock between two steps takes time too, which a run in one piece does not.
    scale = whole / (rest + sum(seconds[-1] for _, seconds in curves.values()))
    return MeasuredTable(
        str(model), cpu_name(), version,
        {"group": group, "threads": threads, "instructions": instructions, "tune": tune},
        whole, rest * scale,
        {layer: (n, tuple(t * scale for t in s)) for layer, (n, s) in curves.items()}, tiles,
    )  # fmt: skip


def _timed(
    loaded: list[SparseNetwork], image: npt.NDArray[np.float32], rounds: int,
    report: Callable[[int, int], None],
) -> tuple[list[npt.NDArray[np.float64]], float]:  # fmt: skip
    """The seconds of every step of each network, and of the first network in one piece."""
    output = np.empty((1, *loaded[0].output_shape), np.float32)
    found, pieces = [[] for _ in loaded], []  # type: ignore[var-annotated]
    for done in range(rounds):
        for i, network in enumerate(loaded):
            found[i].append(network.profile(image[0], _RUNS)[1:] * 1e-9)
        loaded[0].run(image, output)
        start = time.perf_counter_ns()
        loaded[0].run(image, output)
        pieces.append((time.perf_counter_ns() - start) * 1e-9)
        report(done + 1, rounds)
    # A round in which the dense network took longer was slow for all.
    dense = np.array([np.median(runs.sum(axis=1)) for runs in found[0]])
    slow = dense / np.quantile(dense, _QUANTILE)
    steps = [
        np.quantile(
            np.concatenate([runs / s for runs, s in zip(of, slow, strict=True)]), _QUANTILE, axis=0
        )
        for of in found
    ]
    return steps, float(np.quantile(np.array(pieces) / slow, _QUANTILE))


def _rising(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The closest seconds that never fall."""
    from sklearn.isotonic import isotonic_regression

    result: npt.NDArray[np.float64] = isotonic_regression(seconds)
    return result
