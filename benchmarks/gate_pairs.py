"""Simulated pairs of stores for the gate: sides as a job measures them, with known true changes.

A side is a campaign that times each network twice, and further occasions that time it once more, as
``latbench measure`` and ``latbench recheck`` do. Timings of one occasion differ by the floor
inside. Sides of different days differ by the floor between, half of it for all networks alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latbench.comparison.gate import Gate, judge
from latbench.comparison.significance import compare
from latbench.spaces import nasbench201
from latbench.store import MeasurementSet
from latbench.store.sides import Side
from latbench.timing.protocol import Protocol

Floats = npt.NDArray[np.float64]
SPACE = nasbench201(channels=4, cells=1, resolution=8)
SET = MeasurementSet("simulated", {}, "1", "CPU", Protocol(), "compute", {})
CANARY = 0.002  # of a session, and of a block: it repeated to 0.1 to 0.3 %
# A floor is the mean distance of two timings: the standard deviation of one times this.
FLOOR = 2 / math.sqrt(math.pi)


@dataclass(frozen=True)
class Conditions:
    """How a pair is measured: the floors, at how many ``occasions``, and whether ``in_turns`` on
    one day or on two days. ``freedom`` is that of Student's t, as which timings are distributed;
    infinite is normal."""

    inside: float
    between: float
    occasions: int = 5
    in_turns: bool = True
    freedom: float = math.inf


def draw(rng: np.random.Generator, deviation: float, freedom: float, *shape: int) -> Floats:
    """Noise of this standard deviation."""
    if math.isinf(freedom):
        return deviation * rng.standard_normal(shape)
    return deviation * math.sqrt((freedom - 2) / freedom) * rng.standard_t(freedom, shape)


def side(how: Conditions, truth: Floats, rng: np.random.Generator) -> Side:
    """A side of networks with these true latencies (logarithms, in units of the canary)."""
    n, timings = len(truth), how.occasions + 1
    occasion = np.maximum(np.arange(timings) - 1, 0)  # the first one times twice
    inside = how.inside / FLOOR
    day = math.sqrt(max(how.between**2 - how.inside**2, 0.0)) / FLOOR
    of_day = 0.0 if how.in_turns else (
        draw(rng, day * math.sqrt(0.5), how.freedom, n, 1)
        + draw(rng, day * math.sqrt(0.5), how.freedom, 1, 1)
    )  # fmt: skip
    session = CANARY * rng.standard_normal(how.occasions)[occasion]
    beside = CANARY * rng.standard_normal(timings)
    relative = truth[:, None] + of_day + draw(rng, inside, how.freedom, n, timings)
    relative = relative - session - beside
    pairs = np.stack([relative[:, :-1].ravel(), relative[:, 1:].ravel()], axis=1)
    canary = np.repeat(session + beside, n)
    return Side(
        path=Path("simulated"), space=SPACE, set_id=1, set=SET, ranks=np.arange(n),
        log_relative=relative.mean(axis=1), repeats=np.full(n, timings),
        half_width=0.006 * np.exp(0.5 * rng.standard_normal(n)), sampled=np.zeros(n, bool),
        pairs=np.exp(pairs), apart=np.zeros((0, 2)), canary_s=np.exp(canary),
        timed=np.tile(np.arange(n), timings), block=np.repeat(np.arange(timings), n),
        in_common=np.full(n, 1.0 if how.occasions == 1 else 2 / timings**2),
        anchor_s=float(np.exp(np.mean(canary))), first=0.0, last=1.0, failed=0,
    )  # fmt: skip


def gate(
    how: Conditions, slower: Sequence[float], rng: np.random.Generator, limit: float = 0.03
) -> Gate:
    """The verdict on a pair of stores of networks that became slower by these fractions."""
    truth = rng.standard_normal(len(slower))
    base = side(how, truth, rng)
    return judge([compare(base, side(how, truth + np.log1p(slower), rng))], limit)
