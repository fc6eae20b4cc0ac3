"""The judge by which a method without architecture parameters chooses, its supernet trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from latbench.search.baselines.searches import Cost, OutOfReach, Score, evolution
from latbench.spaces import AnySpace


@dataclass(frozen=True)
class TrainedSupernet:
    """A trained supernet as a judge of architectures.

    ``scorer`` makes, from a number of images, 2 or more, a score: the accuracy on so many images of
    the half that the weights are not trained on (a fraction), less the penalty's weight times the
    relative cost where the search has a weight. ``cost`` gives costs relative to the target, or to
    the reference without one (0 without a penalty), of which ``limit`` is the largest allowed: 1
    with a target, infinite without. ``seed`` is the search's.
    """

    space: AnySpace
    scorer: Callable[[int], Score]
    cost: Cost
    limit: float
    seed: int

    def evolved(self, budget: int, population: int, images: int) -> Any:
        """Returns the architecture of the highest score that evolution finds within the limit.

        Where none of its samples is within the limit, it is the cheapest that evolution of the same
        budget finds.

        Args:
            budget: The number of different networks that are scored.
            population: How many live at once.
            images: The number of images of a score, 2 or more.

        Returns:
            The architecture.
        """
        evolve = partial(
            evolution, self.space, self.cost, budget=budget, seed=self.seed, population=population
        )
        try:
            return evolve(self.scorer(images), limit=self.limit).best.architecture
        except OutOfReach:
            cheapest = evolve(lambda one: -float(self.cost([one])[0]), limit=math.inf)
            return cheapest.best.architecture
