"""The relaxation of DARTS (Liu et al., 2019, https://arxiv.org/abs/1806.09055, section 2.2).

Its samples are for the latency penalty of LA-DARTS (Xu et al., 2020,
https://arxiv.org/abs/2001.06392), which averages the predicted latency of architectures that are
sampled from the parameters. The paper's text does not say how the gradient passes the sample; here
it is a straight-through estimator (Bengio et al., 2013; Jang et al., 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Generator, Tensor, nn

from latbench.ops import Shape
from latbench.search.relaxation import Relaxation
from latbench.search.supernet import candidates, total
from latbench.spaces.genotypes import EDGES, NODES, OPERATIONS, Cell, Genotype

_NODES_EDGES = tuple(
    slice(sum(n + 2 for n in range(i)), sum(n + 2 for n in range(i + 1))) for i in range(NODES)
)
_KEPT = 2  # edges that each node of a derived cell has


class MixedOperation(nn.Module):
    """The weighted sum of all candidate operations (equation 2); ``none`` adds nothing."""

    def __init__(self, input_shape: Shape, stride: int) -> None:
        super().__init__()
        self.operations = candidates(input_shape, stride)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """``weights (8,)``, one an operation, ``none`` first."""
        terms: list[Tensor] = [
            weight * operation(x)
            for weight, operation in zip(weights.unbind()[1:], self.operations, strict=True)
        ]
        return total(terms)


def _kept_edges(strength: Tensor) -> Tensor:
    """1 for each node's two strongest edges, else 0: ``(..., 14) -> (..., 14)``.

    Among equals the first edge wins, as in the published code.
    """
    kept: Tensor = torch.zeros_like(strength)
    for edges in _NODES_EDGES:
        order = torch.argsort(strength[..., edges], dim=-1, descending=True, stable=True)
        kept[..., edges] = kept[..., edges].scatter(-1, order[..., :_KEPT], 1.0)
    return kept


def discretise(logits: Tensor) -> Tensor:
    """Logits ``(..., 14, 8)`` to one-hot rows of kept edges, zero rows elsewhere, same shape.

    As published: an edge is as strong as its most probable operation other than ``none``, each
    node keeps its two strongest edges, and each of them that operation.
    """
    strength, best = torch.softmax(logits, dim=-1)[..., 1:].max(dim=-1)
    rows = torch.zeros_like(logits).scatter(-1, best.unsqueeze(-1) + 1, 1.0)
    return rows * _kept_edges(strength).unsqueeze(-1)


def _in_a_pair(log_strength: Tensor) -> Tensor:
    """Probability of each edge of a node to be in the kept pair: ``(..., k) -> (..., k)``.

    A pair is drawn in proportion to the product of its strengths, so the probabilities sum to two,
    and are 1 for the first node, which has two edges only. The scale of strengths does not matter.
    """
    s = (log_strength - log_strength.detach().amax(dim=-1, keepdim=True)).clamp_min(-60).exp()
    others = s @ (1 - torch.eye(s.shape[-1], device=s.device))
    return s * others / ((s * others).sum(dim=-1, keepdim=True) / 2)


def soften(logits: Tensor) -> Tensor:
    """A smooth version of ``discretise``, for its gradient.

    A kept edge has exactly one operation and a node exactly two edges, so the softened rows of a
    node also sum to two. With a plain softmax of each row, ``none`` would look like a way to save
    latency: the penalty would raise it everywhere without making any derived network faster.
    Against finite differences of a random linear latency (flat and spread ``alpha``, one draw
    each), the gradient's cosine was 0.997 and 0.985 this way, 0.785 and 0.737 that way.

    Row = probability that the edge is kept x softmax over the operations other than ``none``.
    """
    strength = torch.log_softmax(logits, dim=-1)[..., 1:].amax(dim=-1)
    kept = torch.cat([_in_a_pair(strength[..., edges]) for edges in _NODES_EDGES], dim=-1)
    operations = torch.softmax(logits[..., 1:], dim=-1)
    return nn.functional.pad(operations * kept.unsqueeze(-1), (1, 0))


def _gumbel(shape: Sequence[int], generator: Generator) -> Tensor:
    """Standard Gumbel noise: minus the logarithm of an exponential variable."""
    exponential: Tensor = torch.empty(tuple(shape)).exponential_(generator=generator)
    return -exponential.clamp_min(1e-30).log()


def _cell(rows: Tensor) -> Cell:
    """The cell of one-hot rows ``(14, 8)``."""
    edges = [(EDGES[e], OPERATIONS[k]) for e, k in rows.nonzero().tolist()]

    def node(i: int) -> tuple[tuple[str, int], tuple[str, int]]:
        first, second = ((name, source) for (target, source), name in edges if target == i)
        return first, second

    return tuple(node(i) for i in range(NODES))


@final
class DartsRelaxation(Relaxation):
    """A softmax over the eight operations of each edge; ``alpha`` is ``(2, 14, 8)``.

    The first axis is normal and reduction cell. Initial values are ``1e-3 N(0, 1)``, as published.
    """

    name: ClassVar[str] = "darts"

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        shape = (2, len(EDGES), len(OPERATIONS))
        self.alpha = nn.Parameter(1e-3 * torch.randn(shape, generator=generator))

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """One: the softmax, without randomness."""
        return (torch.softmax(self.alpha, dim=-1),)

    def edge(self, input_shape: Shape, stride: int) -> MixedOperation:
        """The weighted sum of all candidates."""
        return MixedOperation(input_shape, stride)

    def derive(self) -> Genotype:
        """Each node's two edges with the strongest operation other than ``none``."""
        normal, reduce = discretise(self.alpha.detach())
        return Genotype(_cell(normal), _cell(reduce))

    def sample(self, n: int, generator: Generator) -> Tensor:
        """``(n, 224)``: derived from ``alpha`` plus Gumbel noise, gradient of ``soften``."""
        noise = _gumbel((n, *self.alpha.shape), generator).to(self.alpha.device)
        logits = self.alpha + noise
        hard, soft = discretise(logits.detach()), soften(logits)
        return (soft - soft.detach() + hard).flatten(1)

    def probabilities(self) -> Tensor:
        """``(2, 14, 8)``."""
        return torch.softmax(self.alpha.detach(), dim=-1)

    def entropy(self) -> float:
        """Between 0 and log 8 = 2.08 nats."""
        p = self.probabilities()
        return float(-(p * p.clamp_min(1e-30).log()).sum(dim=-1).mean())
