"""The relaxation of ProxylessNAS (Cai et al., 2019, https://arxiv.org/abs/1812.00332, section 3.2).

Two options of every variable are drawn; the first one runs with the weight 1, and the gradient of
the task's loss by the weights of both trains the parameters of these two alone. So a step of the
parameters costs two paths, however many options there are, and a step of the weights one. Ours is
that the first is drawn by the softmax of all options, which is what the paper trains the weights
with; its architecture step draws the active one of the two again.

That only the drawn parameters *move* takes the published optimiser besides: Adam with a beta1 and a
weight decay of 0 (mit-han-lab/proxylessnas, search/imagenet_arch_search.py), since momentum and
decay move a parameter whatever its gradient. A latency penalty moves all of them in any case: it
samples architectures as it does for every method, and its gradient reaches every option.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Generator, Tensor

from latbench.search.relaxations.relaxation import AlphaRelaxation, Relaxation
from latbench.search.relaxations.tables import gumbel
from latbench.search.relaxations.topology import Topology
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
        drawn = self._drawn(generator)
        two, first = self._kept(drawn, 2), self._kept(drawn, 1)
        self._pairs = [
            (places, self.alpha.detach()[places]) for places in self.tables.best(drawn, 2)
        ]
        flat = torch.zeros_like(drawn)
        soft, hard, second = (
            self._among(kept, values)
            for kept, values in ((two, self.alpha), (first, flat), (two & ~first, flat))
        )
        second = second.nan_to_num(0.0)  # a row of a single option has no second one
        return (soft - soft.detach() + hard + _BARELY * second,)

    def paths(self, generator: Generator) -> tuple[Tensor]:
        """Returns one path: of each row one 1, drawn as ``subgraphs`` draws it.

        The second option does not run: its weights would get a gradient of nearly zero, by which an
        optimiser decays them, and its batch norms would see images that it does not count for.
        """
        drawn = self._drawn(generator)
        return (self._among(self._kept(drawn, 1), torch.zeros_like(drawn)),)

    def take_topology(self, topology: Topology) -> None:
        """Raises UsageError: two drawn options have no place for the odds of sets."""
        Relaxation.take_topology(self, topology)

    def stepped(self) -> None:
        """Takes back what the step did to the odds of all other options by moving the two drawn
        ones apart, as the paper does.

        The task's gradients of the two are opposite. Plain gradient descent moves the two apart by
        them and does nothing else, so that the odds of the others stay exactly as they were. What
        moved the two alike is kept, and that is ours: the push of a penalty, weight decay, and with
        Adam half of the difference between the sizes of its two steps.
        """
        with torch.no_grad():
            for places, before in self._pairs:
                of = self.alpha[places]
                odds = before.logsumexp(-1, keepdim=True) - of.logsumexp(-1, keepdim=True)
                self.alpha[places] = of + odds + (of - before).mean(-1, keepdim=True)

    def _drawn(self, generator: Generator) -> Tensor:
        """The logits and noise, of which the largest of each row are what is drawn."""
        noise = gumbel(self.alpha.shape, generator).to(self.alpha.device)
        return (self.tables.normalised(self.alpha) + noise).detach()

    def _among(self, kept: Tensor, logits: Tensor) -> Tensor:
        """The odds ``(columns,)`` where no other logits are there than those that are kept."""
        return self.tables.options(torch.where(kept, logits, -torch.inf), absent=True)

    def _kept(self, drawn: Tensor, most: int) -> Tensor:
        """Whether each logit is among so many of the best of its row."""
        kept = torch.zeros_like(drawn, dtype=torch.bool)
        for places in self.tables.best(drawn, most):
            kept[places] = True
        return kept
