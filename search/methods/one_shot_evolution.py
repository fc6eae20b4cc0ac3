"""Uniform single path and evolution (Guo et al., 2020, https://arxiv.org/abs/1904.00420).

Every step trains the weights of one path that is drawn uniformly (section 3.2). Then evolution,
which keeps the limit of the search, takes the architecture of the highest accuracy with the trained
weights (section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from latbench.errors import UsageError
from latbench.search.methods.evolving import Evolving
from latbench.validation import Count, Natural, NotNegative, Positive

if TYPE_CHECKING:
    from torch import Generator

    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.search.relaxations.relaxation import Relaxation
    from latbench.spaces import AnySpace


FIXED_PATHS = 64  # that say whether a training has settled

# Published in megvii-model/SinglePathOneShot, for the supernet and for what is found alike:
# 150,000 steps, which are 240 passes over half of ImageNet, and 300,000, which are 240 passes over
# all of it. Gradients are not clipped there. Not here: dropout of 0.1 before the classifier, and
# images of 0 to 255 in the order blue, green, red.
SPOS_TRAINING: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 240, "batch": 1024, "learning_rate": 0.5, "final_learning_rate": 0.0,
        "schedule": "linear", "momentum": 0.9, "weight_decay": 4e-5, "decay_vectors": False,
        "label_smoothing": 0.1, "gradient_clip": 1e6,
    }
)  # fmt: skip
# Half of the children are crossings, and images and calibration are those of its search; the rates
# between generations have no place here.
SPOS_IMAGENET: Mapping[str, Any] = MappingProxyType(
    {
        **SPOS_TRAINING,
        "method": {
            "budget": 1000, "population": 50, "images": 8000, "calibration": 25_600,
            "crossover": 0.5, "bins": 7, "lightest": 0.88, "heaviest": 1.09,
        },
    }
)  # fmt: skip


@dataclass(frozen=True)
class SinglePath(Evolving):
    """One uniformly drawn path a step, and then evolution, or random search, by the accuracy of
    single paths with the trained weights.

    ``images`` is how many images of the half that the weights are not trained on score each
    network (published: 8,000). ``calibration`` is over how many of the other half every network's
    batch norms gather their statistics anew (published: 25,600; at most all of it); 0 takes those
    of the batches that are scored.

    With ``bins`` the paths are drawn, evenly, from so many bins of predicted cost between
    ``lightest`` and ``heaviest``, relative to the target (published: 7 from 290 to 360 million
    multiply-adds, for a limit of 330, which is 0.88 to 1.09); without a target they are drawn from
    all.

    With ``settled`` the training ends as soon as the validation accuracy, that of 64 fixed paths,
    has risen by less than so many percentage points in the last fifth of its epochs, of which it
    has ``least_epochs`` at least, and ``epochs`` at most; it is for a learning rate that stays
    (``final_learning_rate`` equal to ``learning_rate``). Ours: what has risen is the mean over a
    fifth of the epochs, against that over the fifth before.
    """

    name: ClassVar[str] = "single-path"
    presets: ClassVar[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
        {("spos", "imagenet"): SPOS_IMAGENET, ("operators", "imagenet"): SPOS_IMAGENET}
    )
    images: Annotated[int, Ge(2)] = 1000
    calibration: Natural = 2000
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
        """Returns the architecture of the highest accuracy within the limit."""
        return self.found_by(trained.scorer(self.images, self.calibration), trained)
