"""The relaxation of DARTS (Liu et al., 2019, https://arxiv.org/abs/1806.09055, section 2.2).

First and second order differ in the loop's step alone, see ``latbench.search.second_order``.

Its samples are for the latency penalty of LA-DARTS (Xu et al., 2020,
https://arxiv.org/abs/2001.06392), which averages the predicted latency of architectures that are
sampled from the parameters. The paper's text does not say how the gradient passes the sample; here
it is a straight-through estimator.
"""

from __future__ import annotations

from typing import ClassVar, final

from torch import Generator, Tensor

from latbench.search.relaxations.relaxation import AlphaRelaxation


@final
class DartsRelaxation(AlphaRelaxation):
    """A softmax over the options of each variable, in the DARTS space ``none`` among them.

    Members of a set on which no variable hangs weigh as much as their odds to be in it.
    """

    name: ClassVar[str] = "darts"

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: the softmax, without randomness."""
        return (self.weights(self.alpha, hard=False),)
