"""Pairs of campaigns between which nothing changed, made without a store or a clock: thousands of
them a second. ``from null_campaigns import ...``.

A row is the fastest of its visits, with its interval and its number of visits by the protocol's own
rule, in units of the canary's fastest run in its block. Rows come in the plan's blocks, retests
half a campaign later, all beside one session of the canary.
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
from latbench.comparison.significance import Comparison, compare
from latbench.store.sides import Floats, Side
from latbench.timing.protocol import AGREEING, Protocol

PROTOCOL = Protocol()
RETEST = 0.15
SET = make_set(protocol=PROTOCOL)
# Rows from which campaigns are drawn: both sides draw from the same ones.
ROWS = 10_000
KEPT = 0.2  # of the machine's drift, from block to block


@dataclass(frozen=True)
class Noise:
    """Standard deviations of logarithms.

    Of what a visit of a ``network`` takes longer than its fastest; of a ``session`` of a network
    (and of the canary); of the ``canary`` from block to block, which its rows are divided by; of
    the ``machine``, which slows network and canary alike, from block to block, and of its
    ``drift``, of which a block keeps a fifth. ``freedom`` is that of Student's t, as which a
    visit's noise is distributed; infinite is normal.
    """

    network: float = 0.001
    canary: float = 0.0005
    session: float = 0.0005
    machine: float = 0.0
    drift: float = 0.0
    freedom: float = np.inf


def rows_of(visits: Floats) -> tuple[Floats, Floats]:
    """Logarithm of the latency and half-width of each row, from the logarithms of its visits' (one
    a column): what ``estimate`` and ``should_stop`` of ``latbench.timing.protocol`` make of them,
    thousands at a time."""
    fastest, half_width = np.empty(len(visits)), np.empty(len(visits))
    going = np.arange(len(visits))
    for count in range(PROTOCOL.min_visits, PROTOCOL.max_visits + 1):
        seen = np.sort(visits[going, :count])
        fastest[going] = seen[:, 0]
        half_width[going] = seen[:, AGREEING - 1] - seen[:, 0]
        going = going[half_width[going] > PROTOCOL.target]
    return fastest, half_width


@cache
def timed_rows(network: float, freedom: float) -> tuple[Floats, Floats]:
    """``ROWS`` rows of visits with this noise."""
    rng = np.random.default_rng(0)
    shape = (ROWS, PROTOCOL.max_visits)
    drawn = rng.standard_t(freedom, shape) if freedom < np.inf else rng.standard_normal(shape)
    return rows_of(network * np.abs(drawn))


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
    """A stationary series of variance 1 in which each value keeps a fifth of the one before."""
    steps = np.sqrt(1 - KEPT**2) * rng.standard_normal(n)
    return np.asarray(lfilter([1.0], [1.0, -KEPT], steps, zi=[KEPT * rng.standard_normal()])[0])


def side(noise: Noise, latencies: Floats, rng: np.random.Generator, shift: int = 0) -> Side:
    """A campaign on architectures of these latencies (logarithms, in units of the canary), whose
    ranks begin with ``shift``."""
    n = len(latencies)
    planned, block = plan(n)
    order = np.argsort(block + rng.random(len(block)))
    timed, block = planned[order], block[order]
    rows = rng.integers(ROWS, size=len(timed))
    fastest, half_width = (column[rows] for column in timed_rows(noise.network, noise.freedom))
    count = int(block.max()) + 1
    own = noise.canary * rng.standard_normal(count)[block]
    session = noise.session * rng.standard_normal()
    relative = latencies[timed] + fastest - own - session
    relative += noise.session * rng.standard_normal(len(timed))
    canary = own + session + noise.machine * rng.standard_normal(count)[block]
    canary += noise.drift * drifting(count, rng)[block]
    repeats = np.bincount(timed)
    by_architecture = np.argsort(timed, kind="stable")  # the retest comes after the first timing
    second = np.cumsum(repeats)[repeats == 2] - 1
    pairs = np.exp(relative[by_architecture][np.column_stack([second - 1, second])])
    return Side(
        path=Path("null"), space=SPACE, set_id=1, set=SET, ranks=np.arange(n) + shift,
        log_relative=np.bincount(timed, relative) / repeats, repeats=repeats,
        half_width=np.sqrt(np.bincount(timed, half_width**2) / repeats),
        sampled=np.ones(n, bool), pairs=pairs, apart=np.zeros((0, 2)), canary_s=np.exp(canary),
        timed=timed, block=block, in_common=np.ones(n),
        anchor_s=float(np.exp(np.mean(canary))), first=0.0, last=1.0, failed=0,
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
