"""How one architecture is timed, and what its timings say.

An architecture is timed in several short visits at different moments. Each visit lies between runs
of a canary network on the same backend; the visit's figure is the ratio of the two medians, so that
whatever slows the whole machine for a while (another tenant, heat, clocks) divides out. The row
keeps the ratio (relative latency) as well as the plain absolute figure.

On a shared 2-core machine this took the test-retest difference from 5 to 13 % (20 plain repeats)
to 1.0 to 1.6 %. Interleaving is also what Google Benchmark's random interleaving does; the anchor
network is FAI-PEP's A/B metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError

MAX_RUNS = 32

Stop = Literal["target", "budget"]

# Two-sided 95 % quantiles of Student's t by degrees of freedom; scipy is too heavy for a worker.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)


@dataclass(frozen=True)
class Protocol:
    """Warm-up, visits and stopping rule; part of a measurement set's identity.

    A visit is: canary, network, canary, with ``warmup`` untimed runs at each change of network
    (they refill the caches); the canary after a visit serves as the one before the next. A visit of
    the defaults is 5 inferences, canary and warm-up included. Many short visits beat few long ones,
    see ``benchmarks/protocol.py``. Fast networks are run more often, until a part of a visit (the
    network's, and the canary's on either side) lasts ``min_part_s`` seconds, at most ``MAX_RUNS``
    times: a machine that jitters by microseconds cannot tell short runs apart. ``target`` is the
    wanted relative half-width of the 95 % interval; visits go on from ``min_visits`` until it is
    reached, or to ``max_visits``.
    """

    runs: int = 2
    canary_runs: int = 1
    min_part_s: float = 0.01
    warmup: int = 1
    min_visits: int = 6
    max_visits: int = 9
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
    """Nanoseconds of one visit's runs, the network's and the canary's around it."""

    network_ns: tuple[int, ...]
    canary_ns: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """The network's time over the canary's."""
        return lower_quartile(self.network_ns) / lower_quartile(self.canary_ns)


@dataclass(frozen=True)
class Estimate:
    """What the visits of one architecture say.

    ``relative`` is dimensionless, in units of the canary; ``half_width`` is the relative half-width
    of its 95 % interval. ``raw_s`` and ``canary_s`` are medians over the visits in seconds.
    """

    relative: float
    half_width: float
    raw_s: float
    canary_s: float


def estimate(visits: Sequence[Visit]) -> Estimate:
    """Median over visits, with a Student-t interval from the spread of the visits' log ratios.

    The median is kept as the location because a single disturbed visit must not move it; the
    interval is that of a mean, a little narrower than the median's own.
    """
    logs = [math.log(v.ratio) for v in visits]
    n = len(logs)
    if n > 1:
        mean = sum(logs) / n
        deviation = math.sqrt(sum((x - mean) ** 2 for x in logs) / (n - 1))
        half_width = _T95[min(n - 1, len(_T95)) - 1] * deviation / math.sqrt(n)
    else:
        half_width = math.inf
    return Estimate(
        relative=math.exp(median(logs)),
        half_width=half_width,
        raw_s=median(lower_quartile(v.network_ns) for v in visits) * 1e-9,
        canary_s=median(lower_quartile(v.canary_ns) for v in visits) * 1e-9,
    )


def should_stop(visits: Sequence[Visit], protocol: Protocol) -> Stop | None:
    """Whether these visits are enough, and why; None when the network is to be visited again."""
    if len(visits) < protocol.min_visits:
        return None
    if estimate(visits).half_width <= protocol.target:
        return "target"
    return "budget" if len(visits) >= protocol.max_visits else None


def noise_floor(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Mean relative difference between two independent timings of the same architectures.

    ``|a - b|`` over the mean of the two, averaged; None for no pairs.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    return float(np.mean(np.abs(a - b) / ((a + b) / 2))) if a.size else None
