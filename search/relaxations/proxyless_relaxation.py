"""The relaxation of ProxylessNAS (Cai et al., 2019, https://arxiv.org/abs/1812.00332, section 3.2).

Two options of every variable are drawn; the first one runs with the weight 1, and the gradient of
the loss by the weights of both trains the parameters of these two alone. So a step costs two paths,
however many options there are. Ours is that the first is drawn by the softmax of all options, which
is what the paper trains the weights with; its architecture step draws the active one of the two
again.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Generator, Tensor

from latbench.search.relaxations.relaxation import AlphaRelaxation
from latbench.search.relaxations.tables import gumbel
from latbench.spaces import AnySpace

# The weight of the second path, which changes no result and lets it run, since the gradient by its
# weight is its output times that of the sum.
_BARELY = 1e-20


class ProxylessRelaxation(AlphaRelaxation):
    """A draw of two options a variable, of which one counts; ``alpha`` is as in
    ``DartsRelaxation``."""

    name: ClassVar[str] = "proxylessnas"

    def __init__(self, space: AnySpace, generator: Generator) -> None:
        super().__init__(space, generator)
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: of each row one 1 and one barely more than 0."""
        noise = gumbel(self.alpha.shape, generator).to(self.alpha.device)
        drawn = (self.tables.normalised(self.alpha) + noise).detach()
        two, first = self._kept(drawn, 2), self._kept(drawn, 1)
        self._pairs = [
            (places, self.alpha.detach()[places].logsumexp(-1, keepdim=True))
            for places in self.tables.best(drawn, 2)
        ]
        flat = torch.zeros_like(drawn)
        soft, hard, second = (
            self.tables.options(torch.where(kept, values, -torch.inf), absent=True)
            for kept, values in ((two, self.alpha), (first, flat), (two & ~first, flat))
        )
        second = second.nan_to_num(0.0)  # a row of a single option has no second one
        return (soft - soft.detach() + hard + _BARELY * second,)

    def stepped(self) -> None:
        """Scales the odds of the two drawn options so that those of all others stay as they were,
        as the paper does."""
        with torch.no_grad():
            for places, before in self._pairs:
                of = self.alpha[places]
                self.alpha[places] = of + before - of.logsumexp(-1, keepdim=True)

    def _kept(self, drawn: Tensor, most: int) -> Tensor:
        """Whether each logit is among so many of the best of its row."""
        kept = torch.zeros_like(drawn, dtype=torch.bool)
        for places in self.tables.best(drawn, most):
            kept[places] = True
        return kept
