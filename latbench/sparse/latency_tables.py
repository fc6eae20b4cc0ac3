"""Latency tables: what each layer takes within its network, by the groups that it keeps.

A table is made of networks of one density each, with random groups, of which the whole and every
step was timed where it is: timed alone, a layer is up to 12 % off (prototypes of 2026-11-29). All
of them are computed in the same tiles, without which a table would describe several networks.
Between two densities a layer's latency is a straight line.

The steps of a network add up to a little less or more than the whole takes, since each is as fast
as in the run that was fastest for it, and the clock between two steps takes time, too. So they are
scaled to the whole. What the layers that stay whole take falls a little with the density of those
before them; that part is given to the pruned layers, by what they take. So a table says of the
networks that it was made of exactly what they took. Of others, ``benchmarks/pruning.py --part
tables`` and every table that is measured say how far off it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.networks.network import Network
from latbench.sparse.groups import prunable_layers

Floats = npt.NDArray[np.float64]
DENSITIES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05)
TUNED_AT = 0.2  # the density whose tiles all are computed in


@dataclass(frozen=True)
class LatencyTable:
    """The latency of a network by the groups that its layers keep, in seconds.

    ``rest`` is what takes the same however many are kept. ``layers`` has for each layer, by its
    index in the network, numbers of kept groups, rising, and the seconds that it takes with them.
    """

    rest: float
    layers: Mapping[int, tuple[tuple[int, ...], tuple[float, ...]]]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> LatencyTable:
        """Makes a table from what ``values`` gave."""
        layers = {int(k): (tuple(n), tuple(s)) for k, (n, s) in values["layers"].items()}
        return cls(float(values["rest"]), layers)

    def values(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return {"rest": self.rest, "layers": {str(k): of for k, of in self.layers.items()}}

    def seconds(self, layer: int, numbers: npt.ArrayLike) -> Floats:
        """Returns the seconds of a layer with so many kept groups each; with more never less."""
        kept, seconds = self.layers[layer]
        numbers = np.asarray(numbers)
        found = np.interp(numbers, kept, seconds)
        if len(kept) > 1:  # straight on from the two lowest knots, but never below 0
            slope = max((seconds[1] - seconds[0]) / (kept[1] - kept[0]), 0.0)
            below = np.maximum(seconds[0] - slope * (kept[0] - numbers), 0.0)
            found = np.where(numbers < kept[0], below, found)
        # Between two knots a line is the highest at one of its ends.
        highest = np.concatenate([[0.0], np.maximum.accumulate(seconds)])
        rising: Floats = np.maximum(found, highest[np.searchsorted(kept, numbers, side="right")])
        return rising

    def latency(self, kept: Mapping[int, int]) -> float:
        """Returns the seconds of the network where the layers keep so many groups."""
        return self.rest + sum(float(self.seconds(layer, kept[layer])) for layer in self.layers)

    def at(self, density: float) -> float:
        """Returns the seconds of the network where each layer keeps such a share of its groups."""
        most = {layer: kept[-1] for layer, (kept, _) in self.layers.items()}
        return self.latency(
            {layer: min(max(1, round(density * n)), n) for layer, n in most.items()}
        )

    @property
    def whole(self) -> float:
        """Returns the seconds of the network with all groups."""
        return self.at(1.0)

    def scaled(self, factor: float) -> LatencyTable:
        """Returns the table of a machine that takes so many times as long."""
        return LatencyTable(
            factor * self.rest,
            {n: (kept, tuple(factor * s for s in of)) for n, (kept, of) in self.layers.items()},
        )

    def up_to(self, kept: Mapping[int, int]) -> LatencyTable:
        """Returns the part of the table in which the layers keep no more groups than these."""
        layers = {}
        for layer, (numbers, seconds) in self.layers.items():
            most = kept[layer]
            below = [(n, s) for n, s in zip(numbers, seconds, strict=True) if n < most]
            knots = [*below, (most, float(self.seconds(layer, most)))]
            layers[layer] = (tuple(n for n, _ in knots), tuple(s for _, s in knots))
        return LatencyTable(self.rest, layers)


@dataclass(frozen=True)
class TimedDensity:
    """A network of one density as it was timed: how many groups its layers keep, what it takes as a
    whole, and what those layers take within it, in seconds."""

    kept: Mapping[int, int]
    whole: float
    layers: Mapping[int, float]


def table_of(timed: Sequence[TimedDensity]) -> LatencyTable:
    """Makes the table of a network from networks of one density each.

    Args:
        timed: Networks of the same layers, one of them with all groups.

    Returns:
        The table.
    """
    full = max(timed, key=lambda one: sum(one.kept.values()))
    rests = [one.whole - sum(one.layers.values()) for one in timed]
    rest, pruned = min(rests), sum(full.layers.values())
    layers = {}
    for layer, own in full.layers.items():
        found: dict[int, list[float]] = {}
        for one, left in zip(timed, rests, strict=True):
            found.setdefault(one.kept[layer], []).append(
                one.layers[layer] + (left - rest) * own / pruned
            )
        numbers = tuple(sorted(found))
        seconds = _rising(np.array([np.mean(found[n]) for n in numbers]))
        layers[layer] = (numbers, tuple(map(float, seconds)))
    return LatencyTable(rest, layers)


def mixed_densities(network: Network, seed: int) -> dict[int, float]:
    """Draws densities of a network's layers, within a factor e of a random centre, 0.05 to 1."""
    rng = np.random.default_rng(seed)
    centre = np.exp(rng.uniform(np.log(0.05), 0))
    return {
        layer: float(np.clip(centre * np.exp(rng.uniform(-1, 1)), 0.05, 1))
        for layer in prunable_layers(network)
    }


def _rising(seconds: Floats) -> Floats:
    """The closest seconds that never fall."""
    from sklearn.isotonic import isotonic_regression

    result: Floats = isotonic_regression(seconds)
    return result
