"""The mixed operation of an edge, and what every supernet needs of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from latbench.networks.ops import Shape

# Makes the module of one edge from its input's shape ``(N, C, H, W)`` and its stride. The module is
# called as ``forward(x, weights, used)``: the edge's row of mixture weights ``(operations,)``, and
# the numbers of the operations whose weight is not 0 (see ``used_operations``).
EdgeFactory = Callable[[Shape, int], nn.Module]


def used_operations(weights: Tensor) -> list[list[int]]:
    """Returns, for each row of ``(..., operations)``, in order, the operations whose weight is not
    0.

    It is asked once a pass for all edges: on a GPU every question of an edge would be a wait.
    """
    rows = (weights.detach() != 0).flatten(0, -2).tolist()
    return [[k for k, on in enumerate(row) if on] for row in rows]


def total(terms: Sequence[Tensor]) -> Tensor:
    """Returns the sum of one or more tensors, without the zero that ``sum`` starts from."""
    return functools.reduce(torch.add, terms)


class MixedOperation(nn.Module):
    """The weighted sum of candidates (DARTS, equation 2), of which only the used ones run.

    ``operations`` leaves out ``none``, which is number 0 and adds nothing. An edge of nothing but
    ``none`` gives zeros, through which the weights still get a gradient (of zero).
    """

    def __init__(self, operations: nn.ModuleList, stride: int) -> None:
        super().__init__()
        self.operations, self.stride = operations, stride

    def forward(self, x: Tensor, weights: Tensor, used: Sequence[int]) -> Tensor:
        """Mixes with ``weights (operations,)``, ``none`` first."""
        rows = weights.unbind()
        terms: list[Tensor] = [rows[k] * self.operations[k - 1](x) for k in used if k > 0]
        if terms:
            return total(terms)
        zeros: Tensor = torch.zeros_like(x[:, :, :: self.stride, :: self.stride])
        return rows[0] * zeros
