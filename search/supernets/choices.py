"""The choices that a space leaves to a relaxation, and how they become an architecture.

A method (how parameters become mixture weights) knows no space, and a space knows no method; they
meet here. Both spaces have ``none`` as operation 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from latbench.networks.ops import Shape


def gumbel(shape: Sequence[int], generator: Generator) -> Tensor:
    """Draws standard Gumbel noise: minus the logarithm of an exponential variable."""
    exponential: Tensor = torch.empty(tuple(shape)).exponential_(generator=generator)
    return -exponential.clamp_min(1e-30).log()


def mean_entropy(p: Tensor) -> float:
    """Returns the mean entropy of the rows of ``p``, nats."""
    return float(-(p * p.clamp_min(1e-30).log()).sum(dim=-1).mean())


@dataclass(frozen=True)
class Choices:
    """The choices of one space.

    ``shape`` is that of the operation logits: one row an edge, one column an operation; axes before
    these two are kinds of cell. ``candidates`` makes an edge's operations but ``none`` from its
    input's shape and its stride. ``discretise`` maps operation logits ``(..., *shape)``, and the
    edges' own logits ``(..., *shape[:-1])`` where a method has them, to one-hot rows, with rows of
    zeros for edges that are dropped; ``soften`` is its smooth version, for the gradient;
    ``architecture`` reads one set of one-hot rows.
    """

    shape: tuple[int, ...]
    candidates: Callable[[Shape, int], nn.ModuleList]
    discretise: Callable[[Tensor, Tensor | None], Tensor]
    soften: Callable[[Tensor, Tensor | None], Tensor]
    architecture: Callable[[Tensor], Any]

    def initial(self, generator: Generator) -> nn.Parameter:
        """Draws operation logits as published for every method here: ``1e-3 N(0, 1)``."""
        return nn.Parameter(1e-3 * torch.randn(self.shape, generator=generator))

    def derive(self, alpha: Tensor, beta: Tensor | None = None) -> Any:
        """Derives the architecture of operation logits and, where there are some, edge logits."""
        edges = None if beta is None else beta.detach()
        return self.architecture(self.discretise(alpha.detach(), edges))

    def sample(
        self, n: int, generator: Generator, alpha: Tensor, beta: Tensor | None = None
    ) -> Tensor:
        """Samples encodings: derived from logits with Gumbel noise, with the gradient of
        ``soften``.

        It is a straight-through estimator (Bengio et al., 2013; Jang et al., 2017).

        Args:
            n: The number of encodings.
            generator: The source of the noise.
            alpha: The logits of the operations.
            beta: The logits of the edges, None where there are none.

        Returns:
            The encodings ``(n, d)``.
        """
        logits = alpha + gumbel((n, *alpha.shape), generator).to(alpha.device)
        edges = None
        if beta is not None:
            edges = beta + gumbel((n, *beta.shape), generator).to(beta.device)
        with torch.no_grad():
            hard = self.discretise(logits, edges)
        soft = self.soften(logits, edges)
        return (soft - soft.detach() + hard).flatten(1)
