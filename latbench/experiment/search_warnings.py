"""Sentences on what to expect of a search, before it begins and after its end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.search.supernets.searchable import single_operations

if TYPE_CHECKING:
    from latbench.experiment.goals import Goal
    from latbench.experiment.search_task import SearchTask
    from latbench.timing.metric import Metric

UNIFORM = 0.98  # of the highest entropy; above it the choices are hardly made
TRIED = 200  # random networks, to see whether a limit is within reach


def nearly_uniform(
    probabilities: Mapping[str, npt.NDArray[np.float32]], label: str,
    sets: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> str | None:  # fmt: skip
    """Looks whether the odds that a network was derived from have moved.

    Args:
        probabilities: The odds of each variable's options, ``(options,)``.
        label: What the search is called.
        sets: The odds of sets of inputs by their texts, of variables that have such.

    Returns:
        A sentence where they have hardly moved from equal ones, else None.
    """
    of_sets = (np.array([*of.values()]) for of in sets.values())
    rows = [p.astype(np.float64) for p in (*probabilities.values(), *of_sets) if len(p) > 1]
    if not rows:
        return None
    entropy = float(np.mean([-(p * np.log(np.maximum(p, 1e-30))).sum() for p in rows]))
    most = float(np.mean([math.log(len(p)) for p in rows]))
    if entropy <= UNIFORM * most:
        return None
    return (
        f"the choices are still nearly uniform ({label}; entropy {entropy:.2f} of at most "
        f"{most:.2f}): the network found may be hardly better than a random one; search for more "
        "epochs (--setting epochs=N) or with a larger alpha_learning_rate"
    )


def warn_of_reach(task: SearchTask, goals: Iterable[Goal]) -> None:
    """Warns (UserWarning) of every doubtful limit, before the first search."""
    for said in doubtful_limits(task, goals):
        warnings.warn(said, UserWarning, stacklevel=3)


def doubtful_limits(task: SearchTask, goals: Iterable[Goal]) -> Iterator[str]:
    """Yields a sentence for each limit that no network is predicted to keep, or that every one is.

    The networks are those that consist of one operation and, where these do not lie on both sides
    of the limit, random ones. This is no proof: a search may find one.
    """
    limits: dict[str, dict[float, None]] = {}  # each once, by backend
    for goal in goals:
        for name, limit in zip(goal.backends, task.targets(goal), strict=False):
            limits.setdefault(name, {})[limit] = None
    for name, asked in limits.items():
        costs = _tried(task, name, asked)
        for limit in asked:
            if said := _doubt(task.metric, limit, costs):
                yield f"at most {task.metric.show(limit, 3)} on {name} {said}"


def _tried(task: SearchTask, name: str, limits: Iterable[float]) -> npt.NDArray[np.float64]:
    """Predicted costs on a backend of enough networks to doubt the limits."""
    best, single = task.priced[name].best, single_operations(task.space)
    costs = best.predict(single)
    if all(costs.min() <= limit < costs.max() for limit in limits):
        return costs
    sampled = [task.space.sample(0, i) for i in range(TRIED)]
    return np.concatenate([costs, best.predict(sampled)])


def _doubt(metric: Metric, limit: float, costs: npt.NDArray[np.float64]) -> str | None:
    which = f"of {len(costs)} networks ({TRIED} random ones, and those of a single operation)"
    if limit < costs.min():
        return (
            f"may be out of reach: the cheapest {which} is predicted at "
            f"{metric.show(float(costs.min()), 3)}; allow more"
        )
    if limit >= costs.max():
        return (
            f"may limit nothing: the dearest {which} is predicted at "
            f"{metric.show(float(costs.max()), 3)}; ask for less than that, or for accuracy alone "
            "(λ = 0)"
        )
    return None
