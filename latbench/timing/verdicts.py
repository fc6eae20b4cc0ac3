"""The verdicts on measurements beyond their noise: whether a network kept a limit, and whether two
networks differ.

The noise of a measured cost is how far two measurements of that network may lie apart, as a
fraction: the largest of what is known of it (``Store.noise``). Nearer than that, nothing is
decided: a limit is neither kept nor missed, and two networks do not differ. This is a rule of
thumb, not a test: each of the two costs is the mean of a first timing and a retest, which lie less
far apart than two single timings do.

Sides of two stores, with hundreds of networks in common, are judged by tests
(``latbench.comparison.significance``).

A network that was pruned to a budget is judged otherwise, by a tolerance that does not grow with
the noise: on a loud machine any latency would be kept. Pruning corrects itself by measurements, and
leaves room for what the next one may differ by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["kept", "missed", "too close"]
# A budget is kept up to this share above it, as measured: the last choice was measured to take at
# most the budget, and in the next campaign the same network takes a little more or less (102 % of
# it in the one of docs/pruning.md, 2026-12-01).
ABOVE_BUDGET = 0.03


@dataclass(frozen=True)
class LimitVerdict:
    """A measured cost beside a limit: the ``verdict``, how far it lies above the limit (a fraction
    of the limit, negative below it), and the ``noise`` that this was judged with.

    Where no noise is known (None), every difference counts.
    """

    verdict: Verdict
    excess: float
    noise: float | None


@dataclass(frozen=True)
class Difference:
    """A measured difference between two networks' costs, and its noise.

    ``change`` is how much more the one costs than the other (a fraction, negative for less);
    ``noise`` is that of both, None where it is not known of either.
    """

    change: float
    noise: float | None

    @property
    def within_noise(self) -> bool:
        """Returns whether the difference is too small to be claimed."""
        return _within(self.change, self.noise)


def judge_limit(measured: float, limit: float, noise: float | None) -> LimitVerdict:
    """Judges whether a cost of at most ``limit`` was kept, given its noise (a fraction)."""
    excess = measured / limit - 1
    if _within(excess, noise):
        return LimitVerdict("too close", excess, noise)
    return LimitVerdict("kept" if excess <= 0 else "missed", excess, noise)


def keeps_budget(measured: float, budget: float) -> bool:
    """Returns whether a pruned network keeps its budget, as measured."""
    return measured <= (1 + ABOVE_BUDGET) * budget


def of_all(verdicts: Iterable[Verdict]) -> Verdict:
    """Returns the verdict on one network's limits on several backends.

    One that is missed is enough, and they are kept when each of them is.
    """
    found = set(verdicts)
    return "missed" if "missed" in found else "too close" if "too close" in found else "kept"


def difference(cost: float, base: float, noises: Iterable[float | None]) -> Difference:
    """Returns the difference of two measured costs, or of medians of several.

    ``noises`` are those of all measurements that went into them; the largest of them counts.
    """
    known = [noise for noise in noises if noise is not None]
    return Difference(cost / base - 1, max(known, default=None))


def _within(change: float, noise: float | None) -> bool:
    # What has no noise, such as a size, is decided where it is equal as well.
    return noise is not None and noise > 0 and abs(change) <= noise
