"""The verdicts on changes of latency from what their noise is made of.

A change is a logarithm whose noise is a sum of independent parts, each with a variance that was
estimated from a few timings. Its test is Student's, with Welch and Satterthwaite's degrees of
freedom.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from latbench.store.sides import Floats

FALSE_DISCOVERIES = 0.01  # expected share among what is called changed
# An interval that holds 0 and whose ends lie a factor of more than this apart says nothing.
VAGUE = 2.0
# Clocks count nanoseconds and medians interpolate: no difference below 0.01 % means anything.
RESOLUTION = 1e-4


@dataclass(frozen=True)
class Change:
    """A relative change from A to B (a fraction; above 0 is slower) with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Returns whether the interval leaves out 0."""
        return not self.low <= 0 <= self.high

    @property
    def vague(self) -> bool:
        """Returns whether the interval holds 0, and so much else that nothing can be said."""
        return not self.clear and 1 + self.high > VAGUE * (1 + self.low)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """One entry a shared architecture: ``change`` with ``low`` and ``high`` (fractions, the 95 %
    interval of this one alone), ``beyond``, whether it is beyond the noise among all of them, and
    ``visible``, how large a change would have to be to be that if it were the only one."""

    change: Floats
    low: Floats
    high: Floats
    beyond: npt.NDArray[np.bool_]
    visible: Floats


@dataclass(frozen=True)
class Variance:
    """A variance (of logarithms) that is the sum of independent parts with degrees of freedom."""

    parts: tuple[Floats, ...]
    freedom: tuple[float | Floats, ...]

    @cached_property
    def total(self) -> Floats:
        """Returns the variance of the sum."""
        summed = np.sum(np.broadcast_arrays(*self.parts), axis=0)
        return np.asarray(np.maximum(summed, RESOLUTION**2))

    @cached_property
    def degrees(self) -> Floats:
        """Returns Welch and Satterthwaite's degrees of freedom of the sum."""
        spread = [p**2 / f for p, f in zip(self.parts, self.freedom, strict=True)]
        below = np.sum(np.broadcast_arrays(*spread), axis=0)
        return np.asarray(np.minimum(self.total**2 / np.maximum(below, 1e-300), 1e6))

    def __add__(self, other: Variance) -> Variance:
        return Variance(self.parts + other.parts, self.freedom + other.freedom)

    def half_width(self) -> Floats:
        """Returns the half-width of the 95 % interval."""
        return np.asarray(special.stdtrit(self.degrees, 0.975) * np.sqrt(self.total))


@dataclass(frozen=True, eq=False)
class Shift:
    """A change as a logarithm, or one for each architecture, with the variance of its noise."""

    log: Floats
    variance: Variance

    @property
    def interval(self) -> Change:
        """Returns the change, of which there is one, with its 95 % interval."""
        half = float(self.variance.half_width())
        return Change(*(float(np.expm1(self.log + d)) for d in (0.0, -half, half)))

    def verdicts(self, judged: bool | npt.NDArray[np.bool_]) -> Verdicts:
        """Judges the changes of architectures; none is called one unless it may be ``judged``."""
        variance = self.variance
        p = 2 * special.stdtr(variance.degrees, -np.abs(self.log) / np.sqrt(variance.total))
        adjusted = stats.false_discovery_control(p) if p.size else p
        beyond = (adjusted <= FALSE_DISCOVERIES) & judged
        half = variance.half_width()
        low, high = np.expm1(self.log - half), np.expm1(self.log + half)
        alone = -special.stdtrit(variance.degrees, FALSE_DISCOVERIES / (2 * max(1, p.size)))
        with np.errstate(over="ignore"):  # infinite where one retest has to tell
            visible = np.expm1(alone * np.sqrt(variance.total))
        return Verdicts(np.expm1(self.log), low, high, beyond, visible)

    def above(self, log_limit: float) -> Floats:
        """Returns the one-sided p-value of each change: how probable one so large is where the
        truth is ``log_limit`` or less."""
        excess = (self.log - log_limit) / np.sqrt(self.variance.total)
        return np.asarray(special.stdtr(self.variance.degrees, -excess))

    def bound(self, level: float) -> Floats:
        """Returns the logarithm that each true change is below with a confidence of ``level``."""
        quantile = special.stdtrit(self.variance.degrees, level)
        return np.asarray(self.log + quantile * np.sqrt(self.variance.total))


@dataclass(frozen=True, eq=False)
class Shifts:
    """The changes of the shared architectures, one after the other, and as a whole."""

    rows: Shift
    whole: Shift
