"""How one architecture is timed, and what its timings say.

An architecture is timed in many short visits at different moments. Each visit lies between runs of
a canary network on the same backend; the visit's figure is the ratio of the two, so that whatever
slows the whole machine for a while (another tenant, heat, clocks) divides out. The row keeps the
ratio (relative latency) as well as the plain absolute figure.

Visits in which the machine changed its speed, or took the processor away, are left out. On a shared
2-core machine all this took the test-retest difference from 5 to 10 % (20 plain repeats) to 0.5 to
0.7 % (``benchmarks/protocol.py``). Interleaving is also what Google Benchmark's random interleaving
does; the anchor network is FAI-PEP's A/B metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from statistics import median
from typing import Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError

MAX_RUNS = 32
# What makes a visit a disturbed one: the canary before and after it differ by more than this share,
MAX_CANARY_CHANGE = 0.06
# or its process was ready to run and was not let for more than this share of it.
MAX_WAITED = 0.02

Stop = Literal["target", "budget"]


@dataclass(frozen=True)
class Protocol:
    """Warm-up, visits and stopping rule; part of a measurement set's identity.

    A visit is ``runs`` of the network and then ``canary_runs`` of the canary, which also serve as
    the canary before the next visit; ``warmup`` untimed runs at each change of network would refill
    the caches. There are none by default: every network takes turns with the canary alike, and
    twice as many visits for the same budget are worth more (``benchmarks/protocol.py``). Fast
    networks are run more often, until a part of a visit lasts ``min_part_s`` seconds, at most
    ``MAX_RUNS`` times: a machine that jitters by microseconds cannot tell short runs apart.
    ``target`` is the wanted relative half-width of the 95 % interval; visits go on from
    ``min_visits`` until it is reached, or to ``max_visits``, disturbed ones included.
    """

    runs: int = 1
    canary_runs: int = 1
    min_part_s: float = 0.01
    warmup: int = 0
    min_visits: int = 18
    max_visits: int = 22
    target: float = 0.01

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"protocol.{field.name} must be a number, got {value!r}")
        for name in ("runs", "canary_runs", "min_visits", "max_visits"):
            if getattr(self, name) < 1:
                raise UsageError(f"protocol.{name} must be at least 1, got {getattr(self, name)}")
        if self.warmup < 0 or self.min_part_s < 0 or not 0 < self.target < 1:
            raise UsageError(
                "protocol.warmup and protocol.min_part_s must be 0 or more and protocol.target "
                f"between 0 and 1, got {self.warmup}, {self.min_part_s} and {self.target}"
            )
        if self.min_visits < 2 or self.max_visits < self.min_visits:
            raise UsageError(
                "an interval needs 2 visits or more, and max_visits at least min_visits; got "
                f"min_visits={self.min_visits}, max_visits={self.max_visits}"
            )

    def repeats(self, at_least: int, run_s: float) -> int:
        """Runs of one part of a visit for a network that takes ``run_s`` seconds a run."""
        return max(at_least, min(MAX_RUNS, math.ceil(self.min_part_s / run_s)))


def lower_quartile(times: Sequence[float]) -> float:
    """The 25 % quantile, linear between values: the time of a part of a visit.

    Disturbances only ever add time, so the median of a few runs is drawn upwards where this is not;
    the minimum is more easily lucky.
    """
    ordered = sorted(times)
    position = (len(ordered) - 1) / 4
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@dataclass(frozen=True)
class Visit:
    """Seconds of one visit's runs.

    ``canary_s`` are as many runs before the network's as after them. ``waited_s`` is how long the
    process was ready to run in these parts and was not let (preempted, or its virtual core was
    taken away by the host).
    """

    network_s: tuple[float, ...]
    canary_s: tuple[float, ...]
    waited_s: float = 0.0

    @property
    def ratio(self) -> float:
        """The network's time over the canary's."""
        return lower_quartile(self.network_s) / lower_quartile(self.canary_s)

    @property
    def disturbance(self) -> float:
        """How much the machine changed in the visit; above 1 is too much."""
        half = len(self.canary_s) // 2
        parts = [lower_quartile(p) for p in (self.canary_s[:half], self.canary_s[half:]) if p]
        change = max(parts) / min(parts) - 1
        waited = self.waited_s / (sum(self.network_s) + sum(self.canary_s))
        return max(change / MAX_CANARY_CHANGE, waited / MAX_WAITED)


def undisturbed(visits: Sequence[Visit]) -> list[Visit]:
    """The visits without the disturbed ones, in order; at least the better half of them.

    Where everything is disturbed there is nothing to choose from, and half of the visits still
    have a median.
    """
    ordered = sorted(v.disturbance for v in visits)
    limit = max(1.0, ordered[(len(ordered) - 1) // 2])
    return [v for v in visits if v.disturbance <= limit]


@dataclass(frozen=True)
class Estimate:
    """What the visits of one architecture say.

    ``relative`` is dimensionless, in units of the canary; ``half_width`` is the relative half-width
    of its 95 % interval. ``raw_s`` and ``canary_s`` are medians over the visits in seconds.
    ``rejected`` visits were disturbed and are left out of all this.
    """

    relative: float
    half_width: float
    raw_s: float
    canary_s: float
    rejected: int = 0


@lru_cache(maxsize=256)
def _outside(n: int) -> int:
    """How many of ``n`` ordered values lie on either side of the median's 95 % interval.

    The interval from the k-th smallest to the k-th largest value misses the median only when fewer
    than k values fall on one side of it, a binomial tail (David and Nagaraja, Order Statistics,
    7.1). Below 6 values no interval reaches 95 %, and the whole range is taken.
    """
    k, tail = 0, math.pow(2, -n)
    while tail <= 0.025:
        k += 1
        tail += math.comb(n, k) * math.pow(2, -n)
    return max(0, k - 1)


def estimate(visits: Sequence[Visit]) -> Estimate:
    """Median over the undisturbed visits, with its interval from order statistics.

    The median is the location because a single bad visit must not move it; its interval supposes
    nothing of the distribution, which has a long tail towards slow.
    """
    kept = undisturbed(visits)
    logs = sorted(math.log(v.ratio) for v in kept)
    k = _outside(len(logs))
    return Estimate(
        relative=math.exp(median(logs)),
        half_width=(logs[-1 - k] - logs[k]) / 2 if len(logs) > 1 else math.inf,
        raw_s=median(lower_quartile(v.network_s) for v in kept),
        canary_s=median(lower_quartile(v.canary_s) for v in kept),
        rejected=len(visits) - len(kept),
    )


def should_stop(visits: Sequence[Visit], protocol: Protocol) -> Stop | None:
    """Whether these visits are enough, and why; None when the network is to be visited again."""
    if len(visits) < protocol.min_visits:
        return None
    if estimate(visits).half_width <= protocol.target:
        return "target"
    return "budget" if len(visits) >= protocol.max_visits else None


def retest_bias(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[float, float] | None:
    """How much longer the second timings are on average, and the standard error of that.

    Relative, like ``noise_floor``; None for fewer than two pairs. Timings of the same architectures
    have no reason to differ in one direction: when they do by more than a few standard errors, the
    order in which they were made has an effect on them, and it is in the noise floor.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.size < 2:
        return None
    change = (b - a) / ((a + b) / 2)
    return float(change.mean()), float(change.std(ddof=1) / math.sqrt(a.size))


def noise_floor(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Mean relative difference between two independent timings of the same architectures.

    ``|a - b|`` over the mean of the two, averaged; None for no pairs.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    return float(np.mean(np.abs(a - b) / ((a + b) / 2))) if a.size else None
