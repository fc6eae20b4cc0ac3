"""The timing protocol: how one architecture is timed, and what its timings say.

A machine has a fast state and slower ones: other tenants take its last-level cache and its memory,
clocks fall, a core is taken away. What slows it is seldom the same for two networks, so no ratio to
one other network divides it out. But the fast state comes again, today and tomorrow. So an
architecture is timed in many short visits at different moments, which it shares with many other
networks, and its latency is the fastest of all its runs: its time in the fast state. Of the
estimators that were tried on the same raw visits (2026-11-29, ``benchmarks/README.md``) it came
back closest, quiet and disturbed. Chen and Revels ("Robust benchmarking in noisy environments",
2016) come to the minimum, too.

What lasts for the whole campaign, such as a lower clock, is divided out by the compute canary: a
network that stays in its core's own cache, whose fastest run repeated to 0.1 to 0.3 % quiet and
beside processes that used the other core (2026-11-29). ``relative`` is in its units. The other
canaries (``latbench.campaign.canaries``) are kept for what they show of the machine.

Protocol 1 (until 2026-11-29) took the ratio of the medians of a network's and one canary's visits.
Its sets can be read (``latbench.store.statistics``), and are never mixed with those of today.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Lt

from latbench.errors import UsageError
from latbench.validation import Count, Natural, NotNegative, check_fields

CURRENT = 2
FOREIGN = 0  # of latencies that were measured elsewhere, in a way that nobody wrote down
MAX_RUNS = 32
# Another measurement of as many visits lies above the sixth fastest of these with a probability of
# 2^-6 or less, see ``estimate``.
AGREEING = 6

Stop = Literal["target", "budget"]


@dataclass(frozen=True)
class Protocol:
    """The protocol of a timing: visits, canaries and stopping rule; part of a measurement set's
    identity.

    A visit is ``runs`` of a network, more where they are fast: until it lasts ``min_part_s``
    seconds, at most ``MAX_RUNS``. ``warmup`` untimed runs before them would refill the caches; the
    fastest run needs none. After ``canary_every`` visits a canary is visited for ``canary_runs``.
    ``pause_s`` seconds of idleness come before every visit: many applications run on a core that
    has cooled down. ``target`` is the wanted relative half-width of the 95 % interval; visits go on
    from ``min_visits`` until it is reached, or to ``max_visits``.

    ``version`` 1 is that of older sets, which can only be read. So can those of version 0, whose
    latencies were measured elsewhere (``latbench.store.foreign``): their other fields say nothing.
    """

    runs: Count = 1
    canary_runs: Count = 3
    min_part_s: NotNegative = 0.01
    warmup: Natural = 0
    min_visits: Count = 24
    max_visits: Count = 36
    target: Annotated[float, Gt(0), Lt(1)] = 0.01
    canary_every: Count = 12
    pause_s: NotNegative = 0.0
    version: int = CURRENT

    def __post_init__(self) -> None:
        check_fields(self, "protocol.")
        if self.min_visits < 2 or self.max_visits < self.min_visits:
            raise UsageError(
                "an interval needs 2 visits or more, and max_visits at least min_visits; got "
                f"min_visits={self.min_visits}, max_visits={self.max_visits}"
            )
        if self.version not in (FOREIGN, 1, CURRENT):
            raise UsageError(
                f"there are protocols 1 and {CURRENT}, and {FOREIGN} of foreign measurements; got "
                f"version {self.version}"
            )

    def repeats(self, at_least: int, run_s: float) -> int:
        """Returns the number of runs of one visit for a network that takes ``run_s`` seconds a
        run."""
        return max(at_least, min(MAX_RUNS, math.ceil(self.min_part_s / run_s)))


@dataclass(frozen=True)
class Visit:
    """A visit: the seconds of its runs.

    ``waited_s`` is how long the process was ready to run meanwhile and was kept from it (preempted,
    or its virtual core was taken away by the host). ``canary_s`` is of protocol 1 alone: as many of
    the canary's runs before the network's as after them.
    """

    network_s: tuple[float, ...]
    canary_s: tuple[float, ...] = ()
    waited_s: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """A summary of the visits of one architecture.

    ``relative`` is dimensionless, in units of the canary; ``half_width`` is the relative half-width
    of its 95 % interval. ``canary_s`` is the canary's seconds, and ``raw_s`` what a plain loop
    would have said: the median of all visits' medians, disturbed ones and all. ``rejected`` visits
    were left out (of protocol 1).
    """

    relative: float
    half_width: float
    raw_s: float
    canary_s: float
    rejected: int = 0


def half_width(visits: Sequence[Visit]) -> float:
    """Returns by how much the fastest run may be off, relative; infinite for a single visit.

    Consider the 2 n visits of two equal measurements, any half of which may be the first one's. All
    visits of the second lie above the k-th fastest of the first with a probability of at most 2^-k,
    whatever the distribution: the k fastest of all would have to fall to one side. So with k = 6,
    the second's fastest lies below the sixth of the first's in 98 of 100 cases, and the other way
    round. The width is the scatter between moments of one session, and holds neither that between
    sessions nor that between states of the machine that last longer: the noise floors do. Fewer
    than six visits have their whole range.
    """
    if len(visits) < 2:
        return math.inf
    fastest = sorted(min(v.network_s) for v in visits)[:AGREEING]
    return math.log(fastest[-1] / fastest[0])


def estimate(visits: Sequence[Visit], canary_s: float) -> Estimate:
    """Returns the fastest run of all visits, beside the canary's fastest (seconds) in the same
    block."""
    return Estimate(
        relative=min(min(v.network_s) for v in visits) / canary_s,
        half_width=half_width(visits),
        raw_s=median(median(v.network_s) for v in visits),
        canary_s=canary_s,
    )


def should_stop(visits: Sequence[Visit], protocol: Protocol) -> Stop | None:
    """Returns "target" or "budget" when these visits are enough, None when another is needed."""
    if len(visits) < protocol.min_visits:
        return None
    if half_width(visits) <= protocol.target:
        return "target"
    return "budget" if len(visits) >= protocol.max_visits else None


def retest_bias(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[float, float] | None:
    """Returns how much longer the second timings are on average, and the standard error of that.

    Both are relative, like ``noise_floor``; the result is None for fewer than two pairs. Timings of
    the same architectures have no reason to differ in one direction: when they do by more than a
    few standard errors, the order in which they were made has an effect on them, and it is in the
    noise floor.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.size < 2:
        return None
    change = (b - a) / ((a + b) / 2)
    return float(change.mean()), float(change.std(ddof=1) / math.sqrt(a.size))


def noise_floor(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Returns the mean relative difference between two independent timings of the same
    architectures.

    ``|a - b|`` over the mean of the two, averaged; None for no pairs.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    return float(np.mean(np.abs(a - b) / ((a + b) / 2))) if a.size else None
