"""Means over seeds with their deviations, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from harness import Figure, figure
from scipy import stats

Floats = npt.NDArray[np.float64]


def told(name: str, values: Floats, unit: str) -> list[Figure]:
    """The mean over the seeds and the standard deviation."""
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return [
        figure(name, float(values.mean()), unit, len(values)),
        figure(f"{name}, standard deviation", deviation, unit, len(values)),
    ]


def compared(values: Mapping[str, Floats], against: str, unit: str) -> list[Figure]:
    """The difference of every other mean to one, and the ends of its 95 % interval (Welch)."""
    found, base = [], values[against]
    for name, own in values.items():
        if name == against or min(len(own), len(base)) < 2:
            continue
        difference = float(own.mean() - base.mean())
        interval = stats.ttest_ind(own, base, equal_var=False).confidence_interval(0.95)
        low, high = (float(end) for end in interval)
        if not (np.isfinite(low) and np.isfinite(high)):  # no spread in either
            low = high = difference
        beyond = "beyond" if low > 0 or high < 0 else "within"
        label = f"{name} over {against}"
        found += [
            figure(f"{label} ({beyond} the seeds' deviation)", difference, unit, len(own)),
            figure(f"{label}, low end", low, unit, len(own)),
            figure(f"{label}, high end", high, unit, len(own)),
        ]
    return found
