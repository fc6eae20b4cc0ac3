"""Uniform single path and evolution (Guo et al., 2020, https://arxiv.org/abs/1904.00420).

Every step trains the weights of one path that is drawn uniformly (section 3.2). Then ageing
evolution, which keeps the limit of the search, takes the architecture of the highest accuracy with
the trained weights (section 3.3; Guo et al. have another evolution of the same budget).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from latbench.errors import UsageError
from latbench.search.methods.base import Method
from latbench.validation import Count, Natural

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class SinglePath(Method):
    """One uniformly drawn path a step, and then evolution.

    ``budget`` is the number of different networks that evolution scores (published: 20 rounds of
    50), ``population`` how many of them live at once, ``crossover`` the share of children that are
    crossings of two of them (published: half), ``images`` how many images of the half that
    the weights are not trained on score each. ``calibration`` is over how many of the other half
    every network's batch norms gather their statistics anew (published: 25,600; at most all of
    it); 0 takes those of the batches that are scored. It searches every space that has a supernet.
    """

    name: ClassVar[str] = "single-path"
    order: ClassVar[Literal[0, 1, 2]] = 0
    budget: Count = 1000
    population: Count = 50
    images: Annotated[int, Ge(2)] = 1000
    calibration: Natural = 0
    crossover: Annotated[float, Ge(0), Le(1)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration == 1:
            raise UsageError(
                f"the method {self.name}'s calibration must be 0 or at least 2 images, got 1"
            )

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation, which has no parameters."""
        from latbench.search.relaxations.single_path import SinglePathRelaxation

        return SinglePathRelaxation(space)

    def choose(self, trained: TrainedSupernet) -> Any:
        """Returns the best architecture that evolution scored within the limit."""
        return trained.evolved(
            self.budget, self.population, self.images, self.calibration, self.crossover
        )
