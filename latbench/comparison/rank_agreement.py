"""The agreement of several backends on the same architectures: how alike they rank them, and how
fast each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from latbench.errors import NotEnoughData
from latbench.store.dataset import LatencyDataset

MIN_SHARED = 3


@dataclass(frozen=True, eq=False)
class Agreement:
    """The agreement of several backends on the architectures that all of them have.

    ``shared`` are these architectures (texts). For each backend in order there are ``median_s``
    (seconds), and how many times as fast as the first one it is (``speedup``, the median over
    architectures).

    ``spearman[i][j]`` is the rank correlation of backends i and j: below 1, the network that is
    fast on one is not the one that is fast on the other.
    """

    shared: tuple[str, ...]
    median_s: tuple[float, ...]
    speedup: tuple[float, ...]
    spearman: npt.NDArray[np.float64]


def agreement(datasets: Sequence[LatencyDataset]) -> Agreement:
    """Compares data sets of one space by the architectures that all of them have.

    Raises NotEnoughData when these are fewer than 3.
    """
    tables = [dict(zip(map(str, d.architectures), d.values, strict=True)) for d in datasets]
    shared = [a for a in tables[0] if all(a in table for table in tables)] if tables else []
    if len(shared) < MIN_SHARED:
        names = ", ".join(d.backend for d in datasets) or "none"
        raise NotEnoughData(
            f"{len(shared)} architectures were measured on all of the backends ({names}); "
            f"comparing them needs {MIN_SHARED}"
        )
    values = np.array([[table[a] for a in shared] for table in tables])
    ranks = np.ones((len(tables), len(tables)))
    for i in range(len(tables)):
        for j in range(i):
            ranks[i, j] = ranks[j, i] = float(spearmanr(values[i], values[j]).statistic)
    return Agreement(
        shared=tuple(shared),
        median_s=tuple(map(float, np.median(values, axis=1))),
        speedup=tuple(map(float, np.median(values[0] / values, axis=1))),
        spearman=ranks,
    )
