"""The figures of raw timings of protocol 1, which measured until 2026-11-29.

A visit had runs of one canary before and after the network's; its figure was the ratio of their
lower quartiles, and a row's the median over its undisturbed visits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

from latbench.timing.protocol import Visit

Seconds = Sequence[float]
# What made a visit a disturbed one: the canary before and after it differed by more than this
# share, or its process was ready to run and was kept from it for more than this share of it.
MAX_CANARY_CHANGE = 0.06
MAX_WAITED = 0.02


def lower_quartile(times: Seconds) -> float:
    """Returns the 25 % quantile, linear between values: the time of a part of a visit."""
    ordered = sorted(times)
    position = (len(ordered) - 1) / 4
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def disturbance(visit: Visit) -> float:
    """Returns how much the machine changed in a visit; above 1 was too much."""
    half = len(visit.canary_s) // 2
    parts = [lower_quartile(p) for p in (visit.canary_s[:half], visit.canary_s[half:]) if p]
    change = max(parts) / min(parts) - 1
    waited = visit.waited_s / (sum(visit.network_s) + sum(visit.canary_s))
    return max(change / MAX_CANARY_CHANGE, waited / MAX_WAITED)


def undisturbed(visits: Sequence[Visit]) -> list[Visit]:
    """Returns the visits without the disturbed ones, in order; at least the better half of them."""
    ordered = sorted(disturbance(v) for v in visits)
    limit = max(1.0, ordered[(len(ordered) - 1) // 2])
    return [v for v in visits if disturbance(v) <= limit]


def relative_and_canary(
    visits: Sequence[Visit],
    figure: Callable[[Seconds], float] = lower_quartile,
    reject: bool = True,
) -> tuple[float, float]:
    """Returns a row's time in units of the canary, and the canary's seconds: medians over the
    visits (over the undisturbed ones unless all count), ``figure`` being that of a visit's part."""
    kept = undisturbed(visits) if reject else visits
    parts = [(figure(v.network_s), figure(v.canary_s)) for v in kept]
    return (
        math.exp(median(math.log(network / canary) for network, canary in parts)),
        median(canary for _, canary in parts),
    )
