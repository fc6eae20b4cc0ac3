"""The relaxation of MSG-DAS (Tan et al., 2021, https://arxiv.org/abs/2107.04324).

Several single-path sub-graphs are trained in every step, drawn together so that they exclude each
other, from one differentiable Gumbel top-k draw. Only the abstract was available to us: how many,
at which temperatures, and how the whole teaches them are choices of ours, named below.

- **The draw.** The options of each variable are ranked by the logarithm of their odds plus Gumbel
  noise, and the option of rank k goes to the k-th sub-graph: sampling without replacement
  (Plackett-Luce; Kool et al., 2019, https://arxiv.org/abs/1903.06059). The first sub-graph is that
  of GDAS.
- **The gradient** of the k-th sub-graph is that of the softmax at a temperature over the options
  which no earlier one has taken, straight through. The taken ones are masked before the softmax,
  and not divided out after it, which would divide by next to nothing at a low temperature.
- A variable of fewer options than there are sub-graphs (a depth, a width) begins anew when all were
  taken. Members of a set that have logits of their own are drawn once, for all sub-graphs.
- **Guidance.** In a step of the weights, every sub-graph imitates the logits that the whole
  mixture, softmax(alpha), gives for the same images with the statistics of that batch; no gradient
  passes through these. The architecture parameters move by the validation loss alone, as in every
  method.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Generator, Tensor

from latbench.search.relaxations.gdas import GdasRelaxation
from latbench.search.relaxations.relaxation import Teacher
from latbench.spaces import AnySpace


class MsgDasRelaxation(GdasRelaxation):
    """A draw of ``draws`` sub-graphs that exclude each other; ``alpha`` and the temperature are as
    in ``GdasRelaxation``.

    ``guidance`` is the weight of the imitation loss, taken in every ``guidance_every``-th step of
    the weights at the temperature ``guidance_temperature``; with 0 there is none.
    """

    name: ClassVar[str] = "msg-das"

    def __init__(
        self,
        space: AnySpace,
        generator: Generator,
        draws: int = 2,
        temperature: float = 10.0,
        final_temperature: float = 0.1,
        guidance: float = 1.0,
        guidance_temperature: float = 1.0,
        guidance_every: int = 1,
        at_once: bool = False,
    ) -> None:
        super().__init__(space, generator, temperature, final_temperature)
        self.draws, self.at_once = draws, at_once
        self._guidance = guidance, guidance_temperature, guidance_every

    def subgraphs(self, generator: Generator) -> tuple[Tensor, ...]:
        """Returns the sub-graphs, each with exactly one-hot rows, the likeliest draw first."""
        drawn = self.drawn(generator)
        strengths = self.tables.strengths(drawn / self.temperature)
        ranked = self.tables.best(drawn.detach(), self.draws, absent=self.topology is None)
        return tuple(self._subgraph(drawn, strengths, ranked, k) for k in range(self.draws))

    def _subgraph(
        self, drawn: Tensor, soft_strengths: Tensor, ranked: list[Tensor], k: int
    ) -> Tensor:
        """The sub-graph that takes of each row what is left after k others."""
        taken = torch.zeros_like(drawn, dtype=torch.bool)
        for places in ranked:
            taken[places[:, : k % places.shape[1]]] = True
        left = drawn.masked_fill(taken, -torch.inf) if k else drawn
        soft = self.weights(left / self.temperature, False, soft_strengths)
        hard = self.weights(left.detach(), True, self.tables.strengths(drawn.detach()))
        return soft - soft.detach() + hard.detach()

    def teacher(self, step: int) -> Teacher | None:
        """Returns the mixture softmax(alpha) in every ``guidance_every``-th step."""
        share, temperature, every = self._guidance
        if not share or step % every:
            return None
        return Teacher(self.weights(self.alpha, hard=False).detach(), share, temperature)
