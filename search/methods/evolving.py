"""The choice by scores of single networks, which methods without architecture parameters share.

Ageing evolution keeps the limit of the search, half of whose children are crossings (Guo et al.,
2020, https://arxiv.org/abs/1904.00420, section 3.3, have another evolution of the same budget); a
random search of as many networks is the baseline of it. See
``latbench.search.baselines.searches``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from latbench.errors import UsageError
from latbench.search.methods.base import Method
from latbench.validation import Count

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.baselines.searches import Score
    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.search.config import SearchConfig
    from latbench.search.penalty import LatencyPenalty
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class Evolving(Method):
    """A method without architecture parameters, which chooses by a score of single networks.

    ``budget`` is the number of different networks that are scored (published for single paths: 20
    rounds of 50), ``population`` how many of them live at once, ``crossover`` the share of children
    that are crossings of two of them (published: half). Without ``evolve`` the networks are drawn
    at random instead.

    It searches every space that has a supernet. A target below what the cheapest network costs, as
    predicted, is refused.
    """

    order: ClassVar[Literal[0, 1, 2]] = 0
    budget: Count = 1000
    population: Count = 50
    crossover: Annotated[float, Ge(0), Le(1)] = 0.5
    evolve: bool = True

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation, which has no parameters."""
        from latbench.search.relaxations.single_path import SinglePathRelaxation

        return SinglePathRelaxation(space)

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a population of more networks than the space has."""
        if self.evolve and self.population > space.networks:
            raise UsageError(
                f"the method {self.name}'s population = {self.population} is more than the "
                f"{space.networks} different networks of the space {space.name!r}; set it lower"
            )

    def check_penalty(self, space: AnySpace, penalty: LatencyPenalty) -> None:
        """Raises UsageError for a target that no network keeps, as predicted."""
        from latbench.search.baselines.cheapest import cheapest

        if penalty.target is None:
            return
        found, cost = cheapest(space, partial(penalty.paid_for, space))
        # What is predicted of many at once is rounded another way.
        if cost > 1 + 1e-6:
            raise UsageError(
                f"the target {penalty.shown(penalty.target)} is below what the cheapest network "
                f"that was found is predicted to cost, {cost:.3f} times as much ({found}); allow "
                "more"
            )

    def found_by(self, score: Score, trained: TrainedSupernet) -> Any:
        """Returns the architecture of the best score within the limit."""
        if self.evolve:
            return trained.evolved(score, self.budget, self.population, self.crossover)
        return trained.sampled(score, self.budget)
