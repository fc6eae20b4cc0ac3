"""Which of the compared predictors to use, and why, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latbench.predictors import DIFFERENTIABLE
from latbench.report.data import PredictorResult


@dataclass(frozen=True)
class Recommendation:
    """A predictor's name, and why it is the one."""

    name: str
    reason: str


def recommend(
    results: Sequence[PredictorResult], measured: npt.ArrayLike, noise_floor: float | None
) -> Recommendation | None:
    """The most useful predictor among those as good as the best; None without two rows.

    As good means that the mean relative error on the ``measured`` rows is larger by no more than
    one standard error of the paired difference (the one-standard-error rule: Breiman et al., 1984,
    "Classification and Regression Trees"; Hastie, Tibshirani and Friedman, 2009, section 7.10).
    Among those, one with gradients is preferred, since a search can use it, and then the one that
    is fitted fastest.
    """
    truth = np.asarray(measured, np.float64)
    if not results or len(truth) < 2:
        return None
    errors = {r.name: np.abs(np.asarray(r.predicted) / truth - 1) for r in results}
    best = min(results, key=lambda r: float(errors[r.name].mean()))
    equals = [r for r in results if _as_good(errors[r.name], errors[best.name])]
    chosen = min(equals, key=lambda r: (r.name.split()[0] not in DIFFERENTIABLE, _fit_s(r)))
    return Recommendation(chosen.name, _reason(chosen, best, errors, noise_floor))


def most_accurate(
    results: Sequence[PredictorResult], measured: npt.ArrayLike, preferred: str
) -> str:
    """The name of ``preferred`` when it is as good as the best (see ``recommend``), else of the
    best, by mean relative error on the ``measured`` rows."""
    truth = np.asarray(measured, np.float64)
    errors = {r.name: np.abs(np.asarray(r.predicted) / truth - 1) for r in results}
    best = min(errors, key=lambda name: float(errors[name].mean()))
    return preferred if _as_good(errors[preferred], errors[best]) else best


def _as_good(errors: npt.NDArray[np.float64], least: npt.NDArray[np.float64]) -> bool:
    more = errors - least
    return bool(more.mean() <= more.std(ddof=1) / np.sqrt(len(more)))


def _fit_s(result: PredictorResult) -> float:
    return result.costs.fit_s if result.costs else 0.0


def _reason(
    chosen: PredictorResult, best: PredictorResult, errors: dict[str, npt.NDArray[np.float64]],
    noise_floor: float | None,
) -> str:  # fmt: skip
    own, least = (100 * errors[r.name].mean() for r in (chosen, best))
    said = f"errs by {own:.2g} %, the least of all"
    if chosen is not best:
        said = (
            f"errs by {own:.2g} %, within one standard error of the best ({best.name}, "
            f"{least:.2g} %)"
        )
    if chosen.name.split()[0] in DIFFERENTIABLE:
        said += ", and a search can use its gradients"
    if chosen.costs is not None and chosen is not best:
        said += f"; it is fitted in {chosen.costs.fit_s:.2g} s"
    if noise_floor is None:
        return said + "; the noise floor is not known"
    return said + f"; the noise floor is {100 * noise_floor:.2g} %"
