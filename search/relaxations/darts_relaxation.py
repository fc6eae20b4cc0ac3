"""The relaxation of DARTS (Liu et al., 2019, https://arxiv.org/abs/1806.09055, section 2.2).

First and second order differ in the loop's step alone, see ``latbench.search.second_order``.

Its samples are for the latency penalty of LA-DARTS (Xu et al., 2020,
https://arxiv.org/abs/2001.06392), which averages the predicted latency of architectures that are
sampled from the parameters. The paper's text does not say how the gradient passes the sample; here
it is a straight-through estimator.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import torch
from torch import Generator, Tensor

from latbench.networks.ops import Shape
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.supernets.choices import Choices, mean_entropy
from latbench.search.supernets.darts_choices import DARTS
from latbench.search.supernets.mixed_edge import MixedOperation


@final
class DartsRelaxation(Relaxation):
    """A softmax over the operations of each edge; ``alpha`` is ``(2, 14, 8)`` in the DARTS space.

    There, the first axis is normal and reduction cell.
    """

    name: ClassVar[str] = "darts"

    def __init__(self, generator: Generator, choices: Choices = DARTS) -> None:
        super().__init__()
        self.choices = choices
        self.alpha = choices.initial(generator)

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: the softmax, without randomness."""
        return (torch.softmax(self.alpha, dim=-1),)

    def edge(self, input_shape: Shape, stride: int) -> MixedOperation:
        """Makes the weighted sum of all candidates."""
        return MixedOperation(self.choices.candidates(input_shape, stride), stride)

    def derive(self) -> Any:
        """Derives the architecture as published for the space; in the DARTS space, each node's two
        edges with the strongest operation other than ``none``."""
        return self.choices.derive(self.alpha)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples architectures derived from ``alpha`` plus Gumbel noise; ``(n, 224)`` in the DARTS
        space."""
        return self.choices.sample(n, generator, self.alpha)

    def probabilities(self) -> Tensor:
        """Returns the softmax, of ``alpha``'s shape."""
        return torch.softmax(self.alpha.detach(), dim=-1)

    def entropy(self) -> float:
        """Returns the mean entropy, between 0 and, with eight operations, log 8 = 2.08 nats."""
        return mean_entropy(self.probabilities())
