"""The changes between two timings of a backend, beyond the noise.

**What is compared.** A store keeps latencies in units of the canary. They become seconds by their
side's anchor (what stands for its canary's times), and the change of an architecture is the
logarithm of its seconds on side B over those on side A. It has two parts: the change relative to
the canary, which drift of the machine does not touch, and the canary's own, which all architectures
share.

**The noise of one architecture.** Its timing has the variance that two timings of one architecture
show (half the mean square of the logarithm of their ratio), which contains the scatter between
visits and that between sessions, and between occasions where the side's sentinels were timed at
several (``Side.repeats_of``); or that of its own 95 % interval where this is wider; divided by the
number of its timings. Intervals of few visits are wider than they need be: where the side's typical
one is wider than its retests scatter, all of them are narrowed until it is not. A side without
retests takes the other's. The anchors' variance comes on top (``latbench.comparison.anchor``), in
which slow drift counts.

**The verdict.** Student's t with Welch and Satterthwaite's degrees of freedom (few retests make
wide tails), two-sided, and Benjamini and Hochberg's procedure (1995) over all architectures: of
those called changed, one in a hundred is expected to be so by chance, and where nothing changed
there is one or more in one comparison of a hundred.

**The whole.** The mean change over the shared architectures. A canary's own noise at a row is in
its relative figure and, the other way round, in the anchor, where most of it cancels; what slows
network and canary alike is in the anchor only. Which it was, the data say: the changes of the
shared architectures are regressed on their rows' influences on the anchors. What the regression
leaves over scatters over architectures, of which those of one block share a part; the rest is one
sum over the time of each side. With few shared architectures nothing is taken to cancel; with fewer
than 3, the difference is that between the means over both samples.

**Its parts.** A campaign times all its rows beside one session of the canary. What that session
happens to be faster or slower by is in every relative figure and, the other way round, in the
anchor: it is no part of the change in seconds, but of its two parts, which get a timing's variance
on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latbench.comparison.anchor import Influence, influence_of
from latbench.comparison.variance import Change, Shift, Shifts, Variance, Verdicts
from latbench.store.keys import Numbers
from latbench.store.records import Ints
from latbench.store.sides import MIN_ROWS, Floats, Side

# The least factor on the variance of a row's own interval: the range of 8 normal visits overstates
# that of their median by 3.1, of 18 by 1.4.
NARROWEST = 1 / 3
# Shared architectures from which on it is estimated what cancels between rows and anchors.
REGRESSED_FROM = 10
NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparison of two sides: what changed from ``a`` to ``b``.

    ``ranks`` are the shared architectures and ``a_s``, ``b_s`` their seconds. ``absolute`` judges
    their seconds, ``against`` how they changed against the mean of all. ``whole`` is the backend's
    change in seconds, ``canary`` the canary's and ``relative`` the whole's relative to the canary;
    None for these two where the sides have different canaries. ``judged`` is whether the noise is
    known: nothing is called changed otherwise. ``seconds`` are the changes with their noise, and
    ``beside_canary`` those relative to the canary, in which its sessions count.
    """

    a: Side
    b: Side
    ranks: Numbers
    a_s: Floats
    b_s: Floats
    absolute: Verdicts
    against: Verdicts
    whole: Change
    canary: Change | None
    relative: Change | None
    judged: bool
    seconds: Shifts
    beside_canary: Shifts | None

    @property
    def shared(self) -> int:
        """Returns how many architectures both sides have."""
        return len(self.ranks)

    def text(self, i: int) -> str:
        """Returns the text of the ``i``-th shared architecture or model."""
        return self.a.text(int(self.ranks[i]))

    @property
    def paired(self) -> bool:
        """Returns whether the whole is judged by shared architectures, and not by distributions."""
        return self.shared >= MIN_ROWS

    @property
    def visible(self) -> float | None:
        """Returns how large a change of one architecture typically has to be to be called one.

        It is a fraction; None where nothing can be called changed.
        """
        return float(np.median(self.absolute.visible)) if self.paired and self.judged else None


def compare(a: Side, b: Side) -> Comparison:
    """Compares two sides of one space and backend: what changed from ``a`` to ``b``."""
    ranks, at_a, at_b = np.intersect1d(a.ranks, b.ranks, assume_unique=True, return_indices=True)
    influences = influence_of(a), influence_of(b)
    anchors = _sum_of(influences, (0.0, 0.0))
    log_canary = float(np.log(b.anchor_s / a.anchor_s))
    log_relative = b.log_relative[at_b] - a.log_relative[at_a]
    rows = _row_variance(a, b, at_a, at_b)
    judged = bool(len(a.pairs) or len(b.pairs))
    mean, scatter = _mean_change(a, b, at_a, at_b)
    whole = scatter + anchors
    if len(ranks) >= REGRESSED_FROM:
        whole = _what_does_not_cancel((a, b), (at_a, at_b), log_relative, influences)
    seconds = Shifts(
        Shift(log_relative + log_canary, rows + anchors), _single(mean + log_canary, whole)
    )
    of_shared = float(np.mean(log_relative)) if len(ranks) else 0.0
    beside, canary = None, None
    if a.set.canary == b.set.canary:
        shared = a.in_common[at_a], b.in_common[at_b]
        beside = Shifts(
            Shift(log_relative, rows + _canary_sessions(a, b, shared)),
            _single(mean, scatter + _canary_sessions(a, b)),
        )
        canary = _single(log_canary, anchors + _canary_sessions(a, b)).interval
    return Comparison(
        a=a,
        b=b,
        ranks=ranks,
        a_s=np.exp(a.log_relative[at_a]) * a.anchor_s,
        b_s=np.exp(b.log_relative[at_b]) * b.anchor_s,
        absolute=seconds.rows.verdicts(judged),
        against=Shift(log_relative - of_shared, rows).verdicts(judged),
        whole=seconds.whole.interval,
        canary=canary,
        relative=beside.whole.interval if beside else None,
        judged=judged,
        seconds=seconds,
        beside_canary=beside,
    )


def _single(log_change: float, variance: Variance) -> Shift:
    return Shift(np.asarray(log_change), variance)


def _sum_of(influences: tuple[Influence, ...], weights: tuple[npt.ArrayLike, ...]) -> Variance:
    """Returns the variance of both anchors, with further weights of the rows' influences on
    them."""
    found = [i.variance(w) for i, w in zip(influences, weights, strict=True)]
    return Variance(tuple(np.asarray(v) for v, _ in found), tuple(f for _, f in found))


def _mean_change(a: Side, b: Side, at_a: Ints, at_b: Ints) -> tuple[float, Variance]:
    """The mean change relative to the canary, and its variance from the scatter over
    architectures: of their changes where they are shared, else of each sample."""
    if len(at_a) >= MIN_ROWS:
        changes = b.log_relative[at_b] - a.log_relative[at_a]
        mean = float(np.mean(changes))
        return mean, _of_clusters(changes - mean, [_block_of(a)[at_a], _block_of(b)[at_b]])
    which = [s.sampled if s.sampled.sum() > 1 else np.ones(len(s.ranks), bool) for s in (a, b)]
    samples = [s.log_relative[w] for s, w in zip((a, b), which, strict=True)]
    parts = [
        _of_clusters(x - np.mean(x), [_block_of(s)[w]])
        for s, w, x in zip((a, b), which, samples, strict=True)
    ]
    return float(np.mean(samples[1]) - np.mean(samples[0])), parts[0] + parts[1]


def _what_does_not_cancel(
    sides: tuple[Side, Side],
    places: tuple[Ints, Ints],
    log_relative: Floats,
    influences: tuple[Influence, Influence],
) -> Variance:
    """Returns the variance of the mean change in seconds of shared architectures.

    It comes from a regression of their changes relative to the canary on how their rows pushed the
    anchors.
    """
    n = len(log_relative)
    columns, weights = [np.ones(n)], []
    for side, at, influence in zip(sides, places, influences, strict=True):
        pushes = np.bincount(side.timed, influence.push, len(side.ranks)) / side.repeats
        columns.append(pushes[at])
        weight = np.zeros(len(side.ranks))
        weight[at] = 1 / (n * side.repeats[at])  # of a row in the mean over architectures
        weights.append(weight[side.timed])
    X = np.column_stack(columns)
    slopes, _, rank, _ = np.linalg.lstsq(X, log_relative)
    left = log_relative - X @ slopes
    clusters = [_block_of(s)[at] for s, at in zip(sides, places, strict=True)]
    scatter = _of_clusters(left, clusters, int(rank))
    # The change has A's anchor with a minus.
    return scatter + _sum_of(influences, (-slopes[1] * weights[0], slopes[2] * weights[1]))


def _block_of(side: Side) -> Ints:
    """Returns the block of the first timing of each architecture of a side."""
    _, first = np.unique(side.timed, return_index=True)
    return np.asarray(side.block[first])


def _of_clusters(left: Floats, blocks: list[Ints], rank: int = 1) -> Variance:
    """Returns the variance of the mean of residuals where the rows of one block share some noise.

    ``rank`` is the number of fitted coefficients. It is taken by blocks; of two sides, by those of
    the one and of the other, less those that share both (Cameron, Gelbach and Miller, "Robust
    inference with multiway clustering", 2011).

    Of a single block the rows stand for themselves: there is nothing to tell what they share.
    """
    places = [np.unique(labels, return_inverse=True)[1] for labels in blocks]
    if min(int(place.max()) for place in places) == 0:
        places = [np.arange(len(left))]
    found, counts = zip(*(_of_sums(left, place, rank) for place in places), strict=True)
    variance = sum(found)
    if len(places) > 1:
        both = places[0] * (int(places[1].max()) + 1) + places[1]
        shared, _ = _of_sums(left, np.unique(both, return_inverse=True)[1], rank)
        variance = max(variance - shared, *found)
    return Variance((np.asarray(variance),), (float(max(1, min(counts) - 1)),))


def _of_sums(left: Floats, place: Ints, rank: int) -> tuple[float, int]:
    """The variance of the mean from the sums of clusters, and how many these are."""
    sums = np.bincount(place, left)
    n = len(sums)
    return float(sums @ sums) * n / max(1, n - rank) / len(left) ** 2, n


def _row_variance(a: Side, b: Side, at_a: Ints, at_b: Ints) -> Variance:
    """Returns the variance of shared architectures' changes relative to the canary."""
    sources = _noise_sources(a, b)
    parts = [
        timing_variance(side.half_width[at], side.half_width, source.repeats_of) / side.repeats[at]
        for side, at, source in zip((a, b), (at_a, at_b), sources, strict=True)
    ]
    return Variance(tuple(parts), tuple(freedom_of(s.repeats_of) for s in sources))


def timing_variance(half_width: npt.ArrayLike, all_widths: Floats, pairs: Floats) -> Floats:
    """Returns the variance of the logarithm of a timing.

    Args:
        half_width: The relative half-width of its own 95 % interval, or of those of several.
        all_widths: The half-widths of all timings of its side.
        pairs: The timings (n, 2) of the same networks that tell the noise.

    Returns:
        That of the pairs, or that of its own interval where this is wider.
    """
    own, timing = (np.asarray(half_width) / NORMAL_95) ** 2, session_variance(pairs)
    typical = float(np.median((all_widths / NORMAL_95) ** 2))
    # Else every row whose interval is wide by chance would have too much.
    narrowed = min(1.0, timing / typical) if typical and len(pairs) else 1.0
    return np.asarray(np.maximum(own * max(narrowed, NARROWEST), timing))


def _canary_sessions(
    a: Side, b: Side, in_common: tuple[npt.ArrayLike, npt.ArrayLike] = (1, 1)
) -> Variance:
    """Returns the variance of the session of the canary on each side, of which timings have so
    much ``in_common``."""
    sources = _noise_sources(a, b)
    parts = tuple(
        np.asarray(session_variance(s.repeats_of) * np.asarray(share))
        for s, share in zip(sources, in_common, strict=True)
    )
    return Variance(parts, tuple(freedom_of(s.repeats_of) for s in sources))


def _noise_sources(a: Side, b: Side) -> tuple[Side, Side]:
    """The sides that tell the noise of ``a`` and of ``b``."""
    return (a if len(a.pairs) else b), (b if len(b.pairs) else a)


def freedom_of(pairs: Floats) -> float:
    """Returns the degrees of freedom of the variance that pairs of timings tell."""
    # Without any retest the rows' own intervals are all there is; nothing is judged by them.
    return float(max(1, len(pairs)))


def session_variance(pairs: Floats) -> float:
    """Returns the variance of one timing, from the pairs (n, 2) of two; 0 without pairs."""
    return float(np.mean(np.log(pairs[:, 1] / pairs[:, 0]) ** 2) / 2) if len(pairs) else 0.0
