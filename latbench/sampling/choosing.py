"""The choice of architectures to measure next: space-filling, or where an ensemble disagrees.

These are functions of matrices, one row an architecture; ``docs/sampling.md`` compares them with a
random sample at equal budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.spaces.base import SAMPLER
from latbench.spaces.streams import Purpose, stream

if TYPE_CHECKING:
    from latbench.predictors.base import LatencyPredictor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MEMBERS = 8
# A batch is spread over so many times its size of the most uncertain candidates.
PRESELECTION = 4


def standardised(pool: npt.ArrayLike) -> Floats:
    """Scales features to mean 0 and deviation 1 over the pool; a constant feature becomes 0."""
    X = np.asarray(pool, np.float64)
    scale = X.std(axis=0)
    scale[scale <= 1e-9] = np.inf
    return np.asarray((X - X.mean(axis=0)) / scale)


def _squared_distances(X: Floats, row: Floats) -> Floats:
    return np.asarray(((X - row) ** 2).sum(axis=1))


def space_filling(pool: npt.ArrayLike, n: int, taken: Sequence[int] | Ints = ()) -> Ints:
    """Chooses ``n`` rows of ``pool (m, d)`` that cover it: each is the farthest from all before it.

    It is the greedy k-center algorithm, with at most twice the best covering radius (Gonzalez,
    1985), on standardised features. ``taken`` rows count as chosen already; without any, the row
    nearest to the mean is the first. A longer choice begins with the shorter one. Raises UsageError
    when fewer than ``n`` rows are left.
    """
    X = standardised(pool)
    if not 0 <= n <= len(X) - len(set(map(int, taken))):
        raise UsageError(f"cannot choose {n} of a pool of {len(X)}, {len(taken)} of them taken")
    nearest = np.full(len(X), np.inf)
    free = np.ones(len(X), bool)
    for row in map(int, taken):
        nearest = np.minimum(nearest, _squared_distances(X, X[row]))
        free[row] = False
    chosen: list[int] = []
    while len(chosen) < n:
        if np.isinf(nearest).all():
            row = int(np.argmin(_squared_distances(X, np.zeros(X.shape[1]))))
        else:
            row = int(np.argmax(np.where(free, nearest, -1.0)))
        chosen.append(row)
        free[row] = False
        nearest = np.minimum(nearest, _squared_distances(X, X[row]))
    return np.array(chosen, np.int64)


def _resampling(seed: int, rows: int, sampler: int) -> np.random.Generator:
    if sampler == 1:  # the stream of the seed's sample number ``rows``
        return np.random.default_rng([seed, rows])
    return np.random.default_rng(stream(Purpose.COMMITTEE, seed, rows))


def disagreement(
    predictor: LatencyPredictor, X: npt.ArrayLike, y: npt.ArrayLike, pool: npt.ArrayLike, seed: int,
    sampler: int = SAMPLER,
) -> Floats:  # fmt: skip
    """Returns how much fits of a predictor on bootstrap resamples differ on each row of a pool.

    This is query by committee (Seung, Opper and Sompolinsky, 1992), by bagging (Abe and Mamitsuka,
    1998), with ``MEMBERS`` fits.

    Args:
        predictor: The predictor; copies of it are fitted.
        X: The encodings ``(m, d)`` that are resampled.
        y: The measured values ``(m,)``.
        pool: The encodings ``(p, d)`` to choose from.
        seed: The seed of the resamples.
        sampler: That of the space whose campaign asks, so that an old one chooses as it did.

    Returns:
        The standard deviations ``(p,)`` of the predictions' logarithms.
    """
    from sklearn.base import clone

    features, values = np.asarray(X, np.float64), np.asarray(y, np.float64)
    rng = _resampling(seed, len(values), sampler)
    logs = []
    for _ in range(MEMBERS):
        rows = rng.integers(len(values), size=len(values))
        logs.append(np.log(clone(predictor).fit(features[rows], values[rows]).predict(pool)))
    return np.asarray(np.std(logs, axis=0))


def most_informative(
    predictor: LatencyPredictor, X: npt.ArrayLike, y: npt.ArrayLike, pool: npt.ArrayLike, n: int,
    seed: int, sampler: int = SAMPLER,
) -> Ints:  # fmt: skip
    """Chooses rows of a pool on which an ensemble disagrees most, spread over the pool.

    They are those of the ``PRESELECTION * n`` rows with the largest ``disagreement`` that cover
    these best, the most uncertain first: a batch of the most uncertain rows alone would hold the
    same question many times (Zhdanov, 2019, "Diverse mini-batch active learning").

    Args:
        predictor: The predictor; copies of it are fitted.
        X: The encodings ``(m, d)`` of the measured architectures.
        y: The measured values ``(m,)``.
        pool: The encodings ``(p, d)`` to choose from.
        n: The number of rows to choose.
        seed: The seed of the resamples.
        sampler: That of the space whose campaign asks, see ``disagreement``.

    Returns:
        The indices ``(n,)`` of the chosen rows of ``pool``.

    Raises:
        UsageError: When ``n`` is below 1 or the pool is smaller than ``n``.
    """
    doubt = disagreement(predictor, X, y, pool, seed, sampler)
    if not 1 <= n <= len(doubt):
        raise UsageError(f"cannot choose {n} of a pool of {len(doubt)} architectures")
    candidates = np.argsort(-doubt, kind="stable")[: PRESELECTION * n]
    spread = standardised(pool)[candidates]
    rest = space_filling(spread, n - 1, taken=[0])
    return np.asarray(candidates[np.concatenate([[0], rest])], np.int64)
