"""Fronts of accuracy over measured cost, and where pruned networks lie on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev

from latbench.results import PrunedResult

Point = tuple[float, float]  # cost, accuracy


def pareto(points: Sequence[Point]) -> list[int]:
    """Returns the points that no other one beats in cost and accuracy, by rising cost.

    >>> pareto([(1.0, 0.9), (2.0, 0.8), (3.0, 0.95), (1.0, 0.7)])
    [0, 2]
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    best, found = -math.inf, []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            found.append(i)
    return found


@dataclass(frozen=True)
class BudgetMean:
    """The mean over seeds of one model pruned to one budget; ``budget`` is empty, and ``results``
    are, for the model before pruning.

    Latencies are in seconds; ``predicted_s`` and ``of_budget``, the measured latency as a share of
    the budget, are None before pruning. ``accuracy`` is a fraction, ``deviation`` the standard
    deviation of several. ``on_front`` is whether neither another budget of the model nor the model
    itself beats it in accuracy and measured latency.
    """

    model: str
    budget: str
    latency_s: float
    predicted_s: float | None
    of_budget: float | None
    accuracy: float
    deviation: float | None
    parameters: float
    on_front: bool
    results: tuple[PrunedResult, ...] = ()


def by_model(results: Sequence[PrunedResult]) -> dict[str, list[PrunedResult]]:
    """Sorts results by the models that were pruned, by their texts."""
    found: dict[str, list[PrunedResult]] = {}
    for one in results:
        found.setdefault(one.model, []).append(one)
    return found


def budget_means(results: Sequence[PrunedResult]) -> list[BudgetMean]:
    """Returns the means of one model's budgets, the model before pruning first.

    Latencies are taken as shares of the model's in the same campaign, since campaigns of different
    hours differ.
    """
    first, whole = results[0], median(one.latency_before_s for one in results)
    before = BudgetMean(
        first.model, "", whole, None, None, first.accuracy_before, None, first.parameters_before,
        False,
    )  # fmt: skip
    groups: dict[str, list[PrunedResult]] = {}
    for one in results:
        groups.setdefault(one.budget, []).append(one)
    means = [before, *(_mean(of, whole) for of in groups.values())]
    front = pareto([(one.latency_s, one.accuracy) for one in means])
    return [replace(one, on_front=i in front) for i, one in enumerate(means)]


def _mean(of: list[PrunedResult], whole: float) -> BudgetMean:
    accuracies = [one.accuracy for one in of]
    return BudgetMean(
        of[0].model, of[0].budget,
        whole * fmean(one.latency_s / one.latency_before_s for one in of),
        whole * fmean(one.predicted_s / one.latency_before_s for one in of),
        fmean(one.latency_s / one.budget_s for one in of),
        fmean(accuracies), stdev(accuracies) if len(of) > 1 else None,
        fmean(one.parameters for one in of), False, tuple(of),
    )  # fmt: skip
