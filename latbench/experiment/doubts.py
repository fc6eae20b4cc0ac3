"""Sentences on what to expect of a search, before it begins and after its end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.search.searchable import single_operations

if TYPE_CHECKING:
    from latbench.experiment.goals import Goal
    from latbench.experiment.searching import Task

UNIFORM = 0.98  # of the highest entropy; above it the choices are hardly made
TRIED = 200  # random networks, to see whether a limit is within reach


def nearly_uniform(probabilities: npt.NDArray[np.float32], label: str) -> str | None:
    """A sentence when the operation probabilities ``(..., operations)`` that a network was derived
    from have hardly moved from equal ones."""
    p = probabilities.astype(np.float64)
    entropy = float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=-1).mean())
    most = math.log(p.shape[-1])
    if entropy <= UNIFORM * most:
        return None
    return (
        f"the choices are still nearly uniform ({label}; entropy {entropy:.2f} of at most "
        f"{most:.2f}): the network found may be hardly better than a random one; search for more "
        "epochs (--setting epochs=N) or with a larger alpha_learning_rate"
    )


def warn_of_reach(task: Task, goals: Iterable[Goal]) -> None:
    """Warns (UserWarning) of every limit that may be out of reach, before the first search."""
    for goal in goals:
        for said in out_of_reach(task, goal):
            warnings.warn(said, UserWarning, stacklevel=3)


def out_of_reach(task: Task, goal: Goal) -> Iterator[str]:
    """A sentence for each limit below which no network is predicted to be, of those that consist of
    one operation and, where none of these is, of random ones. No proof: a search may find one."""
    first = single_operations(task.space)
    for name, limit in zip(goal.backends, task.targets(goal), strict=False):
        best = task.priced[name].best
        cheapest = float(best.predict(first).min())
        if cheapest <= limit:
            continue
        sampled = [task.space.sample(0, i) for i in range(TRIED)]
        cheapest = min(cheapest, float(best.predict(sampled).min()))
        if cheapest > limit:
            show = task.metric.show
            yield (
                f"at most {show(limit, 3)} on {name} may be out of reach: the cheapest of "
                f"{len(first) + TRIED} networks ({TRIED} random ones, and those of a single "
                f"operation) is predicted at {show(cheapest, 3)}"
            )
