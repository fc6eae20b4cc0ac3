"""The relaxation of PC-DARTS (Xu et al., ICLR 2020, https://arxiv.org/abs/1907.05737).

Two things are new against DARTS. Only the first 1/K of an edge's channels go through the
candidates, the rest bypass them, and the two are shuffled together (section 3.2). Every edge has a
parameter of its own, ``beta``, whose softmax over a node's edges weighs it (edge normalisation,
section 3.3). Published code: yuhuixu1993/PC-DARTS, model_search.py.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from latbench.errors import UsageError
from latbench.networks.ops import Shape
from latbench.networks.supernet_ops import Mixed
from latbench.search.relaxations.relaxation import AlphaRelaxation
from latbench.search.relaxations.topology import Topology
from latbench.search.supernets.mixed import MixedModule, PassWeights
from latbench.search.supernets.supernet_module import SupernetModule, mix_all
from latbench.spaces import AnySpace
from latbench.spaces.variables import Some


def _shuffled(x: Tensor, groups: int) -> Tensor:
    """The channels as if written into ``groups`` rows and read by columns (ShuffleNet)."""
    n, c, h, w = x.shape
    mixed = x.reshape(n, groups, c // groups, h, w).transpose(1, 2)
    return mixed.reshape(n, c, h, w)


class PartialMixed(nn.Module):
    """A mixed layer on the first 1/K of the channels, beside the others as they are.

    With stride 2 these are max-pooled. Both are scaled by the edge's weight: the row of weights is
    softmax(alpha) times that of the member that the variable hangs on.
    """

    def __init__(self, op: Mixed, input_shape: Shape, k: int) -> None:
        super().__init__()
        n, c, h, w = input_shape
        if c % k:
            raise UsageError(
                f"PC-DARTS cannot run 1/{k} of {c} channels; set channels to a multiple of {k}, or "
                f"partial_channels to a divisor of {c}"
            )
        part = (n, c // k, h, w)
        try:
            alternatives = op.again(part)
            kept = alternatives[0].output_shape[1] == c // k
        except UsageError:  # options of fixed channels, which then have different shapes
            kept = False
        if not kept:
            raise UsageError(
                f"PC-DARTS cannot run a part of the channels of {op.variable!r}; it needs options "
                "that keep the channels, and take their number from b.shape(x)"
            )
        self.k, self.variable = k, op.variable
        mixed = Mixed(op.variable, alternatives, op.again)
        self.part = MixedModule(mixed, part, partial(SupernetModule, mixed=mix_all))

    def forward(self, x: Tensor, weights: PassWeights) -> Tensor:
        """Mixes with the variable's row, and weighs the rest with the member's weight."""
        part, rest = x.tensor_split([x.shape[1] // self.k], dim=1)
        if self.part.strides[0] > 1:
            rest = F.max_pool2d(rest, self.part.strides[0], ceil_mode=True)
        past = weights.scale[self.variable] * rest
        return _shuffled(torch.cat([self.part(part, weights), past], dim=1), self.k)


@final
class PcDartsRelaxation(AlphaRelaxation):
    """The relaxation of PC-DARTS: option parameters ``alpha``, and ``beta``, one for each member of
    a set.

    ``k``: 1/k of the channels run (published: 4 on CIFAR-10, 2 on ImageNet). For spaces where every
    operation hangs on a member of a set, such as DARTS'; in NAS-Bench-201 no edge is dropped.
    """

    name: ClassVar[str] = "pc-darts"

    def __init__(self, space: AnySpace, generator: Generator, k: int = 4) -> None:
        super().__init__(space, generator)
        self.k, forest = k, space.forest
        sets = [i for i, v in enumerate(forest.variables) if isinstance(v, Some)]
        if not forest.chooses_inputs:
            raise UsageError(
                f"the method 'pc-darts' cannot search the space {space.name!r}: it weighs the "
                "inputs of a node, and there every input is kept"
            )
        columns = [c for i in sets for c in range(forest.offsets[i], forest.offsets[i + 1])]
        self.register_buffer("member_columns", torch.tensor(columns), persistent=False)
        self.beta = nn.Parameter(1e-3 * torch.randn(len(columns), generator=generator))
        sizes = [len(forest.variables[i].options) for i in sets]
        self._parts = [slice(sum(sizes[:j]), sum(sizes[: j + 1])) for j in range(len(sizes))]

    member_columns: Tensor

    def _edge_weights(self) -> Tensor:
        nodes = [torch.softmax(self.beta[part], dim=-1) for part in self._parts]
        return torch.cat(nodes, dim=-1)

    def subgraphs(self, generator: Generator) -> tuple[Tensor]:
        """Returns one sub-graph: softmax(alpha) over options, and softmax(beta) over each set's
        members, which scales them."""
        if self.topology is not None:
            return (self.weights(self.alpha, hard=False),)
        options = self.tables.options(self.alpha, absent=True)
        return (options.index_copy(-1, self.member_columns, self._edge_weights()),)

    def mixed(self, op: Mixed, input_shape: Shape) -> nn.Module:
        """Makes all alternatives on a part of the channels.

        Raises UsageError when the channels cannot be divided by k.
        """
        return PartialMixed(op, input_shape, self.k)

    def take_topology(self, topology: Topology) -> None:
        """Takes odds of sets of inputs in the place of ``beta``, which then rests."""
        super().take_topology(topology)
        self.beta.requires_grad_(False)

    def extra_parameters(self) -> tuple[Tensor, ...]:
        """Returns ``beta``."""
        return (self.beta,)

    def member_strengths(self, alpha: Tensor, *extra: Tensor) -> Tensor:
        """Returns the product of the best option's and the edge's weight, as a logarithm.

        The softmax's denominator is the same for all members of a set, so it is left out.
        """
        (beta,) = extra
        strengths = self.tables.strengths(alpha)
        return strengths.index_add(-1, self.member_columns, beta)
