"""The relaxation of PC-DARTS (Xu et al., ICLR 2020, https://arxiv.org/abs/1907.05737).

Two things are new against DARTS. Only the first 1/K of an edge's channels go through the
candidates, the rest bypass them, and the two are shuffled together (section 3.2). Every edge has a
parameter of its own, ``beta``, whose softmax over a node's edges weighs it (edge normalisation,
section 3.3). Published code: yuhuixu1993/PC-DARTS, model_search.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from latbench.errors import UsageError
from latbench.networks.ops import Shape
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.supernets.choices import mean_entropy
from latbench.search.supernets.darts_choices import DARTS, NODE_EDGES
from latbench.search.supernets.mixed_edge import MixedOperation
from latbench.spaces.genotypes import Genotype


def _shuffled(x: Tensor, groups: int) -> Tensor:
    """The channels as if written into ``groups`` rows and read by columns (ShuffleNet)."""
    n, c, h, w = x.shape
    mixed = x.reshape(n, groups, c // groups, h, w).transpose(1, 2)
    return mixed.reshape(n, c, h, w)


class PartialOperation(nn.Module):
    """A mixed operation on the first 1/K of the channels, beside the others as they are.

    With stride 2 these are max-pooled. Both are scaled by the edge's weight: a row of weights is
    softmax(alpha) times that weight, so it is the row's sum.
    """

    def __init__(self, input_shape: Shape, stride: int, k: int) -> None:
        super().__init__()
        n, c, h, w = input_shape
        if c % k:
            raise UsageError(
                f"PC-DARTS cannot run 1/{k} of {c} channels; set channels to a multiple of {k}, or "
                f"partial_channels to a divisor of {c}"
            )
        self.k, self.stride = k, stride
        self.part = MixedOperation(DARTS.candidates((n, c // k, h, w), stride), stride)

    def forward(self, x: Tensor, weights: Tensor, used: Sequence[int]) -> Tensor:
        """Mixes with ``weights (8,)``: softmax(alpha) times the edge's weight."""
        part, rest = x.tensor_split([x.shape[1] // self.k], dim=1)
        if self.stride > 1:
            rest = F.max_pool2d(rest, self.stride, ceil_mode=True)
        mixed = self.part(part, weights, used)
        return _shuffled(torch.cat([mixed, weights.sum() * rest], dim=1), self.k)


@final
class PcDartsRelaxation(Relaxation):
    """The relaxation of PC-DARTS: operation parameters ``alpha (2, 14, 8)`` and edge parameters
    ``beta (2, 14)``.

    ``k``: 1/k of the channels run (published: 4 on CIFAR-10, 2 on ImageNet). For the DARTS space
    only, since in NAS-Bench-201 no edge is dropped.
    """

    name: ClassVar[str] = "pc-darts"

    def __init__(self, generator: Generator, k: int = 4) -> None:
        super().__init__()
        self.k = k
        self.alpha = DARTS.initial(generator)
        self.beta = nn.Parameter(1e-3 * torch.randn(DARTS.shape[:-1], generator=generator))

    def _edge_weights(self) -> Tensor:
        nodes = [torch.softmax(self.beta[:, edges], dim=-1) for edges in NODE_EDGES]
        return torch.cat(nodes, dim=-1)

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: softmax(alpha) over operations times softmax(beta) over each
        node's edges."""
        return (torch.softmax(self.alpha, dim=-1) * self._edge_weights().unsqueeze(-1),)

    def edge(self, input_shape: Shape, stride: int) -> PartialOperation:
        """Makes all candidates on a part of the channels.

        Raises UsageError when the channels cannot be divided by k.
        """
        return PartialOperation(input_shape, stride, self.k)

    def derive(self) -> Genotype:
        """Derives each node's two edges with the strongest product of operation and edge weight."""
        derived = DARTS.derive(self.alpha, self.beta)
        assert isinstance(derived, Genotype)
        return derived

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples architectures ``(n, 224)``, derived from both kinds of parameters plus Gumbel
        noise."""
        return DARTS.sample(n, generator, self.alpha, self.beta)

    def probabilities(self) -> Tensor:
        """Returns the softmax of ``alpha``, ``(2, 14, 8)``, which leaves ``beta`` out."""
        return torch.softmax(self.alpha.detach(), dim=-1)

    def entropy(self) -> float:
        """Returns the mean entropy of the operations alone, between 0 and log 8 = 2.08 nats."""
        return mean_entropy(self.probabilities())
