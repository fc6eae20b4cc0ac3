"""By how much the anchor of a side, the median of its canary's times, is off by chance.

**Influence.** The median of m values x is, up to smaller terms, the true one plus the mean of
``s * sign(x - median)`` (Bahadur, "A note on quantiles in large samples", 1966), also where values
depend on their neighbours in time. So what is known of means holds for these influences. The scale
``s`` is such that ``s**2 / m`` is the variance of the median of independent values. It comes from
the distance of two order statistics, about the square root of m places to either side of the
median, over the quantiles that belong to them (McKean and Schrader, 1984, in the small-sample form
of Price and Bonett, "Estimating the variance of the sample median", 2001).

**Drift.** Times of the canary follow the machine's speed, which stays what it is for a while. So
the variance of a sum over time comes from the sums over ten stretches of it (batch means), which
holds as long as what drifts is forgotten within a stretch, and has nine degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri

from latbench.store.sides import MIN_ROWS, Floats, Side

STRETCHES = 10


@dataclass(frozen=True, eq=False)
class Influence:
    """What each row of a side does to the logarithm of its anchor, in the order of finishing.

    ``push`` is how a row's canary time pushes a median; ``share`` is with which weight, 0 for a row
    that the anchor leaves out. ``doubt`` is the relative variance of the scale of the pushes.
    """

    push: Floats
    share: Floats
    doubt: float

    def variance(self, weight: npt.ArrayLike = 0.0) -> tuple[float, float]:
        """Of the logarithm of the anchor, and its degrees of freedom; or of the anchor and a sum of
        the pushes with further weights, which are inversely proportional to the scale."""
        own = _variance_of_sum(self.push * self.share)
        together = _variance_of_sum(self.push * (self.share + np.asarray(weight)))
        # The relative variance of a variance of sums of n signs, which are less often extreme than
        # normal ones, and of the square of a sum of which the scale is only a part.
        n = len(self.push)
        relative = 2 / (min(STRETCHES, n) - 1) - 2 / n
        relative += 4 * self.doubt * (own / together if together else 1.0)
        # The mean square of an estimate is its square and its variance.
        return max(together - own * self.doubt / (1 + self.doubt), 0.0), 2 / relative


def influence_of(side: Side) -> Influence:
    """How the rows of a side make its anchor."""
    times = np.log(side.canary_s)
    counted = side.sampled[side.timed]
    if counted.sum() < MIN_ROWS:  # too few to scatter: all of them stand for these
        counted = np.ones(len(times), bool)
    scale, doubt = _scale(times[counted])
    push = scale * np.sign(times - np.log(side.anchor_s))
    return Influence(push, counted / counted.sum(), doubt)


def _scale(values: Floats) -> tuple[float, float]:
    """The scale of the influences on the median of some values, and its relative variance: that of
    a distance of k places between uniform order statistics, (1 - k / (m + 1)) / k."""
    m = len(values)
    left_out = max(1, round((m + 1) / 2 - math.sqrt(m)))
    places = m + 1 - 2 * left_out
    ends = np.partition(values, (left_out - 1, m - left_out))[[left_out - 1, m - left_out]]
    quantiles = -2 * float(ndtri(bdtr(left_out - 1, m, 0.5)))
    scale = math.sqrt(m) * float(ends[1] - ends[0]) / quantiles
    return scale, (1 - places / (m + 1)) / places


def _variance_of_sum(parts: Floats) -> float:
    """Of the sum of parts in the order of time, which may depend on their neighbours."""
    n = min(STRETCHES, len(parts))
    starts = np.linspace(0, len(parts), n, endpoint=False).astype(int)
    return float(n * np.var(np.add.reduceat(parts, starts), ddof=1))
