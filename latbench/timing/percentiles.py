"""The percentiles of a network's runs, refused where there are too few runs for them.

The rule is that of MLPerf's LoadGen (mlcommons/inference, ``loadgen/early_stopping.cc`` and the
single-stream scenario in ``loadgen/results.cc``, read on 2026-12-01). Of n runs each takes longer
than the p-th percentile with a probability of 1 - p. A bound that has to be right in 99 of 100
measurements therefore needs so many runs that no more than t of them were slower with a probability
of at most 1 %:

    P(Binomial(n, 1 - p) <= t) <= 1 %

LoadGen asks for the runs of t = 1: 11 for the median, 64 for p90, 662 for p99. Beyond that it takes
the largest t for which it holds, and the t-th slowest run is the bound: in 99 of 100 measurements
the percentile is no higher. It takes runs for independent. Those of one visit are not quite, so the
visits of a network are spread over a campaign, and all of them count, disturbed ones too: a tail is
what an application meets.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from latbench.errors import UsageError
from latbench.timing.protocol import Protocol

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
DOUBT = 0.01  # the share of measurements in which a bound may be wrong
RULE = "MLPerf LoadGen's rule, 99 % confidence"


@dataclass(frozen=True)
class Percentile:
    """A percentile of some runs and what it is at most, in 99 of 100 measurements; seconds."""

    value: float
    at_most: float


@functools.cache
def runs_needed(name: str) -> int:
    """Returns how many runs a percentile of ``PERCENTILES`` needs.

    >>> runs_needed("p50"), runs_needed("p90"), runs_needed("p99")
    (11, 64, 662)
    """
    runs = 1
    while _allowed(runs, PERCENTILES[name]) < 1:
        runs += 1
    return runs


def _allowed(runs: int, share: float) -> int:
    """Returns how many of some runs may be slower than a bound on the percentile of that share: the
    largest number that so many or fewer are with a probability of ``DOUBT`` at most; -1 for none.
    """
    below, slower = 0.0, 0
    while slower < runs:
        below += math.exp(
            math.lgamma(runs + 1) - math.lgamma(slower + 1) - math.lgamma(runs - slower + 1)
            + slower * math.log(1 - share) + (runs - slower) * math.log(share)
        )  # fmt: skip
        if below > DOUBT:
            break
        slower += 1
    return slower - 1


def percentile(seconds: Sequence[float], name: str) -> Percentile | None:
    """Returns a percentile of ``PERCENTILES`` of the seconds of some runs, None for too few."""
    runs, share = sorted(seconds), PERCENTILES[name]
    n = len(runs)
    if n < runs_needed(name):
        return None
    return Percentile(runs[min(n - 1, int(n * share))], runs[n - _allowed(n, share)])


def enough_runs(seconds: Sequence[float], name: str, of: str) -> Percentile:
    """Returns a percentile as ``percentile`` does.

    Raises UsageError, which says how many runs there are of what, and how to get enough.
    """
    found = percentile(seconds, name)
    if found is None:
        raise UsageError(
            f"{name} needs {runs_needed(name)} runs ({RULE}), and {of} has {len(seconds)}; "
            "`latbench measure --percentiles` times enough"
        )
    return found


def too_few(runs: int) -> str:
    """Returns which percentiles so many runs are too few for, in words; empty for none.

    >>> too_few(100), too_few(662)
    ('p99 needs 662 runs', '')
    """
    lacking = [f"{name} needs {runs_needed(name)}" for name in PERCENTILES
               if runs < runs_needed(name)]  # fmt: skip
    return f"{', '.join(lacking)} runs" if lacking else ""


def with_percentiles(protocol: Protocol) -> Protocol:
    """Returns the protocol with so many runs a visit that the fewest visits allow every percentile.

    A visit's first run finds the caches full of other networks' data. Among a few runs that would
    be the tail, so one untimed run comes before them, as in a loop over one network.
    """
    most = max(map(runs_needed, PERCENTILES))
    return replace(protocol, runs=math.ceil(most / protocol.min_visits), warmup=1)
