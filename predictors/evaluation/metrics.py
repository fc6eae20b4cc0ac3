"""The measures of predictions: six figures, each with a bootstrap interval.

Rows are resampled with replacement and the figure is taken again; the interval is the 2.5th to the
97.5th percentile (Efron's percentile bootstrap).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, spearmanr

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.base import check_latencies

METRICS = ("mape", "rmse", "within_5", "within_10", "spearman", "kendall")
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float, float]
_PERCENTILES = (2.5, 97.5)
# Rank correlations compare all pairs of rows; resamples use this many rows at most.
_RANK_ROWS = 1000


def _row_values(y_true: Floats, y_pred: Floats) -> Floats:
    """``(n, 4)``: what the mean of the first four metrics is taken over."""
    error = y_pred - y_true
    relative = np.abs(error) / y_true
    # 1e-12: an error of exactly 5 % counts as within 5 %, whatever the rounding.
    return np.stack(
        [relative, error**2, relative <= 0.05 + 1e-12, relative <= 0.10 + 1e-12], axis=1
    )


def _finish(means: Floats) -> Floats:
    out: Floats = means.copy()
    out[..., 1] = np.sqrt(out[..., 1])
    return out


def _ratio(above: Floats, below: Floats) -> Floats:
    """A correlation; 0 where a constant leaves it undefined (it ranks nothing)."""
    positive = below > 1e-12
    return np.asarray(np.where(positive, above / np.where(positive, below, 1), 0.0))


def _weighted_spearman(a: Floats, b: Floats, counts: Floats) -> Floats:
    """Spearman's rho of resamples in which row i occurs ``counts[:, i]`` times; ``(boots,)``."""
    n = counts.sum(axis=1, keepdims=True)
    centred = []
    for x in (a, b):
        below = (x[None, :] < x[:, None]) + 0.5 * (x[None, :] == x[:, None])
        ranks = counts @ below.T
        centred.append(ranks - (counts * ranks).sum(axis=1, keepdims=True) / n)
    u, v = centred
    above = (counts * u * v).sum(axis=1)
    return _ratio(above, np.sqrt((counts * u * u).sum(axis=1) * (counts * v * v).sum(axis=1)))


def _weighted_kendall(a: Floats, b: Floats, counts: Floats) -> Floats:
    """Kendall's tau-b of the same resamples; ``(boots,)``."""
    s, t = (np.sign(x[:, None] - x[None, :]) for x in (a, b))
    total, untied_a, untied_b = (
        np.einsum("bi,bi->b", counts @ m, counts) for m in (s * t, np.abs(s), np.abs(t))
    )
    return _ratio(total, np.sqrt(untied_a * untied_b))


def _rank_interval(value: float, boots: Floats, centre: float, shrink: float) -> Interval:
    low, high = value + shrink * (np.percentile(boots, _PERCENTILES) - centre)
    return value, float(max(low, -1.0)), float(min(high, 1.0))


def _rank_metrics(
    y_true: Floats, y_pred: Floats, n_boot: int, rng: np.random.Generator
) -> dict[str, Interval]:
    n = len(y_true)
    constant = np.ptp(y_true) == 0 or np.ptp(y_pred) == 0
    point = {
        "spearman": 0.0 if constant else float(spearmanr(y_true, y_pred).statistic),
        "kendall": 0.0 if constant else float(kendalltau(y_true, y_pred).statistic),
    }
    m = min(n, _RANK_ROWS)
    rows = rng.permutation(n)[:m] if m < n else np.arange(n)
    counts = rng.multinomial(m, np.full(m, 1 / m), size=n_boot).astype(np.float64)
    # Deviations of m rows are wider than those of n by the root of n/m.
    shrink = float(np.sqrt(m / n))
    out = {}
    for name, function in (("spearman", _weighted_spearman), ("kendall", _weighted_kendall)):
        a, b = y_true[rows], y_pred[rows]
        centre = point[name] if m == n else float(function(a, b, np.ones((1, m)))[0])
        out[name] = _rank_interval(point[name], function(a, b, counts), centre, shrink)
    return out


def evaluate(y_true: Any, y_pred: Any, *, n_boot: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Computes the metrics of predictions, each with a 95 % bootstrap interval.

    - ``mape``: mean of abs(predicted - true) / true, a fraction
    - ``rmse``: root mean square error, in the values' unit
    - ``within_5``, ``within_10``: share of rows whose relative error is at most 5 or 10 %
    - ``spearman``, ``kendall``: rank correlations (tau-b); 0 when either side is constant

    Beyond 1000 rows the rank correlations' intervals come from resamples of 1000 random rows, their
    width scaled by sqrt(1000 / n); the values themselves always use all rows.

    Args:
        y_true: The true values ``(n,)``.
        y_pred: The predictions ``(n,)``, in the same unit.
        n_boot: The number of resamples, 1 or more.
        seed: The seed of the resamples.

    Returns:
        The value, low and high of each metric by its name.

    Raises:
        UsageError: For values that are not finite, not positive or of different lengths.
        NotEnoughData: For fewer than two rows, or no resample.
    """
    true = check_latencies(y_true, np.asarray(y_true).size)
    predicted = np.asarray(y_pred, dtype=np.float64)
    if predicted.shape != true.shape or not np.isfinite(predicted).all():
        raise UsageError(
            f"y_pred must be {len(true)} finite values like y_true, got shape {predicted.shape}"
        )
    if len(true) < 2 or n_boot < 1:
        raise NotEnoughData(f"metrics need 2 rows and 1 resample, got {len(true)} and {n_boot}")
    rng = np.random.default_rng(seed)
    values = _row_values(true, predicted)
    value = _finish(values.mean(axis=0))
    n = len(true)
    boots = np.stack([values[rng.integers(n, size=n)].mean(axis=0) for _ in range(n_boot)])
    low, high = np.percentile(_finish(boots), _PERCENTILES, axis=0)
    out = {
        name: (float(value[i]), float(low[i]), float(high[i])) for i, name in enumerate(METRICS[:4])
    }
    return out | _rank_metrics(true, predicted, n_boot, rng)
