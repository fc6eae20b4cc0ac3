"""Pairs of campaigns between which nothing changed, made without a store or a clock: thousands of
them a second. ``from null_campaigns import ...``.

A visit times the network between runs of the canary; a row is the median of its visits' ratios,
with its interval and its number of visits by the protocol's own rule. Rows come in the plan's
blocks, retests a block later, all beside one session of the canary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from timed import SPACE, make_set

from latbench.campaign import CampaignOptions
from latbench.campaign.plan import Task, blocks
from latbench.changes import Comparison, compare
from latbench.protocol import Protocol, _outside
from latbench.store.sides import Floats, Side

PROTOCOL = Protocol()
RETEST = 0.15
SET = make_set()
# Rows from which campaigns are drawn: both sides draw from the same ones.
ROWS = 10_000


@dataclass(frozen=True)
class Noise:
    """Standard deviations of logarithms.

    Of a visit's ``network`` and ``canary`` part; of a ``session`` of a network (and of the canary);
    of the ``machine``, which slows network and canary alike, from row to row, and of its ``drift``,
    which a row forgets a tenth of. ``freedom`` is that of Student's
    t, which a visit's noise is distributed as; infinite is normal.
    """

    network: float = 0.001
    canary: float = 0.001
    session: float = 0.0005
    machine: float = 0.0
    drift: float = 0.0
    freedom: float = np.inf


def rows_of(ratios: Floats, canary: Floats) -> tuple[Floats, Floats, Floats]:
    """Logarithm of the relative latency, half-width, and logarithm of the canary's time of each
    row, from the logarithms of its visits' (one a column): what ``estimate`` and ``should_stop`` of
    ``latbench.protocol`` make of visits in which nothing was disturbed, thousands at a time."""
    relative, half_width, canary_s = (np.empty(len(ratios)) for _ in range(3))
    going = np.arange(len(ratios))
    for visits in range(PROTOCOL.min_visits, PROTOCOL.max_visits + 1):
        seen, k = np.sort(ratios[going, :visits]), _outside(visits)
        relative[going] = np.median(seen, axis=1)
        half_width[going] = (seen[:, -1 - k] - seen[:, k]) / 2
        canary_s[going] = np.median(canary[going, :visits], axis=1)
        going = going[half_width[going] > PROTOCOL.target]
    return relative, half_width, canary_s


@cache
def timed_rows(network: float, canary: float, freedom: float) -> tuple[Floats, Floats, Floats]:
    """``ROWS`` rows of visits with this noise."""
    rng = np.random.default_rng(0)
    shape = (2, ROWS, PROTOCOL.max_visits)
    drawn = rng.standard_t(freedom, shape) if freedom < np.inf else rng.standard_normal(shape)
    of_canary = canary * drawn[1]
    return rows_of(network * drawn[0] - of_canary, of_canary)


@cache
def plan(n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of the rows of a campaign of ``n`` architectures: which architecture, and which block."""
    tasks = [Task(str(i), 0, i, 0) for i in range(n)]
    found = [
        (int(task.architecture), block)
        for block, group in enumerate(blocks(tasks, CampaignOptions().block, RETEST))
        for task in group
    ]
    architecture, block = np.array(found).T
    return architecture, block


def drifting(n: int, rng: np.random.Generator) -> Floats:
    """A stationary series of variance 1 in which each value keeps 0.9 of the one before."""
    steps = np.sqrt(1 - 0.9**2) * rng.standard_normal(n)
    return np.asarray(lfilter([1.0], [1.0, -0.9], steps, zi=[0.9 * rng.standard_normal()])[0])


def side(noise: Noise, latencies: Floats, rng: np.random.Generator, shift: int = 0) -> Side:
    """A campaign on architectures of these latencies (logarithms, in units of the canary), whose
    ranks begin with ``shift``."""
    n = len(latencies)
    planned, block = plan(n)
    timed = planned[np.argsort(block + rng.random(len(block)))]
    rows = rng.integers(ROWS, size=len(timed))
    seen = timed_rows(noise.network, noise.canary, noise.freedom)
    relative, half_width, canary = (column[rows] for column in seen)
    canary_session = noise.session * rng.standard_normal()
    relative = relative + latencies[timed] - canary_session
    relative += noise.session * rng.standard_normal(len(timed))
    canary = canary + canary_session + noise.machine * rng.standard_normal(len(timed))
    canary += noise.drift * drifting(len(timed), rng)
    repeats = np.bincount(timed)
    by_architecture = np.argsort(timed, kind="stable")  # the retest comes after the first timing
    second = np.cumsum(repeats)[repeats == 2] - 1
    pairs = np.exp(relative[by_architecture][np.column_stack([second - 1, second])])
    return Side(
        path=Path("null"), space=SPACE, set_id=1, set=SET, ranks=np.arange(n) + shift,
        log_relative=np.bincount(timed, relative) / repeats, repeats=repeats,
        half_width=np.sqrt(np.bincount(timed, half_width**2) / repeats),
        sampled=np.ones(n, bool), pairs=pairs, canary_s=np.exp(canary), timed=timed,
        anchor_s=float(np.exp(np.median(canary))), first=0.0, last=1.0, failed=0,
    )  # fmt: skip


def comparisons(
    noise: Noise, n: int, times: int, seed: int = 0, unshared: int = 0
) -> Iterator[Comparison]:
    """Comparisons of campaigns on ``n`` architectures each, all but ``unshared`` the same ones."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        latencies = 0.5 * rng.standard_normal(n + unshared)
        a = side(noise, latencies[:n], rng)
        yield compare(a, side(noise, latencies[unshared:], rng, shift=unshared))


@dataclass(frozen=True)
class Coverage:
    """In which share of comparisons an interval held 0, which is the truth; of ``absolute`` and
    ``against``, the mean share of architectures. ``named`` is in which share one or more
    architectures were called changed."""

    whole: float
    absolute: float
    against: float
    relative: float
    canary: float
    named: float


def coverage(found: Iterable[Comparison]) -> Coverage:
    """Of comparisons of sides that nothing changed between."""
    held = []
    for c in found:
        parts = (c.whole, c.relative, c.canary)
        whole, relative, canary = (float(p is not None and p.low <= 0 <= p.high) for p in parts)
        absolute, against = (
            float(np.mean((v.low <= 0) & (v.high >= 0))) if c.shared else 1.0
            for v in (c.absolute, c.against)
        )
        held.append((whole, absolute, against, relative, canary, float(c.absolute.beyond.any())))
    return Coverage(*np.mean(held, axis=0).tolist())
