"""Searches by scores of networks at fresh weights: NASWOT (Mellor et al., 2021,
https://arxiv.org/abs/2006.04647) and SynFlow (Abdelfattah et al., 2021,
https://arxiv.org/abs/2101.08134).

Nothing is trained, so that they take minutes: the baselines of whatever trains a supernet. See
``latbench.search.baselines.proxies``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from latbench.search.methods.evolving import Evolving

if TYPE_CHECKING:
    from latbench.search.baselines.trained_supernet import TrainedSupernet
    from latbench.spaces import AnySpace


@dataclass(frozen=True)
class TrainingFree(Evolving):
    """A search by a score of networks at fresh weights, by evolution or at random.

    ``score`` is ``synflow``, which looks at no image, or ``naswot``, which looks at ``images`` of
    the half that others do not train weights on (published: 128). With a λ it is the score less λ
    times the relative cost, in the score's own unit, so that a target is the better goal.
    """

    name: ClassVar[str] = "training-free"
    score: Literal["synflow", "naswot"] = "synflow"
    images: Annotated[int, Ge(2)] = 128

    def ends(self, space: AnySpace, epochs: int, accuracies: Sequence[float]) -> bool:
        """Returns True: there is no epoch."""
        return True

    def choose(self, trained: TrainedSupernet) -> Any:
        """Returns the architecture of the best score within the limit."""
        return self.found_by(trained.untrained(self.score, self.images), trained)
