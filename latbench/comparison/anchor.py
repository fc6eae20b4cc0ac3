"""The error by chance of a side's anchor, which stands for its canary's times.

**Influence.** Of protocol 2 the anchor is the geometric mean of the canary's fastest runs beside
all rows, and each row pushes its logarithm by its own distance from it. Of protocol 1 it is the
median of m values x, which is, up to smaller terms, the true one plus the mean of
``s * sign(x - median)`` (Bahadur, "A note on quantiles in large samples", 1966), also where values
depend on their neighbours in time. So what is known of means holds for these influences. The scale
``s`` is such that ``s**2 / m`` is the variance of the median of independent values. It comes from
the distance of two order statistics, about the square root of m places to either side of the
median, over the quantiles that belong to them (McKean and Schrader, 1984, in the small-sample form
of Price and Bonett, "Estimating the variance of the sample median", 2001).

**Drift.** Times of the canary follow the machine's speed, which stays what it is for a while, and
rows of one block have nearly the same one. So the variance of a sum over time comes from the sums
over ten stretches of whole blocks (batch means), which holds as long as what drifts is forgotten
within a stretch, and has nine degrees of freedom; of fewer blocks, one less than there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri

from latbench.store.records import Ints
from latbench.store.sides import MIN_ROWS, Floats, Side

STRETCHES = 10


@dataclass(frozen=True, eq=False)
class Influence:
    """The influence of each row of a side on the logarithm of its anchor, in the order of
    finishing.

    ``push`` is how a row's canary time pushes the anchor; ``share`` is with which weight, 0 for a
    row that the anchor leaves out. ``starts`` are the first rows of the stretches. ``doubt`` is the
    relative variance of the scale of the pushes.
    """

    push: Floats
    share: Floats
    starts: Ints
    doubt: float

    def variance(self, weight: npt.ArrayLike = 0.0) -> tuple[float, float]:
        """Returns the variance of the logarithm of the anchor, and its degrees of freedom.

        With further weights it is that of the anchor and a sum of the pushes with these weights,
        which are inversely proportional to the scale.
        """
        own = self._variance_of_sum(self.push * self.share)
        together = self._variance_of_sum(self.push * (self.share + np.asarray(weight)))
        n = len(self.starts)
        if not self.doubt:
            return together, float(n - 1)
        # The relative variance of a variance of sums of signs, which are less often extreme than
        # normal ones, and of the square of a sum of which the scale is only a part.
        relative = 2 / (n - 1) - 2 / len(self.push)
        relative += 4 * self.doubt * (own / together if together else 1.0)
        # The mean square of an estimate is its square and its variance.
        return max(together - own * self.doubt / (1 + self.doubt), 0.0), 2 / relative

    def _variance_of_sum(self, parts: Floats) -> float:
        """Returns the variance of a sum of parts in the order of time, which may depend on
        neighbours."""
        sums = np.add.reduceat(parts, self.starts)
        return float(len(sums) * np.var(sums, ddof=1))


def influence_of(side: Side) -> Influence:
    """Returns how the rows of a side make its anchor."""
    times = np.log(side.canary_s)
    counted = side.sampled[side.timed]
    if counted.sum() < MIN_ROWS:  # too few to scatter: all of them stand for these
        counted = np.ones(len(times), bool)
    push, doubt = times - np.log(side.anchor_s), 0.0
    if side.set.protocol.version == 1:
        scale, doubt = _scale(times[counted])
        push = scale * np.sign(push)
    return Influence(push, counted / counted.sum(), _starts(side.block), doubt)


def _starts(block: Ints) -> Ints:
    """The first rows of at most ``STRETCHES`` stretches of whole blocks, of about equal length; of
    a single block, of two halves, which is better than no guess."""
    n, first = len(block), np.flatnonzero(np.diff(block, prepend=-1))
    if len(first) == 1:
        return np.array([0, n // 2])
    wanted = np.linspace(0, n, min(STRETCHES, len(first)), endpoint=False)
    return np.unique(first[np.searchsorted(first, wanted).clip(max=len(first) - 1)])


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
