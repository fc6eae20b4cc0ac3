"""The relaxation of FBNet (Wu et al., 2019, https://arxiv.org/abs/1812.03443, section 3.3)."""

from __future__ import annotations

from typing import ClassVar

from torch import Generator, Tensor, nn

from latbench.predictors.gradients.expectation import Odds
from latbench.search.config import cooled
from latbench.search.relaxations.relaxation import AlphaRelaxation
from latbench.search.relaxations.tables import gumbel
from latbench.spaces import AnySpace
from latbench.spaces.variables import Some


class FBNetRelaxation(AlphaRelaxation):
    """A Gumbel-softmax over the options of each variable, all of which run.

    The temperature is ``temperature`` in the first epoch and falls as ``cooled`` says: at first
    nearly a mean of all options, at last nearly one that is drawn. As with GDAS, architectures are
    sampled for the penalty at temperature 1.
    """

    name: ClassVar[str] = "fbnet"

    def __init__(
        self, space: AnySpace, generator: Generator, temperature: float = 5.0,
        decay: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(space, generator)
        self.start, self.decay, self.temperature = temperature, decay, temperature

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Lowers the temperature."""
        self.temperature = cooled(self.start, self.decay, epoch, epochs)

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: the Gumbel-softmax of each row at the temperature."""
        noise = gumbel(self.alpha.shape, generator).to(self.alpha.device)
        logits = (self.tables.normalised(self.alpha) + noise) / self.temperature
        return (self.weights(logits, hard=False),)

    def expected_odds(self) -> Odds | None:
        """Returns the softmax of each row, in spaces whose every variable takes one option."""
        if any(isinstance(v, Some) for v in self.space.forest.variables):
            return None
        given = self.tables.options(self.alpha, absent=False)[None]
        joint = nn.functional.pad(self.tables.joint(given), (0, 1))
        return Odds(given, joint[..., self.one_hot_places])
