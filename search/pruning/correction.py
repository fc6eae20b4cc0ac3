"""The correction of a choice by what it was measured to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

# Of the limit, as measured, that need no correction. What is said to be kept in the end may take a
# little more (latbench.timing.verdicts): that is for the next measurement of the same network.
LEAST, MOST = 0.95, 1.0
T = TypeVar("T")


def corrected(
    choose: Callable[[float], T], predicted: Callable[[T], float], measured: Callable[[T], float],
    limit: float, most: int,
) -> list[tuple[T, float]]:  # fmt: skip
    """Chooses for a limit, measures, and chooses again for a limit that is corrected by that.

    Args:
        choose: Makes the choice that is predicted to keep a limit.
        predicted: What a choice is predicted to cost.
        measured: What it is measured to cost.
        limit: The limit.
        most: How often the choice is corrected at most.

    Returns:
        The choices with what they were measured to cost, in order; none of them twice in a row.
    """
    choice = choose(limit)
    tried = [(choice, measured(choice))]
    for _ in range(most):
        choice, cost = tried[-1]
        if LEAST <= cost / limit <= MOST:
            break
        # The middle of what needs no correction is aimed at.
        aim = (LEAST + MOST) / 2 * limit
        following = choose(predicted(choice) * aim / cost)
        if predicted(following) == predicted(choice):
            break
        tried.append((following, measured(following)))
    return tried


def best_kept(tried: Sequence[tuple[T, float]], limit: float, loss: Callable[[T], float]) -> int:
    """Returns the number of the choice that was measured to keep a limit and loses least; where
    none keeps it, of the one that costs least."""
    kept = [i for i, (_, cost) in enumerate(tried) if cost <= MOST * limit]
    if kept:
        return min(kept, key=lambda i: loss(tried[i][0]))
    return min(range(len(tried)), key=lambda i: tried[i][1])
