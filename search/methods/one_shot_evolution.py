"""Uniform single path and evolution (Guo et al., 2020, https://arxiv.org/abs/1904.00420).

Every step trains the weights of one path that is drawn uniformly (section 3.2). Then ageing
evolution, which keeps the limit of the search, takes the architecture of the highest accuracy with
the trained weights (section 3.3; Guo et al. have another evolution of the same budget).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from latbench.errors import UsageError
from latbench.search.methods.base import Method
from latbench.validation import Count, Natural, NotNegative, Positive

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.search.config import SearchConfig
    from latbench.search.penalty import LatencyPenalty
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


FIXED_PATHS = 64  # that say whether a training has settled

# Published in megvii-model/SinglePathOneShot: 150,000 steps, which are 240 passes over half of
# ImageNet; gradients are not clipped there. Half of the children are crossings, and images and
# calibration are those of its search; the rates between generations have no place here.
SPOS_IMAGENET: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 240, "batch": 1024, "learning_rate": 0.5, "final_learning_rate": 0.0,
        "schedule": "linear", "momentum": 0.9, "weight_decay": 4e-5, "label_smoothing": 0.1,
        "gradient_clip": 1e6,
        "method": {
            "budget": 1000, "population": 50, "images": 8000, "calibration": 25_600,
            "crossover": 0.5, "bins": 7, "lightest": 0.88, "heaviest": 1.09,
        },
    }
)  # fmt: skip


@dataclass(frozen=True)
class SinglePath(Method):
    """One uniformly drawn path a step, and then evolution.

    ``budget`` is the number of different networks that evolution scores (published: 20 rounds of
    50), ``population`` how many of them live at once, ``crossover`` the share of children that are
    crossings of two of them (published: half), ``images`` how many images of the half that
    the weights are not trained on score each. ``calibration`` is over how many of the other half
    every network's batch norms gather their statistics anew (published: 25,600; at most all of
    it); 0 takes those of the batches that are scored.

    With ``bins`` the paths are drawn, evenly, from so many bins of predicted cost between
    ``lightest`` and ``heaviest``, relative to the target (published: 7 from 290 to 360 million
    multiply-adds, for a limit of 330, which is 0.88 to 1.09); without a target they are drawn from
    all.

    With ``settled`` the training ends as soon as the validation accuracy, that of 64 fixed paths,
    has risen by less than so many percentage points in the last fifth of its epochs, of which it
    has ``least_epochs`` at least, and ``epochs`` at most; it is for a learning rate that stays
    (``final_learning_rate`` equal to ``learning_rate``). Ours: what has risen is the mean over a
    fifth of the epochs, against that over the fifth before.

    It searches every space that has a supernet. A target below what the cheapest network costs, as
    predicted, is refused.
    """

    name: ClassVar[str] = "single-path"
    order: ClassVar[Literal[0, 1, 2]] = 0
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {("spos", "imagenet"): SPOS_IMAGENET, ("operators", "imagenet"): SPOS_IMAGENET}
    )
    budget: Count = 1000
    population: Count = 50
    images: Annotated[int, Ge(2)] = 1000
    calibration: Natural = 0
    crossover: Annotated[float, Ge(0), Le(1)] = 0.0
    bins: Natural = 0
    lightest: Positive = 0.88
    heaviest: Positive = 1.09
    settled: NotNegative = 0.0
    least_epochs: Count = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration == 1:
            raise UsageError(
                f"the method {self.name}'s calibration must be 0 or at least 2 images, got 1"
            )
        if self.lightest >= self.heaviest:
            raise UsageError(
                f"the method {self.name}'s lightest = {self.lightest:g} must be below heaviest = "
                f"{self.heaviest:g}"
            )

    def check(self, space: AnySpace, config: SearchConfig) -> None:
        """Raises UsageError for a population of more networks than the space has."""
        if self.population > space.size:
            raise UsageError(
                f"the method {self.name}'s population = {self.population} is more than the "
                f"{space.size} architectures of the space {space.name!r}; set it lower"
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
                f"the target {penalty.target:g} is below what the cheapest network that was found "
                f"is predicted to cost, {cost:.3f} times as much ({found}); allow more"
            )

    def relaxation(self, space: AnySpace, generator: Generator) -> Relaxation:
        """Makes the relaxation, which has no parameters."""
        from latbench.search.relaxations.single_path import Bins, SinglePathRelaxation

        bins = Bins(self.bins, self.lightest, self.heaviest) if self.bins else None
        return SinglePathRelaxation(space, bins)

    @property
    def fixed_paths(self) -> int:
        """Returns how many paths say whether the training has settled."""
        return FIXED_PATHS if self.settled else 0

    def settles_with(self, accuracies: Sequence[float]) -> int | None:
        """Returns with how many of the epochs that have these accuracies (fractions) the training
        settled; None where it did not yet."""
        if not self.settled:
            return None
        for n in range(self.least_epochs, len(accuracies) + 1):
            fifth = n // 5
            last, before = accuracies[n - fifth : n], accuracies[n - 2 * fifth : n - fifth]
            if 100 * (fmean(last) - fmean(before)) < self.settled:
                return n
        return None

    def ends(self, space: AnySpace, epochs: int, accuracies: Sequence[float]) -> bool:
        """Returns whether the training settled, or had all its epochs."""
        return len(accuracies) >= epochs or self.settles_with(accuracies) is not None

    def choose(self, trained: TrainedSupernet) -> Any:
        """Returns the best architecture that evolution scored within the limit."""
        return trained.evolved(
            self.budget, self.population, self.images, self.calibration, self.crossover
        )
