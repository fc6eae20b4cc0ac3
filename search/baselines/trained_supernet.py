"""The judge by which a method without architecture parameters chooses, its supernet trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from latbench.search.baselines.cheapest import cheapest
from latbench.search.baselines.searches import Cost, OutOfReach, Score, evolution
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture


@dataclass(frozen=True)
class TrainedSupernet:
    """A trained supernet as a judge of architectures.

    ``scorer(images, calibration=0)`` makes a score of a number of images, 2 or more, and a number
    of those by which batch norms are calibrated (0: none): the accuracy on so many images of the
    half that the weights are not trained on (a fraction), less the penalty's weight times the
    relative cost where the search has a weight. ``cost`` gives costs relative to the target, or to
    the reference without one (0 without a penalty), of which ``limit`` is the largest allowed: 1
    with a target, infinite without. ``seed`` is the search's. ``held`` are the options at which
    variables rest, one number a variable and -1 for none; empty where none does.
    """

    space: AnySpace
    scorer: Callable[..., Score]
    cost: Cost
    limit: float
    seed: int
    held: tuple[int, ...] = ()

    def resting(self, variables: Sequence[int]) -> dict[int, int]:
        """Returns the options at which variables rest that will be searched later: each the one
        that costs the median of its own, or the least where else nothing keeps the limit.

        The others are meanwhile at the cheapest. It is for spaces whose variables are all in every
        network.
        """
        ranked = [self._ranked(i) for i in range(len(self.space.forest.variables))]
        cheapest = [of[0] for of in ranked]
        median = {i: ranked[i][(len(ranked[i]) - 1) // 2] for i in variables}
        code = tuple(median.get(i, k) for i, k in enumerate(cheapest))
        if float(self.cost([self.space.of(code)])[0]) <= self.limit:
            return median
        return {i: cheapest[i] for i in variables}

    def _ranked(self, i: int) -> list[int]:
        """The options of a variable by their costs, the others being as in the reference."""
        code, options = (
            self.space.reference().code,
            range(len(self.space.forest.variables[i].options)),
        )
        costs = self.cost([self.space.of((*code[:i], k, *code[i + 1 :])) for k in options])
        return sorted(options, key=lambda k: float(costs[k]))

    def _resting(self, architecture: Architecture) -> Architecture:
        """An architecture with what rests at its option."""
        if not self.held:
            return architecture
        pairs = zip(architecture.code, self.held, strict=True)
        return self.space.of(tuple(own if rest < 0 else rest for own, rest in pairs))

    def evolved(
        self, budget: int, population: int, images: int, calibration: int = 0,
        crossover: float = 0.0,
    ) -> Any:  # fmt: skip
        """Returns the architecture of the highest score that evolution finds within the limit.

        Where none of its samples is within the limit, it is the cheapest that there is.

        Args:
            budget: The number of different networks that are scored.
            population: How many live at once.
            images: The number of images of a score, 2 or more.
            calibration: The number of images by which the batch norms of each network are
                calibrated, of the half that the weights are trained on; 0 for none.
            crossover: The share of children that are crossings of two parents.

        Returns:
            The architecture.
        """
        evolve = partial(
            evolution,
            self.space,
            self.cost,
            budget=budget,
            seed=self.seed,
            population=population,
            crossover=crossover,
            project=self._resting,
        )
        try:
            return evolve(self.scorer(images, calibration), limit=self.limit).best.architecture
        except OutOfReach:
            return cheapest(self.space, self.cost, self._resting)[0]
