"""Uniform single paths (Guo et al., 2020, https://arxiv.org/abs/1904.00420, section 3.2).

Every variable's value is drawn with equal odds, independently of the others. Drawn uniformly over
*architectures* instead, a variable's value would be the likelier the more hangs on it: in a space
whose depth is searched nearly every path would be among the deepest, and the shallow networks,
which keep limits, would be judged by weights that were hardly trained for them.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, final

import torch
from torch import Generator, Tensor

from latbench.errors import UsageError
from latbench.networks.ops import Shape
from latbench.search.relaxations.relaxation import Relaxation
from latbench.search.supernets.mixed_edge import MixedOperation
from latbench.search.supernets.searchable import choices_of
from latbench.spaces import AnySpace


@final
class SinglePathRelaxation(Relaxation):
    """One uniformly drawn architecture a step; nothing is learned of it."""

    name: ClassVar[str] = "single-path"
    where: Tensor

    def __init__(self, space: AnySpace) -> None:
        super().__init__()
        self.choices = choices_of(space)
        self.register_buffer("where", torch.empty(0), persistent=False)  # knows the device

    def _drawn(self, n: int, generator: Generator) -> Tensor:
        """Paths ``(n, *shape)``: equally likely logits make all options equally likely."""
        logits = torch.rand(n, *self.choices.shape, generator=generator)
        return self.choices.discretise(logits, None).to(self.where.device)

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph, of zeros and ones."""
        return (self._drawn(1, generator)[0],)

    def edge(self, input_shape: Shape, stride: int) -> MixedOperation:
        """Makes the drawn candidate; the others have weight 0 and do not run."""
        return MixedOperation(self.choices.candidates(input_shape, stride), stride)

    def derive(self) -> Any:
        """Raises UsageError: paths stand for no architecture, the method chooses one."""
        raise UsageError("single paths have nothing to derive from; the method chooses")

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Samples encodings ``(n, d)`` as paths are drawn; they have no gradient."""
        return self._drawn(n, generator).flatten(1)

    def probabilities(self) -> Tensor:
        """Returns equal odds for every operation of every edge."""
        return torch.full(self.choices.shape, 1 / self.choices.shape[-1])

    def entropy(self) -> float:
        """Returns the entropy of equal odds, nats."""
        return math.log(self.choices.shape[-1])
