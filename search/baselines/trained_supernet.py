"""The judge by which a method without architecture parameters chooses, its supernet trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count, product
from typing import Any

from latbench.search.baselines.cheapest import cheapest
from latbench.search.baselines.searches import Cost, OutOfReach, Score, evolution, random_search
from latbench.spaces import AnySpace
from latbench.spaces.architecture import Architecture
from latbench.spaces.variables import Some

_COUNTED = 10_000  # networks of a part of a space that may write one twice

# Called after every score with the number so far, and how many there will be at most.
Scored = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainedSupernet:
    """A trained supernet as a judge of architectures.

    ``scorer(images, calibration=0)`` makes a score of a number of images, 2 or more, and a number
    of those by which batch norms are calibrated (0: none): the accuracy on so many images of the
    half that the weights are not trained on (a fraction), less the penalty's weight times the
    relative cost where the search has a weight. ``untrained(name, images)`` makes one of networks
    at fresh weights, ``synflow`` or ``naswot`` of so many images, less the same. ``cost`` gives
    costs relative to the target, or to the reference without one (0 without a penalty), of which
    ``limit`` is the largest allowed: 1 with a target, infinite without. ``seed`` is the search's.
    ``fixed`` are the options at which variables are, one number a variable and -1 for free ones;
    empty where all are free. ``scored`` is told of every score.
    """

    space: AnySpace
    scorer: Callable[..., Score]
    untrained: Callable[[str, int], Score]
    cost: Cost
    limit: float
    seed: int
    fixed: tuple[int, ...] = ()
    scored: Scored | None = None

    def until_searched(self, variables: Sequence[int]) -> dict[int, int]:
        """Returns the options at which variables are fixed until they are searched: each the one
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

    def _with_fixed(self, architecture: Architecture) -> Architecture:
        """An architecture with what is fixed at its option."""
        if not self.fixed:
            return architecture
        pairs = zip(architecture.code, self.fixed, strict=True)
        return self.space.of(tuple(own if fixed < 0 else fixed for own, fixed in pairs))

    @cached_property
    def networks(self) -> int:
        """Returns how many different networks there are to choose among; of many, at most."""
        if not self.fixed:
            return self.space.networks
        values = [
            [fixed] if fixed >= 0 else v.sets if isinstance(v, Some) else range(len(v.options))
            for v, fixed in zip(self.space.forest.variables, self.fixed, strict=True)
        ]
        most = min(math.prod(map(len, values)), self.space.networks)
        if most > _COUNTED or not self.space.repeats_networks:
            return most
        return len({self.space.canonical(self.space.of(code)) for code in product(*values)})

    def evolved(
        self, score: Score, budget: int, population: int, crossover: float = 0.0
    ) -> Architecture:
        """Returns the architecture of the highest score that evolution finds within the limit.

        Where none of its samples is within the limit, it is the cheapest that there is.

        Args:
            score: The score, of ``scorer`` or ``untrained`` or one of your own.
            budget: The number of different networks that are scored.
            population: How many live at once.
            crossover: The share of children that are crossings of two parents.

        Returns:
            The architecture.
        """
        run = partial(evolution, population=min(population, self.networks), crossover=crossover)
        return self._best(run, score, budget)

    def sampled(self, score: Score, budget: int) -> Architecture:
        """Returns the architecture of the highest score among so many random ones within the limit,
        else the cheapest, as ``evolved`` does."""
        return self._best(random_search, score, budget)

    def _best(self, run: Callable[..., Any], score: Score, budget: int) -> Architecture:
        numbers, most = count(1), min(budget, self.networks)

        def told(architecture: Architecture) -> float:
            value = score(architecture)
            if self.scored is not None:
                self.scored(next(numbers), most)
            return value

        try:
            found: Architecture = run(
                self.space, self.cost, told, limit=self.limit, budget=budget, seed=self.seed,
                project=self._with_fixed, networks=self.networks,
            ).best.architecture  # fmt: skip
        except OutOfReach:
            return cheapest(self.space, self.cost, self._with_fixed)[0]
        return found
