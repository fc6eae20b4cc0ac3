"""The recommendation of one of the compared predictors, with its reason, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latbench.results import PredictorResult
from latbench.timing.noise import NO_LOWER, at_reachable, beside_reachable


@dataclass(frozen=True)
class Recommendation:
    """A predictor's name, and why it is the one."""

    name: str
    reason: str


def recommend(
    results: Sequence[PredictorResult], measured: npt.ArrayLike, noise_floor: float | None
) -> Recommendation | None:
    """Recommends the most useful predictor among those as good as the best; None without two rows.

    As good means that the mean relative error on the ``measured`` rows is larger by no more than
    one standard error of the paired difference (the one-standard-error rule: Breiman et al., 1984,
    "Classification and Regression Trees"; Hastie, Tibshirani and Friedman, 2009, section 7.10).
    Among those, one with gradients is preferred, since a search can use it, and then the one that
    is fitted fastest.
    """
    found = _choose(results, measured)
    if found is None:
        return None
    said = _error(found, "of all", "the best")
    if found.chosen.differentiable:
        said += ", and a search can use its gradients"
    if found.chosen.costs is not None and found.chosen is not found.best:
        said += f"; it is fitted in {found.chosen.costs.fit_s:.2g} s"
    mape = found.best.metrics.get("mape", (found.least,) * 3)
    said += f"; the least error is {beside_reachable(mape, noise_floor)}"
    if at_reachable(mape, noise_floor):
        said += f", and {NO_LOWER}"
    return Recommendation(found.chosen.name, said)


def recommend_for_search(
    results: Sequence[PredictorResult], measured: npt.ArrayLike
) -> Recommendation | None:
    """Recommends among predictors with a gradient, which the penalty of a search needs.

    It does so as ``recommend`` does; None when none of them was compared.
    """
    found = _choose([r for r in results if r.differentiable], measured)
    if found is None:
        return None
    told = _error(found, "of those with a gradient", "the best with a gradient")
    return Recommendation(found.chosen.name, told)


def most_accurate(
    results: Sequence[PredictorResult], measured: npt.ArrayLike, preferred: str
) -> str:
    """Returns the name of ``preferred`` when it is as good as the best (see ``recommend``), else of
    the best, by mean relative error on the ``measured`` rows."""
    truth = np.asarray(measured, np.float64)
    errors = {r.name: np.abs(np.asarray(r.predicted) / truth - 1) for r in results}
    best = min(errors, key=lambda name: float(errors[name].mean()))
    return preferred if _as_good(errors[preferred], errors[best]) else best


def _as_good(errors: npt.NDArray[np.float64], least: npt.NDArray[np.float64]) -> bool:
    more = errors - least
    return bool(more.mean() <= more.std(ddof=1) / np.sqrt(len(more)))


def _fit_s(result: PredictorResult) -> float:
    return result.costs.fit_s if result.costs else 0.0


class _Choice(NamedTuple):
    """The chosen one, the one that errs least, and their mean relative errors."""

    chosen: PredictorResult
    best: PredictorResult
    own: float
    least: float


def _choose(results: Sequence[PredictorResult], measured: npt.ArrayLike) -> _Choice | None:
    truth = np.asarray(measured, np.float64)
    if not results or len(truth) < 2:
        return None
    errors = {r.name: np.abs(np.asarray(r.predicted) / truth - 1) for r in results}
    best = min(results, key=lambda r: float(errors[r.name].mean()))
    equals = [r for r in results if _as_good(errors[r.name], errors[best.name])]
    chosen = min(equals, key=lambda r: (not r.differentiable, _fit_s(r)))
    return _Choice(chosen, best, *(float(errors[r.name].mean()) for r in (chosen, best)))


def _error(found: _Choice, among: str, best: str) -> str:
    said = f"errs by {100 * found.own:.2g} %, "
    if found.chosen is found.best:
        return f"{said}the least {among}"
    return (
        f"{said}within one standard error of {best} ({found.best.name}, {100 * found.least:.2g} %)"
    )
